-- What lies in the database of a proxy that somebody used. Tokens are put in place by the test.
insert into "LiteLLM_BudgetTable" (budget_id, max_budget, tpm_limit, rpm_limit, budget_duration, budget_reset_at)
values ('b-key', 50, 1000, 5, '7d', '2099-01-01'), ('b-customer', 5, null, null, null, null), ('b-empty', null, null, null, null, null);

insert into "LiteLLM_UserTable" (user_id, user_email, user_role, teams, spend, max_budget, password, metadata)
values ('ada', 'ada@example.org', 'proxy_admin', '{t1}', 3.5, 20, 'scrypt:hunter2', '{"note": "first"}'),
       ('bob', 'Ada@Example.org', null, '{}', 0, null, null, '{}'),
       ('orla', null, 'org_admin', '{}', 0, null, null, '{"service": {"api_key": "hunter2"}}'),
       ('minus', null, 'internal_user', '{}', 0, -1, null, '{}'),
       ('default_user_id', null, 'proxy_admin', '{}', 0, null, null, '{}'),
       ('litellm-proxy-budget', null, null, '{}', 99, null, null, '{}');

insert into "LiteLLM_ModelTable" (id, aliases) values (1, '{"fast": "smart"}');
insert into "LiteLLM_TeamTable" (team_id, team_alias, members_with_roles, metadata, max_budget, soft_budget, spend, models, model_id,
                                 budget_duration)
values ('t1', 'Red',
        '[{"role": "admin", "user_id": "ada", "user_email": null}, {"role": "user", "user_id": "nobody-yet"}, {"role": "user"}]',
        '{"logging": [{"callback_name": "langfuse", "callback_vars": {"langfuse_secret": "langfuse-secret"}}], "kept": 1}',
        100, 100, 40, '{smart}', 1, '30d'),
       ('t-bad', 'Window', '[]', '{}', 1, null, 0, '{}', null, 'whenever');
insert into "LiteLLM_TeamMembership" (user_id, team_id, spend, budget_id) values ('ada', 't1', 1, 'b-key');
insert into "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id) values ('o1', 'Org', 'b-empty');

insert into "LiteLLM_VerificationToken"
    (token, key_name, key_alias, user_id, team_id, models, rpm_limit, max_budget, spend, total_spend, budget_duration,
     budget_reset_at, expires, created_by, metadata, budget_id, allowed_routes, key_type, blocked)
values ('ada', 'sk-...-ada', 'ada-laptop', 'ada', null, '{smart}', 7, 10, 2.5, 12.5, '30d', '2099-01-01', '2031-01-02 03:04:05',
        'default_user_id', '{"tags": ["prod"], "model_rpm_limit": {"smart": 3}}', null, '{}', 'default', null),
       ('team', 'sk-...am-1', null, null, 't1', '{}', null, null, 0, 0, null, null, null, 'ada', '{}', null,
        '{llm_api_routes}', 'llm_api', false),
       ('shared', 'sk-...dget', 'shared-one', null, null, '{}', 9, null, 4, 4, null, null, null, null, '{}', 'b-key', '{}', null, null),
       ('alias', 'sk-...ther', 'up/../../down', 'a user without a row', null, '{}', null, null, 0, 0, null, null, null, null, '{}',
        null, '{}', null, true),
       ('sk-stored-in-the-clear', null, null, null, null, '{}', null, null, 0, 0, null, null, null, null, '{}', null, '{}', null, null),
       (repeat('a', 64), 'sk-...aaaa', null, null, 'litellm-dashboard', '{}', null, null, 0, 0, null, null, null, null, '{}', null, '{}', null, null),
       (repeat('b', 64), 'sk-...bbbb', null, null, 't-bad', '{}', null, null, 0, 0, null, null, null, null, '{}', null, '{}', null, null),
       (repeat('c', 64), 'sk-...cccc', null, 'minus', null, '{}', null, null, 0, 0, null, null, null, null, '{}', null, '{}', null, null),
       (repeat('d', 64), 'sk-...dddd', null, null, null, '{}', -5, null, 0, 0, null, null, null, null, '{}', null, '{}', null, null);

insert into "LiteLLM_EndUserTable" (user_id, alias, spend, budget_id, blocked, default_model, allowed_model_region)
values ('acme', 'Acme', 1.25, 'b-customer', true, 'no such model', 'eu'), ('plain', null, 0, null, false, null, null),
       ('mars', null, 0, null, false, null, 'mars');

insert into "LiteLLM_TagTable" (tag_name, description, models, spend, budget_id)
values ('blue', 'the blue ones', '{m-boxed, no-such-model}', 2, 'b-customer');

insert into "LiteLLM_Config" (param_name, param_value) values ('router_settings', '{"num_retries": 2}');
