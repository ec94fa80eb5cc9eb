//! Whether the sums in Postgres are those of its rows: per owner, and per owner and day.

use crate::database::Database;

/// What each owner's rows amount to; owners without an id have no sums.
const FACTS: &str = "facts as (
    select day, owner.kind, owner.owner_id, model, provider, cost_nano_usd, prompt_tokens, completion_tokens, success
    from spend_logs, lateral (values
        ('proxy', 'proxy'), ('key', encode(key_hash, 'hex')), ('team', team_id), ('user', user_id),
        ('model', coalesce(nullif(model_group, ''), model)), ('customer', end_user),
        ('member', replace(replace(nullif(user_id, ''), '%', '%25'), ':', '%3A') || ':' || nullif(team_id, ''))
    ) as owner (kind, owner_id)
    where owner.owner_id <> '')";

impl Database {
    /// Every sum that is not that of its rows, as a sentence. Looks at proxy, keys, teams, users, members, models and
    /// customers, and at the accounts of keys whose budgets are as old as they are.
    pub async fn wrong_sums(&self) -> anyhow::Result<Vec<String>> {
        let totals = format!(
            "with {FACTS}, logged as (
                 select kind, owner_id, sum(cost_nano_usd)::bigint as cost, count(*) as calls,
                     sum(prompt_tokens)::bigint as prompt, sum(completion_tokens)::bigint as completion
                 from facts group by 1, 2
             ), summed as (
                 select kind, owner_id, total_nano_usd as cost, calls, prompt_tokens as prompt, completion_tokens as completion
                 from spend_totals where scope = '' and kind in ('proxy', 'key', 'team', 'user', 'model', 'customer', 'member')
             )
             select format('%s %s: rows %s, total %s', kind, owner_id, logged, summed)
             from logged full join summed using (kind, owner_id)
             where (logged.cost, logged.calls, logged.prompt, logged.completion)
                 is distinct from (summed.cost, summed.calls, summed.prompt, summed.completion)"
        );
        let days = format!(
            "with {FACTS}, logged as (
                 select day, kind, owner_id, model, provider, sum(cost_nano_usd)::bigint as cost, count(*) as calls,
                     count(*) filter (where not success) as failed
                 from facts group by 1, 2, 3, 4, 5
             ), summed as (
                 select day, kind, owner_id, model, provider, cost_nano_usd as cost, calls, failed_calls as failed
                 from spend_daily where kind in ('proxy', 'key', 'team', 'user', 'model', 'customer', 'member')
             )
             select format('%s %s %s: rows %s, day %s', day, kind, owner_id, logged, summed)
             from logged full join summed using (day, kind, owner_id, model, provider)
             where (logged.cost, logged.calls, logged.failed) is distinct from (summed.cost, summed.calls, summed.failed)"
        );
        let accounts = "with booked as (
                 select t.owner_id, t.scope, t.total_nano_usd as total,
                     (select coalesce(sum(l.cost_nano_usd), 0)::bigint from spend_logs l
                      where l.key_hash = decode(t.owner_id, 'hex') and (t.model is null or l.model_group = t.model)) as rows
                 from spend_totals t where t.kind = 'key' and t.scope <> ''
             )
             select format('key %s, %s: rows %s, account %s', owner_id, scope, rows, total)
             from booked where rows <> total";
        let mut wrong = self.texts(totals).await?;
        wrong.extend(self.texts(days).await?);
        wrong.extend(self.texts(accounts.to_owned()).await?);
        Ok(wrong)
    }

    /// What was put aside because nothing can book it, with its reason.
    pub async fn dead_letters(&self) -> anyhow::Result<Vec<String>> {
        self.texts("select format('%s: %s', event_id, reason) from spend_dead_letters order by 1".to_owned()).await
    }

    /// How many rows came from a data plane.
    pub async fn rows_of(&self, data_plane_id: &str) -> anyhow::Result<i64> {
        let rows = sqlx::query_scalar("select count(*) from spend_logs where data_plane_id = $1");
        Ok(rows.bind(data_plane_id).fetch_one(self.pool()).await?)
    }

    /// Does something to the database that no plane would.
    pub async fn execute(&self, statement: &'static str) -> anyhow::Result<()> {
        sqlx::raw_sql(statement).execute(self.pool()).await?;
        Ok(())
    }

    async fn texts(&self, query: String) -> anyhow::Result<Vec<String>> {
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(self.pool()).await?)
    }
}
