//! What a new key has where its request says nothing: `default_key_generate_params`.
//!
//! They come in two steps. Limits come before [`super::super::rights`] holds the key to the one that makes it, so that the lower
//! one counts; what the operator alone decides comes after it.

use proto::NanoUsd;
use serde_json::{Map, Value};

use crate::keys::{Key, NewKey};
use crate::operator::{OperatorError, Part};

/// What is set where a request leaves it open.
#[derive(Debug, Default)]
pub(in crate::keys) struct Defaults {
    max_budget: Option<NanoUsd>,
    budget_duration: Option<String>,
    duration: Option<String>,
    max_parallel_requests: Option<i64>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    models: Vec<String>,
    metadata: Map<String, Value>,
    object_permission: Map<String, Value>,
    user_id: Option<String>,
    team_id: Option<String>,
}

impl Defaults {
    pub(super) fn read(litellm: &Part<'_>) -> Result<Self, OperatorError> {
        let Some(part) = litellm.part("default_key_generate_params")? else { return Ok(Self::default()) };
        Ok(Self {
            max_budget: part.usd("max_budget")?,
            budget_duration: part.window("budget_duration")?,
            duration: part.span("duration")?,
            max_parallel_requests: part.whole("max_parallel_requests")?,
            tpm_limit: part.whole("tpm_limit")?,
            rpm_limit: part.whole("rpm_limit")?,
            models: part.texts("models")?.unwrap_or_default(),
            metadata: part.object("metadata")?,
            object_permission: part.object("object_permission")?,
            user_id: part.text("user_id")?,
            team_id: part.text("team_id")?,
        })
    }

    /// Fills in limits, none of them above what `own`, the key that makes the new one, has.
    pub(in crate::keys) fn fill_limits(&self, new: &mut NewKey, own: Option<&Key>) {
        let most = |read: fn(&Key) -> Option<i64>| own.and_then(read);
        let least = |default: Option<i64>, most: Option<i64>| match most {
            Some(most) => default.map(|default| default.min(most)),
            None => default,
        };
        let budget = match own.and_then(|own| own.max_budget) {
            Some(most) => self.max_budget.map(|default| default.min(most)),
            None => self.max_budget,
        };
        new.max_budget = new.max_budget.or(budget.map(NanoUsd::to_usd));
        new.max_parallel_requests =
            new.max_parallel_requests.or(least(self.max_parallel_requests, most(|own| own.max_parallel_requests)));
        new.tpm_limit = new.tpm_limit.or(least(self.tpm_limit, most(|own| own.tpm_limit)));
        new.rpm_limit = new.rpm_limit.or(least(self.rpm_limit, most(|own| own.rpm_limit)));
        new.duration = new.duration.take().or_else(|| self.duration.clone());
        // `null` is said and means: never anew.
        if !new.said.contains_key("budget_duration") && own.is_none_or(|own| own.max_budget.is_none()) {
            new.budget_duration = new.budget_duration.take().or_else(|| self.budget_duration.clone());
        }
        // A key with a list of models hands its own on.
        if new.models.is_empty() && own.is_none_or(|own| own.models.is_empty()) {
            new.models.clone_from(&self.models);
        }
    }

    /// Fills in what the caller cannot choose freely and the operator can.
    pub(in crate::keys) fn fill_rest(&self, new: &mut NewKey) {
        if new.metadata.is_empty() {
            new.metadata.clone_from(&self.metadata);
        }
        if !self.object_permission.is_empty() {
            const FIELD: &str = "object_permission";
            let mut merged = self.object_permission.clone();
            if let Some(Value::Object(said)) = new.kept.get(FIELD) {
                merged.extend(said.clone());
            }
            new.kept.insert(FIELD.to_owned(), Value::Object(merged));
        }
    }

    /// Whose a key is that its request gives to nobody.
    pub(in crate::keys) fn fill_user(&self, new: &mut NewKey) {
        new.user_id = new.user_id.take().or_else(|| self.user_id.clone());
    }

