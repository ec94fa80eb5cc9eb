//! The reader of streams: what goes on, what is changed, what stays, however the bytes are cut.
#![expect(clippy::unwrap_used, reason = "a stream that cannot be read is a failed test")]

use bytes::Bytes;
use dialects::openai::stream::{DONE, Ending, Options, Reader, StreamFault};
use proptest::prelude::*;

const ROLE: &str =
    r#"data: {"id":"c-1","model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}"#;
const WORD: &str = r#"data: {"id":"c-1","model":"up","choices":[{"index":0,"delta":{"content":"word"}}],"usage":null}"#;
const FINISH: &str =
    r#"data: {"id":"c-1","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
const USAGE: &str = r#"data: {"id":"c-1","model":"up","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#;
const END: &str = "data: [DONE]";

fn stream(events: &[&str]) -> Bytes {
    events.iter().map(|event| format!("{event}\n\n")).collect::<String>().into()
}

fn showing() -> Options {
    Options { model: None, hide_usage: false }
}

fn hiding() -> Options {
    Options { model: None, hide_usage: true }
}

fn named(model: &str) -> Options {
    Options { model: Some(model.to_owned()), hide_usage: true }
}

fn read_all(reads: impl IntoIterator<Item = Bytes>, options: Options) -> (String, Ending, Reader) {
    let mut reader = Reader::new(options);
    let mut out = Vec::new();
    for read in reads {
        reader.read(read, &mut out).unwrap();
    }
    let ending = reader.finish(&mut out);
    (String::from_utf8(out.concat()).unwrap(), ending, reader)
}

#[test]
fn a_read_that_needs_no_change_is_passed_as_one_slice_of_itself() {
    let read = stream(&[ROLE, WORD, WORD, FINISH]);
    let mut out = Vec::new();
    Reader::new(showing()).read(read.clone(), &mut out).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].as_ptr(), out[0].len()), (read.as_ptr(), read.len()));
}

#[test]
fn done_is_held_until_it_is_asked_for() {
    let (shown, ending, mut reader) = read_all([stream(&[WORD, FINISH, END, WORD])], showing());
    assert_eq!(shown, stream(&[WORD, FINISH]));
    assert_eq!(ending, Ending::Done);
    assert!(reader.is_done());
    assert_eq!(reader.held().as_deref(), Some(DONE));
    assert_eq!(reader.held(), None);
}

#[test]
fn hidden_usage_is_read_and_not_shown() {
    let read = stream(&[WORD, FINISH, USAGE, END]);
    let mut out = Vec::new();
    let mut reader = Reader::new(hiding());
    reader.read(read.clone(), &mut out).unwrap();
    assert_eq!(out.concat(), stream(&[WORD, FINISH]));
    assert_eq!(out[0].as_ptr(), read.as_ptr());
    assert_eq!(reader.usage().map(|usage| usage.total), Some(6));
    let (shown, _, _) = read_all([read], showing());
    assert_eq!(shown, stream(&[WORD, FINISH, USAGE]));
}

