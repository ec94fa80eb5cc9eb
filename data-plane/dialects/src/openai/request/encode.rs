//! The body for one upstream: the client's bytes with as few edits as will do.

use std::borrow::Cow;

use bytes::Bytes;

use super::Request;
use super::params::{is_forbidden, is_gateway_param};
use crate::json::{self, Head, members, quoted, slice, unescape};
use crate::splice::{Pieces, Splices};

const ASK_USAGE: &[u8] = br#"{"include_usage":true}"#;

/// What one upstream wants different.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upstream<'a> {
    /// The name of the model there; none: it is left out, because the path names it.
    pub model: Option<&'a str>,
    /// Of a stream, ask for usage at its end, whatever the client wants to see.
    pub ask_usage: bool,
    /// Members this upstream does not take.
    pub drops: &'a [Cow<'static, str>],
    /// Members it takes under another name, as (ours, theirs). Where a client sent both, ours counts.
    pub renames: &'a [(&'static str, &'static str)],
    /// Members to add where the client set none, or null: name and JSON.
    pub defaults: &'a [(String, Bytes)],
}

impl Upstream<'_> {
    fn drops(&self, name: &str) -> bool {
        self.drops.iter().any(|dropped| dropped == name)
    }
}

/// Writes the body for `upstream`. The members of `extra_body` go to the root, where they replace others of their name.
/// The same `Bytes` come back if nothing has to change.
pub fn encode(body: &Bytes, request: &Request, upstream: &Upstream<'_>) -> Bytes {
    let (body, splices) = splices(body, request, upstream);
    splices.apply(&body)
}

/// [`encode`] in pieces: a long body is not copied for the few bytes that change in it.
pub fn encode_pieces(body: &Bytes, request: &Request, upstream: &Upstream<'_>) -> Pieces {
    let (body, splices) = splices(body, request, upstream);
    splices.pieces(&body)
}

/// The edits, and the body that they are for.
fn splices(body: &Bytes, request: &Request, upstream: &Upstream<'_>) -> (Bytes, Splices) {
    let is_nothing = request.head.members().is_empty() && body.trim_ascii().is_empty();
    let body = if is_nothing { Bytes::from_static(b"{}") } else { body.clone() };
    let splices = Encoder::new(&body, request, upstream).splices;
    (body, splices)
}

struct Encoder<'a> {
    body: &'a [u8],
    head: &'a Head,
    upstream: &'a Upstream<'a>,
    asks_usage: bool,
    extra: Vec<(Cow<'a, str>, &'a [u8])>,
    splices: Splices,
}

impl<'a> Encoder<'a> {
    fn new(body: &'a [u8], request: &'a Request, upstream: &'a Upstream<'a>) -> Self {
        let mut encoder = Self {
            body,
            head: &request.head,
            upstream,
            asks_usage: upstream.ask_usage && request.stream,
            extra: extra_members(body, request, upstream),
            splices: Splices::new(),
        };
        encoder.edit_members();
        encoder.insert_members();
        encoder
    }

    fn edit_members(&mut self) {
        let head = self.head;
        for (index, member) in head.members().iter().enumerate() {
            let Some(name) = unescape(slice(self.body, &member.key)) else { continue };
            let value = slice(self.body, &member.value);
            match name.as_ref() {
                "model" => match self.upstream.model.map(quoted) {
                    Some(model) if model == value => {}
                    Some(model) => self.splices.replace(member.value.clone(), model),
                    None => self.splices.remove_member(head, index),
                },
                name if !self.stays(name, value) => self.splices.remove_member(head, index),
                "stream_options" if self.asks_usage => {
                    let options = with_include_usage(value);
                    if options != value {
                        self.splices.replace(member.value.clone(), options);
                    }
                }
                name => {
                    if let Some(renamed) = renamed(name, self.upstream) {
                        self.splices.rename_member(head, index, renamed);
                    }
                }
            }
        }
    }

