-- What was imported from a LiteLLM database, so that the next import takes what changed there, and leaves what changed here.
create table taken_over (
    kind text not null,                        -- budget, credential, user, team, model, key, customer, tag, proxy
    id text not null,
    source_digest bytea not null,              -- of the row there, keyed by the vault; without spend and times
    written_at timestamptz not null,           -- `updated_at` of the row here, as it was written
    spent_nano_usd bigint not null default 0,  -- how much of the spend there is in ours
    total_nano_usd bigint not null default 0,
    taken_at timestamptz not null default now(),
    primary key (kind, id)
);
