//! What must hold for any bytes: the bodies of the fuzz targets `event_stream` and `request`, which `tests/fuzz` runs.
//!
//! Compiled for tests and for the fuzzer only. A broken promise is a panic, as fuzzers expect.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use wire::event_stream::Events;

use crate::Task;
use crate::json::{self, members, unescape};
use crate::openai::request::{self, Request, Upstream};
use crate::openai::stream::{Ending, Options, Reader};

#[cfg(test)]
#[path = "../../../tests/fuzz/replay.rs"]
mod replay;

/// Below this length a stream is also read byte by byte.
const SHORT: usize = 2 << 10;

/// Cutting a stream anywhere changes neither its events nor what a client sees and is charged for.
///
/// The first byte chooses options, the second where the cuts are; the rest is the stream.
pub fn event_stream(data: &[u8]) {
    let [choice, cuts, stream @ ..] = data else { return };
    let limit = if choice & 4 == 0 { 1 << 20 } else { 48 };
    let options = || Options { model: (choice & 1 != 0).then(|| "mine \"q\"".to_owned()), hide_usage: choice & 2 != 0 };
    let whole = Bytes::copy_from_slice(stream);

    let events = events_of(std::slice::from_ref(&whole), limit);
    let shown = shown_of(std::slice::from_ref(&whole), options());
    let mut ways = vec![pieces(&whole, *cuts)];
    if stream.len() <= SHORT {
        ways.push((0..stream.len()).map(|at| whole.slice(at..=at)).collect());
    }
    for way in ways {
        assert_eq!(events_of(&way, limit), events, "the events depend on where the reads are cut");
        assert_eq!(shown_of(&way, options()), shown, "what is shown depends on where the reads are cut");
    }
    if let (found, Some(rest)) = &events {
        let together: Vec<u8> = found.iter().chain([rest]).flatten().copied().collect();
        assert_eq!(together, stream, "the events together are the stream");
    }
}

/// The stream in a few reads, whose lengths follow from `seed`.
fn pieces(whole: &Bytes, seed: u8) -> Vec<Bytes> {
    let mut length = usize::from(seed % 61) + 1;
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < whole.len() {
        let end = (at + length).min(whole.len());
        pieces.push(whole.slice(at..end));
        (at, length) = (end, (length * 7 + usize::from(seed)) % 97 + 1);
    }
    pieces
}

/// The events, and what is left; nothing is left of a stream that became an error.
fn events_of(reads: &[Bytes], limit: usize) -> (Vec<Bytes>, Option<Bytes>) {
    let mut events = Events::with_limit(limit);
    let mut found = Vec::new();
    for read in reads {
        if events.push(read.clone()).is_err() {
            return (found, None);
        }
        loop {
            match events.next() {
                Ok(Some(event)) => found.push(event.into_raw()),
                Ok(None) => break,
                Err(_too_long) => return (found, None),
            }
        }
    }
    (found, Some(events.rest().unwrap_or_default()))
}

/// Everything that the gateway passes on or acts on.
fn shown_of(reads: &[Bytes], options: Options) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut reader = Reader::new(options);
    let mut out = Vec::new();
    let fault = reads.iter().find_map(|read| reader.read(read.clone(), &mut out).err());
    let ending = if fault.is_none() { reader.finish(&mut out) } else { Ending::Cut };
    let text = Bytes::from(out.concat());
    let held = reader.held();
    let facts = (reader.usage().cloned(), reader.content_bytes(), reader.is_done(), reader.saw_chunk());
    let names = (reader.answer_id().map(str::to_owned), reader.service_tier().map(str::to_owned));
    (text, ending, held, fault, facts, names, reader.first_error().cloned())
}

/// Any body is read or refused, and what goes upstream is one JSON object that says what the client said.
///
/// The first byte chooses the task and what the upstream wants; the rest is the body.
pub fn request(data: &[u8]) {
    let [choice, body @ ..] = data else { return };
    let body = Bytes::copy_from_slice(body);
    let is_empty = body.trim_ascii().is_empty();
    assert_eq!(json::scan(&body).is_ok(), is_object(&body), "serde_json thinks otherwise of what is an object");

    let task = match choice % 3 {
        0 => Task::Chat,
        1 => Task::Completion,
        _ => Task::Embedding,
    };
    let read = match request::read(task, &body) {
        Ok(read) => read,
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty());
            let _named = refusal.param();
            return;
        }
    };
    assert!(is_empty || is_object(&body), "a body that is no object was read");
    let _forbidden = request::forbidden_param(&body, &read);
    let _testing = request::mock_testing_param(&body, &read);
    let _estimate = request::estimate_prompt_tokens(&body, &read);

    let defaults = [("temperature".to_owned(), Bytes::from_static(b"0.5"))];
    let upstream = Upstream {
        model: (choice & 4 != 0).then_some("theirs \"q\""),
        ask_usage: choice & 8 != 0,
        drops: if choice & 16 == 0 { &[] } else { &[Cow::Borrowed("seed")] },
        renames: if choice & 32 == 0 { &[] } else { &[("max_completion_tokens", "max_tokens")] },
        defaults: if choice & 64 == 0 { &[] } else { &defaults },
    };
    let sent = request::encode(&body, &read, &upstream);
    assert!(is_object(&sent), "what is sent is no JSON object: {}", sent.escape_ascii());
    keeps_the_rest(&body, &read, &sent, &upstream);
}

/// Members that nobody has business with arrive as they were, and none of ours does.
fn keeps_the_rest(body: &Bytes, read: &Request, sent: &Bytes, upstream: &Upstream<'_>) {
    // Names that serde_json cannot decode (half a surrogate pair) leave only the grammar to compare.
    let (Some(came), Some(went)) = (named_members(body), named_members(sent)) else { return };
    if let Some(model) = upstream.model {
        let told = went.get("model").map(|value| value.get().to_owned());
        assert_eq!(told, serde_json::to_string(model).ok(), "the upstream's model is not named");
    }
    let extra: Vec<Cow<'_, str>> = read
        .extra_body
        .iter()
        .flat_map(|range| members(&body[range.clone()]))
        .filter_map(|(key, _)| unescape(key))
        .collect();
    let is_ours = |name: &str| request::is_gateway_param(name) || is_forbidden(name);
    for name in went.keys() {
        assert!(!is_ours(name), "`{name}` went upstream");
    }
    let touched = ["model", "stream_options", "seed", "max_tokens", "max_completion_tokens", "temperature"];
    for (name, value) in came {
        if is_ours(&name) || touched.contains(&name.as_str()) || extra.iter().any(|extra| *extra == name) {
            continue;
        }
        let arrived = went.get(&name).map(|value| value.get());
        assert_eq!(arrived, Some(value.get()), "`{name}` did not arrive as it was");
    }
}

fn is_forbidden(name: &str) -> bool {
    let body = serde_json::json!({ name: null }).to_string();
    let alone = request::read(Task::Chat, body.as_bytes());
    alone.is_ok_and(|alone| request::forbidden_param(body.as_bytes(), &alone).is_some())
}

/// The members as serde_json finds them; of those with one name, the last.
fn named_members(object: &[u8]) -> Option<BTreeMap<String, Box<RawValue>>> {
    let object = if object.trim_ascii().is_empty() { b"{}" } else { object };
    serde_json::from_slice(object).ok()
}

fn is_object(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.trim_matches([' ', '\t', '\r', '\n']).starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_any_stream_anywhere_changes_nothing() {
        replay::replay("event_stream", event_stream);
    }

    #[test]
    fn any_body_is_refused_or_sent_as_one_object_that_says_the_same() {
        replay::replay("request", request);
    }
}
