//! `POST /team/delete`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::teams::{self, TeamError, store};

/// Which teams to delete.
#[derive(Debug)]
pub(super) struct Which {
    team_ids: Vec<String>,
}

impl Request for Which {
    const NAME: &'static str = "DeletedTeams";
    const FIELDS: &'static [&'static [Field]] = &[&[required("team_ids", Shape::Texts, "The teams.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let mut team_ids: Vec<String> = form.take("team_ids").given().unwrap_or_default();
        team_ids.sort_unstable();
        team_ids.dedup();
        Ok(Self { team_ids })
    }
}

type WhichTeams = Body<Which>;

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedTeams {
    deleted_teams: Vec<String>,
}

/// Deletes teams with all of their keys; all or none. The keys go to the archive.
#[utoipa::path(
    post,
    path = "/team/delete",
    tag = "teams",
    params(Wait),
    request_body = WhichTeams,
    responses((status = 200, body = RemovedTeams), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Which { team_ids }, unknown }: WhichTeams,
) -> Result<Changed<RemovedTeams>, Plain> {
    if team_ids.is_empty() {
        actor.may(Permission::DeleteTeam, &Subject::Anything)?;
    }
    let mut change = Change::begin(&app, &actor).await?;
    let teams = store::locked(change.db(), &team_ids).await?;
    for team in &teams {
        actor.may(Permission::DeleteTeam, &Subject::Team(team))?;
    }
    if let Some(unknown) = team_ids.iter().find(|id| teams.iter().all(|team| team.team_id != **id)) {
        actor.may(Permission::DeleteTeam, &Subject::Anything)?;
        return Err(TeamError::NotFound(unknown.clone()).into());
    }
    teams::remove(&mut change, &teams).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view: RemovedTeams { deleted_teams: team_ids }, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn deleting_nothing_moves_no_revision() {
        let world = World::new().await;
        let before = world.revision().await;
        world.post("/team/delete", json!({"team_ids": []})).await;
        assert_eq!(world.revision().await, before);
    }

    #[tokio::test]
    async fn a_team_goes_with_its_keys_at_one_revision() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": [{"user_id": "u1"}]})).await.ok();
        let (of_team, other) = (world.key(json!({"team_id": "t"})).await, world.key(json!({})).await);
        let answer = world.post("/team/delete", json!({"team_ids": ["t", "t"]})).await;
        let revision = answer.header("x-turnpike-revision").unwrap().to_owned();
        assert_eq!(answer.ok(), json!({"deleted_teams": ["t"]}));
        assert_eq!(revision, "4");
        assert_eq!(world.count("change_log where revision = 4").await, 2);
        assert_eq!((world.count("teams").await, world.count("deleted_keys").await), (0, 1));
        assert_eq!(world.count("users where 't' = any(teams)").await, 0);
        world.get_as(&of_team, "/key/info").await.refused(401);
        world.get_as(&other, "/key/info").await.ok();
    }

    #[tokio::test]
    async fn one_unknown_team_or_one_that_is_not_theirs_stops_all() {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "own", "members_with_roles": roster})).await.ok();
        world.post("/team/new", json!({"team_id": "other"})).await.ok();
        let answer = world.post("/team/delete", json!({"team_ids": ["own", "unknown"]})).await;
        assert_eq!((answer.status, answer.body["detail"]["error"].is_string()), (404, true));
        world.post_as(&boss, "/team/delete", json!({"team_ids": ["own", "other"]})).await.refused(401);
        world.post_as(&boss, "/team/delete", json!({"team_ids": ["unknown"]})).await.refused(401);
        assert_eq!(world.count("teams").await, 2);
        assert_eq!(world.post("/team/delete", json!({})).await.issues(), [json!(["body", "team_ids"])]);
        world.post_as(&boss, "/team/delete", json!({"team_ids": ["own"]})).await.ok();
    }

    #[tokio::test]
    async fn a_key_that_is_made_while_its_team_goes_does_not_outlive_it() {
        let world = World::new().await;
        for round in 0..10 {
            world.post("/team/new", json!({"team_id": "t"})).await.ok();
            let (made, deleted) = tokio::join!(
                world.post("/key/generate", json!({"team_id": "t", "key_alias": format!("k{round}")})),
                world.post("/team/delete", json!({"team_ids": ["t"]})),
            );
            made.ok();
            deleted.ok();
            // Made after the team went, it is the key of a team that nobody made; made before, it went with it.
            let left = world.count("keys").await;
            let after = "change_log c where kind = 'key' and revision > (select max(revision) from change_log where kind = 'team')";
            assert_eq!(left, world.count(after).await, "round {round}");
            sqlx::query("delete from keys").execute(&world.db()).await.unwrap();
        }
    }
}
