//! Sections below a key: mappings and lists of mappings whose members have names of their own.
//!
//! Their support is that of the key that they hang from; the rows are here so that a typo in them is found.

use super::{Key, Shape, Support, Table, Unknown, works};

const CACHE: Support = Support::NotYet("the response cache");
const GUARDS: Support = Support::NotYet("guardrails");
const JWT: Support = Support::NotYet("JWT sign-in");
const ALERTS: Support = Support::NotYet("alerting");
const SECRETS: Support = Support::NotYet("secret managers");
const PASS: Support = Support::NotYet("the pass-through endpoints");
const CREDENTIALS: Support = Support::NotYet("named credentials");
const RETRIES: Support = Support::NotYet("retry counts per kind of error");
const COOLDOWNS: Support = Support::NotYet("cooldowns");
const CALLBACKS: Support = Support::NotYet("callbacks");

/// Rows of one support, whose values may be anything: nothing reads them yet.
const fn rows<const COUNT: usize>(support: Support, names: [&'static str; COUNT]) -> [Key; COUNT] {
    let mut keys = [Key::new("", Shape::Any, support); COUNT];
    let mut index = 0;
    while index < COUNT {
        keys[index] = Key::new(names[index], Shape::Any, support);
        index += 1;
    }
    keys
}

const fn section(section: &'static str, keys: &'static [Key]) -> Table {
    Table { section, keys, unknown: Unknown::Mistake }
}

/// A section whose members are not a closed set.
const fn open_section(section: &'static str, keys: &'static [Key]) -> Table {
    Table { section, keys, unknown: Unknown::Free }
}

const NEW_USERS: [Key; 6] = [
    works("available_teams", Shape::Texts),
    works("user_role", Shape::Text),
    works("max_budget", Shape::Amount),
    works("budget_duration", Shape::Text),
    works("models", Shape::Texts),
    works("teams", Shape::List),
];

const NEW_TEAMS: [Key; 7] = [
    works("models", Shape::Texts),
    works("max_budget", Shape::Amount),
    works("budget_duration", Shape::Text),
    works("tpm_limit", Shape::Whole),
    works("rpm_limit", Shape::Whole),
    works("team_member_permissions", Shape::Texts),
    works("organization_id", Shape::Text),
];

const BOUNDS: [Key; 6] = [
    works("max_budget", Shape::Amount),
    works("budget_duration", Shape::Text),
    works("duration", Shape::Text),
    works("max_parallel_requests", Shape::Whole),
    works("tpm_limit", Shape::Whole),
    works("rpm_limit", Shape::Whole),
];

/// Names that LiteLLM has for new keys, and does not take from there.
const UNUSED: Support = Support::Ignored("LiteLLM does not take it from here either; send it with each key");

const NEW_KEYS: [Key; 22] = [
    works("max_budget", Shape::Amount),
    works("budget_duration", Shape::Text),
    works("duration", Shape::Text),
    works("max_parallel_requests", Shape::Whole),
    works("tpm_limit", Shape::Whole),
    works("rpm_limit", Shape::Whole),
    works("models", Shape::Texts),
    works("metadata", Shape::Map),
    works("object_permission", Shape::Map),
    works("user_id", Shape::Text),
    works("team_id", Shape::Text),
    Key::new("soft_budget", Shape::Any, UNUSED),
    Key::new("aliases", Shape::Any, UNUSED),
    Key::new("config", Shape::Any, UNUSED),
    Key::new("tags", Shape::Any, UNUSED),
    Key::new("guardrails", Shape::Any, UNUSED),
    Key::new("permissions", Shape::Any, UNUSED),
    Key::new("allowed_routes", Shape::Any, UNUSED),
    Key::new("model_max_budget", Shape::Any, UNUSED),
    Key::new("model_rpm_limit", Shape::Any, UNUSED),
    Key::new("model_tpm_limit", Shape::Any, UNUSED),
    Key::new("budget_id", Shape::Any, UNUSED),
];

const ALLOWED_FAILS: [Key; 9] = rows(
    COOLDOWNS,
    [
        "BadRequestErrorAllowedFails",
        "AuthenticationErrorAllowedFails",
        "TimeoutErrorAllowedFails",
        "RateLimitErrorAllowedFails",
        "ContentPolicyViolationErrorAllowedFails",
        "InternalServerErrorAllowedFails",
        "ServiceUnavailableErrorAllowedFails",
        "BadGatewayErrorAllowedFails",
        "NotFoundErrorAllowedFails",
    ],
);

const S3: [Key; 22] = rows(
    CALLBACKS,
    [
        "s3_bucket_name",
        "s3_region_name",
        "s3_aws_access_key_id",
        "s3_aws_secret_access_key",
        "s3_aws_session_token",
        "s3_aws_session_name",
        "s3_aws_profile_name",
        "s3_aws_role_name",
        "s3_aws_web_identity_token",
        "s3_aws_sts_endpoint",
        "s3_endpoint_url",
        "s3_path",
        "s3_use_team_prefix",
        "s3_use_key_prefix",
        "s3_use_virtual_hosted_style",
        "s3_strip_base64_files",
        "s3_log_prompts_only",
        "s3_partition_granularity",
        "s3_verify",
        "s3_use_ssl",
        "s3_batch_size",
        "s3_flush_interval",
    ],
);

pub(super) const TABLES: &[Table] = &[
    section("credential_list[]", &rows(CREDENTIALS, ["credential_name", "credential_values", "credential_info"])),
    section(
        "guardrails[]",
        &rows(GUARDS, ["guardrail_name", "guardrail_id", "litellm_params", "guardrail_info", "policy_template"]),
    ),
    open_section(
        "guardrails[].litellm_params",
        &rows(
            GUARDS,
            [
                "guardrail",
                "mode",
                "default_on",
                "api_key",
                "api_base",
                "skip_system_message_in_guardrail",
                "skip_tool_message_in_guardrail",
                "scan_only_tool_results",
                "experimental_use_latest_role_message_only",
                "only_scan_new_messages",
                "mask_request_content",
                "mask_response_content",
                "on_sensitive_data",
                "sensitive_data_route_to_model",
                "sticky_session_routing",
                "run_in_parallel",
                "scan_raw_request",
                "fail_on_error",
                "unreachable_fallback",
                "timeout",
                "violation_message_template",
                "on_violation",
                "end_session_after_n_fails",
                "realtime_violation_message",
                "stream_scope",
                "extra_headers",
                "headers",
                "additional_provider_specific_params",
            ],
        ),
    ),
    section("policy_attachments[]", &rows(GUARDS, ["policy", "scope", "teams", "keys", "models", "tags"])),
    section(
        "worker_registry[]",
        &rows(Support::NotYet("a dashboard over several installations"), ["worker_id", "name", "url"]),
    ),
    section(
        "model_list[].model_info.access_windows[]",
        &rows(
            Support::NotEnforced("the deployment serves everybody at all times"),
            ["start", "end", "timezone", "team_ids"],
        ),
    ),
    section("model_list[].model_info.allowed_fails_policy", &ALLOWED_FAILS),
    section("router_settings.allowed_fails_policy", &ALLOWED_FAILS),
    section(
        "router_settings.retry_policy",
        &rows(
            RETRIES,
            [
                "BadRequestErrorRetries",
                "AuthenticationErrorRetries",
                "TimeoutErrorRetries",
                "RateLimitErrorRetries",
                "ContentPolicyViolationErrorRetries",
                "InternalServerErrorRetries",
                "ServiceUnavailableErrorRetries",
                "NotFoundErrorRetries",
                "DefaultRetries",
            ],
        ),
    ),
    section(
        "router_settings.routing_groups[]",
        &rows(
            Support::NotYet("routing groups"),
            ["group_name", "models", "routing_strategy", "routing_strategy_args", "model_priorities"],
        ),
    ),
    section(
        "litellm_settings.cache_params",
        &rows(
            CACHE,
            [
                "type",
                "ttl",
                "default_in_memory_ttl",
                "default_in_redis_ttl",
                "namespace",
                "mode",
                "supported_call_types",
                "max_messages",
                "shared",
                "host",
                "port",
                "password",
                "username",
                "url",
                "ssl",
                "db",
                "redis_flush_size",
                "max_connections",
                "redis_startup_nodes",
                "service_name",
                "sentinel_nodes",
                "similarity_threshold",
                "redis_semantic_cache_embedding_model",
                "redis_semantic_cache_index_name",
                "qdrant_semantic_cache_embedding_model",
                "qdrant_collection_name",
                "qdrant_quantization_config",
                "qdrant_api_base",
                "qdrant_api_key",
                "s3_bucket_name",
                "s3_region_name",
                "s3_endpoint_url",
                "s3_aws_access_key_id",
                "s3_aws_secret_access_key",
                "s3_aws_session_token",
                "s3_path",
                "gcs_bucket_name",
                "gcs_path_service_account",
                "gcs_path",
                "azure_account_url",
                "azure_blob_container",
                "disk_cache_dir",
            ],
        ),
    ),
    section(
        "litellm_settings.model_group_settings",
        &rows(Support::NotYet("forwarding of client headers"), ["forward_client_headers_to_llm_api"]),
    ),
    section("litellm_settings.default_key_generate_params", &NEW_KEYS),
    section("litellm_settings.upperbound_key_generate_params", &BOUNDS),
    section(
        "litellm_settings.key_generation_settings",
        &[works("team_key_generation", Shape::Map), works("personal_key_generation", Shape::Map)],
    ),
    section(
        "litellm_settings.key_generation_settings.team_key_generation",
        &[works("allowed_team_member_roles", Shape::Texts), works("required_params", Shape::Texts)],
    ),
    section(
        "litellm_settings.key_generation_settings.personal_key_generation",
        &[works("allowed_user_roles", Shape::Texts), works("required_params", Shape::Texts)],
    ),
    section("litellm_settings.default_internal_user_params", &NEW_USERS),
    section("litellm_settings.default_team_params", &NEW_TEAMS),
    open_section(
        "litellm_settings.default_team_settings[]",
        &rows(
            CALLBACKS,
            [
                "team_id",
                "success_callback",
                "failure_callback",
                "callbacks",
                "cache",
                "max_budget",
                "langfuse_public_key",
                "langfuse_secret",
                "langfuse_secret_key",
                "langfuse_host",
                "langfuse_environment",
                "langfuse_span_scope",
                "langfuse_prompt_version",
                "gcs_bucket_name",
                "gcs_path_service_account",
                "langsmith_api_key",
                "langsmith_project",
                "langsmith_base_url",
                "langsmith_sampling_rate",
                "langsmith_tenant_id",
                "humanloop_api_key",
                "arize_api_key",
                "arize_space_key",
                "arize_space_id",
                "arize_success_sampling_rate",
                "arize_error_sampling_rate",
                "arize_otlp_protocol",
                "posthog_api_key",
                "posthog_api_url",
                "wandb_api_key",
                "weave_project_id",
                "dd_api_key",
                "dd_site",
                "dd_agent_host",
                "dd_agent_port",
                "newrelic_api_key",
                "newrelic_region",
                "signoz_ingestion_endpoint",
                "signoz_ingestion_key",
                "turn_off_message_logging",
                "litellm_disabled_callbacks",
            ],
        ),
    ),
    section("litellm_settings.s3_callback_params", &S3),
    section("litellm_settings.s3_audit_callback_params", &S3),
    section(
        "litellm_settings.aws_sqs_callback_params",
        &rows(CALLBACKS, ["sqs_queue_url", "sqs_region_name", "sqs_application_encryption", "sqs_batch_size", "sqs_*"]),
    ),
    section(
        "litellm_settings.prometheus_metrics_config[]",
        &rows(Support::NotYet("Prometheus metrics by LiteLLM's names"), ["group", "metrics", "include_labels"]),
    ),
    section(
        "litellm_settings.prompt_injection_params",
        &rows(
            GUARDS,
            [
                "heuristics_check",
                "vector_db_check",
                "llm_api_check",
                "llm_api_name",
                "llm_api_system_prompt",
                "llm_api_fail_call_string",
                "reject_as_response",
            ],
        ),
    ),
    section(
        "general_settings.custom_auth_settings",
        &rows(Support::OpenDoor("callers that it would refuse are served if their key is good"), ["mode"]),
    ),
    section(
        "general_settings.service_account_settings",
        &[Key::new("enforced_params", Shape::Texts, Support::Honoured)],
    ),
    section("general_settings.user_header_mappings[]", &rows(Support::Honoured, ["header_name", "litellm_user_role"])),
    section("general_settings.role_permissions[]", &rows(JWT, ["role", "models", "routes"])),
    section(
        "general_settings.spend_logs_metadata_fields",
        &rows(Support::NotYet("choosing the metadata of spend rows"), ["include", "exclude"]),
    ),
    section(
        "general_settings.ui_access_mode",
        &rows(
            Support::NotEnforced("there is no dashboard yet"),
            ["type", "restricted_sso_group", "sso_group_jwt_field"],
        ),
    ),
    section(
        "general_settings.litellm_jwtauth",
        &rows(
            JWT,
            [
                "admin_jwt_scope",
                "admin_allowed_routes",
                "team_id_jwt_field",
                "team_alias_jwt_field",
                "team_ids_jwt_field",
                "team_id_default",
                "team_id_upsert",
                "team_allowed_routes",
                "enforce_team_based_model_access",
                "team_claim_fallback",
                "fallback_to_db_teams",
                "user_id_jwt_field",
                "user_email_jwt_field",
                "user_allowed_email_domain",
                "user_id_upsert",
                "upsert_sso_user_to_team",
                "user_roles_jwt_field",
                "user_allowed_roles",
                "org_id_jwt_field",
                "org_alias_jwt_field",
                "end_user_id_jwt_field",
                "agent_id_jwt_field",
                "mcp_client_id_jwt_field",
                "roles_jwt_field",
                "role_mappings",
                "object_id_jwt_field",
                "enforce_rbac",
                "scope_mappings",
                "enforce_scope_based_access",
                "jwt_litellm_role_map",
                "sync_user_role_and_teams",
                "public_allowed_routes",
                "public_key_ttl",
                "public_key_stale_ttl",
                "oidc_userinfo_enabled",
                "oidc_userinfo_endpoint",
                "oidc_userinfo_cache_ttl",
                "custom_validate",
                "virtual_key_claim_field",
                "jwt_client_id_field",
                "virtual_key_mapping_cache_ttl",
                "unregistered_jwt_client_behavior",
                "auto_register_map_existing_key",
                "routing_overrides",
                "issuers",
            ],
        ),
    ),
    section(
        "general_settings.oauth2_config_mappings",
        &rows(
            Support::NotYet("OAuth2 sign-in"),
            ["user_id", "user_email", "team_id", "team_alias", "org_id", "models"],
        ),
    ),
    section(
        "general_settings.pass_through_endpoints[]",
        &rows(
            PASS,
            [
                "id",
                "path",
                "target",
                "headers",
                "default_query_params",
                "include_subpath",
                "methods",
                "auth",
                "forward_headers",
                "merge_query_params",
                "cost_per_request",
                "timeout",
                "guardrails",
            ],
        ),
    ),
    section(
        "general_settings.key_management_settings",
        &rows(
            SECRETS,
            [
                "hosted_keys",
                "store_virtual_keys",
                "prefix_for_stored_virtual_keys",
                "access_mode",
                "primary_secret_name",
                "description",
                "tags",
                "kms_key_id",
                "replica_regions",
                "aws_region_name",
                "aws_role_name",
                "aws_session_name",
                "aws_external_id",
                "aws_profile_name",
                "aws_web_identity_token",
                "aws_sts_endpoint",
                "custom_secret_manager",
            ],
        ),
    ),
    section(
        "general_settings.alerting_args",
        &rows(
            ALERTS,
            [
                "daily_report_frequency",
                "report_check_interval",
                "budget_alert_ttl",
                "outage_alert_ttl",
                "region_outage_alert_ttl",
                "minor_outage_alert_threshold",
                "major_outage_alert_threshold",
                "max_outage_alert_list_size",
                "log_to_console",
                "daily_spend_per_user_threshold",
                "monthly_spend_per_user_threshold",
                "spend_anomaly_multiplier",
                "spend_anomaly_baseline_days",
                "spend_anomaly_min_spend",
                "user_spend_check_interval",
                "failure_threshold",
                "failure_threshold_window_seconds",
                "hanging_threshold_seconds",
                "hanging_threshold_fails",
                "hanging_threshold_window_seconds",
            ],
        ),
    ),
];
