//! Which deployments a key shows: those that it may call.

use super::Deployment;

/// Names in a key's list that stand for more than a model.
const EVERYTHING: [&str; 2] = ["all-proxy-models", "*"];
const THE_TEAMS: &str = "all-team-models";
const NOTHING: &str = "no-default-models";

/// A key, as far as its models go. An empty list allows everything.
pub(super) struct Holder<'a> {
    pub(super) models: &'a [String],
    pub(super) team_id: Option<&'a str>,
    pub(super) team_models: &'a [String],
}

impl Holder<'_> {
    /// Whether the holder may call the deployment.
    pub(super) fn sees(&self, deployment: &Deployment) -> bool {
        match deployment.model_info.get("team_id").and_then(|id| id.as_str()) {
            Some(owner) => self.team_id == Some(owner),
            None => {
                let own = match self.models.iter().any(|name| name == THE_TEAMS) {
                    true => self.team_models,
                    false => self.models,
                };
                allows(own, deployment) && allows(self.team_models, deployment)
            }
        }
    }
}

fn allows(names: &[String], deployment: &Deployment) -> bool {
    let groups = deployment.model_info.get("access_groups").and_then(|groups| groups.as_array());
    let in_group = |name: &str| groups.is_some_and(|groups| groups.iter().any(|group| group == name));
    let allowed = |name: &String| match name.split_once('*') {
        _ if EVERYTHING.contains(&name.as_str()) => true,
        _ if name == NOTHING => false,
        Some((start, _)) => deployment.model_name.starts_with(start),
        None => *name == deployment.model_name || in_group(name),
    };
    names.is_empty() || names.iter().any(allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::models::tests::deployment;

    fn sees(models: &[&str], team_models: &[&str], model_name: &str, model_info: Value) -> bool {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (models, team_models) = (owned(models), owned(team_models));
        let holder = Holder { models: &models, team_id: Some("ours"), team_models: &team_models };
        let mut row = deployment(json!({"model": "openai/gpt-4o"}));
        row.model_name = model_name.to_owned();
        row.model_info = model_info.as_object().cloned().unwrap_or_default();
        holder.sees(&row)
    }

    #[test]
    fn a_key_sees_what_both_it_and_its_team_may_call() {
        assert!(sees(&[], &[], "smart", json!({})));
        assert!(sees(&["smart"], &["smart", "cheap"], "smart", json!({})));
        assert!(!sees(&["cheap"], &[], "smart", json!({})));
        assert!(!sees(&["smart"], &["cheap"], "smart", json!({})));
        assert!(sees(&["all-team-models"], &["cheap"], "cheap", json!({})));
        assert!(!sees(&["all-team-models"], &["cheap"], "smart", json!({})));
        assert!(!sees(&["no-default-models"], &[], "smart", json!({})));
    }

    #[test]
    fn groups_wildcards_and_teams_own_deployments_count() {
        assert!(sees(&["beta"], &[], "smart", json!({"access_groups": ["beta"]})));
        assert!(sees(&["openai/*"], &[], "openai/gpt-4o", json!({})));
        assert!(!sees(&["openai/*"], &[], "azure/gpt-4o", json!({})));
        assert!(sees(&["cheap"], &["cheap"], "smart", json!({"team_id": "ours"})));
        assert!(!sees(&[], &[], "smart", json!({"team_id": "theirs"})));
    }
}
