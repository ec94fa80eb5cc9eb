//! A connection to Redis, shared by all calls: what they ask goes out one behind the other, and the answers come back so.

use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, RedisResult, Script, Value};

use super::question::{Answer, Question};
use super::target::{Nodes, Target};

const CONNECT_WITHIN: Duration = Duration::from_secs(2);

const TAKE: &str = concat!(include_str!("window.lua"), include_str!("take.lua"));
const TELL: &str = concat!(include_str!("window.lua"), include_str!("tell.lua"));

/// An open connection, and the scripts that Redis has.
pub(super) struct Link {
    connection: Connection,
    take: String,
    pub(super) tell: String,
}

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Connects, and brings the scripts.
    pub(super) async fn open(target: &Target) -> RedisResult<Self> {
        let opened = tokio::time::timeout(CONNECT_WITHIN, Self::connect(target)).await;
        opened.map_err(|_late| RedisError::from((redis::ErrorKind::Io, "no connection within 2 s")))?
    }

    async fn connect(target: &Target) -> RedisResult<Self> {
        let mut connection = match &target.nodes {
            Nodes::One(info) => {
                let client = Client::open((**info).clone())?;
                // A call waits as long as its own patience lasts; how many wait at once is limited by the data plane.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_WITHIN))
                    .set_response_timeout(Some(CONNECT_WITHIN))
                    .set_pipeline_buffer_size(8_192);
                Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Nodes::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.clone())
                    .connection_timeout(CONNECT_WITHIN)
                    .response_timeout(CONNECT_WITHIN)
                    .build()?;
                Connection::Cluster(client.get_async_connection().await?)
            }
        };
        let mut load = async |code| match &mut connection {
            Connection::One(connection) => Script::new(code).load_async(connection).await,
            Connection::Cluster(connection) => Script::new(code).load_async(connection).await,
        };
        let (take, tell) = (load(TAKE).await?, load(TELL).await?);
        Ok(Self { connection, take, tell })
    }

    pub(super) async fn take(&self, question: &Question) -> RedisResult<Answer> {
        let command = question.command(&self.take);
        let answer = match self.connection.clone() {
            Connection::One(mut connection) => connection.send_packed_command(&command).await?,
            Connection::Cluster(mut connection) => connection.req_packed_command(&command).await?,
        };
        question.read(answer)
    }

    pub(super) async fn tell(&self, words: &Pipeline) -> RedisResult<Vec<Value>> {
        match self.connection.clone() {
            Connection::One(mut connection) => words.query_async(&mut connection).await,
            Connection::Cluster(mut connection) => words.query_async(&mut connection).await,
        }
    }
}
