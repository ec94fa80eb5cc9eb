-- A row of spend_totals is an account: what an owner spent in the current window of a budget. The account without a scope
-- is about everything; others are about one more window, or about one model.
alter table spend_totals add column scope text not null default '';
alter table spend_totals drop constraint spend_totals_pkey;
alter table spend_totals add primary key (kind, owner_id, scope);

alter table spend_totals
    add column model text,                            -- only calls of this model count here
    add column budgeted boolean not null default false, -- data planes are told of it
    add column budget_window text,                    -- as the admin wrote it: `30d`
    add column window_ends_at timestamptz,
    add column version bigint not null default 0,     -- of what data planes are told
    add column told_in xid8 not null default '0';     -- the transaction that last changed what they are told

create index spend_totals_told on spend_totals (told_in) where budgeted;
create index spend_totals_due on spend_totals (window_ends_at) where window_ends_at is not null;
