//! The phrases by which providers say what is wrong, found in a refusal's raw body whatever its format.

/// How much of a body is searched, in bytes. Bodies that quote the request back can be as large as the request.
const SEARCHED_BYTES: usize = 64 * 1024;

/// A prompt that is too long, in the words of many servers.
const CONTEXT_WINDOW: &[&str] = &[
    "exceed context limit",
    "this model's maximum context length is",
    "model's maximum context limit",
    "is longer than the model's context length",
    "input tokens exceed the configured limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the available context size",
    "exceeds the maximum number of tokens allowed",
    "string too long. expected a string with maximum length",
];

/// Azure's filters, by code and by sentence.
const AZURE_CONTENT_POLICY: &[&str] = &[
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "content_filter_policy",
    "content management policy",
    "as a result of our safety system",
    "the model produced invalid content",
];

/// The beginning of a body in lower case.
pub(super) struct Words(String);

impl Words {
    pub(super) fn of(body: &[u8]) -> Self {
        let searched = body.get(..SEARCHED_BYTES).unwrap_or(body);
        Self(String::from_utf8_lossy(searched).to_lowercase())
    }

    /// Whether the body holds `phrase`, which is in lower case.
    pub(super) fn say(&self, phrase: &str) -> bool {
        self.0.contains(phrase)
    }

    pub(super) fn timeout(&self) -> bool {
        self.say("request timed out") || self.say("read operation timed out")
    }

    /// `rate limit`, however its words are joined, or Mistral's way to say it. A bare `429` counts as a status only:
    /// it may as well be a number of the quoted request.
    pub(super) fn rate_limit(&self) -> bool {
        let joined = |rest: &str| rest.trim_start_matches([' ', '\t', '\n', '_', '-']).starts_with("limit");
        self.0.match_indices("rate").any(|(at, rate)| self.0.get(at + rate.len()..).is_some_and(joined))
            || self.say("service tier capacity exceeded")
    }

    /// A prompt that is too long, but not a parameter that is.
    pub(super) fn context_window(&self) -> bool {
        if self.say("string_above_max_length") || (self.say("invalid 'user'") && self.say("string too long")) {
            return false;
        }
        CONTEXT_WINDOW.iter().any(|phrase| self.say(phrase))
            || (self.say("current length is") && self.say("while limit is"))
            || (self.say("maximum input length is") && self.say("tokens"))
    }

    pub(super) fn content_policy(&self) -> bool {
        self.say("content_policy_violation")
            || self.say("rejected as a result of the safety system")
            || (self.say("invalid prompt") && self.say("violating our usage policy"))
    }

    pub(super) fn azure_content_policy(&self) -> bool {
        AZURE_CONTENT_POLICY.iter().any(|phrase| self.say(phrase))
    }
}
