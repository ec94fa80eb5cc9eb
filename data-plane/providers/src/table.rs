//! Every provider, one line each.

use crate::azure::{AZURE, AZURE_AI};
use crate::openai_compatible::{described, servers, vendors};
use crate::provider::Provider;

/// Every provider that Turnpike speaks to, sorted by id.
pub static PROVIDERS: &[&dyn Provider] = &[
    &described::ABLITERATION,
    &vendors::AI21_CHAT,
    &described::AIHUBMIX,
    &vendors::AIML,
    &vendors::ANYSCALE,
    &described::APERTIS,
    &described::ASSEMBLYAI,
    &AZURE,
    &AZURE_AI,
    &vendors::BASETEN,
    &described::BEDROCK_MANTLE,
    &vendors::CEREBRAS,
    &described::CHARITY_ENGINE,
    &described::CHUTES,
    &vendors::CODESTRAL,
    &described::COGNITION,
    &described::CORTECS,
    &described::CRUSOE,
    &servers::CUSTOM_OPENAI,
    &described::DARKBLOOM,
    &vendors::DASHSCOPE,
    &vendors::DEEPINFRA,
    &vendors::DEEPSEEK,
    &servers::DOCKER_MODEL_RUNNER,
    &vendors::EDENAI,
    &described::EMPIRIOLABS,
    &vendors::EMPOWER,
    &vendors::FEATHERLESS_AI,
    &vendors::FIREWORKS_AI,
    &vendors::FRIENDLIAI,
    &vendors::GALADRIEL,
    &vendors::GIGACHAT,
    &vendors::GITHUB,
    &described::GMI,
    &vendors::GRADIENT_AI,
    &vendors::GROQ,
    &described::HELICONE,
    &servers::HOSTED_VLLM,
    &vendors::HUGGINGFACE,
    &vendors::HYPERBOLIC,
    &vendors::INCEPTION,
    &vendors::LAMBDA_AI,
    &servers::LEMONADE,
    &described::LIBERTAI,
    &servers::LITELLM_PROXY,
    &servers::LLAMAFILE,
    &described::LLAMAGATE,
    &servers::LM_STUDIO,
    &vendors::MANUS,
    &vendors::META,
    &vendors::META_LLAMA,
    &vendors::MISTRAL,
    &vendors::MODELSCOPE,
    &vendors::MOONSHOT,
    &vendors::MORPH,
    &described::NANO_GPT,
    &vendors::NEBIUS,
    &described::NEOSANTARA,
    &vendors::NOVITA,
    &vendors::NSCALE,
    &vendors::NVIDIA_NIM,
    &servers::OLLAMA,
    &servers::OLLAMA_CHAT,
    &vendors::OPENAI,
    &servers::OPENAI_LIKE,
    &vendors::OPENROUTER,
    &described::PARASAIL,
    &vendors::PERPLEXITY,
    &described::PINSTRIPES,
    &described::POE,
    &described::PRISM,
    &described::PUBLICAI,
    &described::QWENCLOUD,
    &described::REKA,
    &described::SAIL,
    &vendors::SAMBANOVA,
    &described::SARVAM,
    &described::SCALEWAY,
    &described::SCX_AI,
    &described::SYNTHETIC,
    &vendors::TENCENT,
    &described::TENSORMESH,
    &vendors::TEXT_COMPLETION_OPENAI,
    &vendors::TOGETHER_AI,
    &vendors::V0,
    &described::VENICEAI,
    &vendors::VERCEL_AI_GATEWAY,
    &vendors::VOLCENGINE,
    &vendors::WANDB,
    &vendors::XAI,
    &described::XIAOMI_MIMO,
    &servers::XINFERENCE,
    &vendors::ZAI,
];

/// The provider with this id, the name before the slash in `provider/model`.
pub fn find(id: &str) -> Option<&'static dyn Provider> {
    let index = PROVIDERS.binary_search_by(|provider| provider.id().cmp(id)).ok()?;
    PROVIDERS.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::{PROVIDERS, find};

    #[test]
    fn providers_are_sorted_by_id_and_unique() {
        let ids: Vec<_> = PROVIDERS.iter().map(|provider| provider.id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }

    #[test]
    fn every_provider_is_found_by_its_id() {
        for provider in PROVIDERS {
            assert_eq!(find(provider.id()).map(|found| found.id()), Some(provider.id()));
        }
        assert!(find("nobody").is_none());
    }
}
