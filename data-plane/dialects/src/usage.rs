//! What a call used, as its provider reports it.
//!
//! The field names are those of OpenAI's API, and of the providers that add to it: `prompt_cache_hit_tokens` (DeepSeek),
//! `cache_creation_input_tokens` and `cache_creation` (Anthropic), `cost` and `cache_write_tokens` (OpenRouter).

use crate::json::{as_number, as_unsigned, members};

/// More tokens than any call can have: what is above is a mistake, and is not counted.
const TOKENS_MAX: u64 = 1_000_000_000_000;

/// The longest number we keep as a cost.
const COST_LENGTH_MAX: usize = 40;

/// Tokens of one call. Details are parts of `prompt` or `completion`, not additions to them. What a provider does not
/// report, or reports as something that no count can be (negative, a fraction, huge), is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of the prompt, cached and audio tokens included.
    pub prompt: u64,
    /// All of the answer, reasoning included.
    pub completion: u64,
    pub total: u64,
    pub cache_read: u64,
    /// Written to the prompt cache, for all lifetimes together.
    pub cache_write: u64,
    /// The part of `cache_write` that lives for an hour.
    pub cache_write_1h: u64,
    pub input_audio: u64,
    pub output_audio: u64,
    pub reasoning: u64,
    pub input_image: u64,
    pub output_image: u64,
    /// What the provider says it charges, in US dollars: a decimal number as it was sent, so that nothing is rounded on
    /// the way to money. Never negative.
    pub cost_usd: Option<String>,
}

impl Usage {
    /// Reads a `usage` object. `None` if it is not one, or counts neither prompt nor answer nor total.
    pub fn read(json: &[u8]) -> Option<Self> {
        let mut usage = Self::default();
        let mut is_counted = false;
        for (key, value) in members(json) {
            match key {
                b"prompt_tokens" | b"input_tokens" => is_counted |= set(&mut usage.prompt, value),
                b"completion_tokens" | b"output_tokens" => is_counted |= set(&mut usage.completion, value),
                b"total_tokens" => is_counted |= set(&mut usage.total, value),
                b"prompt_tokens_details" | b"input_tokens_details" => usage.read_prompt_details(value),
                b"completion_tokens_details" | b"output_tokens_details" => usage.read_completion_details(value),
                b"prompt_cache_hit_tokens" | b"cache_read_input_tokens" => raise(&mut usage.cache_read, value),
                b"cache_creation_input_tokens" => raise(&mut usage.cache_write, value),
                b"cache_creation" => usage.read_cache_creation(value),
                b"reasoning_tokens" => raise(&mut usage.reasoning, value),
                b"cost" => usage.cost_usd = cost(value),
                _ => {}
            }
        }
        is_counted.then(|| usage.balanced())
    }

    fn read_prompt_details(&mut self, details: &[u8]) {
        for (key, value) in members(details) {
            match key {
                b"cached_tokens" => raise(&mut self.cache_read, value),
                b"cache_write_tokens" | b"cache_creation_tokens" => raise(&mut self.cache_write, value),
                b"cache_creation_token_details" => self.read_cache_creation(value),
                b"audio_tokens" => raise(&mut self.input_audio, value),
                b"image_tokens" => raise(&mut self.input_image, value),
                _ => {}
            }
        }
    }

    fn read_completion_details(&mut self, details: &[u8]) {
        for (key, value) in members(details) {
            match key {
                b"reasoning_tokens" => raise(&mut self.reasoning, value),
                b"audio_tokens" => raise(&mut self.output_audio, value),
                b"image_tokens" => raise(&mut self.output_image, value),
                _ => {}
            }
        }
    }

    fn read_cache_creation(&mut self, details: &[u8]) {
        let mut five_minutes = 0;
        for (key, value) in members(details) {
            match key {
                b"ephemeral_5m_input_tokens" => raise(&mut five_minutes, value),
                b"ephemeral_1h_input_tokens" => raise(&mut self.cache_write_1h, value),
                _ => {}
            }
        }
        self.cache_write = self.cache_write.max(five_minutes + self.cache_write_1h);
    }

