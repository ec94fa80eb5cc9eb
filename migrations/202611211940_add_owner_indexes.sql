-- Pages of users and teams, and who is in which team.
create index users_by_creation on users (created_at desc, user_id desc);
create index users_by_team on users using gin (teams);
create index teams_by_alias on teams (alias, team_id);
create index teams_by_creation on teams (created_at desc, team_id desc);
create index teams_by_member on teams using gin (members jsonb_path_ops);
