//! Environment variables that LiteLLM reads, and what becomes of them.
//!
//! Variables of the process are read by `settings.rs` of each plane, those of providers when a config is resolved.
//! This table only says how far each is supported.

use super::Support;

/// Variables of one support.
#[derive(Clone, Copy, Debug)]
pub struct Variables {
    /// How far they are supported.
    pub support: Support,
    /// Their names; `*` stands for any letters.
    pub names: &'static [&'static str],
}

const fn honoured(names: &'static [&'static str]) -> Variables {
    Variables { support: Support::Honoured, names }
}

const fn ignored(why: &'static str, names: &'static [&'static str]) -> Variables {
    Variables { support: Support::Ignored(why), names }
}

const fn later(missing: &'static str, names: &'static [&'static str]) -> Variables {
    Variables { support: Support::NotYet(missing), names }
}

/// All variables but those of providers, which the `providers` tables name: keys and addresses that deployments fall
/// back to where they name none, all of them honoured. See [`provider_variables`](super::provider_variables).
pub static ENVIRONMENT: &[Variables] = &[
    honoured(&[
        "LITELLM_MASTER_KEY",
        "LITELLM_SALT_KEY",
        "DATABASE_URL",
        "PORT",
        "STORE_MODEL_IN_DB",
        "CONFIG_FILE_PATH",
    ]),
    honoured(&[
        "REDIS_URL",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_USERNAME",
        "REDIS_PASSWORD",
        "REDIS_SSL",
        "REDIS_CLUSTER_NODES",
    ]),
    later(
        "Redis by sentinels or by a cloud's own sign-in; give an address",
        &["REDIS_SENTINEL_*", "REDIS_GCP_*", "REDIS_*"],
    ),
    ignored("every feature is included", &["LITELLM_LICENSE"]),
    ignored("there are no Python workers", &["NUM_WORKERS", "MAX_REQUESTS_BEFORE_RESTART", "KEEPALIVE_TIMEOUT"]),
    ignored("migrations are built in", &["USE_PRISMA_MIGRATE", "DISABLE_SCHEMA_UPDATE"]),
    ignored(
        "spend is booked once per call from a durable spool, not on a timer",
        &["PROXY_BATCH_WRITE_AT", "SPEND_LOG_QUEUE_SIZE_THRESHOLD"],
    ),
    ignored(
        "the price table is shipped with each release",
        &["LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_MODEL_COST_MAP_URL"],
    ),
    ignored(
        "weak keys start with a warning; to run without one takes the flag `--insecure-no-auth`",
        &["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"],
    ),
    ignored("every change is audited", &["LITELLM_STORE_AUDIT_LOGS"]),
    ignored("`created` of a model is always LiteLLM's default", &["DEFAULT_MODEL_CREATED_AT_TIME"]),
    later("its Helm name; set `LITELLM_MASTER_KEY`", &["PROXY_MASTER_KEY"]),
    later(
        "the parts of a database address; set `DATABASE_URL`",
        &[
            "DATABASE_HOST",
            "DATABASE_PORT",
            "DATABASE_NAME",
            "DATABASE_USER",
            "DATABASE_USERNAME",
            "DATABASE_PASSWORD",
            "DATABASE_SCHEMA",
            "DATABASE_URL_READ_REPLICA",
            "IAM_TOKEN_DB_AUTH",
        ],
    ),
    later(
        "configs from a bucket",
        &["LITELLM_CONFIG_BUCKET_NAME", "LITELLM_CONFIG_BUCKET_OBJECT_KEY", "LITELLM_CONFIG_BUCKET_TYPE"],
    ),
    later("LiteLLM's log settings; see `--help`", &["LITELLM_LOG", "LITELLM_MODE", "LITELLM_DETAILED_TIMING"]),
    later(
        "process settings by this name; see `--help`",
        &[
            "GRACEFUL_SHUTDOWN_TIMEOUT",
            "SERVER_ROOT_PATH",
            "SERVER_ROOT_PATHS",
            "PROXY_BASE_URL",
            "SEPARATE_HEALTH_APP",
            "SEPARATE_HEALTH_PORT",
            "DRAIN_ENDPOINT_TOKEN",
        ],
    ),
    later(
        "switching parts off; separate planes do that by themselves",
        &["DISABLE_ADMIN_ENDPOINTS", "DISABLE_LLM_API_ENDPOINTS", "DISABLE_ADMIN_UI"],
    ),
    later(
        "branding of the API's pages",
        &[
            "DOCS_TITLE",
            "DOCS_DESCRIPTION",
            "DOCS_FILTERED",
            "DOCS_URL",
            "NO_DOCS",
            "REDOC_URL",
            "NO_REDOC",
            "OPENAPI_URL",
            "NO_OPENAPI",
            "ROOT_REDIRECT_URL",
        ],
    ),
    later(
        "the dashboard",
        &[
            "UI_USERNAME",
            "UI_PASSWORD",
            "UI_LOGO_PATH",
            "UI_LOGO_PATH_DARK",
            "LITELLM_FAVICON_URL",
            "LITELLM_UI_API_DOC_BASE_URL",
            "LITELLM_UI_SESSION_DURATION",
            "LITELLM_CLI_JWT_EXPIRATION_HOURS",
            "PROXY_LOGOUT_URL",
            "AUTO_REDIRECT_UI_LOGIN_TO_SSO",
            "PROXY_DEFAULT_TEAM_DISABLED",
        ],
    ),
    later(
        "single sign-on",
        &[
            "GOOGLE_CLIENT_ID",
            "GOOGLE_CLIENT_SECRET",
            "MICROSOFT_*",
            "GENERIC_*",
            "PKCE_STRICT_CACHE_MISS",
            "ALLOWED_EMAIL_DOMAINS",
            "PROXY_ADMIN_ID",
        ],
    ),
    later("JWT sign-in", &["JWT_PUBLIC_KEY_URL", "JWT_AUDIENCE", "JWT_ISSUER"]),
    later(
        "OAuth2 sign-in",
        &[
            "OAUTH_TOKEN_INFO_ENDPOINT",
            "OAUTH_CLIENT_ID",
            "OAUTH_CLIENT_SECRET",
            "OAUTH_USER_ID_FIELD_NAME",
            "OAUTH_USER_ROLE_FIELD_NAME",
            "OAUTH_USER_TEAM_ID_FIELD_NAME",
        ],
    ),
    later(
        "secret managers",
        &[
            "USE_AWS_KMS",
            "LITELLM_SECRET_AWS_KMS_*",
            "GOOGLE_SECRET_MANAGER_*",
            "GOOGLE_KMS_RESOURCE_NAME",
            "AZURE_KEY_VAULT_URI",
            "HCP_VAULT_*",
            "CYBERARK_*",
            "LITELLM_OIDC_ALLOWED_CREDENTIAL_DIRS",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "CIRCLE_OIDC_TOKEN",
            "CIRCLE_OIDC_TOKEN_V2",
        ],
    ),
    later(
        "signing in to Entra ID",
        &[
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_ID",
            "AZURE_CLIENT_SECRET",
            "AZURE_USERNAME",
            "AZURE_PASSWORD",
            "AZURE_SCOPE",
            "AZURE_FEDERATED_TOKEN_FILE",
        ],
    ),
    later(
        "providers that are not built yet",
        &[
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_API_BASE",
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_AUTH_TOKEN",
            "AWS_*",
            "GEMINI_API_KEY",
            "GEMINI_API_BASE",
            "GOOGLE_API_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "VERTEXAI_PROJECT",
            "VERTEXAI_LOCATION",
            "VERTEXAI_CREDENTIALS",
            "VERTEX_LOCATION",
            "DEFAULT_VERTEXAI_PROJECT",
            "DEFAULT_VERTEXAI_LOCATION",
            "DEFAULT_GOOGLE_APPLICATION_CREDENTIALS",
            "COHERE_API_KEY",
            "CO_API_KEY",
            "COHERE_API_BASE",
            "OPENAI_ADMIN_KEY",
        ],
    ),
    later(
        "limits and timeouts by environment; set them in `router_settings`",
        &[
            "REQUEST_TIMEOUT",
            "ROUTER_MAX_FALLBACKS",
            "DEFAULT_ALLOWED_FAILS",
            "DEFAULT_COOLDOWN_TIME_SECONDS",
            "LITELLM_ENVIRONMENT",
        ],
    ),
    later(
        "details of streams",
        &[
            "REPEATED_STREAMING_CHUNK_LIMIT",
            "LITELLM_MAX_STREAMING_DURATION_SECONDS",
            "CACHED_STREAMING_CHUNK_DELAY",
            "AUDIO_SPEECH_CHUNK_SIZE",
        ],
    ),
    later(
        "translation between dialects",
        &[
            "DEFAULT_ANTHROPIC_CHAT_MAX_TOKENS",
            "DEFAULT_REASONING_EFFORT_*",
            "LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES",
            "LITELLM_ROUTE_ALL_CHAT_OPENAI_TO_RESPONSES",
            "LITELLM_DEFAULT_EMBEDDING_ENCODING_FORMAT",
        ],
    ),
    later(
        "rules for keys",
        &[
            "DISABLE_KEY_NAME",
            "MINIMUM_CUSTOM_KEY_LENGTH",
            "LENGTH_OF_LITELLM_GENERATED_KEY",
            "LITELLM_KEY_ROTATION_*",
            "LITELLM_ENABLE_TEAM_STALE_ALIAS_BYPASS",
        ],
    ),
    later(
        "budgets and rate limits",
        &[
            "LITELLM_RATE_LIMIT_WINDOW_SIZE",
            "LITELLM_TPM_TOKEN_RESERVATION_ENABLED",
            "PROXY_BUDGET_RESCHEDULER_MIN_TIME",
            "PROXY_BUDGET_RESCHEDULER_MAX_TIME",
        ],
    ),
    later("storing prompts", &["STORE_PROMPTS_IN_SPEND_LOGS", "MAX_STRING_LENGTH_PROMPT_IN_DB"]),
    later("deleting old rows", &["SPEND_LOG_CLEANUP_*", "SPEND_LOG_RUN_LOOPS", "MAXIMUM_SPEND_LOGS_*"]),
    later(
        "guardrails",
        &[
            "LLM_GUARD_API_BASE",
            "PRESIDIO_ANALYZER_API_BASE",
            "PRESIDIO_ANONYMIZER_API_BASE",
            "LAKERA_API_KEY",
            "LAKERA_API_BASE",
            "APORIO_API_KEY",
            "APORIO_API_BASE",
            "DEFAULT_PROMPT_INJECTION_SIMILARITY_THRESHOLD",
        ],
    ),
    later(
        "callbacks",
        &[
            "LANGFUSE_*",
            "LANGSMITH_*",
            "DD_*",
            "LITELLM_DD_AGENT_HOST",
            "GCS_*",
            "AZURE_STORAGE_*",
            "GENERIC_LOGGER_ENDPOINT",
            "GENERIC_LOGGER_HEADERS",
            "OPENMETER_*",
            "LAGO_*",
            "SENTRY_DSN",
            "DEFAULT_BATCH_SIZE",
            "DEFAULT_FLUSH_INTERVAL_SECONDS",
            "QDRANT_*",
        ],
    ),
    later(
        "OpenTelemetry and Prometheus by LiteLLM's names",
        &["OTEL_*", "USE_OTEL_LITELLM_REQUEST_SPAN", "LITELLM_OTEL_*", "PROMETHEUS_MULTIPROC_DIR"],
    ),
    later(
        "alerting and e-mail",
        &[
            "SLACK_WEBHOOK_URL",
            "SLACK_DAILY_REPORT_FREQUENCY",
            "ALERTING_WEBHOOK_URL",
            "MS_TEAMS_WEBHOOK_URL",
            "WEBHOOK_URL",
            "PAGERDUTY_API_KEY",
            "SMTP_*",
            "RESEND_*",
            "SENDGRID_*",
            "EMAIL_*",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_variable_stands_in_the_table_once() {
        let mut names = BTreeSet::new();
        for name in ENVIRONMENT.iter().flat_map(|group| group.names) {
            assert!(names.insert(name), "{name} twice");
        }
    }

    #[test]
    fn a_variable_that_providers_read_is_not_listed_as_missing() {
        let listed: BTreeSet<&str> = ENVIRONMENT.iter().flat_map(|group| group.names).copied().collect();
        let both: Vec<&str> =
            super::super::provider_variables().into_iter().filter(|name| listed.contains(name)).collect();
        assert!(both.is_empty(), "{both:?}");
    }
}
