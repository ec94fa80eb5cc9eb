//! A usage event, checked: what can be booked, or why it never can.
//!
//! What a client can influence (its end user, tags, agent, metadata) is made to fit instead of refused:
//! nobody leaves the books by sending odd text.

use bytes::Bytes;
use prost::Message as _;
use proto::v1 as pb;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// One call above this is a fault of somebody's arithmetic: 10,000 USD.
const MOST_NANO_USD: i64 = 10_000 * 1_000_000_000;

/// More tokens than any call can use.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// Names are parts of index entries, which PostgreSQL limits to a third of a page.
const NAME_BYTES: usize = 400;
const TEXT_BYTES: usize = 4_096;
const METADATA_BYTES: usize = 65_536;
const TAGS: usize = 100;

/// What the key of calls made with the master key is called in the books, as LiteLLM does.
pub(super) const MASTER_KEY_OWNER: &str = "litellm_proxy_master_key";

/// An event as it came over the wire.
pub(super) enum Arrived {
    Event(Box<pb::UsageEvent>),
    Unreadable(Bytes),
}

impl Arrived {
    pub(super) fn read(bytes: Bytes) -> Self {
        match pb::UsageEvent::decode(bytes.clone()) {
            Ok(event) => Self::Event(Box::new(event)),
            Err(_malformed) => Self::Unreadable(bytes),
        }
    }

    pub(super) fn id(&self) -> Option<Uuid> {
        match self {
            Self::Event(event) => Uuid::from_slice(&event.event_id).ok(),
            Self::Unreadable(_) => None,
        }
    }
}

/// An event that can be booked.
pub(super) struct Booking {
    pub(super) id: Uuid,
    pub(super) day: Date,
    pub(super) started_at: OffsetDateTime,
    pub(super) first_byte_at: Option<OffsetDateTime>,
    pub(super) ended_at: OffsetDateTime,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) total_tokens: i64,
    pub(super) token_details: Value,
    pub(super) metadata: Option<Value>,
    pub(super) tags: Vec<String>,
    pub(super) key_hash: Option<Vec<u8>>,
    pub(super) status: i32,
    pub(super) attempt: i32,
    /// The rest, with its texts made to fit.
    pub(super) event: pb::UsageEvent,
}

