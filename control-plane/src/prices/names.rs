//! Under which names of the price table a model may stand.

/// Providers whose models the table files under further names, and what those are.
const FAMILIES: [(&str, &str); 6] = [
    ("azure_text", "azure"),
    ("bedrock_converse", "bedrock"),
    ("cohere_chat", "cohere"),
    ("fireworks_ai-embedding-models", "fireworks_ai"),
    ("text-completion-codestral", "codestral"),
    ("text-completion-openai", "openai"),
];

/// The group of an AWS inference profile, in front of a Bedrock model's id.
const PROFILES: [&str; 7] = ["apac.", "au.", "eu.", "global.", "jp.", "us-gov.", "us."];

/// Ways to call a Bedrock model, in front of its id.
const ROUTES: [&str; 3] = ["converse/", "converse_like/", "invoke/"];

/// The provider that a provider name of the table belongs to: `vertex_ai-language-models` is `vertex_ai`.
pub(super) fn family(provider: &str) -> &str {
    if provider.starts_with("vertex_ai-") {
        return "vertex_ai";
    }
    FAMILIES.iter().find(|(name, _)| *name == provider).map_or(provider, |(_, family)| *family)
}

/// The names to look for, best first: those with the provider's prefix are the provider's own for certain.
pub(super) fn candidates(provider: &str, model: &str) -> Vec<String> {
    let bare = without_prefix(provider, model);
    let mut models = vec![bare];
    models.extend(fine_tuned_base(bare));
    if family(provider) == "bedrock" {
        models.extend(bedrock_bases(bare));
    }
    models.into_iter().flat_map(|model| [format!("{provider}/{model}"), model.to_owned()]).collect()
}

/// The model's name as its provider knows it.
pub(super) fn without_prefix<'a>(provider: &str, model: &'a str) -> &'a str {
    let stripped = model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
    stripped.filter(|rest| !rest.is_empty()).unwrap_or(model)
}

/// `ft:gpt-4o-2024-08-06` of `ft:gpt-4o-2024-08-06:acme::8xY`.
fn fine_tuned_base(model: &str) -> Option<&str> {
    let base = model.strip_prefix("ft:")?.split(':').next()?;
    model.get(.."ft:".len() + base.len()).filter(|name| name.len() < model.len())
}

/// The id without the way to call it, then without its region, then without its inference profile.
fn bedrock_bases(model: &str) -> Vec<&str> {
    let id = ROUTES.iter().find_map(|route| model.strip_prefix(route)).unwrap_or(model);
    let anywhere = id.rsplit_once('/').map_or(id, |(_, id)| id);
    let base = PROFILES.iter().find_map(|profile| anywhere.strip_prefix(profile)).unwrap_or(anywhere);
    let mut bases = vec![id, anywhere, base];
    bases.dedup();
    bases.retain(|name| *name != model);
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_looked_for_with_and_without_its_provider() {
        assert_eq!(candidates("groq", "llama-3"), ["groq/llama-3", "llama-3"]);
        assert_eq!(candidates("groq", "groq/llama-3"), ["groq/llama-3", "llama-3"]);
        assert_eq!(candidates("openrouter", "openai/gpt-4o"), ["openrouter/openai/gpt-4o", "openai/gpt-4o"]);
        assert_eq!(candidates("groq", "groq/"), ["groq/groq/", "groq/"]);
    }

    #[test]
    fn a_fine_tuned_model_costs_what_its_base_does() {
        let names = candidates("openai", "ft:gpt-4o-2024-08-06:acme::8xY");
        assert_eq!(names.last().map(String::as_str), Some("ft:gpt-4o-2024-08-06"));
        assert_eq!(candidates("openai", "ft:gpt-4o-2024-08-06").len(), 2);
    }

    #[test]
    fn a_bedrock_model_is_looked_for_without_region_and_profile_last() {
        let names = candidates("bedrock", "converse/us-east-1/eu.amazon.nova-lite-v1:0");
        let bare: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with("bedrock/")).collect();
        assert_eq!(
            bare,
            [
                "converse/us-east-1/eu.amazon.nova-lite-v1:0",
                "us-east-1/eu.amazon.nova-lite-v1:0",
                "eu.amazon.nova-lite-v1:0",
                "amazon.nova-lite-v1:0",
            ]
        );
    }

    #[test]
    fn the_tables_provider_names_belong_to_families() {
        assert_eq!(family("vertex_ai-anthropic_models"), "vertex_ai");
        assert_eq!(family("bedrock_converse"), "bedrock");
        assert_eq!(family("openai"), "openai");
    }
}
