//! Servers that people run themselves, and the names for "something that speaks OpenAI".

use super::{BaseEnds, OpenAiCompatible, anywhere, local};
use crate::refusal::Rules;

/// The old name of the completion-token limit, the only one that older servers know.
const MAX_TOKENS: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens")];

pub(crate) static CUSTOM_OPENAI: OpenAiCompatible =
    anywhere("custom_openai", "Custom OpenAI", &["CUSTOM_OPENAI_API_KEY"], &["CUSTOM_OPENAI_API_BASE"]);

pub(crate) static DOCKER_MODEL_RUNNER: OpenAiCompatible = local(
    "docker_model_runner",
    "Docker Model Runner",
    "http://localhost:22088/engines/llama.cpp",
    &["DOCKER_MODEL_RUNNER_API_KEY"],
    &["DOCKER_MODEL_RUNNER_API_BASE"],
)
.base_ends(BaseEnds::InV1);

pub(crate) static HOSTED_VLLM: OpenAiCompatible =
    anywhere("hosted_vllm", "vLLM", &["HOSTED_VLLM_API_KEY"], &["HOSTED_VLLM_API_BASE"]);

pub(crate) static LEMONADE: OpenAiCompatible =
    local("lemonade", "Lemonade", "http://localhost:8000/api/v1", &["LEMONADE_API_KEY"], &["LEMONADE_API_BASE"]);

pub(crate) static LITELLM_PROXY: OpenAiCompatible =
    anywhere("litellm_proxy", "LiteLLM Proxy", &["LITELLM_PROXY_API_KEY"], &["LITELLM_PROXY_API_BASE"]);

pub(crate) static LLAMAFILE: OpenAiCompatible =
    local("llamafile", "llamafile", "http://127.0.0.1:8080/v1", &["LLAMAFILE_API_KEY"], &["LLAMAFILE_API_BASE"]);

pub(crate) static LM_STUDIO: OpenAiCompatible =
    anywhere("lm_studio", "LM Studio", &["LM_STUDIO_API_KEY"], &["LM_STUDIO_API_BASE"]);

pub(crate) static OLLAMA: OpenAiCompatible = ollama("ollama");

pub(crate) static OLLAMA_CHAT: OpenAiCompatible = ollama("ollama_chat");

pub(crate) static OPENAI_LIKE: OpenAiCompatible =
    anywhere("openai_like", "OpenAI-like", &["OPENAI_LIKE_API_KEY"], &["OPENAI_LIKE_API_BASE"]);

pub(crate) static XINFERENCE: OpenAiCompatible =
    local("xinference", "Xinference", "http://127.0.0.1:9997/v1", &["XINFERENCE_API_KEY"], &["XINFERENCE_API_BASE"]);

/// Ollama under either of LiteLLM's names, through its OpenAI-compatible endpoints. A `tool_choice` makes some of its
/// versions hang.
const fn ollama(id: &'static str) -> OpenAiCompatible {
    local(id, "Ollama", "http://localhost:11434", &["OLLAMA_API_KEY"], &["OLLAMA_API_BASE"])
        .base_ends(BaseEnds::InV1)
        .renames(MAX_TOKENS)
        .drops(&["tool_choice"])
        .rules(Rules::Ollama)
}