/// Why an event can never be booked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Poison {
    #[error("its bytes are no usage event")]
    Unreadable,
    #[error("event_id is not a UUID of version 7, whose time would say the day")]
    Id,
    #[error("key_hash has {0} bytes instead of 32")]
    KeyHash(usize),
    #[error("it costs {0} nano-dollars; a call costs from 0 to 10,000 USD")]
    Cost(i64),
    #[error("{name} is {count}; a call uses fewer than 10^12 tokens")]
    Tokens { name: &'static str, count: u64 },
    #[error("{0} is no time of this era")]
    Time(&'static str),
    #[error("{0} is out of range")]
    Number(&'static str),
    #[error("the database refuses it: {0}")]
    Database(String),
}

/// Checks one event.
pub(super) fn check(mut event: pb::UsageEvent) -> Result<Booking, Box<(pb::UsageEvent, Poison)>> {
    match figures(&event) {
        Err(poison) => Err(Box::new((event, poison))),
        Ok(figures) => {
            let metadata = metadata(&event.spend_logs_metadata_json);
            fit(&mut event);
            Ok(Booking { metadata, tags: tags(&event.tags), event, ..figures })
        }
    }
}

/// The day that an event is booked on, from its id. None for ids that are not UUIDs of version 7.
pub(super) fn day_of(id: &Uuid) -> Option<Date> {
    let (seconds, _) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    let made = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    Some(made.date())
}

fn figures(event: &pb::UsageEvent) -> Result<Booking, Poison> {
    let id = Uuid::from_slice(&event.event_id).map_err(|_malformed| Poison::Id)?;
    let day = day_of(&id).ok_or(Poison::Id)?;
    let key_hash = match event.key_hash.len() {
        0 => None,
        32 => Some(event.key_hash.to_vec()),
        bytes => return Err(Poison::KeyHash(bytes)),
    };
    if !(0..=MOST_NANO_USD).contains(&event.cost_nano_usd) {
        return Err(Poison::Cost(event.cost_nano_usd));
    }
    let used = event.tokens.unwrap_or_default();
    let count = |name: &'static str, count: u64| match i64::try_from(count) {
        Ok(whole) if count < MOST_TOKENS => Ok(whole),
        Ok(_) | Err(_) => Err(Poison::Tokens { name, count }),
    };
    let details = [
        ("cache_read", used.cache_read),
        ("cache_write", used.cache_write),
        ("cache_write_1h", used.cache_write_1h),
        ("input_audio", used.input_audio),
        ("output_audio", used.output_audio),
        ("reasoning", used.reasoning),
        ("input_image", used.input_image),
        ("output_image", used.output_image),
    ];
    let mut token_details = serde_json::Map::new();
    for (name, tokens) in details {
        if count(name, tokens)? > 0 {
            token_details.insert(name.to_owned(), json!(tokens));
        }
    }
    Ok(Booking {
        id,
        day,
        started_at: time_of("started_at_ms", event.started_at_ms)?,
        first_byte_at: match event.first_byte_at_ms {
            0 => None,
            at => Some(time_of("first_byte_at_ms", at)?),
        },
        ended_at: time_of("ended_at_ms", event.ended_at_ms)?,
        prompt_tokens: count("prompt", used.prompt)?,
        completion_tokens: count("completion", used.completion)?,
        total_tokens: count("total", used.total)?,
        token_details: Value::Object(token_details),
        metadata: None,
        tags: Vec::new(),
        key_hash,
        status: i32::try_from(event.status).map_err(|_too_large| Poison::Number("status"))?,
        attempt: i32::try_from(event.attempt).map_err(|_too_large| Poison::Number("attempt"))?,
        event: pb::UsageEvent::default(),
    })
}

fn time_of(name: &'static str, ms: i64) -> Result<OffsetDateTime, Poison> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .filter(|at| (1970..=9998).contains(&at.year()))
        .ok_or(Poison::Time(name))
}

/// Makes texts fit their columns. PostgreSQL takes no NUL.
fn fit(event: &mut pb::UsageEvent) {
    let names = [
        &mut event.request_id,
        &mut event.call_id,
        &mut event.call_type,
        &mut event.key_alias,
        &mut event.user_id,
        &mut event.team_id,
        &mut event.team_alias,
        &mut event.organization_id,
        &mut event.end_user,
        &mut event.model,
        &mut event.model_group,
        &mut event.deployment_id,
        &mut event.provider,
        &mut event.session_id,
        &mut event.client_ip,
        &mut event.error_class,
        &mut event.estimate_method,
        &mut event.price_source,
    ];
    for name in names {
        shorten(name, NAME_BYTES);
    }
    for text in [&mut event.api_base, &mut event.error_message, &mut event.user_agent] {
        shorten(text, TEXT_BYTES);
    }
}

/// Cuts a text that is too long, and ends it with a digest of all of it, so that different ones stay different.
fn shorten(text: &mut String, most_bytes: usize) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{FFFD}");
    }
    if text.len() > most_bytes {
        let digest = hex::encode(Sha256::digest(text.as_bytes()));
        let tail = digest.get(..16).unwrap_or_default();
        let end = text.floor_char_boundary(most_bytes.saturating_sub(tail.len() + 4));
        text.truncate(end);
        text.push_str("...");
        text.push_str(tail);
    }
}

fn tags(tags: &[String]) -> Vec<String> {
    let mut fitting: Vec<String> = tags.iter().take(TAGS).cloned().collect();
    fitting.iter_mut().for_each(|tag| shorten(tag, NAME_BYTES));
    fitting.sort_unstable();
    fitting.dedup();
    fitting
}

