//! Names as configurations hold them, and whom they must mean.

use super::{InferError, infer, known_prefixes};

fn meant(model: &str, api_base: Option<&str>, custom: Option<&str>) -> String {
    match infer(model, api_base, custom) {
        Ok(named) => format!("{} {}", named.provider.id(), named.model),
        Err(InferError::NotYet { provider }) => format!("not yet: {provider}"),
        Err(InferError::Unknown { model }) => format!("unknown: {model}"),
    }
}

#[test]
fn a_prefix_names_the_provider_and_the_rest_is_the_model() {
    for (model, expected) in [
        ("openai/gpt-4o", "openai gpt-4o"),
        ("openai/org/model", "openai org/model"),
        ("azure/my-deployment", "azure my-deployment"),
        ("openrouter/anthropic/claude-3.5-sonnet", "openrouter anthropic/claude-3.5-sonnet"),
        ("huggingface/HuggingFaceH4/zephyr-7b-beta", "huggingface HuggingFaceH4/zephyr-7b-beta"),
        ("ollama/llama2", "ollama llama2"),
        ("ollama_chat/llama3:8b", "ollama_chat llama3:8b"),
        ("groq/*", "groq *"),
        ("text-completion-openai/gpt-3.5-turbo-instruct", "text-completion-openai gpt-3.5-turbo-instruct"),
        ("anthropic/claude-3-opus", "not yet: anthropic"),
        ("bedrock/us.anthropic.claude", "not yet: bedrock"),
        ("vertex_ai/gemini-pro", "not yet: vertex_ai"),
        ("openai/", "unknown: openai/"),
        ("opnai/gpt-4o", "unknown: opnai/gpt-4o"),
        ("meta-llama/Llama-3", "unknown: meta-llama/Llama-3"),
    ] {
        assert_eq!(meant(model, None, None), expected, "{model}");
    }
}

#[test]
fn custom_llm_provider_wins_over_the_prefix() {
    assert_eq!(meant("gpt-4o", None, Some("azure")), "azure gpt-4o");
    assert_eq!(meant("azure/x", None, Some("azure")), "azure x");
    assert_eq!(meant("groq/x", None, Some("openai")), "openai groq/x");
    assert_eq!(meant("x", None, Some("bedrock")), "not yet: bedrock");
    assert_eq!(meant("x", None, Some("nobody")), "unknown: nobody/x");
    assert_eq!(meant("gpt-4o", None, Some("")), "openai gpt-4o");
}

#[test]
fn a_known_host_names_its_owner() {
    for (base, expected) in [
        ("https://api.groq.com/openai/v1", "groq m"),
        ("https://API.Mistral.ai/v1/", "mistral m"),
        ("https://codestral.mistral.ai/v1", "codestral m"),
        ("https://api.deepinfra.com/v1/openai", "deepinfra m"),
        ("https://evil.example/api.groq.com", "unknown: m"),
        ("https://api.groq.com.evil.example", "unknown: m"),
        ("http://localhost:11434", "unknown: m"),
        ("not a url", "unknown: m"),
    ] {
        assert_eq!(meant("m", Some(base), None), expected, "{base}");
    }
    assert_eq!(meant("openai/m", Some("https://api.groq.com/openai/v1"), None), "openai m");
}

#[test]
fn bare_names_are_looked_up_and_then_guessed_by_family() {
    for (model, expected) in [
        ("gpt-4o", "openai gpt-4o"),
        ("gpt-3.5-turbo-instruct", "text-completion-openai gpt-3.5-turbo-instruct"),
        ("davinci-002", "text-completion-openai davinci-002"),
        ("text-embedding-3-small", "openai text-embedding-3-small"),
        ("chat-latest", "openai chat-latest"),
        ("o1", "openai o1"),
        ("o3-mini-2030-01-01", "openai o3-mini-2030-01-01"),
        ("gpt-99", "openai gpt-99"),
        ("chatgpt-4o-latest", "openai chatgpt-4o-latest"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "openai ft:gpt-4o-mini-2024-07-18:acme::x"),
        ("ft:davinci-002:acme::x", "text-completion-openai ft:davinci-002:acme::x"),
        ("*", "openai *"),
        ("claude-3-5-sonnet-20241022", "not yet: anthropic"),
        ("gemini-1.5-pro", "not yet: vertex_ai"),
        ("anthropic.claude-v2", "not yet: bedrock"),
        ("o2", "unknown: o2"),
        ("o1x", "unknown: o1x"),
        ("llama3", "unknown: llama3"),
        ("", "unknown: "),
    ] {
        assert_eq!(meant(model, None, None), expected, "{model}");
    }
    let replicate = format!("acme/llama-2:{}", "0".repeat(64));
    assert_eq!(meant(&replicate, None, None), "not yet: replicate");
}

#[test]
fn serverless_names_at_azure_speak_plain_openai() {
    let base = Some("https://mistral-x-serverless.eastus2.inference.ai.azure.com");
    assert_eq!(meant("azure/mistral-large-latest", base, None), "openai mistral-large-latest");
    assert_eq!(meant("azure/command-r-plus", base, None), "openai command-r-plus");
    assert_eq!(meant("azure/mistral-large", Some("https://x.openai.azure.com"), None), "azure mistral-large");
    assert_eq!(meant("azure/command-r-plus", None, None), "azure command-r-plus");
}

#[test]
fn an_unknown_name_is_refused_with_what_to_write_instead() {
    let text = infer("llama3", None, None).expect_err("unknown").to_string();
    assert!(text.starts_with("LLM Provider NOT provided."), "{text}");
    assert!(text.contains("model=llama3") && text.contains("`openai/llama3`"), "{text}");
}

#[test]
fn every_prefix_of_litellm_is_known_once() {
    let mut prefixes: Vec<_> = known_prefixes().collect();
    let count = prefixes.len();
    assert!(count >= 167, "{count}");
    prefixes.sort_unstable();
    prefixes.dedup();
    assert_eq!(prefixes.len(), count);
    for prefix in prefixes {
        let named = meant(&format!("{prefix}/m"), None, None);
        assert!(named == format!("{prefix} m") || named == format!("not yet: {prefix}"), "{named}");
    }
}
