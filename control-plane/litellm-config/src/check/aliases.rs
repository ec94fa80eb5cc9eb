//! Names that stand for models: they must lead to one.

use super::names::{did_you_mean, nearest};
use crate::config::Config;
use crate::finding::Severity;
use crate::reader::{At, Reader};

/// Looks at every setting that names a model.
pub(crate) fn check(root: &At<'_>, config: &Config, reader: &mut Reader<'_>) {
    // Models that are added through the API are not known here.
    if config.general.store_model_in_db || config.deployments.is_empty() {
        return;
    }
    let place = |path: [&str; 3]| {
        path.into_iter().filter(|name| !name.is_empty()).try_fold(root.clone(), |at, name| at.member(name))
    };
    let aliases = &config.router.model_group_alias;
    for (alias, target) in aliases {
        let at = place(["router_settings", "model_group_alias", alias]);
        lead_somewhere(at, &target.model, config, reader);
    }
    for (alias, target) in &config.litellm.model_alias_map {
        lead_somewhere(place(["litellm_settings", "model_alias_map", alias]), target, config, reader);
    }
    if let Some(model) = &config.general.completion_model {
        lead_somewhere(place(["general_settings", "completion_model", ""]), model, config, reader);
    }
}

fn lead_somewhere(at: Option<At<'_>>, model: &str, config: &Config, reader: &mut Reader<'_>) {
    let names = || config.deployments.iter().map(|deployment| deployment.model_name.as_str());
    let aliases = || config.router.model_group_alias.keys().chain(config.litellm.model_alias_map.keys());
    let known = names().any(|name| name == model || serves(name, model))
        || aliases().any(|alias| alias == model)
        || config.deployments.iter().any(|deployment| deployment.id == model || deployment.litellm_model == model);
    if let (false, Some(at)) = (known, at) {
        let hint = nearest(model, names()).map(did_you_mean);
        reader.find(&at, Severity::Warning, format!("no model is called `{model}`"), hint);
    }
}

/// Whether `pattern`, in which `*` stands for anything, covers the beginning of `name`, as the router matches.
fn serves(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|start| name.strip_prefix(start)) else { return false };
    if !pattern.contains('*') {
        return false;
    }
    for piece in pieces {
        match rest.find(piece) {
            Some(position) => rest = rest.get(position + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::serves;

    #[test]
    fn a_star_stands_for_anything_and_only_the_start_is_anchored() {
        assert!(serves("openai/*", "openai/gpt-4o"));
        assert!(serves("*", "x"));
        assert!(serves("a*c", "abcd"));
        assert!(!serves("openai/*", "azure/gpt-4o"));
        assert!(!serves("gpt-4", "gpt-4o"));
    }
}
