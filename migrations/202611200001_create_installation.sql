-- One row: which lineage this database is, and how far it has come.
create table installation (
    only_row boolean primary key default true check (only_row),
    epoch uuid not null default gen_random_uuid(),
    revision bigint not null default 0,
    master_key_sha256 bytea,
    join_token_sha256 bytea,
    created_at timestamptz not null default now()
);

insert into installation default values;

-- What changed at which revision. The revision is taken last in the admin transaction (the row above stays locked until
-- commit), so commit order is revision order.
create table change_log (
    revision bigint not null,
    kind text not null,      -- key, team, user, deployment, settings; `full` where a list would be too long
    object_id text not null,
    changed_at timestamptz not null default now()
);

create index change_log_by_revision on change_log (revision);

create table audit_log (
    id uuid primary key,
    changed_at timestamptz not null default now(),
    changed_by text not null default '',
    changed_by_key text not null default '', -- hash, or the master key's alias
    action text not null,
    noun text not null,
    object_id text not null,
    before_value jsonb,
    updated_values jsonb,
    revision bigint
);

create index audit_log_by_time on audit_log (changed_at desc);
create index audit_log_by_object on audit_log (noun, object_id);
