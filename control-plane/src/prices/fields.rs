//! The grammar of price fields: `input_cost_per_token_above_200k_tokens_priority` and its like.
//!
//! The names are LiteLLM's: a base name, then perhaps a threshold, then perhaps a service tier.

use proto::v1::{ServiceTier, Unit};

/// A list of price ranges, each with fields of its own.
pub(super) const TIERED: &str = "tiered_pricing";

/// DeepSeek's older name of the price of cached input.
pub(super) const CACHE_HIT: &str = "input_cost_per_token_cache_hit";

/// The price of a second of a call, of input and output together.
pub(super) const SECOND: &str = "cost_per_second";

/// Which rate a field gives: what for, in calls whose prompt exceeds how many tokens, in which tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) unit: Unit,
    pub(super) above_tokens: u64,
    pub(super) tier: ServiceTier,
}

impl Slot {
    /// The standard rate for a unit, below any threshold.
    pub(super) fn plain(unit: Unit) -> Self {
        Self { unit, above_tokens: 0, tier: ServiceTier::Standard }
    }
}

/// The rate that a field gives. `None` for fields that are no price, and for prices of what is not charged yet (images,
/// pixels, characters, queries, pages, video, hosted tools; tiers that have no number in the contract of the planes).
pub(super) fn slot(name: &str) -> Option<Slot> {
    let (name, tier) = split_tier(name);
    let (name, above_tokens) = split_threshold(name);
    Some(Slot { unit: unit(name)?, above_tokens, tier })
}

/// Whether a field is a price, charged or not. Databricks' units are information beside the dollars.
pub(super) fn is_price(name: &str) -> bool {
    let about_money = name.contains("cost_per_") || name.contains("token_cost") || name == TIERED;
    about_money && !name.contains("_dbu_")
}

/// Whether a price of this unit is one per token.
pub(super) fn is_token(unit: Unit) -> bool {
    match unit {
        Unit::InputToken
        | Unit::OutputToken
        | Unit::CacheReadToken
        | Unit::CacheWriteToken
        | Unit::CacheWrite1hToken
        | Unit::InputAudioToken
        | Unit::OutputAudioToken
        | Unit::ReasoningToken
        | Unit::InputImageToken
        | Unit::OutputImageToken => true,
        Unit::Unspecified | Unit::InputSecond | Unit::OutputSecond | Unit::Request => false,
    }
}

fn unit(name: &str) -> Option<Unit> {
    Some(match name {
        "input_cost_per_token" => Unit::InputToken,
        "output_cost_per_token" => Unit::OutputToken,
        "cache_read_input_token_cost" => Unit::CacheReadToken,
        "cache_creation_input_token_cost" => Unit::CacheWriteToken,
        "cache_creation_input_token_cost_above_1hr" => Unit::CacheWrite1hToken,
        "input_cost_per_audio_token" => Unit::InputAudioToken,
        "output_cost_per_audio_token" => Unit::OutputAudioToken,
        "output_cost_per_reasoning_token" => Unit::ReasoningToken,
        "input_cost_per_image_token" => Unit::InputImageToken,
        "output_cost_per_image_token" => Unit::OutputImageToken,
        "input_cost_per_second" => Unit::InputSecond,
        "output_cost_per_second" => Unit::OutputSecond,
        "input_cost_per_request" => Unit::Request,
        _ => return None,
    })
}

fn split_tier(name: &str) -> (&str, ServiceTier) {
    const SUFFIXES: [(&str, ServiceTier); 3] =
        [("_priority", ServiceTier::Priority), ("_flex", ServiceTier::Flex), ("_batches", ServiceTier::Batch)];
    let split = |(suffix, tier): &(&str, ServiceTier)| Some((name.strip_suffix(suffix)?, *tier));
    SUFFIXES.iter().find_map(split).unwrap_or((name, ServiceTier::Standard))
}

/// `…_above_200k_tokens`. (`…_above_1hr` is a part of a base name.)
fn split_threshold(name: &str) -> (&str, u64) {
    let split = || {
        let (base, threshold) = name.strip_suffix("k_tokens")?.rsplit_once("_above_")?;
        Some((base, threshold.parse::<u64>().ok()?.checked_mul(1_000)?))
    };
    split().unwrap_or((name, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> Option<(Unit, u64, ServiceTier)> {
        slot(name).map(|slot| (slot.unit, slot.above_tokens, slot.tier))
    }

    #[test]
    fn threshold_and_tier_are_read_off_the_end() {
        use ServiceTier::{Batch, Flex, Priority, Standard};
        let cases = [
            ("input_cost_per_token", (Unit::InputToken, 0, Standard)),
            ("output_cost_per_token_flex", (Unit::OutputToken, 0, Flex)),
            ("cache_read_input_token_cost_above_272k_tokens", (Unit::CacheReadToken, 272_000, Standard)),
            ("input_cost_per_token_above_200k_tokens_priority", (Unit::InputToken, 200_000, Priority)),
            ("cache_creation_input_token_cost_above_1hr", (Unit::CacheWrite1hToken, 0, Standard)),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                (Unit::CacheWrite1hToken, 200_000, Standard),
            ),
            ("input_cost_per_audio_token_batches", (Unit::InputAudioToken, 0, Batch)),
        ];
        for (name, expected) in cases {
            assert_eq!(parts(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_is_not_charged_yet_is_still_known_as_a_price() {
        for name in ["output_cost_per_image", "input_cost_per_query", "input_cost_per_token_ultrafast", TIERED] {
            assert_eq!((slot(name), is_price(name)), (None, true), "{name}");
        }
        for name in ["mode", "max_tokens", "input_dbu_cost_per_token", "supports_vision", "token_count_model"] {
            assert_eq!((slot(name), is_price(name)), (None, false), "{name}");
        }
    }
}
