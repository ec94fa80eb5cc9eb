//! The endings of a call, over each wire format: what the client hears, what is booked, what is counted.
//!
//! The table of ARCHITECTURE.md is the promise; [`CASES`] and the stories after it hold it for every row.

mod forms;
pub(crate) mod meter;

use std::collections::BTreeSet;
use std::time::Duration;

use acceptance::binaries::repository;
use acceptance::config::{Config, Deployment};
use acceptance::database::Booked;
use acceptance::planes::{Key, Planes, SPEND_ARRIVES_WITHIN};
use acceptance::ports;
use acceptance::price::{STORY, Tokens, usd};
use acceptance::provider::FakeProvider;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

use self::forms::{AZURE, Delivery, Form, Heard, Task};
use self::meter::{Endings, Meter, since};
use crate::world::MODEL;

/// Longer than anything but a stall takes, so that only stalls run into it.
const PATIENCE_SECONDS: u64 = 4;

/// Calls that end by themselves.
struct Case {
    conduct: &'static str,
    ending: &'static str,
    booked: Source,
    hears: Hears,
}

/// Where the figures of a row come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Provider,
    Guess,
    /// Nothing was used.
    Nothing,
}

enum Hears {
    /// The whole answer, of so many content events.
    All(usize),
    /// So many content events and an error; an error with this status where nothing was sent yet.
    Error { after: usize, status: u16 },
}

const CASES: &[Case] = &[
    Case { conduct: "chunks=3", ending: "complete", booked: Source::Provider, hears: Hears::All(3) },
    Case { conduct: "chunks=3 no_usage", ending: "complete", booked: Source::Guess, hears: Hears::All(3) },
    Case {
        conduct: "chunks=9 cut_after=2",
        ending: "upstream_cut",
        booked: Source::Guess,
        hears: Hears::Error { after: 2, status: 500 },
    },
    Case {
        conduct: "chunks=9 cut_after=0",
        ending: "upstream_cut",
        booked: Source::Guess,
        hears: Hears::Error { after: 0, status: 500 },
    },
    Case {
        conduct: "chunks=9 stall_after=2",
        ending: "upstream_stalled",
        booked: Source::Guess,
        hears: Hears::Error { after: 2, status: 408 },
    },
    Case {
        conduct: "latency_ms=60000",
        ending: "upstream_stalled",
        booked: Source::Guess,
        hears: Hears::Error { after: 0, status: 408 },
    },
    Case {
        conduct: "status=429",
        ending: "refused",
        booked: Source::Nothing,
        hears: Hears::Error { after: 0, status: 429 },
    },
];

#[tokio::test]
async fn every_ending_is_heard_booked_and_counted_as_the_table_says_in_every_wire_format() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    for case in CASES {
        stage.play(case).await.with_context(|| format!("{} ({})", case.ending, case.conduct))?;
    }
    stage.clients_leave().await.context("client_left")?;
    stage.the_gateway_goes().await.context("drained")?;
    stage.planes.end()
}

#[tokio::test]
async fn a_stream_whose_budget_is_spent_meanwhile_ends_and_says_so_in_every_wire_format() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let before = stage.meter.endings().await?;
    let forms: Vec<Form> = Form::all().into_iter().filter(|form| form.is_streamed()).collect();
    // It pays for the prompt and some words, and not for a few hundred.
    let budget = usd(STORY.of(&Tokens { prompt: 60, completion: 40, ..Tokens::default() }));
    for form in &forms {
        let key = stage.planes.new_key(json!({ "max_budget": budget })).await?;
        let heard = stage.call(&key, *form, "chunks=400").await?.with_context(|| format!("{form:?}"))?;
        let error =
            heard.error.as_ref().with_context(|| format!("{form:?}: {} characters, whole", heard.words.len()))?;
        ensure!(error["type"] == "budget_exceeded" && error["code"] == "422", "{error}");
        ensure!(!heard.is_done && !heard.words.is_empty(), "{form:?}: {heard:?}");
        let again = stage.call(&key, *form, "chunks=1").await??;
        ensure!(again.status == 422, "{again:?}");
    }
    for row in stage.planes.booked(forms.len(), SPEND_ARRIVES_WITHIN).await? {
        ensure!(row.ending == "limit_reached" && !row.success && row.usage_source == "estimated", "{row:#?}");
        let (spent, most) = (usd(row.cost_nano_usd.unsigned_abs()), budget * 1.2);
        ensure!(spent <= most, "{spent} of {budget}");
    }
    let grown = since(&before, &stage.meter.endings().await?);
    ensure!(grown == Endings::from([("limit_reached".to_owned(), forms.len() as u64)]), "{grown:?}");
    stage.planes.end()
}

