//! How a fake provider behaves in one call, read from a directive: `[[fake chunks=5 cut_after=3 no_usage]]`.
//!
//! | word | meaning |
//! |---|---|
//! | `status=429` | answer with this status; from 400 on, an error |
//! | `body=json` `html` `empty` | what an error says; `html` with status 200 is a page where JSON should be |
//! | `retry_after=7` | seconds in the header of the same name |
//! | `latency_ms=50` | before the first byte |
//! | `chunks=5` | content events of a stream |
//! | `gap_ms=10` | between events |
//! | `fat=65536` | bytes of each content event, about |
//! | `gate` | after the first content event, or before a whole body, wait until the story opens the gate |
//! | `cut_after=3` | after so many content events the connection breaks |
//! | `stall_after=2` | after so many content events nothing more comes |
//! | `garble_after=2` | after so many content events comes half an event, and the body ends |
//! | `slice=7` | the stream's bytes come in pieces of this size |
//! | `no_usage` `no_done` | no usage, no `[DONE]` |
//! | `prompt=12` `completion=7` `cached=3` `reasoning=2` | tokens that it counts |

use anyhow::{Context, bail};

use crate::price::Tokens;

const OPENING: &str = "[[fake";
const CLOSING: &str = "]]";

/// Behaviour in one call.
#[derive(Clone, Debug)]
pub struct Conduct {
    pub status: u16,
    pub body: Body,
    pub retry_after_s: Option<u64>,
    pub latency_ms: u64,
    pub chunks: usize,
    pub gap_ms: u64,
    pub fat: usize,
    pub gate: bool,
    pub fault: Option<Fault>,
    pub slice_bytes: Option<usize>,
    pub tells_usage: bool,
    pub says_done: bool,
    pub tokens: Tokens,
}

/// What an answer is made of when it is not a proper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Json,
    Html,
    Empty,
}

/// What goes wrong in a stream, after how many content events. In an answer that is not streamed, it goes wrong halfway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Cut { after: usize },
    Stall { after: usize },
    Garble { after: usize },
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            status: 200,
            body: Body::Json,
            retry_after_s: None,
            latency_ms: 0,
            chunks: 3,
            gap_ms: 0,
            fat: 0,
            gate: false,
            fault: None,
            slice_bytes: None,
            tells_usage: true,
            says_done: true,
            tokens: Tokens { prompt: 12, completion: 7, cached: 0, reasoning: 0 },
        }
    }
}

impl Conduct {
    /// This conduct, changed by the directive in `text`, where there is one.
    pub fn asked_by(&self, text: &str) -> anyhow::Result<Self> {
        let directive = text.split_once(OPENING).and_then(|(_, after)| after.split_once(CLOSING));
        match directive {
            Some((words, _)) => self.clone().told(words),
            None => Ok(self.clone()),
        }
    }

    /// This conduct, changed by the words of a directive. An unknown word is an error: a story with a typo must not pass.
    pub fn told(mut self, words: &str) -> anyhow::Result<Self> {
        for word in words.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            self.set(name, value).with_context(|| format!("directive `{word}`"))?;
        }
        Ok(self)
    }

    fn set(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        match name {
            "status" => self.status = value.parse()?,
            "body" => self.body = Body::named(value)?,
            "retry_after" => self.retry_after_s = Some(value.parse()?),
            "latency_ms" => self.latency_ms = value.parse()?,
            "chunks" => self.chunks = value.parse()?,
            "gap_ms" => self.gap_ms = value.parse()?,
            "fat" => self.fat = value.parse()?,
            "gate" => self.gate = true,
            "cut_after" => self.fault = Some(Fault::Cut { after: value.parse()? }),
            "stall_after" => self.fault = Some(Fault::Stall { after: value.parse()? }),
            "garble_after" => self.fault = Some(Fault::Garble { after: value.parse()? }),
            "slice" => self.slice_bytes = Some(value.parse::<usize>()?.max(1)),
            "no_usage" => self.tells_usage = false,
            "no_done" => self.says_done = false,
            "prompt" => self.tokens.prompt = value.parse()?,
            "completion" => self.tokens.completion = value.parse()?,
            "cached" => self.tokens.cached = value.parse()?,
            "reasoning" => self.tokens.reasoning = value.parse()?,
            unknown => bail!("no such word: {unknown}"),
        }
        Ok(())
    }
}

impl Body {
    fn named(name: &str) -> anyhow::Result<Self> {
        match name {
            "json" => Ok(Self::Json),
            "html" => Ok(Self::Html),
            "empty" => Ok(Self::Empty),
            unknown => bail!("no such body: {unknown}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_in_a_message_changes_what_it_names_and_nothing_else() -> anyhow::Result<()> {
        let usual = Conduct::default().told("chunks=9 no_done")?;
        let conduct = usual.asked_by("Hello [[fake cut_after=3 prompt=100]] there")?;
        assert_eq!(conduct.fault, Some(Fault::Cut { after: 3 }));
        assert_eq!((conduct.tokens.prompt, conduct.tokens.completion, conduct.chunks), (100, 7, 9));
        assert!(!conduct.says_done);
        Ok(())
    }

    #[test]
    fn a_directive_with_a_typo_is_an_error() {
        assert!(Conduct::default().asked_by("[[fake chunk=5]]").is_err());
        assert!(Conduct::default().asked_by("[[fake chunks=five]]").is_err());
    }
}