#[test]
fn usage_beside_choices_is_cut_out_of_its_chunk() {
    let chunk = r#"data: {"usage":{"prompt_tokens":5},"model":"up","choices":[{"delta":{"content":"x"}}]}"#;
    let (shown, _, reader) = read_all([stream(&[chunk])], named("mine"));
    assert_eq!(shown, stream(&[r#"data: {"model":"mine","choices":[{"delta":{"content":"x"}}]}"#]));
    assert_eq!(reader.usage().map(|usage| usage.prompt), Some(5));
    let behind = r#"data: {"model":"up","choices":[{"delta":{}}],"usage":{"prompt_tokens":5}}"#;
    let (shown, _, _) = read_all([stream(&[behind])], named("mine"));
    assert_eq!(shown, stream(&[r#"data: {"model":"mine","choices":[{"delta":{}}]}"#]));
}

#[test]
fn the_model_is_stamped_in_every_chunk_of_a_read_in_one_copy() {
    let mut out = Vec::new();
    let read = stream(&[ROLE, WORD, USAGE, WORD]);
    Reader::new(named("a \"longer\" name")).read(read, &mut out).unwrap();
    assert_eq!(out.len(), 1);
    let expected = String::from_utf8(stream(&[ROLE, WORD, WORD]).to_vec()).unwrap();
    assert_eq!(out[0], expected.replace("\"up\"", r#""a \"longer\" name""#));
}

#[test]
fn azures_preamble_without_choices_is_dropped() {
    let preamble = r#"data: {"choices":[],"model":"","prompt_filter_results":[{"prompt_index":0}]}"#;
    let (shown, _, _) = read_all([stream(&[preamble, WORD])], showing());
    assert_eq!(shown, stream(&[WORD]));
}

#[test]
fn comments_and_events_without_data_are_passed() {
    let text = ": ping\n\nevent: chunk\n\n\n";
    let (shown, ending, _) = read_all([Bytes::from(text)], named("m"));
    assert_eq!(shown, text);
    assert_eq!(ending, Ending::Cut);
}

#[test]
fn an_error_event_ends_the_stream_and_is_not_passed() {
    let error = r#"data: {"error":{"message":"overloaded","type":"server_error","code":503}}"#;
    let (shown, ending, reader) = read_all([stream(&[WORD, error, WORD, END])], showing());
    assert_eq!(shown, stream(&[WORD]));
    assert_eq!(ending, Ending::Cut);
    assert_eq!(reader.first_error().map(|error| error.message.as_str()), Some("overloaded"));
    let (_, _, reader) = read_all([Bytes::from_static(b"event: error\ndata: {\"message\":\"m\"}\n\n")], showing());
    assert_eq!(reader.first_error().map(|error| error.message.as_str()), Some("m"));
    let (_, ending, reader) = read_all([Bytes::from_static(b"{\"error\":\"not a stream\"}")], showing());
    assert_eq!(ending, Ending::Cut);
    assert_eq!(reader.first_error().map(|error| error.message.as_str()), Some("not a stream"));
}

#[test]
fn an_end_without_done_is_complete_only_after_a_finish_reason() {
    let (_, ending, mut reader) = read_all([stream(&[WORD, FINISH])], showing());
    assert_eq!(ending, Ending::Done);
    assert_eq!(reader.held().as_deref(), Some(DONE));
    let (_, ending, mut reader) = read_all([stream(&[WORD])], showing());
    assert_eq!((ending, reader.held()), (Ending::Cut, None));
}

#[test]
fn a_last_event_without_its_blank_line_counts_unless_it_is_torn() {
    let text = format!("{WORD}\n\n{FINISH}\n");
    let (shown, ending, _) = read_all([Bytes::from(text)], showing());
    assert_eq!((shown.as_bytes(), ending), (&stream(&[WORD, FINISH])[..], Ending::Done));
    let (_, ending, reader) = read_all([Bytes::from_static(b"data: [DONE]")], showing());
    assert!(ending == Ending::Done && reader.is_done());
    let torn = format!("{WORD}\n\n{}", &WORD[..50]);
    let (shown, ending, _) = read_all([Bytes::from(torn)], showing());
    assert_eq!((shown.as_bytes(), ending), (&stream(&[WORD])[..], Ending::Cut));
}

#[test]
fn what_is_not_json_is_a_fault_after_what_was_fine() {
    let mut out = Vec::new();
    let fault = Reader::new(showing()).read(stream(&[WORD, "data: {\"id\":"]), &mut out).unwrap_err();
    assert!(matches!(fault, StreamFault::NotJson { .. }));
    assert_eq!(out.concat(), stream(&[WORD]));
    let html = Bytes::from_static(b"<html>\n<body>\n\n</body>");
    assert_eq!(Reader::new(showing()).read(html, &mut out), Err(StreamFault::NotEvents));
}

#[test]
fn an_endless_event_is_a_fault() {
    let mut reader = Reader::new(showing());
    let piece = Bytes::from(vec![b'x'; 300_000]);
    let faults: Vec<bool> = (0..4).map(|_| reader.read(piece.clone(), &mut Vec::new()).is_err()).collect();
    assert_eq!(faults, [false, false, false, true]);
}

#[test]
fn several_data_lines_are_one_chunk() {
    let text = Bytes::from_static(b"data: {\"model\":\ndata: \"up\",\"choices\":[{}]}\n\n");
    let (shown, _, _) = read_all([text.clone()], named("mine"));
    assert_eq!(shown, "data: {\"model\": \"mine\",\"choices\":[{}]}\n\n");
    let (shown, _, _) = read_all([text.clone()], showing());
    assert_eq!(shown, text);
}

#[test]
fn content_is_counted_and_the_answer_named() {
    let call = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}],"service_tier":"flex"}"#;
    let (_, _, reader) = read_all([stream(&[ROLE])], showing());
    assert!(!reader.saw_content());
    let (_, _, reader) = read_all([stream(&[ROLE, WORD, call])], showing());
    assert_eq!((reader.content_bytes(), reader.estimate_completion_tokens()), (8, 3));
    assert_eq!((reader.answer_id(), reader.service_tier()), (Some("c-1"), Some("flex")));
}

#[test]
fn groqs_usage_is_found_where_groq_puts_it() {
    let chunk =
        r#"data: {"choices":[{"delta":{}}],"x_groq":{"id":"r","usage":{"prompt_tokens":3,"completion_tokens":4}}}"#;
    let (_, _, reader) = read_all([stream(&[chunk])], hiding());
    assert_eq!(reader.usage().map(|usage| usage.total), Some(7));
}

fn events() -> impl Strategy<Value = String> {
    let error = r#"data: {"error":"x"}"#;
    let both = r#"data: {"usage":{"prompt_tokens":5},"model":"up","choices":[{"delta":{}}]}"#;
    let event = prop::sample::select(vec![ROLE, WORD, WORD, FINISH, USAGE, both, ": ping", "id: 1", END, error]);
    let line_end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    prop::collection::vec((event, line_end), 0..12)
        .prop_map(|events| events.iter().map(|(event, end)| format!("{event}{end}{end}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn cutting_a_stream_anywhere_changes_nothing(
        text in events(),
        stamp in prop::option::of(Just("mine".to_owned())),
        hide_usage in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = Bytes::from(text);
        let options = Options { model: stamp, hide_usage };
        let facts = |(shown, ending, mut reader): (String, Ending, Reader)| {
            let held = reader.held();
            (shown, ending, held, reader.usage().cloned(), reader.content_bytes(), reader.first_error().cloned())
        };
        let expected = facts(read_all([whole.clone()], options.clone()));

        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        at.extend([0, whole.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| whole.slice(pair[0]..pair[1]));
        prop_assert_eq!(facts(read_all(pieces, options.clone())), expected.clone());
        let bytes = (0..whole.len()).map(|byte| whole.slice(byte..byte + 1));
        prop_assert_eq!(facts(read_all(bytes, options)), expected);
    }
}