#[test]
fn the_endings_that_are_played_are_those_of_the_table() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(repository().join("ARCHITECTURE.md"))?;
    let (_, section) = page.split_once("### The endings of a call").context("the section of the endings is gone")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: BTreeSet<&str> = rows.collect();
    let elsewhere = ["client_left", "drained", "limit_reached"];
    let played: BTreeSet<&str> =
        CASES.iter().map(|case| case.ending).filter(|ending| *ending != "refused").chain(elsewhere).collect();
    ensure!(rows == played, "the table has {rows:?}, the stories play {played:?}");
    Ok(())
}

/// Planes, a provider, and what they have done so far.
struct Stage {
    provider: FakeProvider,
    planes: Planes,
    meter: Meter,
    rows: usize,
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let provider = FakeProvider::start()?;
        let origin = provider.base().trim_end_matches("/v1").to_owned();
        let config =
            Config::new().deployment(Deployment::on(MODEL, "openai/story-large", &provider).priced(STORY)).deployment(
                Deployment::at(AZURE, "azure/story-large", &origin)
                    .param("api_version", json!("2024-10-21"))
                    .priced(STORY),
            );
        let mut planes = Planes::start(&config, 1).await?;
        let port = ports::free()?;
        let settings = [
            ("TURNPIKE_METRICS_PORT", port.to_string()),
            ("TURNPIKE_LINGER_SECONDS", "0".to_owned()),
            ("GRACEFUL_SHUTDOWN_TIMEOUT", "1".to_owned()),
        ];
        planes.restart(0, &settings.each_ref().map(|(name, value)| (*name, value.as_str()))).await?;
        Ok(Self { provider, planes, meter: Meter::at(port), rows: 0 })
    }

    /// Plays a case in all forms at once: what ends by running out of patience costs that only once.
    async fn play(&mut self, case: &Case) -> anyhow::Result<()> {
        let key = self.planes.new_key(json!({})).await?;
        let before = self.meter.endings().await?;
        let calls: Vec<_> = Form::all().into_iter().map(|form| (form, self.call(&key, form, case.conduct))).collect();
        let mut statuses = Vec::new();
        for (form, call) in calls {
            let heard = call.await?.with_context(|| format!("{form:?}"))?;
            case.heard(form, &heard).with_context(|| format!("{form:?}"))?;
            statuses.push(i32::from(heard.status));
        }
        self.counted(&before, case.ending).await?;
        let booked = self.booked(&key, case.ending, case.booked).await?;
        ensure!(booked == statuses, "the rows of {:?} say {booked:?}, the clients heard {statuses:?}", Form::all());
        Ok(())
    }

    fn call(&self, key: &Key, form: Form, conduct: &str) -> tokio::task::JoinHandle<anyhow::Result<Heard>> {
        let (client, mut call) = (self.planes.at(0, key), form.call(conduct));
        call["timeout"] = json!(PATIENCE_SECONDS);
        tokio::spawn(async move { form.hear(&client.post(&form.path(), &call).await?) })
    }

    /// Calls that wait at the provider's gate: streams after their first content event, others before their body.
    async fn wait_at_gate(&self, key: &Key) -> anyhow::Result<Vec<Waiting>> {
        self.provider.close_gate();
        let mut waiting = Vec::new();
        for form in Form::all() {
            let came = self.provider.ledger().len();
            let (client, call) = (self.planes.at(0, key), form.call("chunks=3 gate"));
            waiting.push(match form.delivery {
                Delivery::Whole => Waiting::Whole(tokio::spawn(async move { client.post(&form.path(), &call).await })),
                Delivery::Streamed => {
                    let mut events = client.stream(&form.path(), &call).await?;
                    let until_word = if form.task == Task::Chat { 2 } else { 1 };
                    for _ in 0..until_word {
                        events.next().await?.context("the stream is over")?;
                    }
                    Waiting::Stream(events)
                }
            });
            self.provider.ledger().reaches(came + 1, Duration::from_secs(20)).await?;
        }
        Ok(waiting)
    }

    /// The provider is read on for clients that left, so what they are charged is exact.
    async fn clients_leave(&mut self) -> anyhow::Result<()> {
        let key = self.planes.new_key(json!({})).await?;
        let before = self.meter.endings().await?;
        let waiting = self.wait_at_gate(&key).await?;
        let left = waiting.len();
        waiting.into_iter().for_each(Waiting::leave);
        self.meter.detached(left).await?;
        self.provider.open_gate();
        self.meter.detached(0).await?;
        self.counted(&before, "client_left").await?;
        self.booked(&key, "client_left", Source::Provider).await.map(drop)
    }

    /// Streams hear of it, other clients lose their connection; what came is booked although the control plane is away.
    async fn the_gateway_goes(&mut self) -> anyhow::Result<()> {
        let key = self.planes.new_key(json!({})).await?;
        let before = self.meter.endings().await?;
        let waiting = self.wait_at_gate(&key).await?;
        // Without anybody to deliver to, the data plane tries for a while: time to read its counters.
        self.planes.control.kill_nine()?;
        self.planes.data[0].ask_to_stop()?;
        for waiting in waiting {
            waiting.hears_the_last_words().await?;
        }
        self.counted(&before, "drained").await?;
        ensure!(self.planes.data[0].ended().await?.success());
        self.planes.control.start().await?;
        self.planes.data[0].start().await?;
        self.booked(&key, "drained", Source::Guess).await.map(drop)
    }

    /// One more call for each form under `ending`, and none under another.
    async fn counted(&self, before: &Endings, ending: &str) -> anyhow::Result<()> {
        ensure!(before.get("limit_reached") == Some(&0), "a reserved ending was used, or is not counted: {before:?}");
        let expected = Endings::from([(ending.to_owned(), Form::all().len() as u64)]);
        eventually("the counters say how the calls ended", Duration::from_secs(8), async || {
            let grown = since(before, &self.meter.endings().await?);
            ensure!(grown == expected, "{grown:?} instead of {expected:?}");
            Ok(Some(()))
        })
        .await
    }

    /// One row for each form, as the table says; gives the statuses they have, form by form.
    async fn booked(&mut self, key: &Key, ending: &str, source: Source) -> anyhow::Result<Vec<i32>> {
        self.rows += Form::all().len();
        let rows = self.planes.booked(self.rows, SPEND_ARRIVES_WITHIN).await?;
        let mut statuses = Vec::new();
        for form in Form::all() {
            let of_form = |row: &&Booked| {
                row.key_hash.as_deref() == Some(&key.hash)
                    && (row.call_type.as_str(), row.model_group.as_str()) == (form.call_type(), form.model())
                    && row.streamed == form.is_streamed()
            };
            let mut found = rows.iter().filter(of_form);
            let (Some(row), None) = (found.next(), found.next()) else {
                anyhow::bail!("not one row for {form:?}: {rows:#?}");
            };
            source.fits(row, form).with_context(|| format!("{form:?}: {row:#?}"))?;
            ensure!(row.ending == ending, "{form:?}: {row:#?}");
            ensure!(row.success == matches!(ending, "complete" | "client_left"), "{form:?}: {row:#?}");
            statuses.push(row.status);
        }
        Ok(statuses)
    }
}

