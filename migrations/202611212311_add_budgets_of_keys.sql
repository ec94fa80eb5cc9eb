-- Keys that share a budget: what a key has no value of its own for, it has from there. Before, `more` kept the id without any
-- effect; such an id is not a link.
alter table keys add column budget_id text references budgets (budget_id) on delete set null;

create index keys_by_budget on keys (budget_id, hash) where budget_id is not null;
