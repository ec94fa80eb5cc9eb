//! Who makes which keys, and what they must say of them: `key_generation_settings` and `default_team_disabled`.

use serde_json::{Map, Value};

use crate::access::Actor;
use crate::keys::{KeyError, NewKey};
use crate::operator::{OperatorError, Part};
use crate::teams::{Standing, Team};

/// Rules of one kind of keys.
#[derive(Debug, Default)]
struct Kind {
    /// Nothing: all.
    roles: Option<Vec<String>>,
    required: Vec<String>,
}

/// Rules of both kinds; none where nothing is configured.
#[derive(Debug, Default)]
pub(in crate::keys) struct Makers {
    /// Keys with a team, made by somebody who is no proxy admin.
    of_teams: Option<Kind>,
    /// Keys without one, made by anybody.
    personal: Option<Kind>,
    teams: Teams,
    places: Places,
}

/// Whether a proxy admin makes keys of a team that has no row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::keys) enum Teams {
    #[default]
    Any,
    /// There are rules for teams, so there must be the team.
    Known,
}

/// Where users make keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Places {
    #[default]
    Anywhere,
    /// `general_settings.default_team_disabled`.
    InTeams,
}

impl Makers {
    pub(super) fn read(litellm: &Part<'_>, general: &Part<'_>) -> Result<Self, OperatorError> {
        let places = match general.flag("default_team_disabled")? {
            true => Places::InTeams,
            false => Places::Anywhere,
        };
        let Some(settings) = litellm.part("key_generation_settings")? else {
            return Ok(Self { places, ..Self::default() });
        };
        let kind = |name: &str, roles: &str| {
            let Some(part) = settings.part(name)? else { return Ok(None) };
            let required = part.texts("required_params")?.unwrap_or_default();
            Ok::<_, OperatorError>(Some(Kind { roles: part.texts(roles)?, required }))
        };
        Ok(Self {
            of_teams: kind("team_key_generation", "allowed_team_member_roles")?,
            personal: kind("personal_key_generation", "allowed_user_roles")?,
            teams: Teams::Known,
            places,
        })
    }

    pub(in crate::keys) fn teams(&self) -> Teams {
        self.teams
    }

    /// Whether the actor makes such a key, and said of it what they must. `team` is that of the request, where it has a row.
    pub(in crate::keys) fn check(&self, new: &NewKey, team: Option<&Team>, actor: &Actor) -> Result<(), KeyError> {
        if new.team_id.is_none() {
            let role = actor.role.name();
            if self.places == Places::InTeams && !actor.is_admin() {
                return Err(KeyError::PersonalKey { allowed: vec!["proxy_admin".to_owned()], role });
            }
            return self.personal.as_ref().map_or(Ok(()), |kind| {
                let refused = |allowed| KeyError::PersonalKey { allowed, role };
                kind.check(role, refused, &new.said)
            });
        }
        let Some(kind) = self.of_teams.as_ref().filter(|_| !actor.is_admin()) else { return Ok(()) };
        let standing = match (team, &actor.user_id) {
            (Some(team), Some(user_id)) => team.standing(user_id),
            _ => Standing::Outside,
        };
        let role = match standing {
            Standing::Admin => "admin",
            Standing::Member | Standing::Outside => "user",
        };
        kind.check(role, |allowed| KeyError::TeamRole { allowed, role }, &new.said)
    }
}