/// The client's own notes. What cannot be kept is replaced by a note that says so.
fn metadata(json: &str) -> Option<Value> {
    if json.is_empty() {
        return None;
    }
    if json.len() > METADATA_BYTES {
        return Some(json!({"turnpike_dropped": format!("{} bytes; at most {METADATA_BYTES} are kept", json.len())}));
    }
    match serde_json::from_str(json) {
        Ok(mut value) => {
            replace_nul(&mut value);
            Some(value)
        }
        Err(error) => Some(json!({"turnpike_dropped": format!("not JSON: {error}")})),
    }
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) => shorten(text, METADATA_BYTES),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(members) if members.keys().any(|name| name.contains('\0')) => {
            let clean = |(name, value): (String, Value)| (name.replace('\0', "\u{FFFD}"), value);
            *members = std::mem::take(members).into_iter().map(clean).collect();
            members.values_mut().for_each(replace_nul);
        }
        Value::Object(members) => members.values_mut().for_each(replace_nul),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> pb::UsageEvent {
        pb::UsageEvent { event_id: Uuid::now_v7().as_bytes().to_vec().into(), ..pb::UsageEvent::default() }
    }

    fn poison(event: pb::UsageEvent) -> Option<Poison> {
        check(event).err().map(|refused| refused.1)
    }

    #[test]
    fn figures_that_cannot_be_true_are_poison() {
        assert_eq!(poison(event()), None);
        assert_eq!(poison(pb::UsageEvent { event_id: vec![1; 15].into(), ..event() }), Some(Poison::Id));
        let random = Uuid::new_v4().as_bytes().to_vec().into();
        assert_eq!(poison(pb::UsageEvent { event_id: random, ..event() }), Some(Poison::Id));
        assert_eq!(poison(pb::UsageEvent { cost_nano_usd: -1, ..event() }), Some(Poison::Cost(-1)));
        let costly = MOST_NANO_USD + 1;
        assert_eq!(poison(pb::UsageEvent { cost_nano_usd: costly, ..event() }), Some(Poison::Cost(costly)));
        let tokens = pb::Tokens { reasoning: u64::MAX, ..pb::Tokens::default() };
        let expected = Poison::Tokens { name: "reasoning", count: u64::MAX };
        assert_eq!(poison(pb::UsageEvent { tokens: Some(tokens), ..event() }), Some(expected));
        assert_eq!(poison(pb::UsageEvent { ended_at_ms: i64::MAX, ..event() }), Some(Poison::Time("ended_at_ms")));
        assert_eq!(poison(pb::UsageEvent { key_hash: vec![0; 31].into(), ..event() }), Some(Poison::KeyHash(31)));
    }

    #[test]
    fn the_day_is_that_of_the_event_id() {
        let at = uuid::Timestamp::from_unix(uuid::NoContext, 1_700_000_000, 0);
        let id = Uuid::new_v7(at).as_bytes().to_vec().into();
        let booking = check(pb::UsageEvent { event_id: id, ..event() }).ok().unwrap();
        assert_eq!(booking.day, time::macros::date!(2023 - 11 - 14));
    }

    #[test]
    fn odd_text_of_clients_is_made_to_fit() {
        let odd = pb::UsageEvent {
            end_user: "\0".to_owned(),
            tags: vec!["b".into(), "a\0".into(), "b".into()],
            spend_logs_metadata_json: r#"{"a\u0000": ["\u0000"]}"#.to_owned(),
            ..event()
        };
        let booking = check(odd).ok().unwrap();
        assert_eq!(booking.event.end_user, "\u{FFFD}");
        assert_eq!(booking.tags, ["a\u{FFFD}", "b"]);
        assert_eq!(booking.metadata, Some(json!({"a\u{FFFD}": ["\u{FFFD}"]})));
        assert!(metadata("{").unwrap().get("turnpike_dropped").is_some());
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let (mut one, mut other) = ("ü".repeat(1_000), "ü".repeat(1_001));
        shorten(&mut one, NAME_BYTES);
        shorten(&mut other, NAME_BYTES);
        assert!(one.len() <= NAME_BYTES && other.len() <= NAME_BYTES);
        assert_ne!(one, other);
    }
}
