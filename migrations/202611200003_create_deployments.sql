-- One place that serves a model. `params` is litellm_params without secrets; `os.environ/X` stays a reference.
create table deployments (
    id text primary key,
    model_name text not null,
    params jsonb not null,
    sealed_params bytea, -- the secret members of params, sealed by the vault, as one JSON object
    model_info jsonb not null default '{}',
    blocked boolean not null default false,
    origin text not null check (origin in ('file', 'api')),
    position bigint not null default 0, -- order in the file
    created_at timestamptz not null default now(),
    created_by text,
    updated_at timestamptz not null default now(),
    updated_by text
);

create index deployments_by_model on deployments (model_name);

-- litellm_settings, router_settings, general_settings, environment_variables: one row each and origin.
create table settings (
    section text not null,
    origin text not null check (origin in ('file', 'api')),
    value jsonb not null,
    sealed_value bytea,
    updated_at timestamptz not null default now(),
    primary key (section, origin)
);

-- The file that the file-owned rows match.
create table imported_config (
    only_row boolean primary key default true check (only_row),
    sha256 bytea not null,
    imported_at timestamptz not null default now()
);
