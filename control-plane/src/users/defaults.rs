//! What a new user has where nothing is said: `default_internal_user_params`, `max_internal_user_budget` and
//! `internal_user_budget_duration`.

use proto::NanoUsd;
use serde_json::Value;

use super::User;
use crate::access::Role;
use crate::change::Change;
use crate::operator::{OperatorError, Part};
use crate::teams::MemberRole;

/// A team that new users are put into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DefaultTeam {
    pub(super) team_id: String,
    pub(super) role: MemberRole,
}

/// All of it; nothing where nothing is set.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    role: Option<Role>,
    max_budget: Option<NanoUsd>,
    budget_duration: Option<String>,
    models: Vec<String>,
    teams: Vec<DefaultTeam>,
    /// Of internal users who have no budget otherwise.
    internal_budget: Option<NanoUsd>,
    internal_duration: Option<String>,
}

impl Defaults {
    /// What holds in this change.
    pub(super) async fn read(change: &mut Change) -> Result<Self, OperatorError> {
        let said = change.operator().await?;
        let litellm = said.litellm();
        let older = litellm.usd("default_max_internal_user_budget")?;
        let internal = Self {
            internal_budget: litellm.usd("max_internal_user_budget")?.or(older),
            internal_duration: litellm.window("internal_user_budget_duration")?,
            ..Self::default()
        };
        let Some(part) = litellm.part("default_internal_user_params")? else { return Ok(internal) };
        Ok(Self {
            role: role(&part)?,
            max_budget: part.usd("max_budget")?,
            budget_duration: part.window("budget_duration")?,
            models: part.texts("models")?.unwrap_or_default(),
            teams: teams(&part)?,
            ..internal
        })
    }

    /// The role of a user of whom none is said.
    pub(super) fn role(&self) -> Role {
        self.role.unwrap_or(Role::InternalUser)
    }

    /// The role of somebody whom a team makes known: never one that sees more than the team.
    pub(super) fn role_of_member(&self) -> Role {
        match self.role() {
            role @ (Role::InternalUser | Role::InternalUserViewer) => role,
            Role::ProxyAdmin | Role::ProxyAdminViewer => Role::InternalUser,
        }
    }

    /// Teams of a user of whom none are said.
    pub(super) fn teams(&self) -> &[DefaultTeam] {
        &self.teams
    }

    /// Fills in what a new user has nothing of. One who was made a proxy admin in so many words is left as they are.
    pub(super) fn fill(&self, user: &mut User) {
        user.max_budget = user.max_budget.or(self.max_budget);
        user.budget_duration = user.budget_duration.take().or_else(|| self.budget_duration.clone());
        if user.models.is_empty() {
            user.models.clone_from(&self.models);
        }
        self.fill_internal(user);
        if user.role == Role::InternalUser.name() {
            user.budget_duration = user.budget_duration.take().or_else(|| self.internal_duration.clone());
        }
    }

    /// Gives an internal user without a budget the one for them. One that never begins anew is left so.
    pub(super) fn fill_internal(&self, user: &mut User) {
        if user.role == Role::InternalUser.name() && user.max_budget.is_none() {
            user.max_budget = self.internal_budget;
            user.budget_duration = user.budget_duration.take().or_else(|| self.internal_duration.clone());
        }
    }
}

fn role(part: &Part<'_>) -> Result<Option<Role>, OperatorError> {
    const NAME: &str = "user_role";
    match part.text(NAME)? {
        None => Ok(None),
        Some(name) if Role::NAMES.contains(&name.as_str()) => Ok(Some(Role::named(Some(&name)))),
        Some(_) => Err(part.wrong(NAME, format_args!("must be one of {}", Role::NAMES.join(", ")))),
    }
}

