//! `POST /team/update`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::managed;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::budgets::BudgetPatch;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;
use crate::teams::patch::{self, TeamPatch};
use crate::teams::view::TeamView;
use crate::teams::{TeamError, members, store};

type TeamPatchBody = Body<TeamPatch>;

/// A changed team.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UpdatedTeam {
    team_id: String,
    data: TeamView,
}

/// Changes a team: what is left out stays, `null` clears.
#[utoipa::path(
    post,
    path = "/team/update",
    tag = "teams",
    params(Wait),
    request_body = TeamPatchBody,
    responses((status = 200, body = UpdatedTeam), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: wanted, unknown }: TeamPatchBody,
) -> Result<Changed<UpdatedTeam>, Generic> {
    actor.may(Permission::ChangeTeam, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let found = store::locked(change.db(), std::slice::from_ref(&wanted.team_id)).await?.pop();
    let before = match found {
        Some(team) => team,
        None if actor.is_admin() => return Err(TeamError::NotFound(wanted.team_id).into()),
        // Who may not change teams does not learn which there are.
        None => return Err(actor.no_access_to_team(&wanted.team_id).into()),
    };
    actor.may(Permission::ChangeTeam, &Subject::Team(&before))?;
    let (now, of_members) = (moment::now(), wanted.of_members.clone());
    let mut team = patch::apply(before.clone(), wanted, now)?;
    team.check_rights(&actor, Some(&before))?;
    members::set_defaults(&mut change, &mut team, of_members, now).await?;
    let data = managed::put(&mut change, &before, team, &BudgetPatch::default()).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view: UpdatedTeam { team_id: data.team_id.clone(), data }, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn what_is_left_out_stays_and_null_clears() {
        let world = World::new().await;
        let body = json!({"team_id": "t", "team_alias": "dev", "models": ["a"], "max_budget": 5, "metadata": {"k": 1}});
        world.post("/team/new", body).await.ok();
        let body = json!({"team_id": "t", "models": ["b"], "max_budget": null, "tags": ["x"], "blocked": true});
        let changed = world.post("/team/update", body).await.ok();
        assert_eq!(changed["team_id"], "t");
        let data = &changed["data"];
        assert_eq!((&data["team_alias"], &data["models"]), (&json!("dev"), &json!(["b"])));
        assert_eq!((&data["max_budget"], &data["blocked"]), (&json!(null), &json!(true)));
        assert_eq!(data["metadata"], json!({"k": 1, "tags": ["x"]}));
        assert_eq!(world.count("audit_log where action = 'updated' and before_value->>'team_alias' = 'dev'").await, 1);
    }

    #[tokio::test]
    async fn unknown_teams_bad_values_and_strangers_are_refused() {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "max_budget": 5, "members_with_roles": roster})).await.ok();
        world.post("/team/update", json!({"team_id": "unknown"})).await.refused(404);
        world.post("/team/update", json!({"team_id": "t", "soft_budget": 6})).await.refused(400);
        assert_eq!(world.post("/team/update", json!({})).await.issues(), [json!(["body", "team_id"])]);
        assert_eq!(
            world.post("/team/update", json!({"team_id": "t", "models": 1})).await.issues(),
            [json!(["body", "models"])]
        );
        for team in ["t", "unknown"] {
            world.post_as(&boss, "/team/update", json!({"team_id": team, "max_budget": 9})).await.refused(403);
        }
    }
}
