//! A socket of an attacker: sends any bytes at any pace, and shows what comes back byte by byte.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// A connection on which anything is sent.
pub struct Raw {
    stream: TcpStream,
    came: Vec<u8>,
}

/// One answer, as it stood on the wire.
#[derive(Debug)]
pub struct RawReply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Raw {
    /// Connects to `base` (such as `http://127.0.0.1:4000`).
    pub async fn connect(base: &str) -> anyhow::Result<Self> {
        Self::connect_with(base, None).await
    }

    /// The same with a receive buffer of about so many bytes, so that a client who reads nothing is felt soon.
    pub async fn narrow(base: &str, bytes: u32) -> anyhow::Result<Self> {
        Self::connect_with(base, Some(bytes)).await
    }

    async fn connect_with(base: &str, receive: Option<u32>) -> anyhow::Result<Self> {
        let address = base.strip_prefix("http://").context("no http address")?.parse()?;
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(address).await.with_context(|| format!("connecting to {base}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, came: Vec::new() })
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        self.stream.write_all(bytes.as_ref()).await.context("sending")
    }

    /// Reads one answer whose length is said.
    pub async fn reply(&mut self, within: Duration) -> anyhow::Result<RawReply> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(reply) = self.parsed()? {
                return Ok(reply);
            }
            ensure!(self.more(deadline).await?, "the connection ended after {:?}", String::from_utf8_lossy(&self.came));
        }
    }

    /// Waits until the other side hangs up, and gives all that came before it. That it does not is an error.
    pub async fn closed(&mut self, within: Duration) -> anyhow::Result<Vec<u8>> {
        let deadline = Instant::now() + within;
        while self.more(deadline).await? {}
        Ok(std::mem::take(&mut self.came))
    }

    /// Whether the other side has not hung up when this time is over. What comes meanwhile is kept.
    pub async fn stays_open(&mut self, during: Duration) -> anyhow::Result<bool> {
        let deadline = Instant::now() + during;
        loop {
            match timeout_at(deadline, self.stream.read_buf(&mut self.came)).await {
                Err(_elapsed) => return Ok(true),
                Ok(Ok(0) | Err(_)) => return Ok(false),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Breaks the connection with a reset instead of an end.
    pub fn reset(self) -> anyhow::Result<()> {
        self.stream.set_zero_linger().context("lingering")
    }

    /// Reads more; false at the end. A reset is an end.
    async fn more(&mut self, deadline: Instant) -> anyhow::Result<bool> {
        match timeout_at(deadline, self.stream.read_buf(&mut self.came)).await {
            Err(_elapsed) => bail!("nothing more came in time, after {:?}", String::from_utf8_lossy(&self.came)),
            Ok(Ok(0) | Err(_)) => Ok(false),
            Ok(Ok(_)) => Ok(true),
        }
    }

    fn parsed(&mut self) -> anyhow::Result<Option<RawReply>> {
        let Some(end) = self.came.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(self.came.get(..end).unwrap_or_default()).into_owned();
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        let whole = end + 4 + length.with_context(|| format!("no length in {head}"))?;
        if self.came.len() < whole {
            return Ok(None);
        }
        let body = self.came.get(end + 4..whole).unwrap_or_default().to_vec();
        self.came.drain(..whole);
        Ok(Some(RawReply { status, head, body }))
    }
}

impl RawReply {
    /// Reads all that came of a connection as one answer; bytes beyond it are an error.
    pub fn only(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let end = shown.find("\r\n\r\n").with_context(|| format!("no answer in {shown:?}"))?;
        let head = shown.get(..end).unwrap_or_default().to_owned();
        ensure!(shown.matches("HTTP/1.1 ").count() == 1, "not one answer: {shown}");
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Self { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() })
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON in {self:?}"))
    }
}

/// A POST of `body` with a key, and with `more` among its headers (each line ended by CR LF).
pub fn post(path: &str, key: &str, more: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
