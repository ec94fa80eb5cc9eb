//! `POST /team/block` and `POST /team/unblock`.

use axum::extract::State;
use serde_json::json;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::change::{Change, Wait};
use crate::error::{AdminError, Plain};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment;
use crate::teams::view::{self, TeamView};
use crate::teams::{TeamError, store};

/// Which team to block.
#[derive(Debug)]
pub(super) struct Which {
    team_id: String,
}

impl Request for Which {
    const NAME: &'static str = "BlockedTeam";
    const FIELDS: &'static [&'static [Field]] = &[&[required("team_id", Shape::Text, "The team.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { team_id: form.take("team_id").given().unwrap_or_default() })
    }
}

type WhichTeam = Body<Which>;

/// Blocks a team: calls with its keys are refused from now on.
#[utoipa::path(
    post,
    path = "/team/block",
    tag = "teams",
    params(Wait),
    request_body = WhichTeam,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn block(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichTeam,
) -> Result<Changed<TeamView>, Plain> {
    Ok(switch(&app, &actor, wait, body, Action::Blocked).await?)
}

/// Unblocks a team.
#[utoipa::path(
    post,
    path = "/team/unblock",
    tag = "teams",
    params(Wait),
    request_body = WhichTeam,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn unblock(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichTeam,
) -> Result<Changed<TeamView>, Plain> {
    Ok(switch(&app, &actor, wait, body, Action::Unblocked).await?)
}

async fn switch(
    app: &App,
    actor: &Actor,
    wait: Wait,
    Body { asked: Which { team_id }, unknown }: WhichTeam,
    action: Action,
) -> Result<Changed<TeamView>, AdminError> {
    let mut change = Change::begin(app, actor).await?;
    let Some(before) = store::locked(change.db(), std::slice::from_ref(&team_id)).await?.pop() else {
        actor.may(Permission::BlockTeam, &Subject::Anything)?;
        return Err(TeamError::NotFound(team_id).into());
    };
    actor.may(Permission::BlockTeam, &Subject::Team(&before))?;
    let mut team = before.clone();
    team.blocked = action == Action::Blocked;
    team.updated_at = moment::now();
    store::update(change.db(), &team).await?;
    change.note(Entry {
        action,
        noun: Noun::Team,
        id: team_id,
        before: Some(view::for_audit(&before)),
        after: Some(json!({})),
    });
    let view = view::view(change.db(), team).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_block_is_shown_audited_and_lifted() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let row = world.post("/team/block", json!({"team_id": "t"})).await.ok();
        assert_eq!((&row["team_id"], &row["blocked"]), (&json!("t"), &json!(true)));
        let row = world.post("/team/unblock", json!({"team_id": "t"})).await.ok();
        assert_eq!(row["blocked"], false);
        assert_eq!(world.count("audit_log where noun = 'team' and action in ('blocked', 'unblocked')").await, 2);
    }

    #[tokio::test]
    async fn unknown_teams_and_strangers_are_refused() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let answer = world.post("/team/block", json!({"team_id": "unknown"})).await;
        assert_eq!((answer.status, answer.body["detail"]["error"].is_string()), (404, true));
        for team in ["t", "unknown"] {
            world.post_as(&key, "/team/unblock", json!({"team_id": team})).await.refused(401);
        }
        assert_eq!(world.post("/team/block", json!({"team_id": []})).await.issues(), [json!(["body", "team_id"])]);
    }
}
