//! Every wire format there is: what is asked on which path, and what a client makes of the answer.

use acceptance::client::{Refusal, Reply};
use acceptance::price::Tokens;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::MODEL;

/// The public name of the model that an Azure deployment serves.
pub(crate) const AZURE: &str = "story-azure";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Chat,
    Completion,
    Embedding,
}

/// Whose paths are used, by the client and upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paths {
    OpenAi,
    /// The path names the model, the body does not.
    Azure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Streamed,
}

/// One wire format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) task: Task,
    pub(crate) paths: Paths,
    pub(crate) delivery: Delivery,
}

/// What a client heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    /// What the model said, put together.
    pub(crate) words: String,
    /// The error, in an envelope or an event.
    pub(crate) error: Option<Value>,
    pub(crate) is_done: bool,
}

impl Form {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for paths in [Paths::OpenAi, Paths::Azure] {
            for task in [Task::Chat, Task::Completion, Task::Embedding] {
                all.push(Self { task, paths, delivery: Delivery::Whole });
                if task != Task::Embedding {
                    all.push(Self { task, paths, delivery: Delivery::Streamed });
                }
            }
        }
        all
    }

    pub(crate) fn is_streamed(self) -> bool {
        self.delivery == Delivery::Streamed
    }

    pub(crate) fn model(self) -> &'static str {
        match self.paths {
            Paths::OpenAi => MODEL,
            Paths::Azure => AZURE,
        }
    }

    pub(crate) fn path(self) -> String {
        let route = match self.task {
            Task::Chat => "chat/completions",
            Task::Completion => "completions",
            Task::Embedding => "embeddings",
        };
        match self.paths {
            Paths::OpenAi => format!("/v1/{route}"),
            Paths::Azure => format!("/openai/deployments/{AZURE}/{route}?api-version=2024-10-21"),
        }
    }

    /// A call that tells the provider how to behave, and what to count.
    pub(crate) fn call(self, conduct: &str) -> Value {
        let Tokens { prompt, completion, .. } = self.tokens();
        let text = format!("Tell me something. [[fake {conduct} prompt={prompt} completion={completion}]]");
        let mut call = match self.task {
            Task::Chat => json!({ "messages": [{ "role": "user", "content": text }] }),
            Task::Completion => json!({ "prompt": text }),
            Task::Embedding => json!({ "input": text }),
        };
        if self.paths == Paths::OpenAi {
            call["model"] = json!(MODEL);
        }
        if self.is_streamed() {
            call["stream"] = json!(true);
        }
        call
    }

    /// What the provider counts for [`Form::call`].
    pub(crate) fn tokens(self) -> Tokens {
        let completion = if self.task == Task::Embedding { 0 } else { 20 };
        Tokens { prompt: 40, completion, ..Tokens::default() }
    }

    /// The `call_type` of its row.
    pub(crate) fn call_type(self) -> &'static str {
        match self.task {
            Task::Chat => "acompletion",
            Task::Completion => "atext_completion",
            Task::Embedding => "aembedding",
        }
    }

    /// What a provider says in so many content events.
    pub(crate) fn words(self, events: usize) -> String {
        match self.task {
            Task::Chat | Task::Completion => (0..events).map(|number| format!("word{number} ")).collect(),
            Task::Embedding => "[0.25,-0.5,0.75,1.0]".to_owned(),
        }
    }

    /// Reads an answer as a client of this format does; anything that has no place in one is an error.
    pub(crate) fn hear(self, reply: &Reply) -> anyhow::Result<Heard> {
        let mut heard = Heard { status: reply.status, ..Heard::default() };
        if reply.status != 200 {
            Refusal::read(&reply.json()?, reply.status).with_context(|| format!("the envelope of {reply}"))?;
            heard.error = Some(reply.json()?["error"].clone());
        } else if self.is_streamed() {
            ensure!(reply.must_have("content-type")?.starts_with("text/event-stream"), "{reply}");
            self.hear_events(&reply.body, &mut heard)?;
        } else {
            let answer = reply.json()?;
            ensure!(answer["model"] == self.model(), "the model is not the one asked for: {answer}");
            heard.words = match self.task {
                Task::Chat => answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
                Task::Completion => answer["choices"][0]["text"].as_str().unwrap_or_default().to_owned(),
                Task::Embedding => answer["data"][0]["embedding"].to_string(),
            };
        }
        Ok(heard)
    }

    fn hear_events(self, body: &[u8], heard: &mut Heard) -> anyhow::Result<()> {
        let text = std::str::from_utf8(body)?;
        ensure!(text.ends_with("\n\n"), "the last event is not whole: {text:?}");
        for event in text.split_terminator("\n\n") {
            ensure!(!heard.is_done && heard.error.is_none(), "`{event}` comes behind the end: {text:?}");
            let data = event.strip_prefix("data: ").with_context(|| format!("`{event}` is no data"))?;
            if data == "[DONE]" {
                heard.is_done = true;
                continue;
            }
            let data: Value = serde_json::from_str(data).with_context(|| data.to_owned())?;
            if let Some(error) = data.get("error") {
                heard.error = Some(error.clone());
                continue;
            }
            ensure!(data["model"] == self.model(), "the model is not the one asked for: {data}");
            let said = match self.task {
                Task::Chat => &data["choices"][0]["delta"]["content"],
                Task::Completion | Task::Embedding => &data["choices"][0]["text"],
            };
            heard.words.push_str(said.as_str().unwrap_or_default());
        }
        Ok(())
    }
}

impl Heard {
    /// The whole answer, and nothing else.
    pub(crate) fn is_whole(&self, form: Form, events: usize) -> anyhow::Result<()> {
        ensure!(self.status == 200 && self.error.is_none(), "{self:?}");
        ensure!(self.words == form.words(events), "{self:?}");
        ensure!(self.is_done == form.is_streamed(), "`[DONE]` ends streams: {self:?}");
        Ok(())
    }

    /// What came before the fault, then the error in its envelope with this status, and no `[DONE]`.
    pub(crate) fn breaks_off(&self, form: Form, events: usize, status: u16) -> anyhow::Result<()> {
        let error = self.error.as_ref().with_context(|| format!("no error: {self:?}"))?;
        ensure!(!self.is_done, "a `[DONE]` that is a lie: {self:?}");
        let code = status.to_string();
        ensure!(error["code"] == code && error["message"].is_string(), "{self:?}");
        if self.status == 200 {
            ensure!(form.is_streamed(), "an error with status 200: {self:?}");
            ensure!(self.words == form.words(events), "{self:?}");
        } else {
            ensure!(self.status == status, "{self:?}");
        }
        Ok(())
    }
}
