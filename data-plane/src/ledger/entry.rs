//! What is written of a call, in two parts: what is known when it begins, encoded once, and what its end decides.
//!
//! A record is one message to whoever reads it: fields of a protobuf message may come in any order, so the two parts are
//! simply put one behind the other.

use prost::Message as _;
use proto::v1::UsageEvent;

/// The numbers of the fields that are written once, as `proto/gateway/v1/usage.proto` gives them.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    EventId = 1,
    CallId = 3,
    CallType = 4,
    KeyHash = 5,
    KeyAlias = 6,
    UserId = 7,
    TeamId = 8,
    TeamAlias = 9,
    OrganizationId = 10,
    EndUser = 11,
    Model = 12,
    ModelGroup = 13,
    DeploymentId = 14,
    Provider = 15,
    ApiBase = 16,
    StartedAtMs = 17,
    Tags = 28,
    Attempt = 31,
    ClientIp = 32,
    UserAgent = 33,
    SessionId = 35,
    Streamed = 36,
    MasterKey = 37,
    PriceSource = 38,
}

/// What does not change from a call's opening to its closing, as it lies in the record. The event's id comes first.
#[derive(Default)]
pub(crate) struct Opening(Vec<u8>);

impl Opening {
    pub(crate) fn of(event_id: &[u8; 16]) -> Self {
        let mut opening = Self(Vec::with_capacity(512));
        opening.put(Field::EventId, event_id);
        opening
    }

    /// Adds a text or bytes; nothing where it is empty, as everywhere in proto3.
    pub(crate) fn text(&mut self, field: Field, text: impl AsRef<[u8]>) {
        if !text.as_ref().is_empty() {
            self.put(field, text.as_ref());
        }
    }

    /// Adds a number, a truth value or a time; nothing where it is zero.
    pub(crate) fn number(&mut self, field: Field, number: u64) {
        if number > 0 {
            self.varint((field as u64) << 3);
            self.varint(number);
        }
    }

    /// Adds one of several texts of a field.
    pub(crate) fn put(&mut self, field: Field, text: &[u8]) {
        self.varint((field as u64) << 3 | 2);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text);
    }

    fn varint(&mut self, mut left: u64) {
        loop {
            let [low, ..] = left.to_le_bytes();
            left >>= 7;
            if left == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }
}

/// A record as it is handed to the ledger: an opening, and the fields that only `rest` has.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(super) opening: &'a [u8],
    pub(super) rest: &'a UsageEvent,
}

impl<'a> Entry<'a> {
    pub(crate) fn new(opening: &'a Opening, rest: &'a UsageEvent) -> Self {
        Self { opening: &opening.0, rest }
    }

    pub(super) fn write(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.opening);
        self.rest.encode_raw(buffer);
    }
}

/// An event that is whole by itself.
impl<'a> From<&'a UsageEvent> for Entry<'a> {
    fn from(rest: &'a UsageEvent) -> Self {
        Self { opening: &[], rest }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_parts_read_as_one_event(text in ".{0,300}", number in any::<i64>(), tags in prop::collection::vec(".{0,9}", 0..4), flag: bool) {
            let number = number.saturating_abs();
            let mut opening = Opening::of(&[7; 16]);
            let texts = [
                Field::CallId, Field::CallType, Field::KeyHash, Field::KeyAlias, Field::UserId, Field::TeamId, Field::TeamAlias,
                Field::OrganizationId, Field::EndUser, Field::Model, Field::ModelGroup, Field::DeploymentId, Field::Provider,
                Field::ApiBase, Field::ClientIp, Field::UserAgent, Field::SessionId, Field::PriceSource,
            ];
            for field in texts {
                opening.text(field, format!("{} {text}", field as u8));
            }
            opening.number(Field::StartedAtMs, number.unsigned_abs());
            opening.number(Field::Attempt, number.unsigned_abs() & 0xffff);
            opening.number(Field::Streamed, flag.into());
            opening.number(Field::MasterKey, (!flag).into());
            for tag in &tags {
                opening.put(Field::Tags, tag.as_bytes());
            }
            let rest = UsageEvent { status: 200, cost_nano_usd: number, request_id: text.clone(), ..Default::default() };
            let mut written = Vec::new();
            Entry::new(&opening, &rest).write(&mut written);

            let said = |field: Field| format!("{} {text}", field as u8);
            let expected = UsageEvent {
                event_id: vec![7; 16].into(),
                request_id: text.clone(),
                call_id: said(Field::CallId),
                call_type: said(Field::CallType),
                key_hash: said(Field::KeyHash).into(),
                key_alias: said(Field::KeyAlias),
                user_id: said(Field::UserId),
                team_id: said(Field::TeamId),
                team_alias: said(Field::TeamAlias),
                organization_id: said(Field::OrganizationId),
                end_user: said(Field::EndUser),
                model: said(Field::Model),
                model_group: said(Field::ModelGroup),
                deployment_id: said(Field::DeploymentId),
                provider: said(Field::Provider),
                api_base: said(Field::ApiBase),
                started_at_ms: number,
                tags,
                attempt: u32::try_from(number & 0xffff).unwrap(),
                client_ip: said(Field::ClientIp),
                user_agent: said(Field::UserAgent),
                session_id: said(Field::SessionId),
                streamed: flag,
                master_key: !flag,
                price_source: said(Field::PriceSource),
                status: 200,
                cost_nano_usd: number,
                ..UsageEvent::default()
            };
            prop_assert_eq!(UsageEvent::decode(written.as_slice()).unwrap(), expected);
        }
    }
}
