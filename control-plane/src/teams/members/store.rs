//! The `team_members` table: which member is linked to which budget.

use std::collections::HashMap;

use sqlx::PgConnection;

/// The members who are linked to a budget, by their ids; their rows can be read by all and changed by nobody until the
/// transaction ends.
pub(super) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select member_id from team_members where budget_id = $1 order by member_id for share",
        budget_id,
    )
    .fetch_all(db)
    .await
}

/// The budgets of a team's members, by user.
pub(super) async fn of_team(db: &mut PgConnection, team_id: &str) -> sqlx::Result<HashMap<String, String>> {
    let rows = sqlx::query!("select user_id, budget_id from team_members where team_id = $1", team_id);
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.user_id, row.budget_id)).collect())
}

/// The budgets of these members, by their ids.
pub(super) async fn among(db: &mut PgConnection, member_ids: &[String]) -> sqlx::Result<HashMap<String, String>> {
    let rows = sqlx::query!("select member_id, budget_id from team_members where member_id = any($1)", member_ids);
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.member_id, row.budget_id)).collect())
}

/// Links members, whose ids stand beside their users, to a budget.
pub(super) async fn link(
    db: &mut PgConnection,
    team_id: &str,
    member_ids: &[String],
    user_ids: &[String],
    budget_id: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into team_members (member_id, team_id, user_id, budget_id)
         select member_id, $1, user_id, $4 from unnest($2::text[], $3::text[]) as member (member_id, user_id)
         order by member_id
         on conflict (member_id) do update set budget_id = excluded.budget_id",
        team_id,
        member_ids,
        user_ids,
        budget_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes the links of members.
pub(super) async fn unlink(db: &mut PgConnection, member_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from team_members where member_id = any($1)", member_ids).execute(db).await?;
    Ok(())
}
