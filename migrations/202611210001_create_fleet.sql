-- Which data planes were connected to any control plane of late: they share the limits. What a crash loses is noted anew
-- within seconds.
create unlogged table fleet (
    data_plane_id text primary key,
    seen_at timestamptz not null
);
