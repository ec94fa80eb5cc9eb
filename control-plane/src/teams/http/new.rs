//! `POST /team/new`.

use axum::extract::State;
use serde_json::Value;

use super::members::check_member;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::budgets::BudgetPatch;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;
use crate::teams::defaults::Defaults;
use crate::teams::making::{self, NewTeam};
use crate::teams::view::{self, TeamView};
use crate::teams::{Member, MemberRole, TeamError, members, store};
use crate::users;

type NewTeamBody = Body<NewTeam>;

/// Makes a team. Its maker becomes its admin.
#[utoipa::path(
    post,
    path = "/team/new",
    tag = "teams",
    params(Wait),
    request_body = NewTeamBody,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: new, unknown }: NewTeamBody,
) -> Result<Changed<TeamView>, Generic> {
    actor.may(Permission::CreateTeam, &Subject::NewTeam { organization_id: new.organization_id() })?;
    let now = moment::now();
    let mut change = Change::begin(&app, &actor).await?;
    let defaults = Defaults::read(&mut change).await.map_err(TeamError::from)?;
    let (mut team, of_members) = making::make(new, defaults, now)?;
    team.check_rights(&actor, None)?;
    team.check_organization(change.db(), None).await?;
    for member in team.members.iter().filter(|_| !actor.is_admin()) {
        check_member(change.db(), &actor, member).await?;
    }
    team.members = users::join(&mut change, team.members, &team.team_id, now).await?;
    if let Some(maker) = &actor.user_id {
        team.add(Member { role: MemberRole::Admin, user_id: Some(maker.clone()), user_email: None });
    }
    members::set_defaults(&mut change, &mut team, of_members, now).await?;
    let inserted = store::insert(change.db(), &team).await;
    inserted.map_err(|error| TeamError::from_insert(error, &team.team_id))?;
    team.keep_budgets(change.db(), None).await?;
    members::settle(&mut change, None, &team, &BudgetPatch::default(), now).await?;
    change.note(Entry {
        action: Action::Created,
        noun: Noun::Team,
        id: team.team_id.clone(),
        before: None,
        after: Some(view::for_audit(&team)),
    });
    let mut view = view::view(change.db(), team).await?;
    let published = change.commit(wait).await?;

    // Here, and only here, LiteLLM writes the aliases as text.
    if let Some(aliases) = view.litellm_model_table.get_mut("model_aliases") {
        *aliases = Value::String(aliases.to_string());
    }
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{World, settled};

    #[tokio::test]
    async fn a_team_has_every_field_and_its_maker_as_admin() {
        let world = World::new().await;
        let body = json!({
            "team_id": "t", "team_alias": "dev", "models": ["a"], "model_aliases": {"x": "a"}, "max_budget": 10,
            "soft_budget": 5, "tags": ["blue"], "metadata": {"k": 1}, "team_member_permissions": ["/key/generate"],
            "odd": 1,
        });
        let answer = world.post("/team/new", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        insta::assert_json_snapshot!(settled(answer.ok(), &["created_at", "updated_at"]));
        assert_eq!(world.count("audit_log where noun = 'team' and action = 'created' and revision = 1").await, 1);
    }

    #[tokio::test]
    async fn members_become_users_once() {
        let world = World::new().await;
        world.user("u1", "internal_user").await;
        let roster = json!([
            {"role": "admin", "user_id": "u1"}, {"role": "user", "user_email": "New@example.com"},
            {"role": "user", "user_id": "u3"}, {"role": "user", "user_id": "u3"},
        ]);
        let made = world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        let members = made["members_with_roles"].as_array().unwrap();
        assert_eq!(members.len(), 4, "{members:?}");
        assert_eq!(members[1]["user_email"], "New@example.com");
        let again = json!([{"role": "user", "user_email": "new@EXAMPLE.com"}]);
        let other = world.post("/team/new", json!({"team_id": "t2", "members_with_roles": again})).await.ok();
        assert_eq!(other["members_with_roles"][0]["user_id"], members[1]["user_id"]);
        let teams: Vec<String> =
            sqlx::query_scalar("select unnest(teams) from users where lower(email) = 'new@example.com'")
                .fetch_all(&world.db())
                .await
                .unwrap();
        assert_eq!(teams, ["t", "t2"]);
        assert_eq!(world.count("users").await, 3);
    }

    #[tokio::test]
    async fn bad_teams_are_refused() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        for body in [
            json!({"team_id": "t"}),
            json!({"team_id": "litellm-dashboard"}),
            json!({"max_budget": 1, "soft_budget": 1}),
            json!({"budget_duration": "soon"}),
            json!({"members_with_roles": [{"role": "user"}]}),
        ] {
            let error = world.post("/team/new", body).await.refused(400);
            assert_eq!(error["type"], "internal_server_error");
        }
        // Longer than an index takes, and so that it cannot be compressed.
        let long: String = (0..200).map(|number| proto::KeyHash::of(&format!("{number}")).to_string()).collect();
        for body in [json!({"team_alias": long}), json!({"team_id": long})] {
            assert_eq!(world.post("/team/new", body).await.refused(400)["type"], "bad_request_error");
        }
        assert_eq!(world.post("/team/new", json!({"models": {}})).await.issues(), [json!(["body", "models"])]);
        let key = world.user("u1", "internal_user").await;
        let error = world.post_as(&key, "/team/new", json!({})).await.refused(401);
        assert!(error["message"].as_str().unwrap().contains("Route=/team/new. Your role=internal_user"));
        assert_eq!(world.count("teams").await, 1);
    }
}
