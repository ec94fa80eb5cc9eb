//! Walks the fixtures: each file is a case, what comes of it is the snapshot beside it. See `fixtures/README.md`.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read is a failed test")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dialects::Task;
use dialects::openai::request::{self, Upstream};
use dialects::openai::stream::{Options, Reader};
use dialects::openai::{answer, fault};

/// Suffix of a case, suffix of its snapshot, and how to get from one to the other.
type Kind = (&'static str, &'static str, fn(&Path, Bytes) -> String);

const KINDS: [Kind; 4] = [
    (".call.json", "request", render_request),
    (".response.json", "reply", render_reply),
    (".stream.txt", "chunks", render_chunks),
    (".refusal.txt", "fault", render_fault),
];

#[test]
fn every_fixture_gives_its_snapshot() {
    let mut seen = [0; KINDS.len()];
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".snap") || name.ends_with(".snap.new") || name == "README.md" {
            continue;
        }
        let kind = KINDS.iter().position(|(suffix, _, _)| name.ends_with(suffix));
        let kind = kind.unwrap_or_else(|| panic!("{name}: no kind of fixture has this suffix"));
        seen[kind] += 1;
        let (suffix, snapshot, render) = KINDS[kind];
        let rendered = render(&path, Bytes::from(fs::read(&path).unwrap()));
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(path.parent().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let case = format!("{}.{snapshot}", name.strip_suffix(suffix).unwrap());
        settings.bind(|| insta::assert_snapshot!(case, rendered));
    }
    assert!(seen.iter().all(|count| *count > 0), "a kind of fixture has no case: {seen:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The folder names the task.
fn task(path: &Path) -> Task {
    let folder = path.parent().unwrap().file_name().unwrap();
    let tasks = [("chat", Task::Chat), ("completion", Task::Completion), ("embedding", Task::Embedding)];
    tasks.into_iter().find(|(name, _)| folder == *name).unwrap().1
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn render_request(path: &Path, body: Bytes) -> String {
    let request = request::read(task(path), &body).unwrap();
    let defaults = [("temperature".to_owned(), Bytes::from_static(b"0.2"))];
    let upstream = Upstream {
        model: Some("upstream/model"),
        ask_usage: true,
        drops: &[std::borrow::Cow::Borrowed("seed")],
        renames: &[("max_completion_tokens", "max_tokens")],
        defaults: &defaults,
    };
    let encoded = request::encode(&body, &request, &upstream);
    serde_json::from_slice::<serde_json::Value>(&encoded).unwrap();
    format!(
        "model: {:?}\nstream: {}, include_usage: {:?}\nuser: {:?}\ntags: {:?}\nmax_output_tokens: {:?}\n\
         num_retries: {:?}, timeout_ms: {:?}\nsession: {:?}\nestimated prompt tokens: {}\n--- body\n{}",
        request.model,
        request.stream,
        request.include_usage,
        request.user,
        request.tags,
        request.max_output_tokens,
        request.num_retries,
        request.timeout_ms,
        request.litellm_session_id,
        request::estimate_prompt_tokens(&body, &request),
        text(&encoded),
    )
}

fn render_reply(_: &Path, body: Bytes) -> String {
    let answer = answer::read(&body).unwrap();
    let stamped = answer::with_model(&body, &answer, "client-model");
    serde_json::from_slice::<serde_json::Value>(&stamped).unwrap();
    format!(
        "id: {:?}\nusage: {:#?}\nservice_tier: {:?}\nerror: {:#?}\nestimated completion tokens: {}\n--- body\n{}",
        answer.id,
        answer.usage,
        answer.service_tier,
        answer.error,
        answer::estimate_completion_tokens(&body),
        text(&stamped),
    )
}

fn render_chunks(_: &Path, body: Bytes) -> String {
    let shown = Options { model: None, hide_usage: false };
    let hidden = Options { model: Some("client-model".to_owned()), hide_usage: true };
    let mut rendered = String::new();
    for (title, options) in [("usage shown", shown), ("model stamped, usage hidden", hidden)] {
        let whole = read_stream(std::iter::once(body.clone()), options.clone());
        let cut = read_stream((0..body.len()).map(|at| body.slice(at..at + 1)), options);
        assert_eq!(whole, cut, "cut into single bytes, the stream means something else");
        writeln!(rendered, "=== {title}\n{whole}").unwrap();
    }
    rendered
}

fn read_stream(reads: impl Iterator<Item = Bytes>, options: Options) -> String {
    let mut reader = Reader::new(options);
    let mut out = Vec::new();
    let mut fault = None;
    for read in reads {
        fault = reader.read(read, &mut out).err();
        if fault.is_some() {
            break;
        }
    }
    let ending = match &fault {
        Some(fault) => format!("{fault}: {fault:?}"),
        None => format!("{:?}", reader.finish(&mut out)),
    };
    let held = reader.held();
    format!(
        "{}--- ending: {ending}\nheld: {:?}\nid: {:?}, service_tier: {:?}\ncontent bytes: {}, estimated tokens: {}\n\
         usage: {:?}\nerror: {:?}",
        text(&out.concat()).replace('\r', "\\r"),
        held.as_deref().map(text),
        reader.answer_id(),
        reader.service_tier(),
        reader.content_bytes(),
        reader.estimate_completion_tokens(),
        reader.usage(),
        reader.first_error(),
    )
}

fn render_fault(_: &Path, body: Bytes) -> String {
    format!("{:#?}", fault::read_upstream(&body))
}
