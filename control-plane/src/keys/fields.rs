//! The fields of a key, as requests name them, each with its rule: what somebody who is no proxy admin may say of it. What has a
//! meaning of its own is a column; the rest is kept and shown again.
//!
//! [`super::rights`] holds requests to the rules. A field cannot be written down without one.

use super::rights::Right::{self, Admins, AtMost, Free, Handed, Keeps, Own, Same, Within};
use crate::http::fields::{Field, Shape, optional};

/// A field, and the rules of it in a new key and in a change.
pub(super) struct Ruled {
    field: Field,
    pub(super) made: Right,
    pub(super) changed: Right,
}

const fn ruled(name: &'static str, shape: Shape, made: Right, changed: Right, about: &'static str) -> Ruled {
    Ruled { field: optional(name, shape, about), made, changed }
}

impl Ruled {
    /// The field's name.
    pub(super) fn name(&self) -> &'static str {
        self.field.name
    }
}

/// The fields without their rules, as requests list them.
const fn fields<const COUNT: usize>(ruled: &[Ruled; COUNT]) -> [Field; COUNT] {
    const NONE: Field = optional("", Shape::Any, "");
    let mut fields = [NONE; COUNT];
    let mut index = 0;
    while index < COUNT {
        let Field { name, shape, about, .. } = ruled[index].field;
        fields[index] = optional(name, shape, about);
        index += 1;
    }
    fields
}

/// Fields of a new key alone.
pub(super) const MAKING: &[Field] = &fields(&MAKING_RULES);

/// Fields with a column or a meaning of their own, in requests that make or change a key.
pub(super) const COLUMNS: &[Field] = &fields(&COLUMN_RULES);

/// Fields that are kept in the key's metadata, where LiteLLM's clients look for them.
pub(super) const METADATA: &[Field] = &fields(&METADATA_RULES);

/// Fields that are kept as they came.
pub(super) const KEPT: &[Field] = &fields(&KEPT_RULES);

pub(super) const MAKING_RULES: [Ruled; 2] = [
    ruled(
        "key",
        Shape::Text,
        Free,
        Free,
        "The key itself, `sk-` and at least 13 more characters. Absent: a random one.",
    ),
    ruled("key_type", KEY_TYPE, Own, Own, "Which routes the key is for. `management`: proxy admins only."),
];

const KEY_TYPE: Shape = Shape::Choice(KEY_TYPES);

pub(super) const KEY_TYPES: &[&str] = &["default", "llm_api", "management", "read_only"];

pub(super) const COLUMN_RULES: [Ruled; 21] = [
    ruled("key_alias", Shape::Text, Free, Free, "A name for the key, unique among all keys."),
    ruled(
        "duration",
        Shape::Text,
        Own,
        Own,
        "How long the key lives: `30s`, `30m`, `30h`, `30d`, `2w`, `1mo`. Absent: forever.",
    ),
    ruled("models", Shape::Texts, Own, Own, "Models that the key may call. Empty: all that its team and user may."),
    ruled("aliases", Shape::TextMap, Free, Free, "Model aliases of this key: `{alias: model}`."),
    ruled("config", Shape::Object, Admins, Admins, "Per-key configuration (deprecated). Proxy admins only."),
    ruled("spend", Shape::Number, Admins, Admins, "Spend so far, in US dollars."),
    ruled("max_budget", Shape::Usd, Own, Admins, "Most that the key may spend, in US dollars."),
    ruled("soft_budget", Shape::Usd, Free, Admins, "Spend at which somebody is told, in US dollars."),
    ruled("budget_duration", Shape::Text, Own, Admins, "How often the budget starts anew, as `duration`."),
    ruled(
        "budget_id",
        Shape::Text,
        Own,
        Admins,
        "A budget to share: limits that the key has none of are those of the budget.",
    ),
    ruled("user_id", Shape::Text, Own, Admins, "The user whom the key belongs to."),
    ruled("team_id", Shape::Text, Own, Admins, "The team whom the key belongs to."),
    ruled("organization_id", Shape::Text, Admins, Admins, "The organization whom the key belongs to."),
    ruled("tpm_limit", Shape::Whole, Own, Own, "Tokens per minute."),
    ruled("rpm_limit", Shape::Whole, Own, Own, "Requests per minute."),
    ruled("max_parallel_requests", Shape::Whole, Own, Own, "Requests at once."),
    ruled("metadata", Shape::Object, Own, Own, "Anything that you want to keep with the key."),
    ruled("permissions", Shape::Object, Admins, Admins, "Special permissions. Proxy admins only."),
    ruled(
        "allowed_routes",
        Shape::Texts,
        Admins,
        Admins,
        "Routes that the key may call. Empty: all. Proxy admins only.",
    ),
    ruled("allowed_cache_controls", Shape::Texts, Own, Own, "Cache controls that callers with this key may send."),
    ruled("blocked", Shape::Truth, Free, Admins, "Whether the key is refused."),
];

