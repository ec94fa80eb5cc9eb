-- Credentials that deployments name with `litellm_credential_name`. None of their values lies open.
create table credentials (
    name text primary key,
    display_name text,
    info jsonb not null default '{}',
    sealed_values bytea not null, -- all values, sealed by the vault, as one JSON object
    created_at timestamptz not null default now(),
    created_by text,
    updated_at timestamptz not null default now(),
    updated_by text
);