/// Ids, or `{team_id, user_role}`.
fn teams(part: &Part<'_>) -> Result<Vec<DefaultTeam>, OperatorError> {
    const NAME: &str = "teams";
    let wrong = || part.wrong(NAME, "must be a list of team ids, or of {team_id, user_role: admin or user}");
    let read = |item: &Value| {
        let id = item.as_str().or_else(|| item.get("team_id")?.as_str()).filter(|id| !id.is_empty());
        let role = match item.get("user_role").and_then(Value::as_str) {
            None | Some("user") => MemberRole::User,
            Some("admin") => MemberRole::Admin,
            Some(_) => return Err(wrong()),
        };
        Ok(DefaultTeam { team_id: id.ok_or_else(wrong)?.to_owned(), role })
    };
    part.list(NAME)?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    #[tokio::test]
    async fn a_new_user_has_what_the_operator_set_where_nothing_is_said() {
        let world = World::new().await;
        for team in ["t", "led"] {
            world.post("/team/new", json!({"team_id": team})).await.ok();
        }
        let params = json!({
            "user_role": "internal_user_viewer", "max_budget": 5, "budget_duration": "30d", "models": ["m"],
            "teams": ["t", {"team_id": "led", "user_role": "admin", "max_budget_in_team": 3}, "unmade"],
        });
        let set = json!({"default_internal_user_params": params, "max_internal_user_budget": 9});
        world.set("litellm_settings", set).await;
        let made = world.post("/user/new", json!({"user_id": "u"})).await.ok();
        assert_eq!((&made["user_role"], &made["max_budget"]), (&json!("internal_user_viewer"), &json!(5.0)));
        assert_eq!((&made["budget_duration"], &made["models"]), (&json!("30d"), &json!(["m"])));
        assert_eq!(made["teams"], json!(["t", "led", "unmade"]));
        let key = world.get_as(made["key"].as_str().unwrap(), "/key/info").await.ok()["info"].clone();
        assert_eq!((&key["models"], &key["max_budget"]), (&json!(["m"]), &Value::Null), "the budget is the user's");
        let led = world.get("/team/info?team_id=led").await.ok()["team_info"]["members_with_roles"].clone();
        assert_eq!((&led[1]["user_id"], &led[1]["role"]), (&json!("u"), &json!("admin")));

        let said = json!({"user_id": "v", "user_role": "internal_user", "max_budget": 0, "models": ["n"], "teams": []});
        let made = world.post("/user/new", said).await.ok();
        assert_eq!((&made["user_role"], &made["max_budget"]), (&json!("internal_user"), &json!(0.0)));
        assert_eq!((&made["models"], &made["teams"]), (&json!(["n"]), &json!([])));
        let made = world.post("/user/new", json!({"user_role": "proxy_admin"})).await.ok();
        assert_eq!((&made["max_budget"], &made["models"], &made["teams"]), (&Value::Null, &json!([]), &json!([])));
    }

    #[tokio::test]
    async fn internal_users_without_a_budget_get_one_however_they_come_to_be() {
        for name in ["max_internal_user_budget", "default_max_internal_user_budget"] {
            let world = World::new().await;
            let user = world.user("old", "internal_user_viewer").await;
            world.set("litellm_settings", json!({name: 7.5, "internal_user_budget_duration": "1d"})).await;
            world.post("/user/new", json!({"user_id": "new"})).await.ok();
            world.post("/user/update", json!({"user_id": "upserted"})).await.ok();
            world.post("/user/update", json!({"user_id": "old", "user_role": "internal_user"})).await.ok();
            let roster = json!([{"role": "user", "user_id": "member"}]);
            world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
            for id in ["new", "upserted", "old", "member"] {
                let info = world.get(&format!("/user/info?user_id={id}")).await.ok()["user_info"].clone();
                assert_eq!((&info["max_budget"], &info["budget_duration"]), (&json!(7.5), &json!("1d")), "{id}");
            }
            assert_eq!(world.count("spend_totals where kind = 'user' and budgeted").await, 4);
            let made = world.post("/user/new", json!({"user_role": "internal_user_viewer"})).await.ok();
            assert_eq!(made["max_budget"], Value::Null);
            // A budget that an admin takes away stays away, and nobody gets one by another change.
            let cleared = json!({"user_id": "new", "user_role": "internal_user", "max_budget": null});
            assert_eq!(world.post("/user/update", cleared).await.ok()["data"]["max_budget"], Value::Null);
            world.post("/user/update", json!({"user_id": "new", "rpm_limit": 1})).await.ok();
            let info = world.get("/user/info?user_id=new").await.ok()["user_info"].clone();
            assert_eq!(info["max_budget"], Value::Null);
            world.get_as(&user, "/user/info").await.ok();
        }
    }

    #[tokio::test]
    async fn a_team_admin_makes_no_proxy_admin_by_adding_a_member() {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        world.set("litellm_settings", json!({"default_internal_user_params": {"user_role": "proxy_admin"}})).await;
        let add = json!({"team_id": "t", "member": {"role": "user", "user_email": "new@b.c"}});
        world.post_as(&boss, "/team/member_add", add).await.ok();
        assert_eq!(world.count("users where email = 'new@b.c' and role = 'internal_user'").await, 1);
    }

    #[tokio::test]
    async fn defaults_that_cannot_be_read_make_no_users() {
        let world = World::new().await;
        for wrong in [
            json!({"default_internal_user_params": {"user_role": "king"}}),
            json!({"default_internal_user_params": {"teams": [1]}}),
            json!({"default_internal_user_params": {"teams": [{"team_id": "t", "user_role": "owner"}]}}),
            json!({"max_internal_user_budget": -1}),
            json!({"internal_user_budget_duration": "soon"}),
        ] {
            world.set("litellm_settings", wrong).await;
            let error = world.post("/user/new", json!({"user_id": "u"})).await.refused(500);
            assert!(error["message"].as_str().unwrap().starts_with("litellm_settings."), "{error}");
        }
        assert_eq!((world.count("users").await, world.count("keys").await), (0, 0));
    }
}
