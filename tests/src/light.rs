//! A data plane reduced to its subscription: it receives, checks digests and acknowledges, and keeps nothing.
//!
//! The one place where a story speaks gRPC: a hundred real data planes do not fit on one machine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hyper_util::rt::TokioIo;
use proto::channel::{DATA_PLANE_ID_HEADER, JOIN_TOKEN_HEADER, JoinToken, client_config};
use proto::v1::{self as pb, snapshots_client::SnapshotsClient};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Channel, Endpoint};

use pb::from_control_plane::Message as Down;
use pb::from_data_plane::Message as Up;

/// Where the control plane is, and what lets one in.
#[derive(Clone)]
pub struct Door {
    port: u16,
    token: Arc<JoinToken>,
}

/// A whole snapshot that came as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub revision: u64,
    pub resources: u64,
    pub chunks: u32,
    pub compressed_bytes: u64,
}

/// A subscription that took everything and goes on acknowledging. Dropped, it hangs up.
pub struct Light {
    pub received: Received,
    _following: AbortOnDropHandle<()>,
}

impl Door {
    /// The gRPC port on this machine, and the file that `init` wrote.
    pub fn open(port: u16, join_token: &Path) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(join_token)?.trim().parse().context("the join token")?;
        Ok(Self { port, token: Arc::new(token) })
    }

    async fn channel(&self) -> anyhow::Result<Channel> {
        let door = self.clone();
        let connect = move |_: http::Uri| {
            let door = door.clone();
            async move {
                let tcp = TcpStream::connect(("127.0.0.1", door.port)).await?;
                tcp.set_nodelay(true)?;
                let name = "127.0.0.1".try_into().map_err(std::io::Error::other)?;
                let tls = tokio_rustls::TlsConnector::from(Arc::new(client_config(door.token.pin())));
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
            }
        };
        let endpoint = Endpoint::from_static("http://control-plane").connect_timeout(Duration::from_secs(60));
        Ok(endpoint.connect_with_connector(tower::service_fn(connect)).await?)
    }
}

impl Light {
    /// Subscribes as `id` with nothing in hand, and takes the whole snapshot.
    pub async fn receive(door: &Door, id: &str) -> anyhow::Result<Self> {
        let (say, said) = mpsc::channel(4);
        let mut request = tonic::Request::new(ReceiverStream::new(said));
        request.metadata_mut().insert(DATA_PLANE_ID_HEADER, id.parse()?);
        request.metadata_mut().insert(JOIN_TOKEN_HEADER, door.token.expose().parse()?);
        tell(&say, Up::Hello(hello(id))).await?;
        let mut client = SnapshotsClient::new(door.channel().await?).max_decoding_message_size(8 << 20);
        let mut heard = client.subscribe(request).await?.into_inner();

        let mut received = Received { revision: 0, resources: 0, chunks: 0, compressed_bytes: 0 };
        let mut digest = Sha256::new();
        loop {
            let message = heard.message().await?.and_then(|message| message.message);
            match message.context("the control plane closed the stream")? {
                Down::Welcome(_) | Down::Fleet(_) | Down::Totals(_) => {}
                Down::Begin(begin) => received.resources = begin.resources,
                Down::Chunk(chunk) => {
                    ensure!(crc32fast::hash(&chunk.zstd) == chunk.crc32, "chunk {} is damaged", chunk.index);
                    ensure!(chunk.index == received.chunks, "chunk {} came as number {}", chunk.index, received.chunks);
                    digest.update(&chunk.zstd);
                    received.chunks += 1;
                    received.compressed_bytes += chunk.zstd.len() as u64;
                }
                Down::End(end) => {
                    ensure!(digest.finalize()[..] == end.sha256[..], "the digest differs");
                    received.revision = end.version.as_ref().map_or(0, |version| version.revision);
                    let ack = pb::Ack { applied: end.version.clone(), durable: end.version };
                    tell(&say, Up::Ack(ack)).await?;
                    let following = AbortOnDropHandle::new(tokio::spawn(follow(heard, say)));
                    return Ok(Self { received, _following: following });
                }
                Down::Delta(_) => bail!("a delta for somebody who holds nothing"),
            }
        }
    }
}

/// Acknowledges what changes: who does not is cut off after a while.
async fn follow(mut heard: tonic::Streaming<pb::FromControlPlane>, say: mpsc::Sender<pb::FromDataPlane>) {
    while let Ok(Some(message)) = heard.message().await {
        let Some(Down::Delta(delta)) = message.message else { continue };
        let held = pb::Version { epoch: delta.epoch, revision: delta.to };
        let ack = pb::Ack { applied: Some(held.clone()), durable: Some(held) };
        if tell(&say, Up::Ack(ack)).await.is_err() {
            return;
        }
    }
}

fn hello(id: &str) -> pb::Hello {
    pb::Hello {
        data_plane_id: id.to_owned(),
        build: "light".to_owned(),
        protocol_min: 1,
        protocol_max: 1,
        features: Vec::new(),
        held: None,
    }
}

async fn tell(say: &mpsc::Sender<pb::FromDataPlane>, message: Up) -> anyhow::Result<()> {
    say.send(pb::FromDataPlane { message: Some(message) }).await.context("the subscription is closed")
}