pub(super) const METADATA_RULES: [Ruled; 18] = [
    ruled("tags", Shape::Texts, Keeps, Keeps, "Tags for routing and spend."),
    ruled("model_rpm_limit", Shape::Object, Same, Same, "Requests per minute of each model."),
    ruled("model_tpm_limit", Shape::Object, Same, Same, "Tokens per minute of each model."),
    ruled("mcp_rpm_limit", Shape::Object, Same, Same, "Requests per minute of each MCP server."),
    ruled("tag_rpm_limit", Shape::Object, Same, Same, "Requests per minute of each tag."),
    ruled("tpm_limit_type", Shape::Choice(LIMIT_TYPES), Same, Same, "How `tpm_limit` is meant."),
    ruled("rpm_limit_type", Shape::Choice(LIMIT_TYPES), Same, Same, "How `rpm_limit` is meant."),
    ruled("guardrails", Shape::Texts, Keeps, Keeps, "Guardrails for calls with this key."),
    ruled("disable_global_guardrails", Shape::Truth, Admins, Admins, "Whether guardrails for everybody are left out."),
    ruled("prompts", Shape::Texts, Within, Within, "Prompts that the key may use."),
    ruled("enforced_params", Shape::Texts, Keeps, Keeps, "Parameters that every call must have."),
    ruled(
        "throttle_on_budget_exceeded",
        Shape::Truth,
        Admins,
        Admins,
        "Whether a spent budget slows calls down instead.",
    ),
    ruled("enable_prompt_caching", Shape::Truth, Free, Free, "Whether prompts are marked for the provider's cache."),
    ruled("allowed_passthrough_routes", Shape::Texts, Admins, Admins, "Pass-through routes that the key may call."),
    ruled("denied_passthrough_routes", Shape::Texts, Keeps, Keeps, "Pass-through routes that the key may not call."),
    ruled("allowed_vector_store_indexes", Shape::Any, Same, Same, "Vector stores that the key may use."),
    ruled(
        "temp_budget_increase",
        Shape::Number,
        Admins,
        Admins,
        "Added to the budget until `temp_budget_expiry`, in US dollars.",
    ),
    ruled("temp_budget_expiry", Shape::Text, Admins, Admins, "When `temp_budget_increase` ends."),
];

pub(super) const KEPT_RULES: [Ruled; 14] = [
    ruled("budget_limits", Shape::Objects, Same, Admins, "Several budgets at once: `[{budget_duration, max_budget}]`."),
    ruled("budget_fallbacks", Shape::Object, Free, Free, "Cheaper models for a model whose own budget is spent."),
    ruled("end_user_budget_id", Shape::Text, Handed, Admins, "The budget of customers seen through this key."),
    ruled("model_max_budget", Shape::Object, Same, Admins, "A budget of each model."),
    ruled("tpd_limit", Shape::Whole, AtMost, AtMost, "Tokens per day."),
    ruled("project_id", Shape::Text, Same, Admins, "The project whom the key belongs to."),
    ruled("agent_id", Shape::Text, Same, Same, "The agent whom the key belongs to."),
    ruled("policies", Shape::Texts, Keeps, Keeps, "Policies for calls with this key."),
    ruled("auto_rotate", Shape::Truth, Free, Free, "Whether the key is replaced from time to time."),
    ruled("rotation_interval", Shape::Text, Free, Free, "How often, as `duration`."),
    ruled("router_settings", Shape::Object, Free, Free, "Router settings for calls with this key."),
    ruled("object_permission", Shape::Object, Same, Same, "MCP servers, vector stores, agents that the key may use."),
    ruled("access_group_ids", Shape::Texts, Admins, Admins, "Access groups of the key."),
    ruled("send_invite_email", Shape::Truth, Free, Free, "Whether the owner gets a mail."),
];

const LIMIT_TYPES: &[&str] = &["guaranteed_throughput", "best_effort_throughput", "dynamic"];

/// A field of metadata: believe `litellm-changed-by` of callers with this key (or of this team).
pub(crate) const CHANGED_BY_FLAG: &str = "allow_litellm_changed_by_header";

/// In the metadata of a key that belongs to a team and to no user. It stays as it was made.
pub(super) const SERVICE_ACCOUNT: &str = "service_account_id";

/// Members of metadata that are no fields, and widen what a key may do. Only proxy admins set them.
pub(super) const RESERVED_METADATA: &[&str] = &[CHANGED_BY_FLAG, "allow_client_mock_response"];
