//! Families of bare names that no catalogue can list: new versions, fine-tunes, and other vendors' models.

use super::catalogue;

/// Beginnings that belong to one provider, in the order in which they are tried.
const BEGINNINGS: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1-", "openai"),
    ("o3-", "openai"),
    ("o4-", "openai"),
    ("text-embedding-", "openai"),
    ("davinci-", "text-completion-openai"),
    ("babbage-", "text-completion-openai"),
    ("claude-", "anthropic"),
    ("gemini-", "vertex_ai"),
    ("command-", "cohere_chat"),
    ("embed-", "cohere"),
    ("jamba-", "ai21_chat"),
    ("anthropic.", "bedrock"),
    ("amazon.", "bedrock"),
    ("cohere.", "bedrock"),
    ("meta.", "bedrock"),
    ("mistral.", "bedrock"),
    ("us.", "bedrock"),
    ("eu.", "bedrock"),
    ("apac.", "bedrock"),
];

/// The length of the version that follows a Replicate model's colon, in hexadecimal digits.
const REPLICATE_VERSION_DIGITS: usize = 64;

/// The id of the provider whose family `model` belongs to. `*` passes on whatever the client asks OpenAI for.
pub(super) fn provider(model: &str) -> Option<&'static str> {
    if matches!(model, "*" | "o1" | "o3") {
        return Some("openai");
    }
    if let Some(tuned) = model.strip_prefix("ft:") {
        let original = tuned.split(':').next().unwrap_or(tuned);
        return catalogue::provider(original).or_else(|| provider_of_family(original));
    }
    if is_replicate(model) {
        return Some("replicate");
    }
    provider_of_family(model)
}

fn provider_of_family(model: &str) -> Option<&'static str> {
    BEGINNINGS.iter().find(|(beginning, _)| model.starts_with(beginning)).map(|(_, provider)| *provider)
}

fn is_replicate(model: &str) -> bool {
    model.split_once(':').is_some_and(|(_, version)| {
        version.len() == REPLICATE_VERSION_DIGITS && version.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
