//! `PATCH /team/{team_id}`.

use axum::extract::State;

use super::managed;
use crate::access::{Actor, Permission};
use crate::app::App;
use crate::change::Wait;
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;
use crate::http::path::Names;
use crate::teams::patch::{self, TeamMerge};
use crate::teams::view::TeamView;
use crate::teams::{TeamError, members};

type TeamMergeBody = Body<TeamMerge>;

/// Changes a team as `/team/update` does, but for its metadata: what the body says of that goes into what there is.
#[utoipa::path(
    patch,
    path = "/team/{team_id}",
    tag = "teams",
    params(("team_id" = String, Path, description = "The team."), Wait),
    request_body = TeamMergeBody,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn merge(
    State(app): State<App>,
    actor: Actor,
    names: Names<1>,
    wait: Wait,
    Body { asked: wanted, unknown }: TeamMergeBody,
) -> Result<Changed<TeamView>, Generic> {
    let Names([team_id]) = names;
    let (mut change, before) = managed::begin(&app, &actor, Permission::ChangeTeam, &team_id).await?;
    if !wanted.patch.team_id.is_empty() && wanted.patch.team_id != team_id {
        return Err(TeamError::OtherId.into());
    }
    let (now, of_members) = (moment::now(), wanted.patch.of_members.clone());
    let mut team = patch::merge(before.clone(), wanted, now)?;
    team.check_rights(&actor, Some(&before))?;
    members::set_defaults(&mut change, &mut team, of_members, now).await?;
    let (view, published) = managed::finish(change, &before, team, wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::{Answer, MASTER, World};

    async fn patch(world: &World, key: &str, team: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        world.call("PATCH", &format!("/team/{team}"), &headers, body.to_string()).await
    }

    #[tokio::test]
    async fn metadata_is_merged_and_the_rest_changes_as_in_an_update() {
        let world = World::new().await;
        let metadata = json!({"keep": 1, "gone": 2, "deep": {"a": 1, "b": 2}, "list": [1]});
        let body =
            json!({"team_id": "a team", "team_alias": "dev", "max_budget": 5, "metadata": metadata, "tags": ["x"]});
        world.post("/team/new", body).await.ok();
        let body = json!({
            "max_budget": null, "rpm_limit": 3, "odd": 1,
            "metadata": {"gone": null, "deep": {"b": null, "c": {"d": null, "e": 3}}, "list": [2], "never": null},
        });
        let answer = patch(&world, MASTER, "a%20team", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        let row = answer.ok();
        assert_eq!((&row["team_id"], &row["team_alias"]), (&json!("a team"), &json!("dev")));
        assert_eq!((&row["max_budget"], &row["rpm_limit"]), (&json!(null), &json!(3)));
        let merged = json!({"keep": 1, "deep": {"a": 1, "c": {"e": 3}}, "list": [2], "tags": ["x"]});
        assert_eq!(row["metadata"], merged);
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'team'").await, 1);
        let row = patch(&world, MASTER, "a%20team", json!({"metadata": null, "tags": ["y"]})).await.ok();
        assert_eq!(row["metadata"], json!({"tags": ["y"]}));
    }

    #[tokio::test]
    async fn bad_values_other_teams_and_who_is_no_admin_change_nothing() {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "max_budget": 5, "members_with_roles": roster})).await.ok();
        patch(&world, MASTER, "t", json!({"team_id": "u", "max_budget": 6})).await.refused(400);
        patch(&world, MASTER, "t", json!({"soft_budget": 6})).await.refused(400);
        patch(&world, MASTER, "t", json!({"metadata": {"logging": [{"api_key": "in the clear"}]}})).await.refused(400);
        patch(&world, MASTER, "none", json!({})).await.refused(404);
        assert_eq!(patch(&world, MASTER, "a%00b", json!({})).await.issues(), [json!(["path", "team_id"])]);
        assert_eq!(patch(&world, MASTER, "t", json!({"metadata": []})).await.issues(), [json!(["body", "metadata"])]);
        for team in ["t", "none"] {
            patch(&world, &boss, team, json!({"max_budget": 9})).await.refused(403);
            patch(&world, &viewer, team, json!({"max_budget": 9})).await.refused(401);
        }
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
        assert_eq!(patch(&world, MASTER, "t", json!({"team_id": "t", "max_budget": 6})).await.ok()["max_budget"], 6.0);
    }
}
