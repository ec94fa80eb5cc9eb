-- Budgets with a name of their own, which several owners may share, and two kinds of owners that have no other: customers
-- and tags. What was spent is in spend_totals, in an account of each owner.
create table budgets (
    budget_id text primary key,
    max_budget_nano_usd bigint,
    soft_budget_nano_usd bigint,
    budget_duration text,
    rpm_limit bigint,
    tpm_limit bigint,
    tpd_limit bigint,
    max_parallel_requests bigint,
    model_max_budget jsonb,                    -- by model: {max_budget, budget_duration}
    allowed_models text[] not null default '{}',
    temp_increase_nano_usd bigint,             -- on top of max_budget, until:
    temp_expires_at timestamptz,
    created_at timestamptz not null default now(),
    created_by text not null,
    updated_at timestamptz not null default now(),
    updated_by text not null
);

create index budgets_by_creation on budgets (created_at, budget_id);

create table customers (
    customer_id text primary key,
    alias text,
    blocked boolean not null default false,
    allowed_model_region text,
    default_model text,
    models text[] not null default '{}',
    budget_id text references budgets (budget_id) on delete set null,
    object_permission jsonb,
    created_at timestamptz not null default now(),
    created_by text not null,
    updated_at timestamptz not null default now(),
    updated_by text not null
);

create index customers_by_budget on customers (budget_id, customer_id) where budget_id is not null;
create index customers_blocked on customers (customer_id) where blocked;

create table tags (
    name text primary key,
    description text,
    models text[] not null default '{}',       -- ids of deployments
    budget_id text references budgets (budget_id) on delete set null,
    created_at timestamptz not null default now(),
    created_by text not null,
    updated_at timestamptz not null default now(),
    updated_by text not null
);

create index tags_by_budget on tags (budget_id, name) where budget_id is not null;
