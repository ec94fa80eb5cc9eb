-- What references, settings and prices last resolved to, as a keyed digest: a control plane that starts with another
-- environment finds that they resolve differently, and publishes.
alter table installation add column published_fingerprint bytea;
