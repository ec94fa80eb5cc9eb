//! What the endpoints share that change one team: finding it for somebody who may, and storing it.

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::budgets::BudgetPatch;
use crate::change::{Change, Published, Wait};
use crate::error::AdminError;
use crate::http::moment;
use crate::teams::view::{self, TeamView};
use crate::teams::{Team, TeamError, members, note_update, store};

/// Begins a change of a team, which is locked, if the actor may make it.
pub(super) async fn begin(
    app: &App,
    actor: &Actor,
    permission: Permission,
    team_id: &String,
) -> Result<(Change, Team), AdminError> {
    let mut change = Change::begin(app, actor).await?;
    let Some(team) = store::locked(change.db(), std::slice::from_ref(team_id)).await?.pop() else {
        // Who may not do this with all teams does not learn which there are.
        actor.may(permission, &Subject::Anything)?;
        return Err(match actor.is_admin() {
            true => TeamError::NotFound(team_id.clone()).into(),
            false => actor.no_access_to_team(team_id).into(),
        });
    };
    actor.may(permission, &Subject::Team(&team))?;
    Ok((change, team))
}

/// Stores the changed team and commits. Where nothing is different, nothing happens.
pub(super) async fn finish(
    mut change: Change,
    before: &Team,
    team: Team,
    wait: Wait,
) -> Result<(TeamView, Published), AdminError> {
    let view = put(&mut change, before, team, &BudgetPatch::default()).await?;
    let published = change.commit(wait).await?;
    Ok((view, published))
}

/// Stores the changed team, where anything is different; of members who join, `joining` is said.
pub(super) async fn put(
    change: &mut Change,
    before: &Team,
    mut team: Team,
    joining: &BudgetPatch,
) -> Result<TeamView, AdminError> {
    if team != *before {
        let now = moment::now();
        team.updated_at = now;
        team.check_organization(change.db(), Some(before)).await?;
        store::update(change.db(), &team).await?;
        team.keep_budgets(change.db(), Some(before)).await?;
        members::settle(change, Some(before), &team, joining, now).await?;
        team.move_keys(change, before).await?;
        note_update(change, before, &team);
    }
    Ok(view::view(change.db(), team).await?)
}
