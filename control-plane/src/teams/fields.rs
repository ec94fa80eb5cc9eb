//! The fields of a team, as requests name them. What has a rule is a column; the rest is kept and shown again.

use crate::http::fields::{Field, Shape, optional};

/// Fields with a column or a rule of their own.
pub(super) const COLUMNS: &[Field] = &[
    optional("team_alias", Shape::Text, "A name for the team."),
    optional("organization_id", Shape::Text, "The organization whom the team belongs to."),
    optional("models", Shape::Texts, "Models that the team may call. Empty: all."),
    optional("model_aliases", Shape::TextMap, "Model aliases of this team: `{alias: model}`."),
    optional("metadata", Shape::Object, "Anything that you want to keep with the team."),
    optional("blocked", Shape::Truth, "Whether calls with the team's keys are refused."),
    optional("max_budget", Shape::Usd, "Most that the team may spend, in US dollars."),
    optional("soft_budget", Shape::Usd, "Spend at which somebody is told, in US dollars; lower than `max_budget`."),
    optional(
        "budget_duration",
        Shape::Text,
        "How often the budget starts anew: `30s`, `30m`, `30h`, `30d`, `2w`, `1mo`.",
    ),
    optional("tpm_limit", Shape::Whole, "Tokens per minute."),
    optional("rpm_limit", Shape::Whole, "Requests per minute."),
    optional("max_parallel_requests", Shape::Whole, "Requests at once."),
];

/// Fields that are kept in the team's metadata, where LiteLLM's clients look for them.
pub(super) const METADATA: &[Field] = &[
    optional("tags", Shape::Texts, "Tags for routing and spend."),
    optional("guardrails", Shape::Texts, "Guardrails for calls of the team."),
    optional("disable_global_guardrails", Shape::Truth, "Whether guardrails for everybody are left out."),
    optional("prompts", Shape::Texts, "Prompts that the team may use."),
    optional("logging", Shape::Objects, "Where calls of the team are logged."),
    optional("model_rpm_limit", Shape::Object, "Requests per minute of each model."),
    optional("model_tpm_limit", Shape::Object, "Tokens per minute of each model."),
    optional("mcp_rpm_limit", Shape::Object, "Requests per minute of each MCP server."),
    optional("tpm_limit_type", Shape::Text, "How `tpm_limit` is meant."),
    optional("rpm_limit_type", Shape::Text, "How `rpm_limit` is meant."),
    optional("enforced_params", Shape::Texts, "Parameters that every call of the team must have."),
    optional("team_member_key_duration", Shape::Text, "How long keys of members live."),
    optional("allowed_passthrough_routes", Shape::Texts, "Pass-through routes that the team may call."),
    optional("denied_passthrough_routes", Shape::Texts, "Pass-through routes that the team may not call."),
    optional("secret_manager_settings", Shape::Object, "Where secrets of the team lie."),
    optional("enforced_file_expires_after", Shape::Object, "How long files of the team are kept."),
    optional("enforced_batch_output_expires_after", Shape::Object, "How long output of batches is kept."),
];

/// Fields that are kept as they came. Of these only `team_member_permissions` has a rule.
pub(super) const KEPT: &[Field] = &[
    optional("team_member_permissions", Shape::Texts, "Routes that members may call for keys of the team."),
    optional("tpd_limit", Shape::Whole, "Tokens per day."),
    optional("budget_limits", Shape::Objects, "Several budgets at once: `[{budget_duration, max_budget}]`."),
    optional("model_max_budget", Shape::Object, "A budget of each model."),
    optional("policies", Shape::Texts, "Policies for calls of the team."),
    optional("router_settings", Shape::Object, "Router settings for calls of the team."),
    optional("object_permission", Shape::Object, "MCP servers, vector stores, agents that the team may use."),
    optional("access_group_ids", Shape::Texts, "Access groups of the team."),
    optional("default_team_member_models", Shape::Texts, "Models of members who are added."),
    optional("admins", Shape::Any, "Deprecated: use `members_with_roles`."),
    optional("members", Shape::Any, "Deprecated: use `members_with_roles`."),
];
