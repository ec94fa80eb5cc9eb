//! What an event of a stream costs on its way: passed as it is, or with the client's name of the model put in.
//!
//! `cargo bench -p dialects --bench stream`

use bytes::Bytes;
use dialects::openai::stream::{Options, Reader};
use divan::Bencher;
use divan::counter::ItemsCount;

const EVENTS: usize = 50;

fn main() {
    divan::main();
}

/// How the provider's writes arrive.
#[derive(Clone, Copy, Debug)]
enum Reads {
    OneEach,
    AllInOne,
    /// Cut in the middle of every event.
    Torn,
}

const READS: [Reads; 3] = [Reads::OneEach, Reads::AllInOne, Reads::Torn];

impl Reads {
    fn of_a_stream(self) -> Vec<Bytes> {
        let event = |number: usize| {
            format!(
                "data: {{\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1735689600,\
                 \"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\
                 \"delta\":{{\"content\":\" word{number}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
            )
        };
        let events: Vec<String> = (0..EVENTS).map(event).collect();
        match self {
            Self::OneEach => events.into_iter().map(Bytes::from).collect(),
            Self::AllInOne => vec![events.concat().into()],
            Self::Torn => {
                let whole = Bytes::from(events.concat());
                (0..whole.len()).step_by(200).map(|at| whole.slice(at..(at + 200).min(whole.len()))).collect()
            }
        }
    }
}

fn relayed(bencher: Bencher<'_, '_>, reads: Reads, model: Option<&str>) {
    let reads = reads.of_a_stream();
    let mut out = Vec::with_capacity(2 * EVENTS);
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        let mut reader = Reader::new(Options { model: model.map(str::to_owned), hide_usage: true });
        for read in &reads {
            out.clear();
            if reader.read(read.clone(), &mut out).is_err() {
                break;
            }
        }
        reader.content_bytes()
    });
}

#[divan::bench(args = READS)]
fn passed(bencher: Bencher<'_, '_>, reads: Reads) {
    relayed(bencher, reads, None);
}

#[divan::bench(args = READS)]
fn restamped(bencher: Bencher<'_, '_>, reads: Reads) {
    relayed(bencher, reads, Some("gpt-4o-mini"));
}
