//! How fast a request is looked through: the scan of its bytes, what the gateway reads of it, and the copy with splices.
//!
//! `cargo bench -p dialects --bench scanner`

use std::hint::black_box;

use bytes::Bytes;
use dialects::Task;
use dialects::json::scan;
use dialects::openai::request::{self, Upstream, encode, estimate_prompt_tokens};
use divan::Bencher;
use divan::counter::BytesCount;

const LONG: usize = 256 << 10;

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum Text {
    /// A plain call of a few hundred bytes.
    Short,
    /// Letters and spaces: nothing to look at.
    Prose,
    /// Source code: an escape every few bytes.
    Code,
    /// Three bytes to a character.
    Chinese,
    /// A conversation of many short messages: structure rather than text.
    Messages,
}

const TEXTS: [Text; 5] = [Text::Short, Text::Prose, Text::Code, Text::Chinese, Text::Messages];

impl Text {
    fn body(self) -> Bytes {
        let repeated = |text: &str, length: usize| text.repeat(length / text.len() + 1);
        let prose = "Explain to a new colleague what a gateway in front of language models does. ";
        let messages = match self {
            Self::Short => vec![repeated(prose, 300)],
            Self::Prose => vec![repeated(prose, LONG)],
            Self::Code => vec![repeated("    if (\\\"name\\\" != null) {\\n\\t\\treturn names[i];\\n    }\\n", LONG)],
            Self::Chinese => vec![repeated("网关应当向新同事解释它解决了哪些问题。", LONG)],
            Self::Messages => (0..LONG / 96).map(|_| "Yes, and what else does it do?".to_owned()).collect(),
        };
        let messages: Vec<String> =
            messages.iter().map(|text| format!("{{\"role\":\"user\",\"content\":\"{text}\"}}")).collect();
        let messages = messages.join(",");
        format!("{{\"model\":\"gpt-4o-mini\",\"messages\":[{messages}],\"temperature\":0.2,\"max_tokens\":128}}").into()
    }
}

#[divan::bench(args = TEXTS)]
fn scanned(bencher: Bencher<'_, '_>, text: Text) {
    let body = text.body();
    bencher.counter(BytesCount::new(body.len())).bench_local(|| scan(black_box(&body)).is_ok());
}

#[divan::bench(args = TEXTS)]
fn read(bencher: Bencher<'_, '_>, text: Text) {
    let body = text.body();
    bencher.counter(BytesCount::new(body.len())).bench_local(|| request::read(Task::Chat, black_box(&body)).is_ok());
}

#[divan::bench(args = TEXTS)]
fn read_and_encoded(bencher: Bencher<'_, '_>, text: Text) {
    let body = text.body();
    let upstream = Upstream { model: Some("gpt-4o-mini-2024-07-18"), ask_usage: true, ..Upstream::default() };
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        request::read(Task::Chat, black_box(&body)).map(|request| encode(&body, &request, &upstream)).ok()
    });
}

#[divan::bench(args = TEXTS)]
fn tokens_estimated(bencher: Bencher<'_, '_>, text: Text) {
    let body = text.body();
    let Ok(request) = request::read(Task::Chat, &body) else { return };
    bencher.counter(BytesCount::new(body.len())).bench_local(|| estimate_prompt_tokens(black_box(&body), &request));
}
