//! What a call costs, worked out here a second time: the stories judge the planes' sums by it.

use serde_json::{Map, Value, json};

/// Tokens as a provider counts them: `cached` are part of `prompt`, `reasoning` part of `completion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
    pub cached: u64,
    pub reasoning: u64,
}

/// Billionths of a dollar for one token of each kind. Whole numbers, so that no sum in a story needs rounding.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    pub prompt: u64,
    pub completion: u64,
    pub cached: u64,
    pub reasoning: u64,
}

/// The price that most stories' deployments have: $3 and $15 for a million tokens, $0.30 cached, $20 reasoning.
pub const STORY: Price = Price { prompt: 3_000, completion: 15_000, cached: 300, reasoning: 20_000 };

impl Price {
    /// What `tokens` cost, in billionths of a dollar.
    pub fn of(&self, tokens: &Tokens) -> u64 {
        let fresh = tokens.prompt.saturating_sub(tokens.cached);
        let said = tokens.completion.saturating_sub(tokens.reasoning);
        fresh * self.prompt + tokens.cached * self.cached + said * self.completion + tokens.reasoning * self.reasoning
    }

    /// The same price as `litellm_params` spell it, in dollars.
    pub fn params(&self) -> Map<String, Value> {
        let mut params = Map::new();
        params.insert("input_cost_per_token".to_owned(), json!(usd(self.prompt)));
        params.insert("output_cost_per_token".to_owned(), json!(usd(self.completion)));
        params.insert("cache_read_input_token_cost".to_owned(), json!(usd(self.cached)));
        params.insert("output_cost_per_reasoning_token".to_owned(), json!(usd(self.reasoning)));
        params
    }
}

/// An amount as the JSON API shows it, in dollars.
#[allow(clippy::cast_precision_loss, reason = "stories' amounts are far below 2^53 billionths")]
pub fn usd(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// An amount that the JSON API shows, back in whole billionths. `None` where it is no number or negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
pub fn nanos(usd: &Value) -> Option<u64> {
    let nanos = (usd.as_f64()? * 1e9).round();
    (0.0..9e15).contains(&nanos).then_some(nanos as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_and_reasoning_tokens_are_not_paid_twice() {
        let tokens = Tokens { prompt: 100, completion: 50, cached: 40, reasoning: 20 };
        assert_eq!(STORY.of(&tokens), 60 * 3_000 + 40 * 300 + 30 * 15_000 + 20 * 20_000);
    }

    #[test]
    fn an_amount_survives_the_way_through_the_json_api() {
        for amount in [0, 1, 36_000, 141_000, 123_456_789_012] {
            assert_eq!(nanos(&json!(usd(amount))), Some(amount));
        }
        assert_eq!(nanos(&json!("0.1")), None);
    }
}
