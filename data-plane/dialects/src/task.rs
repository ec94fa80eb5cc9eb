//! What a call asks for, and in which format.

/// What a call asks a model to do. LiteLLM speaks of a mode or a call type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    Chat,
    Completion,
    Embedding,
}

/// A wire format. Providers that speak the same one share its codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    OpenAi,
}

impl Task {
    pub const ALL: [Self; 3] = [Self::Chat, Self::Completion, Self::Embedding];

    /// The name under which spend logs record such a call, as LiteLLM spells it.
    pub fn call_type(self) -> &'static str {
        match self {
            Self::Chat => "acompletion",
            Self::Completion => "atext_completion",
            Self::Embedding => "aembedding",
        }
    }

    /// The parameter without which there is nothing to do.
    pub fn required(self) -> &'static str {
        match self {
            Self::Chat => "messages",
            Self::Completion => "prompt",
            Self::Embedding => "input",
        }
    }

    /// The path below `/v1`, with which error messages begin.
    pub fn route(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completion => "/completions",
            Self::Embedding => "/embeddings",
        }
    }
}
