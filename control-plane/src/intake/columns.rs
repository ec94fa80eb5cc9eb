//! Bookings turned into columns, as one `unnest` takes them, and how enumerations are written.

use proto::v1 as pb;
use serde_json::Value;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::event::Booking;
use super::newest::Newest;

/// One vector per column of `spend_logs`.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) day: Vec<Date>,
    pub(super) event_id: Vec<Uuid>,
    pub(super) request_id: Vec<&'a str>,
    pub(super) call_id: Vec<&'a str>,
    pub(super) call_type: Vec<&'a str>,
    pub(super) key_hash: Vec<Option<&'a [u8]>>,
    pub(super) key_alias: Vec<Option<&'a str>>,
    pub(super) master_key: Vec<bool>,
    pub(super) user_id: Vec<Option<&'a str>>,
    pub(super) team_id: Vec<Option<&'a str>>,
    pub(super) team_alias: Vec<Option<&'a str>>,
    pub(super) organization_id: Vec<Option<&'a str>>,
    pub(super) end_user: Vec<Option<&'a str>>,
    pub(super) model: Vec<&'a str>,
    pub(super) model_group: Vec<&'a str>,
    pub(super) deployment_id: Vec<&'a str>,
    pub(super) provider: Vec<&'a str>,
    pub(super) api_base: Vec<&'a str>,
    pub(super) started_at: Vec<OffsetDateTime>,
    pub(super) first_byte_at: Vec<Option<OffsetDateTime>>,
    pub(super) ended_at: Vec<OffsetDateTime>,
    pub(super) prompt_tokens: Vec<i64>,
    pub(super) completion_tokens: Vec<i64>,
    pub(super) total_tokens: Vec<i64>,
    pub(super) token_details: Vec<&'a Value>,
    pub(super) usage_source: Vec<&'static str>,
    pub(super) estimate_method: Vec<Option<&'a str>>,
    pub(super) price_state: Vec<&'static str>,
    pub(super) price_source: Vec<Option<&'a str>>,
    pub(super) cost_nano_usd: Vec<i64>,
    pub(super) ending: Vec<&'static str>,
    pub(super) success: Vec<bool>,
    pub(super) status: Vec<i32>,
    /// JSON arrays: PostgreSQL has no ragged arrays of arrays.
    pub(super) tags: Vec<Value>,
    pub(super) error_class: Vec<Option<&'a str>>,
    pub(super) error_message: Vec<Option<&'a str>>,
    pub(super) attempt: Vec<i32>,
    pub(super) client_ip: Vec<Option<&'a str>>,
    pub(super) user_agent: Vec<Option<&'a str>>,
    pub(super) session_id: Vec<Option<&'a str>>,
    pub(super) streamed: Vec<bool>,
    pub(super) metadata: Vec<Option<&'a Value>>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(bookings: &'a [Booking], newest: &'a Newest) -> Self {
        let mut columns = Self::default();
        for booking in bookings {
            columns.push(booking, newest);
        }
        columns
    }

    fn push(&mut self, booking: &'a Booking, newest: &'a Newest) {
        let event = &booking.event;
        self.day.push(booking.day);
        self.event_id.push(booking.id);
        self.request_id.push(&event.request_id);
        self.call_id.push(&event.call_id);
        self.call_type.push(&event.call_type);
        self.key_hash.push(newest.hash(booking));
        self.key_alias.push(present(&event.key_alias));
        self.master_key.push(event.master_key);
        self.user_id.push(present(&event.user_id));
        self.team_id.push(present(&event.team_id));
        self.team_alias.push(present(&event.team_alias));
        self.organization_id.push(present(&event.organization_id));
        self.end_user.push(present(&event.end_user));
        self.model.push(&event.model);
        self.model_group.push(&event.model_group);
        self.deployment_id.push(&event.deployment_id);
        self.provider.push(&event.provider);
        self.api_base.push(&event.api_base);
        self.started_at.push(booking.started_at);
        self.first_byte_at.push(booking.first_byte_at);
        self.ended_at.push(booking.ended_at);
        self.prompt_tokens.push(booking.prompt_tokens);
        self.completion_tokens.push(booking.completion_tokens);
        self.total_tokens.push(booking.total_tokens);
        self.token_details.push(&booking.token_details);
        self.usage_source.push(usage_source(event.usage_source()));
        self.estimate_method.push(present(&event.estimate_method));
        self.price_state.push(price_state(event.price_state()));
        self.price_source.push(present(&event.price_source));
        self.cost_nano_usd.push(event.cost_nano_usd);
        self.ending.push(ending(event.ending()));
        self.success.push(event.success);
        self.status.push(booking.status);
        self.tags.push(booking.tags.clone().into());
        self.error_class.push(present(&event.error_class));
        self.error_message.push(present(&event.error_message));
        self.attempt.push(booking.attempt);
        self.client_ip.push(present(&event.client_ip));
        self.user_agent.push(present(&event.user_agent));
        self.session_id.push(present(&event.session_id));
        self.streamed.push(event.streamed);
        self.metadata.push(booking.metadata.as_ref());
    }
}

fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn usage_source(source: pb::UsageSource) -> &'static str {
    match source {
        pb::UsageSource::None => "none",
        pb::UsageSource::Reported => "reported",
        pb::UsageSource::Estimated => "estimated",
    }
}

fn price_state(state: pb::PriceState) -> &'static str {
    match state {
        pb::PriceState::Unknown => "unknown",
        pb::PriceState::Known => "known",
        pb::PriceState::Free => "free",
    }
}

fn ending(ending: pb::Ending) -> &'static str {
    match ending {
        pb::Ending::Unspecified => "unspecified",
        pb::Ending::Complete => "complete",
        pb::Ending::ClientLeft => "client_left",
        pb::Ending::UpstreamCut => "upstream_cut",
        pb::Ending::UpstreamStalled => "upstream_stalled",
        pb::Ending::LimitReached => "limit_reached",
        pb::Ending::Drained => "drained",
        pb::Ending::Interrupted => "interrupted",
        pb::Ending::Refused => "refused",
    }
}
