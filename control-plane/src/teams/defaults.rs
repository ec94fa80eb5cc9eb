//! What a new team has where nothing is said: `default_team_params`, and the budget in `default_team_settings`.

use proto::NanoUsd;

use crate::change::Change;
use crate::operator::OperatorError;

/// All of it; nothing where nothing is set.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    pub(super) organization_id: Option<String>,
    pub(super) models: Vec<String>,
    pub(super) max_budget: Option<NanoUsd>,
    pub(super) budget_duration: Option<String>,
    pub(super) tpm_limit: Option<i64>,
    pub(super) rpm_limit: Option<i64>,
    pub(super) member_permissions: Option<Vec<String>>,
}

impl Defaults {
    /// What holds in this change.
    pub(super) async fn read(change: &mut Change) -> Result<Self, OperatorError> {
        let said = change.operator().await?;
        let litellm = said.litellm();
        // The older place, which LiteLLM still looks into.
        let older = match litellm.first_part("default_team_settings")? {
            Some(first) => first.usd("max_budget")?,
            None => None,
        };
        let Some(part) = litellm.part("default_team_params")? else {
            return Ok(Self { max_budget: older, ..Self::default() });
        };
        Ok(Self {
            organization_id: part.text("organization_id")?,
            models: part.texts("models")?.unwrap_or_default(),
            max_budget: part.usd("max_budget")?.or(older),
            budget_duration: part.window("budget_duration")?,
            tpm_limit: part.whole("tpm_limit")?,
            rpm_limit: part.whole("rpm_limit")?,
            member_permissions: part.texts("team_member_permissions")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    #[tokio::test]
    async fn a_new_team_has_what_the_operator_set_where_nothing_is_said() {
        let world = World::new().await;
        let params = json!({
            "max_budget": 50, "budget_duration": "30d", "tpm_limit": 100, "rpm_limit": 10, "models": ["m"],
            "team_member_permissions": ["/key/generate"],
        });
        let set = json!({"default_team_params": params, "default_team_settings": [{"team_id": "x", "max_budget": 1}]});
        world.set("litellm_settings", set).await;
        let made = world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let expected = json!({
            "max_budget": 50.0, "budget_duration": "30d", "tpm_limit": 100, "rpm_limit": 10, "models": ["m"],
            "team_member_permissions": ["/key/generate"],
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&made[name], value, "{name}");
        }
        let own = json!({
            "max_budget": 0.0, "budget_duration": null, "tpm_limit": 0, "rpm_limit": 99, "models": ["n"],
            "team_member_permissions": [],
        });
        let made = world.post("/team/new", own.clone()).await.ok();
        for (name, value) in own.as_object().unwrap() {
            assert_eq!(&made[name], value, "{name}");
        }
        let changed = world.post("/team/update", json!({"team_id": "t", "max_budget": null})).await.ok();
        assert_eq!(changed["data"]["max_budget"], Value::Null, "defaults are of new teams");
        // A budget that is not above the soft one is none, wherever it comes from.
        world.post("/team/new", json!({"soft_budget": 60})).await.refused(400);
    }

    #[tokio::test]
    async fn the_older_place_gives_a_budget_too_and_nonsense_gives_nothing() {
        let world = World::new().await;
        world.set("litellm_settings", json!({"default_team_settings": [{"team_id": "x", "max_budget": "12.5"}]})).await;
        assert_eq!(world.post("/team/new", json!({})).await.ok()["max_budget"], 12.5);
        for wrong in [
            json!({"default_team_settings": {"max_budget": 1}}),
            json!({"default_team_params": {"rpm_limit": -1}}),
            json!({"default_team_params": {"team_member_permissions": "all"}}),
        ] {
            world.set("litellm_settings", wrong).await;
            world.post("/team/new", json!({})).await.refused(500);
        }
        assert_eq!(world.count("teams").await, 1);
    }
}
