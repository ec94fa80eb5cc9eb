//! A call as `/spend/logs` shows it: LiteLLM's names, and what only we know under `turnpike`.

use proto::NanoUsd;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::log::{Row, key_name};
use crate::http::moment::Moment;

/// One call to a provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallView {
    request_id: String,
    call_type: String,
    /// The key's hash, or the master key's alias.
    api_key: String,
    /// US dollars.
    spend: f64,
    total_tokens: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    #[serde(rename = "startTime")]
    start_time: Moment,
    #[serde(rename = "endTime")]
    end_time: Moment,
    #[serde(rename = "completionStartTime")]
    completion_start_time: Moment,
    request_duration_ms: i64,
    model: String,
    model_id: String,
    model_group: String,
    custom_llm_provider: String,
    api_base: String,
    user: String,
    team_id: Option<String>,
    organization_id: Option<String>,
    end_user: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
    cache_hit: &'static str,
    cache_key: &'static str,
    request_tags: Vec<String>,
    requester_ip_address: Option<String>,
    #[schema(value_type = Object)]
    messages: Map<String, Value>,
    #[schema(value_type = Object)]
    response: Map<String, Value>,
    #[schema(value_type = Object)]
    proxy_server_request: Map<String, Value>,
    session_id: Option<String>,
    /// `success` or `failure`.
    status: &'static str,
    mcp_namespaced_tool_name: Option<String>,
    agent_id: Option<String>,
    billing_agent_id: Option<String>,
    litellm_call_id: String,
    created_at: Moment,
    updated_at: Moment,
    turnpike: CallDetails,
}

/// What only Turnpike knows of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallDetails {
    #[schema(value_type = String)]
    event_id: Uuid,
    data_plane_id: String,
    /// How the call ended.
    ending: String,
    http_status: i32,
    attempt: i32,
    streamed: bool,
    /// `reported`, `estimated` or `none`.
    usage_source: String,
    /// How tokens were estimated.
    estimate_method: Option<String>,
    /// `known`, `free` or `unknown`; an unknown price is booked as 0 and is none.
    price_state: String,
    price_source: Option<String>,
    /// Billionths of a US dollar.
    cost_nano_usd: i64,
}

impl CallView {
    /// The view of a row.
    pub(super) fn of(row: Row) -> Self {
        let status = if row.success { "success" } else { "failure" };
        let api_key = key_name(row.key_hash.as_deref(), row.master_key);
        let duration = row.ended_at - row.started_at;
        Self {
            metadata: metadata(&row, &api_key, status),
            api_key,
            spend: NanoUsd::from_nanos(row.cost_nano_usd).to_usd(),
            total_tokens: row.total_tokens,
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            start_time: Moment(row.started_at),
            end_time: Moment(row.ended_at),
            completion_start_time: Moment(row.first_byte_at.unwrap_or(row.ended_at)),
            request_duration_ms: i64::try_from(duration.whole_milliseconds()).unwrap_or(i64::MAX),
            model: row.model,
            model_id: row.deployment_id,
            model_group: row.model_group,
            custom_llm_provider: row.provider,
            api_base: row.api_base,
            user: row.user_id.unwrap_or_default(),
            team_id: row.team_id,
            organization_id: row.organization_id,
            end_user: row.end_user,
            cache_hit: "None",
            cache_key: "Cache OFF",
            request_tags: row.tags,
            requester_ip_address: row.client_ip,
            messages: Map::new(),
            response: Map::new(),
            proxy_server_request: Map::new(),
            session_id: row.session_id,
            status,
            mcp_namespaced_tool_name: None,
            agent_id: None,
            billing_agent_id: None,
            request_id: row.request_id,
            call_type: row.call_type,
            litellm_call_id: row.call_id,
            created_at: Moment(row.taken_in_at),
            updated_at: Moment(row.taken_in_at),
            turnpike: CallDetails {
                event_id: row.event_id,
                data_plane_id: row.data_plane_id,
                ending: row.ending,
                http_status: row.status,
                attempt: row.attempt,
                streamed: row.streamed,
                usage_source: row.usage_source,
                estimate_method: row.estimate_method,
                price_state: row.price_state,
                price_source: row.price_source,
                cost_nano_usd: row.cost_nano_usd,
            },
        }
    }
}

/// LiteLLM's `metadata` of a row: always the same names.
fn metadata(row: &Row, api_key: &str, status: &str) -> Value {
    let error = row.error_class.as_ref().map(|class| {
        json!({
            "error_code": row.status.to_string(), "error_class": class, "llm_provider": row.provider, "traceback": "",
            "error_message": row.error_message,
        })
    });
    let usage = json!({
        "prompt_tokens": row.prompt_tokens, "completion_tokens": row.completion_tokens,
        "total_tokens": row.total_tokens,
    });
    json!({
        "user_api_key": api_key, "user_api_key_alias": row.key_alias, "user_api_key_team_id": row.team_id,
        "user_api_key_team_alias": row.team_alias, "user_api_key_user_id": row.user_id,
        "user_api_key_org_id": row.organization_id, "user_api_key_project_id": null,
        "user_api_key_project_alias": null, "spend_logs_metadata": row.spend_logs_metadata,
        "requester_ip_address": row.client_ip, "user_agent": row.user_agent, "litellm_call_id": row.call_id,
        "applied_guardrails": [], "guardrail_information": null, "mcp_tool_call_metadata": null,
        "vector_store_request_metadata": null, "status": status, "error_information": error, "usage_object": usage,
        "additional_usage_values": row.token_details, "attempted_retries": row.attempt,
    })
}
