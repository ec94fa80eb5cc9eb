//! Server-sent events, read one by one as the bytes come.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::BytesMut;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// No event of a story is longer in coming unless the stream hangs.
const EVENT_DEADLINE: Duration = Duration::from_secs(20);

/// An answer being read. Dropping it hangs up.
pub struct Events {
    pub status: u16,
    pub headers: HeaderMap,
    body: Incoming,
    unread: BytesMut,
    over: bool,
}

impl Events {
    pub(super) fn new(status: u16, headers: HeaderMap, body: Incoming) -> Self {
        Self { status, headers, body, unread: BytesMut::new(), over: false }
    }

    /// A header's value, where there must be one.
    pub fn must_have(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.with_context(|| format!("no header `{name}`; has {:?}", self.headers))
    }

    /// What the next event says after `data: `, or nothing at the end. Comments are skipped. A connection cut in the middle
    /// of the answer is an error.
    pub async fn next(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let event = self.unread.split_to(end + 2);
                let text = std::str::from_utf8(&event).context("an event that is not UTF-8")?;
                let said: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                if !said.is_empty() {
                    return Ok(Some(said.join("\n")));
                }
                continue;
            }
            if self.over {
                return match self.unread.is_empty() {
                    true => Ok(None),
                    false => bail!("the stream ended inside an event: {:?}", self.unread),
                };
            }
            let frame = tokio::time::timeout(EVENT_DEADLINE, self.body.frame()).await;
            match frame.with_context(|| format!("no bytes for {EVENT_DEADLINE:?}"))? {
                Some(frame) => self.unread.extend_from_slice(frame?.data_ref().map_or(&[][..], |bytes| bytes)),
                None => self.over = true,
            }
        }
    }

    /// All events that are left.
    pub async fn rest(&mut self) -> anyhow::Result<Vec<String>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }

    /// All events that are left, which must end with `[DONE]`; the others as JSON.
    pub async fn rest_to_done(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut events = self.rest().await?;
        let last = events.pop().context("a stream without events")?;
        anyhow::ensure!(last == "[DONE]", "the last event is {last:?}, not [DONE]");
        events.iter().map(|event| serde_json::from_str(event).with_context(|| format!("no JSON: {event}"))).collect()
    }
}
