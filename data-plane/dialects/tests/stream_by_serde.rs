//! The reader of streams shows and counts what a plain implementation over serde_json shows and counts, shortcuts or not.
#![expect(clippy::unwrap_used, reason = "a chunk that serde_json cannot write is a failed test")]

use bytes::Bytes;
use dialects::openai::stream::{Options, Reader};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const STAMP: &str = "mine \"quoted\"";

/// Chunks that mostly differ in words alone, as those of one answer do, and sometimes in anything.
fn chunk() -> impl Strategy<Value = Value> {
    let words = prop_oneof![3 => "[ a-zé\"\\\\\n]{0,12}", 1 => any::<String>()].prop_map(Value::from);
    let delta = prop_oneof![
        8 => words.clone().prop_map(|words| json!({ "content": words })),
        1 => words.clone().prop_map(|words| json!({ "role": "assistant", "content": words })),
        1 => words.clone().prop_map(|words| json!({ "content": null, "reasoning_content": words })),
        1 => words.clone().prop_map(|words| json!({ "tool_calls": [{ "index": 0, "function": { "arguments": words } }] })),
        1 => Just(json!({})),
    ];
    let choices = prop_oneof![
        9 => delta.clone().prop_map(|delta| json!([{ "index": 0, "delta": delta, "finish_reason": null }])),
        1 => (delta.clone(), delta).prop_map(|(one, two)| json!([{ "delta": one }, { "delta": two }])),
        1 => Just(json!([])),
    ];
    let model = prop_oneof![8 => Just(json!("up")), 1 => Just(json!(STAMP)), 1 => Just(json!(null))];
    let usage = prop_oneof![8 => Just(None), 4 => Just(Some(json!(null))), 1 => (0..9_u64).prop_map(|n| Some(json!({ "prompt_tokens": n })))];
    let noise = prop::option::of("[a-z\"]{0,9}");
    let order = prop_oneof![6 => Just([0, 1, 2, 3]), 1 => Just([0, 1, 2, 3]).prop_shuffle()];
    (model, choices, usage, noise, order).prop_map(|(model, choices, usage, noise, order)| {
        let mut members = [
            Some(("model", model)),
            Some(("choices", choices)),
            usage.map(|usage| ("usage", usage)),
            noise.map(|noise| ("obfuscation", json!(noise))),
        ];
        let mut chunk = Map::new();
        for index in order {
            if let Some((name, value)) = members[index].take() {
                chunk.insert(name.to_owned(), value);
            }
        }
        Value::Object(chunk)
    })
}

fn said(delta: &Value) -> u64 {
    let length = |value: Option<&Value>| value.and_then(Value::as_str).map_or(0, |text| text.len() as u64);
    length(delta.get("content"))
        + length(delta.get("reasoning_content"))
        + length(delta.pointer("/tool_calls/0/function/arguments"))
}

/// What the client should see of one chunk, usage hidden.
fn shown(mut chunk: Value) -> Option<Value> {
    let has_usage = chunk.get("usage").is_some_and(|usage| !usage.is_null());
    let members = chunk.as_object_mut().unwrap();
    if members["choices"] == json!([]) {
        return None;
    }
    if has_usage {
        members.shift_remove("usage");
    }
    members["model"] = json!(STAMP);
    Some(chunk)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_stream_is_read_as_serde_would_read_it(chunks in prop::collection::vec(chunk(), 0..12)) {
        let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        let mut reader = Reader::new(Options { model: Some(STAMP.to_owned()), hide_usage: true });
        let mut out = Vec::new();
        reader.read(Bytes::from(stream), &mut out).unwrap();

        let usage = chunks.iter().filter_map(|chunk| chunk.pointer("/usage/prompt_tokens")?.as_u64()).next_back();
        prop_assert_eq!(reader.usage().map(|usage| usage.prompt), usage);
        let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().unwrap());
        let bytes: u64 = choices.map(|choice| said(&choice["delta"])).sum();
        prop_assert_eq!(reader.content_bytes(), bytes);
        let expected: String = chunks.into_iter().filter_map(shown).map(|chunk| format!("data: {chunk}\n\n")).collect();
        prop_assert_eq!(String::from_utf8(out.concat()).unwrap(), expected);
    }
}
