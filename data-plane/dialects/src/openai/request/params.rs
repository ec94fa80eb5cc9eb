//! The names that mean something to the gateway.

use super::names::Names;

/// Parameters of LiteLLM and of this gateway, and credentials that only its deployments have: they never go upstream. Sorted.
pub static GATEWAY_PARAMS: &[&str] = PARAMS;

const PARAMS: &[&str] = &[
    "_router_weights",
    "_target_order",
    "additional_drop_params",
    "allowed_openai_params",
    "api_key",
    "api_version",
    "assistant_continue_message",
    "attempted_targets",
    "aws_access_key_id",
    "aws_region_name",
    "aws_secret_access_key",
    "aws_session_token",
    "azure_password",
    "azure_scope",
    "azure_username",
    "base_model",
    "cache",
    "cache_control_injection_points",
    "caching",
    "callbacks",
    "client_id",
    "client_secret",
    "client_side_timeout",
    "configurable_clientside_auth_params",
    "content_policy_fallbacks",
    "context_window_fallbacks",
    "custom_llm_provider",
    "disable_fallbacks",
    "disable_global_guardrails",
    "drop_params",
    "enable_tag_filtering",
    "ensure_alternating_roles",
    "extra_body",
    "extra_headers",
    "extra_query",
    "fallback_depth",
    "fallbacks",
    "fastest_response",
    "guardrails",
    "headers",
    "include_fallback_errors",
    "langfuse_prompt_version",
    "langsmith_sampling_rate",
    "litellm_call_id",
    "litellm_credential_name",
    "litellm_disabled_callbacks",
    "litellm_embedding_config",
    "litellm_logging_obj",
    "litellm_metadata",
    "litellm_params",
    "litellm_session_id",
    "litellm_trace_id",
    "logger_fn",
    "max_agentic_loops",
    "max_retries",
    "merge_reasoning_content_in_choices",
    "metadata",
    "mock_delay",
    "mock_response",
    "mock_timeout",
    "mock_tool_calls",
    "model_group_alias",
    "model_group_retry_policy",
    "model_info",
    "no-log",
    "num_retries",
    "optional_params",
    "organization",
    "priority",
    "prompt_id",
    "prompt_variables",
    "prompt_version",
    "proxy_server_request",
    "region_name",
    "request_timeout",
    "routing_strategy",
    "secret_fields",
    "service_callback",
    "stream_timeout",
    "supports_system_message",
    "tags",
    "tenant_id",
    "timeout",
    "turn_off_message_logging",
    "use_litellm_proxy",
    "use_psc_endpoint_format",
    "user_continue_message",
    "vertex_ai_location",
    "vertex_ai_project",
    "vertex_location",
    "vertex_project",
    "watsonx_region_name",
    "weights",
];

static KEPT: Names = Names::new(PARAMS);
static REDIRECTING: Names = Names::new(REDIRECTIONS);

/// Beginnings of names that the gateway keeps for itself.
const GATEWAY_PREFIXES: [&str; 2] = ["mock_testing_", "user_api_key_"];

/// Names that would redirect a call, or bring credentials, an identity or a place to send logs to. Sorted.
const REDIRECTIONS: &[&str] = &[
    "agentcore_runtime_session_id",
    "anthropic_workspace_id",
    "api_base",
    "arize_api_key",
    "arize_error_sampling_rate",
    "arize_otlp_protocol",
    "arize_space_id",
    "arize_space_key",
    "arize_success_sampling_rate",
    "aws_bedrock_project_id",
    "aws_bedrock_runtime_endpoint",
    "aws_external_id",
    "aws_profile_name",
    "aws_role_name",
    "aws_session_name",
    "aws_session_tags",
    "aws_sts_endpoint",
    "aws_web_identity_token",
    "aws_workspace_id",
    "azure_ad_token",
    "base_url",
    "bedrock_tags",
    "dd_agent_host",
    "dd_agent_port",
    "dd_api_key",
    "dd_site",
    "deployment_url",
    "gcs_bucket_name",
    "gcs_path_service_account",
    "humanloop_api_key",
    "langfuse_environment",
    "langfuse_host",
    "langfuse_public_key",
    "langfuse_secret",
    "langfuse_secret_key",
    "langfuse_span_scope",
    "langsmith_api_key",
    "langsmith_base_url",
    "langsmith_project",
    "langsmith_tenant_id",
    "model_list",
    "newrelic_api_key",
    "newrelic_region",
    "nvcf_function_id",
    "posthog_api_key",
    "posthog_api_url",
    "s3_endpoint_url",
    "sagemaker_base_url",
    "signoz_ingestion_endpoint",
    "signoz_ingestion_key",
    "use_ssl",
    "user_api_key_auth_metadata",
    "user_config",
    "vertex_ai_credentials",
    "vertex_credentials",
    "wandb_api_key",
    "weave_project_id",
    "workspace_id",
];

/// Price fields whose names do not say `_cost_per_` or `_token_cost`.
const OTHER_PRICES: [&str; 5] = [
    "off_peak_pricing",
    "regional_endpoint_uplift_multiplier",
    "regional_processing_uplift_multiplier_eu",
    "regional_processing_uplift_multiplier_us",
    "tiered_pricing",
];

/// Whether the gateway keeps the parameter to itself: in [`GATEWAY_PARAMS`], or `mock_testing_*`, or `user_api_key_*`.
pub fn is_gateway_param(name: &str) -> bool {
    KEPT.contains(name) || GATEWAY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether only a configuration may set it, never a client.
pub(super) fn is_forbidden(name: &str) -> bool {
    REDIRECTING.contains(name) || is_price(name)
}

/// LiteLLM's custom prices: `input_cost_per_token`, `cache_read_input_token_cost_above_200k_tokens` and so on.
fn is_price(name: &str) -> bool {
    let says_cost = name.as_bytes().windows(4).any(|window| window == b"cost");
    let is_cost = || name.contains("_cost_per_") || name.starts_with("cost_per_") || name.contains("_token_cost");
    (says_cost && is_cost()) || OTHER_PRICES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_have_no_name_twice() {
        for table in [GATEWAY_PARAMS, REDIRECTIONS] {
            assert!(table.windows(2).all(|pair| pair[0] < pair[1]), "{table:?}");
        }
    }

    #[test]
    fn every_name_of_the_tables_is_recognised() {
        assert!(PARAMS.iter().all(|name| is_gateway_param(name)));
        assert!(REDIRECTIONS.iter().all(|name| is_forbidden(name)));
    }

    #[test]
    fn prices_are_recognised_by_the_shape_of_their_names() {
        for name in ["input_cost_per_token", "cost_per_second", "cache_read_input_token_cost_flex", "tiered_pricing"] {
            assert!(is_forbidden(name), "{name}");
        }
        for name in ["temperature", "cost", "max_tokens", "input", "service_tier"] {
            assert!(!is_forbidden(name) && !is_gateway_param(name), "{name}");
        }
        assert!(is_gateway_param("mock_testing_fallbacks") && is_gateway_param("tags"));
    }
}
