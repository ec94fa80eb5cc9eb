//! Model names as two providers spell them.

use std::borrow::Cow;

/// Fireworks keeps its own models under `accounts/fireworks/models/`. Names that say where they live (`accounts/…`, or
/// a deployment after `#`) stay, and so do `vendor/model` names, which its embedding models have.
pub(super) fn fireworks(model: &str) -> Cow<'_, str> {
    if model.contains(['/', '#']) {
        return Cow::Borrowed(model);
    }
    Cow::Owned(format!("accounts/fireworks/models/{model}"))
}

/// `provider/org/model` asks Hugging Face's router for one inference provider, which the router itself spells
/// `org/model:provider`. Other names stay.
pub(super) fn hugging_face(model: &str) -> Cow<'_, str> {
    match model.split_once('/') {
        Some((provider, rest)) if rest.contains('/') && !rest.contains(':') => Cow::Owned(format!("{rest}:{provider}")),
        Some(_) | None => Cow::Borrowed(model),
    }
}

#[cfg(test)]
mod tests {
    use super::{fireworks, hugging_face};

    #[test]
    fn fireworks_models_get_their_account() {
        assert_eq!(fireworks("llama-v3-70b-instruct"), "accounts/fireworks/models/llama-v3-70b-instruct");
        for model in ["accounts/me/models/x", "m#accounts/me/deployments/1", "nomic-ai/nomic-embed-text-v1.5"] {
            assert_eq!(fireworks(model), model);
        }
    }

    #[test]
    fn hugging_face_takes_the_inference_provider_at_the_end() {
        assert_eq!(hugging_face("together/deepseek-ai/DeepSeek-R1"), "deepseek-ai/DeepSeek-R1:together");
        for model in ["HuggingFaceH4/zephyr-7b-beta", "tgi", "deepseek-ai/DeepSeek-R1:groq"] {
            assert_eq!(hugging_face(model), model);
        }
    }
}