    /// In which team a key is whose request names none.
    pub(in crate::keys) fn fill_team(&self, new: &mut NewKey) {
        new.team_id = new.team_id.take().or_else(|| self.team_id.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn with(params: Value) -> World {
        let world = World::new().await;
        world.set("litellm_settings", json!({"default_key_generate_params": params})).await;
        world
    }

    #[tokio::test]
    async fn what_a_request_leaves_open_is_what_the_operator_set() {
        let world = with(json!({
            "max_budget": 5, "budget_duration": "30d", "duration": "10d", "max_parallel_requests": 2, "tpm_limit": 100,
            "rpm_limit": 10, "models": ["a"], "metadata": {"owner": "ops"}, "user_id": "u", "team_id": "nobody-made-it",
            "object_permission": {"agents": ["x"], "models": ["m"]},
        }))
        .await;
        let made = world.post("/key/generate", json!({"object_permission": {"models": ["n"]}})).await.ok();
        let expected = json!({
            "max_budget": 5.0, "budget_duration": "30d", "duration": "10d", "max_parallel_requests": 2,
            "tpm_limit": 100, "rpm_limit": 10, "models": ["a"], "metadata": {"owner": "ops"}, "user_id": "u",
            "team_id": "nobody-made-it", "object_permission": {"agents": ["x"], "models": ["n"]},
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&made[name], value, "{name}");
        }
        let own = json!({
            "max_budget": 50.0, "budget_duration": null, "duration": "-1", "max_parallel_requests": 20,
            "tpm_limit": 1000, "rpm_limit": 0, "models": ["b"], "metadata": {"a": 1}, "user_id": "v", "team_id": "w",
        });
        let made = world.post("/key/generate", own.clone()).await.ok();
        for (name, value) in own.as_object().unwrap() {
            assert_eq!(&made[name], value, "{name}");
        }
        assert_eq!(made["expires"], Value::Null);
    }

    #[tokio::test]
    async fn they_fill_in_new_keys_alone_and_give_a_service_account_no_user() {
        let world = with(json!({"rpm_limit": 10, "user_id": "u"})).await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let made = world.post("/key/service-account/generate", json!({"team_id": "t"})).await.ok();
        assert_eq!((&made["user_id"], &made["rpm_limit"]), (&Value::Null, &json!(10)));
        let key = made["key"].as_str().unwrap();
        let changed = world.post("/key/update", json!({"key": key, "rpm_limit": null, "tpm_limit": 1})).await.ok();
        assert_eq!(changed["rpm_limit"], Value::Null);
        assert_eq!(world.post("/key/regenerate", json!({"key": key})).await.ok()["rpm_limit"], Value::Null);
    }

    #[tokio::test]
    async fn a_default_above_a_bound_is_bounded_and_one_above_the_makers_key_gives_no_more_than_that() {
        let world = World::new().await;
        let user = world.user("u", "internal_user").await;
        let own = json!({"user_id": "u", "max_budget": 5, "rpm_limit": 3, "models": ["m"], "tpm_limit": 900});
        let own = world.key(own).await;
        let set = json!({
            "default_key_generate_params": {
                "max_budget": 500, "rpm_limit": 50, "tpm_limit": 800, "models": ["x"], "budget_duration": "1d",
                "user_id": "somebody",
            },
            "upperbound_key_generate_params": {"max_budget": 100},
        });
        world.set("litellm_settings", set).await;
        let made = world.post_as(&own, "/key/generate", json!({})).await.ok();
        assert_eq!((&made["max_budget"], &made["rpm_limit"]), (&json!(5.0), &json!(3)));
        assert_eq!((&made["models"], &made["tpm_limit"]), (&json!(["m"]), &json!(800)));
        assert_eq!((&made["user_id"], &made["budget_duration"]), (&json!("u"), &Value::Null));
        let made = world.post_as(&user, "/key/generate", json!({})).await.ok();
        assert_eq!((&made["max_budget"], &made["rpm_limit"]), (&json!(100.0), &json!(50)));
        assert_eq!((&made["user_id"], &made["models"]), (&json!("u"), &json!(["x"])));
    }
}
