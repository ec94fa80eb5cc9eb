-- What is set for single members of a team: a budget of their own, or the one that the team gives to all who have none
-- (`metadata.team_member_budget_id`). Who is on the roster is in teams.members; members without a budget have no row.
create table team_members (
    member_id text primary key, -- of user and team, as both planes write it
    team_id text not null references teams (team_id) on delete cascade,
    user_id text not null,
    budget_id text not null references budgets (budget_id) on delete cascade
);

create unique index team_members_by_team on team_members (team_id, user_id);
create index team_members_by_budget on team_members (budget_id, member_id);

-- Until now these were kept as they came, and held for nobody.
update teams set more = more - '{team_member_budget,team_member_budget_duration,team_member_rpm_limit,team_member_tpm_limit}'::text[]
where more ?| '{team_member_budget,team_member_budget_duration,team_member_rpm_limit,team_member_tpm_limit}';
