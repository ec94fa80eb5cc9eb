//! The names of price fields, as LiteLLM's price map and a deployment's custom prices use them.
//!
//! A name is one of the base names, then perhaps a tier (`_above_200k_tokens`), then perhaps a service
//! (`_batches`). What a price is worth is not decided here.

/// Prices that the gateway counts with: tokens, seconds and requests.
const COUNTED: &[&str] = &[
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
    "input_cost_per_token_cache_hit",
    "output_cost_per_reasoning_token",
    "input_cost_per_audio_token",
    "output_cost_per_audio_token",
    "input_cost_per_image_token",
    "output_cost_per_image_token",
    "input_cost_per_second",
    "output_cost_per_second",
    "input_cost_per_request",
];

/// Prices of things that no endpoint of this version sells.
const NOT_COUNTED: &[&str] = &[
    "explicit_cache_read_input_token_cost",
    "cache_read_input_audio_token_cost",
    "cache_creation_input_audio_token_cost",
    "cache_read_input_image_token_cost",
    "citation_cost_per_token",
    "input_cost_per_video_token",
    "output_cost_per_video_token",
    "input_cost_per_image",
    "output_cost_per_image",
    "output_cost_per_image_512",
    "output_cost_per_image_1024",
    "output_cost_per_image_1536",
    "output_cost_per_image_0.5K",
    "output_cost_per_image_1K",
    "output_cost_per_image_2K",
    "output_cost_per_image_4K",
    "input_cost_per_pixel",
    "output_cost_per_pixel",
    "input_cost_per_character",
    "output_cost_per_character",
    "output_cost_per_second_480p",
    "output_cost_per_second_720p",
    "output_cost_per_second_768p",
    "output_cost_per_second_1080p",
    "output_cost_per_second_2k",
    "output_cost_per_second_4k",
    "cost_per_second",
    "input_cost_per_audio_per_second",
    "input_cost_per_video_per_second",
    "input_cost_per_video_per_second_above_8s_interval",
    "input_cost_per_video_per_second_above_15s_interval",
    "output_cost_per_video_per_second",
    "input_cost_per_query",
    "input_cost_per_text_message",
    "search_context_cost_per_query",
    "google_maps_grounding_cost_per_query",
    "code_interpreter_cost_per_session",
    "computer_use_input_cost_per_1k_tokens",
    "computer_use_output_cost_per_1k_tokens",
    "file_search_cost_per_1k_calls",
    "file_search_cost_per_gb_per_day",
    "vector_store_cost_per_gb_per_day",
    "ocr_cost_per_page",
    "ocr_cost_per_credit",
    "annotation_cost_per_page",
    "guardrail_cost_per_unit",
    "input_dbu_cost_per_token",
    "output_dbu_cost_per_token",
    "tiered_pricing",
    "off_peak_pricing",
    "provider_specific_entry",
    "regional_processing_uplift_multiplier_eu",
    "regional_processing_uplift_multiplier_us",
    "regional_endpoint_uplift_multiplier",
];

const TIERS: [&str; 5] = ["100k", "128k", "200k", "272k", "512k"];
const SERVICES: [&str; 6] = ["_batches", "_flex", "_priority", "_balanced", "_ultrafast", "_decisions"];

/// What a name is among the prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PriceName {
    /// Calls are priced with it.
    Counted,
    /// Known, and kept, and not priced with so far.
    NotCounted,
    /// Looks like a price and is none that anybody knows.
    Misspelt,
}

/// Whether `name` is a price field, or means to be one.
pub(crate) fn classify(name: &str) -> Option<PriceName> {
    let base = base(name);
    if COUNTED.contains(&base) || COUNTED.contains(&name) {
        Some(PriceName::Counted)
    } else if NOT_COUNTED.contains(&base) || NOT_COUNTED.contains(&name) {
        Some(PriceName::NotCounted)
    } else if name.contains("cost_per_") || name.contains("_token_cost") {
        Some(PriceName::Misspelt)
    } else {
        None
    }
}

/// The base names, for suggestions and documentation.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    COUNTED.iter().chain(NOT_COUNTED).copied()
}

/// The base names of prices that calls are priced with.
pub fn counted() -> &'static [&'static str] {
    COUNTED
}

/// The base names of prices that are known and not counted with so far.
pub fn not_counted() -> &'static [&'static str] {
    NOT_COUNTED
}

fn base(name: &str) -> &str {
    let name = SERVICES.iter().find_map(|service| name.strip_suffix(service)).unwrap_or(name);
    let Some(start) = name.strip_suffix("_tokens") else { return name };
    let tier = TIERS.iter().find_map(|tier| start.strip_suffix(tier)?.strip_suffix("_above_"));
    tier.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_and_services_may_follow_a_price() {
        for name in [
            "input_cost_per_token",
            "input_cost_per_token_above_200k_tokens",
            "output_cost_per_token_priority",
            "cache_read_input_token_cost_above_128k_tokens_flex",
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
        ] {
            assert_eq!(classify(name), Some(PriceName::Counted), "{name}");
        }
        assert_eq!(classify("input_cost_per_pixel"), Some(PriceName::NotCounted));
        assert_eq!(classify("input_cost_per_tokn"), Some(PriceName::Misspelt));
        assert_eq!(classify("input_cost_per_token_above_7k_tokens"), Some(PriceName::Misspelt));
        assert_eq!(classify("temperature"), None);
    }
}