    /// Whether a member of the client's root goes upstream in some form.
    fn stays(&self, name: &str, value: &[u8]) -> bool {
        let is_dropped = is_gateway_param(name) || is_forbidden(name) || self.upstream.drops(name);
        let is_replaced = self.extra.iter().any(|(extra, _)| extra == name)
            || self.upstream.renames.iter().any(|(ours, theirs)| *theirs == name && self.sends(ours));
        let takes_default = value == b"null" && self.upstream.defaults.iter().any(|(default, _)| default == name);
        !(is_dropped || is_replaced || takes_default)
    }

    /// Whether the client sends a member of that name that is not null.
    fn sends(&self, name: &str) -> bool {
        self.extra.iter().any(|(extra, _)| extra == name)
            || self.head.value(self.body, name).is_some_and(|value| value != b"null")
    }

    fn insert_members(&mut self) {
        if let Some(model) = self.upstream.model.filter(|_| self.head.member(self.body, "model").is_none()) {
            self.splices.insert_member(self.head, "model", &quoted(model));
        }
        let takes_options = !self.upstream.drops("stream_options");
        if self.asks_usage && takes_options && self.head.member(self.body, "stream_options").is_none() {
            self.splices.insert_member(self.head, "stream_options", ASK_USAGE);
        }
        for (name, value) in &self.extra {
            let name = renamed(name, self.upstream).unwrap_or(name);
            self.splices.insert_member(self.head, name, value);
        }
        for (name, value) in self.upstream.defaults {
            let theirs = renamed(name, self.upstream).unwrap_or(name);
            let other_name = self.upstream.renames.iter().find(|(_, to)| *to == theirs).map(|(from, _)| *from);
            let is_sent = self.sends(name) || self.sends(theirs) || other_name.is_some_and(|name| self.sends(name));
            if !is_sent && name != "model" {
                self.splices.insert_member(self.head, theirs, value);
            }
        }
    }
}

fn renamed(name: &str, upstream: &Upstream<'_>) -> Option<&'static str> {
    upstream.renames.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs)
}

/// The members of `extra_body` that go upstream; of those with one name, the last.
fn extra_members<'a>(body: &'a [u8], request: &Request, upstream: &Upstream<'_>) -> Vec<(Cow<'a, str>, &'a [u8])> {
    let Some(range) = &request.extra_body else { return Vec::new() };
    let mut extra: Vec<(Cow<'a, str>, &'a [u8])> = Vec::new();
    for (key, value) in members(slice(body, range)) {
        let Some(name) = unescape(key) else { continue };
        if name == "model" || is_gateway_param(&name) || is_forbidden(&name) || upstream.drops(&name) {
            continue;
        }
        extra.retain(|(known, _)| *known != name);
        extra.push((name, value));
    }
    extra
}

