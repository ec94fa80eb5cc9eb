-- Values of keys that were replaced by another. Usage that comes late under an old value is booked on the new one, for ever;
-- the old value itself works until `revoke_at`. A value that was replaced several times leads to the newest.
create table replaced_keys (
    old_hash bytea primary key check (octet_length(old_hash) = 32),
    new_hash bytea not null check (octet_length(new_hash) = 32),
    masked text,
    revoke_at timestamptz not null,
    replaced_at timestamptz not null default now(), -- when it was last said which is the newest
    published boolean not null default true, -- data planes know it; a job takes it back after `revoke_at`
    check (old_hash <> new_hash)
);

create index replaced_keys_by_new on replaced_keys (new_hash);
create index replaced_keys_due on replaced_keys (revoke_at) where published;