impl Kind {
    fn check(
        &self,
        role: &str,
        refused: impl FnOnce(Vec<String>) -> KeyError,
        said: &Map<String, Value>,
    ) -> Result<(), KeyError> {
        if let Some(roles) = self.roles.as_ref().filter(|roles| !roles.iter().any(|allowed| allowed == role)) {
            return Err(refused(roles.clone()));
        }
        match self.required.iter().find(|name| !said.contains_key(name.as_str())) {
            Some(name) => Err(KeyError::RequiredParam(name.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn set(world: &World, settings: Value) {
        world.set("litellm_settings", json!({"key_generation_settings": settings})).await;
    }

    #[tokio::test]
    async fn team_keys_are_made_by_the_roles_that_may_and_say_what_they_must() {
        let world = World::new().await;
        let (boss, member) = (world.user("boss", "internal_user").await, world.user("m", "internal_user").await);
        let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "m"}]);
        let team = json!({"team_id": "t", "members_with_roles": roster, "team_member_permissions": ["/key/generate"]});
        world.post("/team/new", team).await.ok();
        let rule = json!({"allowed_team_member_roles": ["admin"], "required_params": ["tags", "max_budget"]});
        set(&world, json!({"team_key_generation": rule})).await;

        let error = world.post_as(&member, "/key/generate", json!({"team_id": "t"})).await.refused(400);
        assert_eq!(error["message"], "Team member role user not in allowed_team_member_roles=[\"admin\"]");
        let error = world.post_as(&boss, "/key/generate", json!({"team_id": "t", "tags": ["a"]})).await.refused(400);
        assert_eq!(error["message"], "Required param max_budget not in data");
        let answer = world.post_as(&boss, "/key/service-account/generate", json!({"team_id": "t"})).await;
        assert_eq!((answer.status, &answer.body["detail"]["error"]), (400, &json!("Required param tags not in data")));
        // What is said counts, also as null.
        let body = json!({"team_id": "t", "tags": ["a"], "max_budget": null});
        world.post_as(&boss, "/key/generate", body).await.ok();
        // Not of proxy admins, nor of keys outside teams.
        world.post("/key/generate", json!({"team_id": "t"})).await.ok();
        world.post_as(&member, "/key/generate", json!({})).await.ok();
        // The team's own permissions hold on top.
        set(&world, json!({"team_key_generation": {"allowed_team_member_roles": ["admin", "user"]}})).await;
        world.post_as(&member, "/key/generate", json!({"team_id": "t"})).await.ok();
        world.post("/team/update", json!({"team_id": "t", "team_member_permissions": []})).await.ok();
        world.post_as(&member, "/key/generate", json!({"team_id": "t"})).await.refused(401);
    }

    #[tokio::test]
    async fn personal_keys_are_made_by_the_roles_that_may_proxy_admins_being_one_of_them() {
        let world = World::new().await;
        let user = world.user("u", "internal_user").await;
        let rule = json!({"allowed_user_roles": ["proxy_admin"], "required_params": ["duration"]});
        set(&world, json!({"personal_key_generation": rule})).await;
        let error = world.post_as(&user, "/key/generate", json!({"duration": "1d"})).await.refused(400);
        assert_eq!(
            error["message"],
            "Personal key creation has been restricted by admin. Allowed roles=[\"proxy_admin\"]. Your role=internal_user"
        );
        let error = world.post("/key/generate", json!({})).await.refused(400);
        assert_eq!(error["message"], "Required param duration not in data");
        world.post("/key/generate", json!({"duration": null})).await.ok();
        world.post("/key/generate", json!({"duration": "1d", "team_id": ""})).await.ok();

        set(&world, json!({"personal_key_generation": {"allowed_user_roles": []}})).await;
        world.post("/key/generate", json!({})).await.refused(400);
        set(&world, json!({"personal_key_generation": {"allowed_user_roles": "proxy_admin"}})).await;
        world.post("/key/generate", json!({})).await.refused(500);
    }

    #[tokio::test]
    async fn with_rules_there_must_be_the_team_also_for_a_proxy_admin() {
        let world = World::new().await;
        world.post("/key/generate", json!({"team_id": "unmade"})).await.ok();
        set(&world, json!({})).await;
        let error = world.post("/key/generate", json!({"team_id": "unmade"})).await.refused(400);
        assert_eq!(error["message"], "Unable to find team object in database. Team ID: unmade");
    }

    #[tokio::test]
    async fn users_can_be_kept_to_keys_of_teams_and_everybody_to_random_values() {
        let world = World::new().await;
        let user = world.user("u", "internal_user").await;
        let roster = json!([{"role": "admin", "user_id": "u"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        let key = world.key(json!({})).await;
        world.set("general_settings", json!({"default_team_disabled": true, "disable_custom_api_keys": "true"})).await;
        world.post_as(&user, "/key/generate", json!({})).await.refused(400);
        world.post_as(&user, "/key/generate", json!({"team_id": "t"})).await.ok();
        world.post("/key/generate", json!({})).await.ok();
        let chosen = "sk-0123456789abcdef";
        world.post("/key/generate", json!({"key": chosen})).await.refused(403);
        world.post("/key/regenerate", json!({"key": key, "new_key": chosen})).await.refused(403);
        let answer = world.post("/key/service-account/generate", json!({"team_id": "t", "key": chosen})).await;
        assert_eq!(answer.status, 403);
        world.post("/key/regenerate", json!({"key": key})).await.ok();
    }
}
