-- Organizations: who has teams and keys. What one may spend is a budget that it is linked to; what was spent is its account.
create table organizations (
    organization_id text primary key,
    alias text not null,
    budget_id text references budgets (budget_id) on delete set null,
    metadata jsonb not null default '{}',
    models text[] not null default '{}',
    object_permission jsonb,
    created_at timestamptz not null default now(),
    created_by text not null,
    updated_at timestamptz not null default now(),
    updated_by text not null
);

create index organizations_by_budget on organizations (budget_id, organization_id) where budget_id is not null;
create index organizations_by_alias on organizations (alias, organization_id);

create table organization_members (
    organization_id text not null references organizations (organization_id) on delete cascade,
    user_id text not null,
    role text not null, -- org_admin, internal_user, internal_user_viewer
    budget_id text references budgets (budget_id) on delete set null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, user_id)
);

create index organization_members_by_user on organization_members (user_id);
create index organization_members_by_budget on organization_members (budget_id) where budget_id is not null;

create index teams_by_organization on teams (organization_id, team_id) where organization_id is not null;
create index keys_by_organization on keys (organization_id) where organization_id is not null;
