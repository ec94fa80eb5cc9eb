//! The fields of a key, as requests name them. What has a rule is a column; the rest is kept and shown again.

use crate::http::fields::{Field, Shape, optional};

/// Fields with a column or a rule of their own, in requests that make or change a key.
pub(super) const COLUMNS: &[Field] = &[
    optional("key_alias", Shape::Text, "A name for the key, unique among all keys."),
    optional(
        "duration",
        Shape::Text,
        "How long the key lives: `30s`, `30m`, `30h`, `30d`, `2w`, `1mo`. Absent: forever.",
    ),
    optional("models", Shape::Texts, "Models that the key may call. Empty: all that its team and user may."),
    optional("aliases", Shape::TextMap, "Model aliases of this key: `{alias: model}`."),
    optional("config", Shape::Object, "Per-key configuration (deprecated). Proxy admins only."),
    optional("spend", Shape::Number, "Spend so far, in US dollars."),
    optional("max_budget", Shape::Usd, "Most that the key may spend, in US dollars."),
    optional("soft_budget", Shape::Usd, "Spend at which somebody is told, in US dollars."),
    optional("budget_duration", Shape::Text, "How often the budget starts anew, as `duration`."),
    optional("user_id", Shape::Text, "The user whom the key belongs to."),
    optional("team_id", Shape::Text, "The team whom the key belongs to."),
    optional("organization_id", Shape::Text, "The organization whom the key belongs to."),
    optional("tpm_limit", Shape::Whole, "Tokens per minute."),
    optional("rpm_limit", Shape::Whole, "Requests per minute."),
    optional("max_parallel_requests", Shape::Whole, "Requests at once."),
    optional("metadata", Shape::Object, "Anything that you want to keep with the key."),
    optional("permissions", Shape::Object, "Special permissions. Proxy admins only."),
    optional("allowed_routes", Shape::Texts, "Routes that the key may call. Empty: all. Proxy admins only."),
    optional("allowed_cache_controls", Shape::Texts, "Cache controls that callers with this key may send."),
    optional("blocked", Shape::Truth, "Whether the key is refused."),
];

/// Fields that are kept in the key's metadata, where LiteLLM's clients look for them.
pub(super) const METADATA: &[Field] = &[
    optional("tags", Shape::Texts, "Tags for routing and spend."),
    optional("model_rpm_limit", Shape::Object, "Requests per minute of each model."),
    optional("model_tpm_limit", Shape::Object, "Tokens per minute of each model."),
    optional("mcp_rpm_limit", Shape::Object, "Requests per minute of each MCP server."),
    optional("tag_rpm_limit", Shape::Object, "Requests per minute of each tag."),
    optional("tpm_limit_type", Shape::Choice(LIMIT_TYPES), "How `tpm_limit` is meant."),
    optional("rpm_limit_type", Shape::Choice(LIMIT_TYPES), "How `rpm_limit` is meant."),
    optional("guardrails", Shape::Texts, "Guardrails for calls with this key."),
    optional("disable_global_guardrails", Shape::Truth, "Whether guardrails for everybody are left out."),
    optional("prompts", Shape::Texts, "Prompts that the key may use."),
    optional("enforced_params", Shape::Texts, "Parameters that every call must have."),
    optional("throttle_on_budget_exceeded", Shape::Truth, "Whether a spent budget slows calls down instead."),
    optional("enable_prompt_caching", Shape::Truth, "Whether prompts are marked for the provider's cache."),
    optional("allowed_passthrough_routes", Shape::Texts, "Pass-through routes that the key may call."),
    optional("denied_passthrough_routes", Shape::Texts, "Pass-through routes that the key may not call."),
    optional("allowed_vector_store_indexes", Shape::Any, "Vector stores that the key may use."),
    optional("temp_budget_increase", Shape::Number, "Added to the budget until `temp_budget_expiry`, in US dollars."),
    optional("temp_budget_expiry", Shape::Text, "When `temp_budget_increase` ends."),
];

/// Fields that are kept as they came and have no rule yet.
pub(super) const KEPT: &[Field] = &[
    optional("budget_id", Shape::Text, "A shared budget."),
    optional("budget_limits", Shape::Objects, "Several budgets at once: `[{budget_duration, max_budget}]`."),
    optional("budget_fallbacks", Shape::Object, "Cheaper models for a model whose own budget is spent."),
    optional("end_user_budget_id", Shape::Text, "The budget of customers seen through this key."),
    optional("model_max_budget", Shape::Object, "A budget of each model."),
    optional("tpd_limit", Shape::Whole, "Tokens per day."),
    optional("project_id", Shape::Text, "The project whom the key belongs to."),
    optional("agent_id", Shape::Text, "The agent whom the key belongs to."),
    optional("policies", Shape::Texts, "Policies for calls with this key."),
    optional("auto_rotate", Shape::Truth, "Whether the key is replaced from time to time."),
    optional("rotation_interval", Shape::Text, "How often, as `duration`."),
    optional("router_settings", Shape::Object, "Router settings for calls with this key."),
    optional("object_permission", Shape::Object, "MCP servers, vector stores, agents that the key may use."),
    optional("access_group_ids", Shape::Texts, "Access groups of the key."),
    optional("send_invite_email", Shape::Truth, "Whether the owner gets a mail."),
];

const LIMIT_TYPES: &[&str] = &["guaranteed_throughput", "best_effort_throughput", "dynamic"];

/// A field of metadata: believe `litellm-changed-by` of callers with this key (or of this team).
pub(crate) const CHANGED_BY_FLAG: &str = "allow_litellm_changed_by_header";

/// In the metadata of a key that belongs to a team and to no user. It stays as it was made.
pub(super) const SERVICE_ACCOUNT: &str = "service_account_id";

/// Fields of metadata that limit what a key may do. Its holder neither changes nor removes them.
pub(super) const LIMITING_METADATA: &[&str] =
    &["model_rpm_limit", "model_tpm_limit", "tag_rpm_limit", "enforced_params"];

/// Fields of metadata that widen what a key may do. Only proxy admins set them.
pub(super) const RESERVED_METADATA: &[&str] = &[
    CHANGED_BY_FLAG,
    "allow_client_mock_response",
    "temp_budget_increase",
    "temp_budget_expiry",
    "throttle_on_budget_exceeded",
];