/// `stream_options` with usage asked for, other options as they are.
fn with_include_usage(options: &[u8]) -> Cow<'_, [u8]> {
    let Ok(head) = json::scan_event(options) else { return Cow::Borrowed(ASK_USAGE) };
    if head.boolean(options, "include_usage") == Ok(Some(true)) {
        return Cow::Borrowed(options);
    }
    let mut splices = Splices::new();
    splices.remove_named(&head, options, "include_usage");
    splices.insert_member(&head, "include_usage", b"true");
    Cow::Owned(splices.apply(&Bytes::copy_from_slice(options)).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::openai::request::read;

    fn encoded(body: &str, upstream: &Upstream<'_>) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = read(Task::Chat, &body).unwrap();
        String::from_utf8(encode(&body, &request, upstream).to_vec()).unwrap()
    }

    const GPT: Upstream<'static> =
        Upstream { model: Some("gpt"), ask_usage: false, drops: &[], renames: &[], defaults: &[] };

    #[test]
    fn a_body_that_fits_is_not_copied() {
        let body = Bytes::from_static(br#"{"model":"gpt","messages":[]}"#);
        let request = read(Task::Chat, &body).unwrap();
        assert_eq!(encode(&body, &request, &GPT).as_ptr(), body.as_ptr());
    }

    #[test]
    fn the_model_is_set_added_or_left_out() {
        assert_eq!(encoded(r#"{"model":"mine","a":1}"#, &GPT), r#"{"model":"gpt","a":1}"#);
        assert_eq!(encoded(r#"{"model":null}"#, &GPT), r#"{"model":"gpt"}"#);
        assert_eq!(encoded(r#"{"a":1}"#, &GPT), r#"{"a":1,"model":"gpt"}"#);
        assert_eq!(encoded("", &GPT), r#"{"model":"gpt"}"#);
        assert_eq!(encoded(r#"{"model":"mine","a":1}"#, &Upstream::default()), r#"{"a":1}"#);
    }

    #[test]
    fn what_is_the_gateways_stays_here() {
        let body =
            r#"{"metadata":{},"model":"gpt","tags":[],"t\u0061gs2":1,"api_key":"k","api_base":"x","mock_testing_x":1}"#;
        assert_eq!(encoded(body, &GPT), r#"{"model":"gpt","t\u0061gs2":1}"#);
    }

    #[test]
    fn usage_is_asked_for_in_streams_only() {
        let ask = Upstream { ask_usage: true, ..GPT };
        assert_eq!(encoded(r#"{"model":"gpt"}"#, &ask), r#"{"model":"gpt"}"#);
        let options = |options: &str| format!(r#"{{"model":"gpt","stream":true{options}}}"#);
        let asked = options(r#","stream_options":{"include_usage":true}"#);
        assert_eq!(encoded(&options(""), &ask), asked);
        assert_eq!(encoded(&options(r#","stream_options":null"#), &ask), asked);
        assert_eq!(encoded(&options(r#","stream_options":{"include_usage":false}"#), &ask), asked);
        assert_eq!(
            encoded(&options(r#","stream_options":{"include_obfuscation":false}"#), &ask),
            options(r#","stream_options":{"include_obfuscation":false,"include_usage":true}"#)
        );
        assert_eq!(encoded(&options(""), &Upstream { drops: &[Cow::Borrowed("stream_options")], ..ask }), options(""));
    }

    #[test]
    fn extra_body_goes_to_the_root_without_a_model() {
        let body = r#"{"model":"gpt","top_k":1,"extra_body":{"top_k":2,"model":"evil","x":[1],"x":3,"metadata":{}}}"#;
        assert_eq!(encoded(body, &GPT), r#"{"model":"gpt","top_k":2,"x":3}"#);
    }

    #[test]
    fn renames_and_drops_are_the_upstreams() {
        let upstream =
            Upstream { drops: &[Cow::Borrowed("seed")], renames: &[("max_completion_tokens", "max_tokens")], ..GPT };
        assert_eq!(encoded(r#"{"seed":1,"max_completion_tokens":5}"#, &upstream), r#"{"max_tokens":5,"model":"gpt"}"#);
        assert_eq!(
            encoded(r#"{"max_tokens":9,"max_completion_tokens":5,"model":"gpt"}"#, &upstream),
            r#"{"max_tokens":5,"model":"gpt"}"#
        );
    }

    #[test]
    fn defaults_fill_what_the_client_left_open() {
        let defaults = [
            ("temperature".to_owned(), Bytes::from_static(b"0.5")),
            ("max_tokens".to_owned(), Bytes::from_static(b"10")),
        ];
        let upstream = Upstream { defaults: &defaults, renames: &[("max_completion_tokens", "max_tokens")], ..GPT };
        assert_eq!(
            encoded(r#"{"model":"gpt","temperature":null}"#, &upstream),
            r#"{"model":"gpt","temperature":0.5,"max_tokens":10}"#
        );
        assert_eq!(
            encoded(r#"{"model":"gpt","temperature":1,"max_completion_tokens":3}"#, &upstream),
            r#"{"model":"gpt","temperature":1,"max_tokens":3}"#
        );
    }
}
