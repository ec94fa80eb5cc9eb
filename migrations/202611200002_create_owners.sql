create table users (
    user_id text primary key,
    email text,
    alias text,
    role text not null default 'internal_user',
    team_id text,
    organization_id text,
    teams text[] not null default '{}',
    models text[] not null default '{}',
    metadata jsonb not null default '{}',
    max_budget_nano_usd bigint,
    budget_duration text,
    budget_reset_at timestamptz,
    tpm_limit bigint,
    rpm_limit bigint,
    max_parallel_requests bigint,
    more jsonb not null default '{}', -- fields that are kept and shown, and have no rule yet
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create unique index users_email_unique on users (lower(email)) where email is not null;

create table teams (
    team_id text primary key,
    alias text,
    organization_id text,
    members jsonb not null default '[]', -- [{role, user_id, user_email}]
    models text[] not null default '{}',
    model_aliases jsonb not null default '{}',
    metadata jsonb not null default '{}',
    blocked boolean not null default false,
    max_budget_nano_usd bigint,
    soft_budget_nano_usd bigint,
    budget_duration text,
    budget_reset_at timestamptz,
    tpm_limit bigint,
    rpm_limit bigint,
    max_parallel_requests bigint,
    more jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table keys (
    hash bytea primary key check (octet_length(hash) = 32),
    masked text,
    alias text,
    user_id text,
    team_id text,
    organization_id text,
    models text[] not null default '{}',
    aliases jsonb not null default '{}',
    config jsonb not null default '{}',
    permissions jsonb not null default '{}',
    metadata jsonb not null default '{}', -- tags live here, as LiteLLM's clients expect
    blocked boolean,                      -- null: never said
    expires_at timestamptz,
    max_budget_nano_usd bigint,
    soft_budget_nano_usd bigint,
    budget_duration text,
    budget_reset_at timestamptz,
    tpm_limit bigint,
    rpm_limit bigint,
    max_parallel_requests bigint,
    key_type text not null default 'default',
    allowed_routes text[] not null default '{}',
    allowed_cache_controls text[] not null default '{}',
    more jsonb not null default '{}',
    created_at timestamptz not null default now(),
    created_by text,
    updated_at timestamptz not null default now(),
    updated_by text
);

create unique index keys_alias_unique on keys (alias) where alias is not null;
create index keys_by_team on keys (team_id) where team_id is not null;
create index keys_by_user on keys (user_id) where user_id is not null;
create index keys_by_creation on keys (created_at desc, hash desc);

-- What a deleted key was, so that its spend keeps a name.
create table deleted_keys (
    id uuid primary key,
    hash bytea not null,
    row_before jsonb not null,
    deleted_at timestamptz not null default now(),
    deleted_by text,
    deleted_by_key text
);

create index deleted_keys_by_hash on deleted_keys (hash);
