//! Takes subscriptions of data planes; each becomes a [`super::session`].

use proto::channel::DATA_PLANE_ID_HEADER;
use proto::v1 as pb;
use proto::v1::snapshots_server::Snapshots;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Publisher, session};

/// Messages on their way into the socket. Chunks are up to 1 MiB, so few.
const WAITING: usize = 2;

/// The `Snapshots` service.
pub(crate) struct Subscriptions {
    publisher: Publisher,
}

impl Subscriptions {
    pub(super) fn new(publisher: Publisher) -> Self {
        Self { publisher }
    }
}

#[tonic::async_trait]
impl Snapshots for Subscriptions {
    type SubscribeStream = ReceiverStream<Result<pb::FromControlPlane, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<pb::FromDataPlane>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (out, stream) = mpsc::channel(WAITING);
        let claimed = request.metadata().get(DATA_PLANE_ID_HEADER);
        let claimed = claimed.and_then(|id| id.to_str().ok()).map(str::to_owned);
        tokio::spawn(session::run(self.publisher.clone(), claimed, request.into_inner(), out));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