impl Case {
    fn heard(&self, form: Form, heard: &Heard) -> anyhow::Result<()> {
        match self.hears {
            Hears::All(events) => heard.is_whole(form, events),
            Hears::Error { after, status } => heard.breaks_off(form, after, status),
        }
    }
}

impl Source {
    fn fits(self, row: &Booked, form: Form) -> anyhow::Result<()> {
        let owed = i64::try_from(STORY.of(&form.tokens()))?;
        let (source, has_method) = match self {
            Self::Provider => ("reported", false),
            Self::Guess => ("estimated", true),
            Self::Nothing => ("none", false),
        };
        ensure!(row.usage_source == source && row.estimate_method.is_some() == has_method, "not `{source}`");
        match self {
            Self::Provider => ensure!(row.cost_nano_usd == owed, "the provider is owed {owed}"),
            Self::Guess => ensure!(row.prompt_tokens > 0 && row.cost_nano_usd > 0, "nothing is booked"),
            Self::Nothing => ensure!(row.prompt_tokens == 0 && row.cost_nano_usd == 0, "something is booked"),
        }
        Ok(())
    }
}

/// A call that is under way.
enum Waiting {
    Whole(tokio::task::JoinHandle<anyhow::Result<acceptance::client::Reply>>),
    Stream(acceptance::client::Events),
}

impl Waiting {
    /// Hangs up.
    fn leave(self) {
        match self {
            Self::Whole(call) => call.abort(),
            Self::Stream(events) => drop(events),
        }
    }

    /// The client of a stream is told; another one gets no answer that looks like one.
    async fn hears_the_last_words(self) -> anyhow::Result<()> {
        match self {
            Self::Whole(call) => {
                let answer = call.await?;
                ensure!(answer.as_ref().map_or(true, |reply| reply.status != 200), "{:?}", answer.map(|r| r.status));
            }
            Self::Stream(mut events) => {
                let rest = events.rest().await?;
                ensure!(rest.len() == 1, "{rest:?} after what came before");
                let last: serde_json::Value = serde_json::from_str(rest.first().context("no last event")?)?;
                ensure!(last["error"]["code"] == "503", "{last}");
            }
        }
        Ok(())
    }
}
