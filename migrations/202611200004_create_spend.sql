-- One row per upstream attempt. The day comes from the event id's own time, never from arrival, so that a late duplicate
-- meets its first copy in the same partition.
create table spend_logs (
    day date not null,
    event_id uuid not null,
    request_id text not null,
    call_id text not null,
    call_type text not null,
    key_hash bytea,
    key_alias text,
    master_key boolean not null default false,
    user_id text,
    team_id text,
    team_alias text,
    organization_id text,
    end_user text,
    model text not null,
    model_group text not null,
    deployment_id text not null,
    provider text not null,
    api_base text not null,
    started_at timestamptz not null,
    first_byte_at timestamptz,
    ended_at timestamptz not null,
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    total_tokens bigint not null,
    token_details jsonb not null default '{}',
    usage_source text not null,   -- none, reported, estimated
    estimate_method text,
    price_state text not null,    -- unknown, known, free
    price_source text,
    cost_nano_usd bigint not null,
    ending text not null,
    success boolean not null,
    status integer not null,
    tags text[] not null default '{}',
    error_class text,
    error_message text,
    attempt integer not null default 0,
    client_ip text,
    user_agent text,
    session_id text,
    streamed boolean not null default false,
    spend_logs_metadata jsonb,
    data_plane_id text not null,
    taken_in_at timestamptz not null default now(),
    primary key (day, event_id)
) partition by range (day);

-- Catches what is outside the daily partitions (a clock gone wrong); the daily ones are made ahead by a job and by intake.
create table spend_logs_other partition of spend_logs default;

create index spend_logs_by_request on spend_logs (request_id);
create index spend_logs_by_call on spend_logs (call_id);
create index spend_logs_by_key on spend_logs (key_hash, started_at desc);
create index spend_logs_by_user on spend_logs (user_id, started_at desc);
create index spend_logs_by_team on spend_logs (team_id, started_at desc);
create index spend_logs_by_start on spend_logs (started_at desc);

-- Running totals of every owner: kind is key, user, team, organization, customer, tag, model, proxy.
create table spend_totals (
    kind text not null,
    owner_id text not null,
    cost_nano_usd bigint not null default 0,       -- in the current budget window
    total_nano_usd bigint not null default 0,      -- ever
    prompt_tokens bigint not null default 0,
    completion_tokens bigint not null default 0,
    calls bigint not null default 0,
    unknown_price_calls bigint not null default 0, -- calls that used tokens nobody has a price for
    last_used_at timestamptz,
    primary key (kind, owner_id)
);

create table spend_daily (
    day date not null,
    kind text not null,
    owner_id text not null,
    model text not null,
    provider text not null,
    cost_nano_usd bigint not null default 0,
    prompt_tokens bigint not null default 0,
    completion_tokens bigint not null default 0,
    calls bigint not null default 0,
    failed_calls bigint not null default 0,
    unknown_price_calls bigint not null default 0,
    primary key (day, kind, owner_id, model, provider)
);

-- Events that no retry can book; the batch around them proceeded.
create table spend_dead_letters (
    event_id uuid primary key,
    data_plane_id text not null,
    reason text not null,
    event bytea not null, -- the protobuf as it came
    arrived_at timestamptz not null default now()
);