    /// Fills in the total, and counts reasoning as part of the answer where the sum shows that the provider did not
    /// (xAI reports it beside `completion_tokens`).
    fn balanced(mut self) -> Self {
        if self.total == 0 {
            self.total = self.prompt + self.completion;
        }
        if self.reasoning > 0 && self.total == self.prompt + self.completion + self.reasoning {
            self.completion += self.reasoning;
        }
        self
    }
}

fn count(value: &[u8]) -> Option<u64> {
    as_unsigned(value).filter(|tokens| *tokens <= TOKENS_MAX)
}

/// Takes the value, and says whether it was a count.
fn set(field: &mut u64, value: &[u8]) -> bool {
    match count(value) {
        Some(tokens) => {
            *field = tokens;
            true
        }
        None => false,
    }
}

/// Two names may report the same thing, and one of them 0.
fn raise(field: &mut u64, value: &[u8]) {
    *field = (*field).max(count(value).unwrap_or(0));
}

fn cost(value: &[u8]) -> Option<String> {
    as_number(value).filter(|cost| *cost >= 0.0 && value.len() <= COST_LENGTH_MAX)?;
    let text = std::str::from_utf8(value).ok()?;
    (!text.starts_with('-')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_usage_is_read_with_its_details() {
        let usage = Usage::read(
            br#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,
                "prompt_tokens_details":{"cached_tokens":64,"audio_tokens":3,"image_tokens":2},
                "completion_tokens_details":{"reasoning_tokens":7,"audio_tokens":1,"accepted_prediction_tokens":0}}"#,
        )
        .unwrap();
        let expected = Usage {
            prompt: 100,
            completion: 20,
            total: 120,
            cache_read: 64,
            input_audio: 3,
            input_image: 2,
            reasoning: 7,
            output_audio: 1,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn the_names_of_other_providers_mean_the_same() {
        let read = |json: &str| Usage::read(json.as_bytes()).unwrap();
        assert_eq!(read(r#"{"prompt_tokens":9,"prompt_cache_hit_tokens":4}"#).cache_read, 4);
        let anthropic = read(
            r#"{"prompt_tokens":9,"cache_creation_input_tokens":5,"cache_read_input_tokens":2,
                "cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":2}}"#,
        );
        assert_eq!((anthropic.cache_write, anthropic.cache_write_1h, anthropic.cache_read), (5, 2, 2));
        assert_eq!(read(r#"{"prompt_tokens":1,"cost":2.85e-05}"#).cost_usd.as_deref(), Some("2.85e-05"));
        assert_eq!(read(r#"{"input_tokens":4,"output_tokens":5}"#).total, 9);
    }

    #[test]
    fn an_embedding_has_no_completion() {
        let usage = Usage::read(br#"{"prompt_tokens":8,"total_tokens":8}"#).unwrap();
        assert_eq!((usage.prompt, usage.completion, usage.total), (8, 0, 8));
    }

    #[test]
    fn reasoning_beside_the_answer_is_counted_into_it() {
        let read = |total: u64| {
            let json = format!(
                r#"{{"prompt_tokens":10,"completion_tokens":5,"total_tokens":{total},
                    "completion_tokens_details":{{"reasoning_tokens":3}}}}"#
            );
            Usage::read(json.as_bytes()).unwrap().completion
        };
        assert_eq!(read(18), 8);
        assert_eq!(read(15), 5);
    }

    #[test]
    fn what_no_count_can_be_is_not_counted() {
        let usage = Usage::read(
            br#"{"prompt_tokens":7,"completion_tokens":-5,"total_tokens":99999999999999999999999,
                "prompt_tokens_details":{"cached_tokens":1.5,"audio_tokens":"3"},"completion_tokens_details":null,"cost":-1}"#,
        )
        .unwrap();
        assert_eq!(usage, Usage { prompt: 7, total: 7, ..Usage::default() });
    }

    #[test]
    fn what_counts_nothing_is_no_usage() {
        for json in ["null", "{}", "[1]", "3", r#"{"prompt_tokens":null}"#, r#"{"cost":1}"#] {
            assert_eq!(Usage::read(json.as_bytes()), None, "{json}");
        }
    }
}
