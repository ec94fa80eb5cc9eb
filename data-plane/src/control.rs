//! The one connection to the control plane: gRPC streams and forwarded admin calls share it.
//!
//! Where several control planes share a database, the connection goes to one of them, and to the next when that one is
//! lost. TLS pins the certificate authority whose digest the join token carries; a Unix socket (standalone) is
//! plain, because whoever may open it is already us.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use proto::channel::{self, JoinToken};
use rand::seq::SliceRandom as _;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// What one address may take to connect, TLS included: who only accepts, as a frozen process does, is given up too.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// More addresses than this behind one name are not tried in one go.
const ADDRESSES_TRIED: usize = 16;

pub(crate) static JOIN_TOKEN: HeaderName = HeaderName::from_static(channel::JOIN_TOKEN_HEADER);
pub(crate) static DATA_PLANE_ID: HeaderName = HeaderName::from_static(channel::DATA_PLANE_ID_HEADER);
pub(crate) static CLIENT_IP: HeaderName = HeaderName::from_static(channel::CLIENT_IP_HEADER);

/// Where the control planes listen for data planes: one, or several that share a database.
#[derive(Clone, Debug)]
pub struct ControlAddresses(Vec<ControlAddress>);

/// Where a control plane listens for data planes.
#[derive(Clone, Debug)]
pub enum ControlAddress {
    /// `unix:/path`: standalone, plain.
    Unix(PathBuf),
    /// `https://host:port`, enrolled with a join token.
    Tls { host: String, port: u16, token: JoinToken },
}

/// Why an address of the control plane cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error(
        "`{0}` is not an address of a control plane: use https://host:4002 (several separated by commas), or unix:/path for \
         standalone"
    )]
    Form(String),
    #[error("https needs a join token: give --join-token-file (the control plane's `init` wrote it)")]
    NoToken,
    #[error("the join token cannot be read: {0}")]
    Token(String),
}

impl ControlAddresses {
    /// Reads addresses separated by commas; there must be one at least.
    pub fn parse(text: &str, token: Option<&str>) -> Result<Self, AddressError> {
        let addresses = text.split(',').map(str::trim).map(|address| ControlAddress::parse(address, token));
        Ok(Self(addresses.collect::<Result<_, _>>()?))
    }
}

impl ControlAddress {
    /// Reads `https://host:port` or `unix:/path`.
    pub fn parse(text: &str, token: Option<&str>) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let form = || AddressError::Form(text.to_owned());
        let uri: Uri = text.parse().map_err(|_invalid| form())?;
        let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(form()) };
        let token = token.ok_or(AddressError::NoToken)?;
        let token = token.trim().parse::<JoinToken>().map_err(|error| AddressError::Token(error.to_string()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self::Tls { host, port: uri.port_u16().unwrap_or(4002), token })
    }
}

/// The connection, made when first used and again when lost.
#[derive(Clone)]
pub(crate) struct ControlPlane {
    pub(crate) channel: Channel,
    pub(crate) identity: Identity,
}

/// Who we are to the control plane.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) data_plane_id: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ControlPlane {
    pub(crate) fn new(addresses: ControlAddresses, data_plane_id: &str) -> Result<Self, http::Error> {
        let mut headers = vec![(DATA_PLANE_ID.clone(), HeaderValue::try_from(data_plane_id)?)];
        let token = addresses.0.iter().find_map(|address| match address {
            ControlAddress::Tls { token, .. } => Some(token),
            ControlAddress::Unix(_) => None,
        });
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(token.expose())?;
            value.set_sensitive(true);
            headers.push((JOIN_TOKEN.clone(), value));
        }
        let identity = Identity { data_plane_id: data_plane_id.to_owned(), headers };
        Ok(Self { channel: connection_to(addresses), identity })
    }
}

impl Identity {
    /// Puts our identity on a gRPC or forwarded call.
    pub(crate) fn sign(&self, headers: &mut http::HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The same as gRPC metadata.
    pub(crate) fn sign_metadata<T>(&self, request: &mut tonic::Request<T>) {
        let metadata = std::mem::take(request.metadata_mut());
        let mut headers = metadata.into_headers();
        self.sign(&mut headers);
        *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
    }
}

fn connection_to(addresses: ControlAddresses) -> Channel {
    let endpoint = Endpoint::from_static("http://control-plane")
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let rounds = Arc::new(Rounds::of(addresses));
    endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let rounds = Arc::clone(&rounds);
        async move { rounds.connect().await }
    }))
}

/// Either kind of connection; hyper wants one type.
type Connection = TokioIo<Box<dyn Duplex>>;

trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for T {}

/// The addresses in turn.
struct Rounds {
    addresses: Vec<ControlAddress>,
    /// Where the next connection begins: after the one that was taken last, since that one was lost.
    next: AtomicUsize,
}

impl Rounds {
    /// Begins anywhere, so that a fleet spreads over its control planes.
    fn of(ControlAddresses(addresses): ControlAddresses) -> Self {
        let next = rand::random_range(0..addresses.len().max(1));
        Self { addresses, next: AtomicUsize::new(next) }
    }

    /// The first address that answers. Whoever calls pauses between rounds.
    async fn connect(&self) -> std::io::Result<Connection> {
        let first = self.next.load(Ordering::Relaxed);
        let mut failed = std::io::Error::other("no address of a control plane is known");
        for (step, address) in self.addresses.iter().cycle().skip(first).take(self.addresses.len()).enumerate() {
            match connect(address).await {
                Ok(connection) => {
                    self.next.store((first + step + 1) % self.addresses.len(), Ordering::Relaxed);
                    if self.addresses.len() > 1 {
                        tracing::info!(%address, "connected to a control plane");
                    }
                    return Ok(connection);
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "a control plane did not answer");
                    failed = error;
                }
            }
        }
        Err(failed)
    }
}

impl std::fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls { host, port, .. } => write!(f, "https://{host}:{port}"),
        }
    }
}

async fn connect(address: &ControlAddress) -> std::io::Result<Connection> {
    match address {
        ControlAddress::Unix(path) => Ok(TokioIo::new(Box::new(UnixStream::connect(path).await?))),
        ControlAddress::Tls { host, port, token } => {
            let found = tokio::time::timeout(CONNECT_WITHIN, tokio::net::lookup_host((host.as_str(), *port)));
            let mut found: Vec<SocketAddr> = found.await??.collect();
            // A name may stand for several control planes: each data plane begins elsewhere.
            found.shuffle(&mut rand::rng());
            let mut failed = std::io::Error::new(std::io::ErrorKind::NotFound, format!("{host} has no address"));
            for place in found.into_iter().take(ADDRESSES_TRIED) {
                match tokio::time::timeout(CONNECT_WITHIN, connect_tls(place, host, token)).await {
                    Ok(Ok(connection)) => return Ok(connection),
                    Ok(Err(error)) => failed = error,
                    Err(late) => failed = late.into(),
                }
            }
            Err(failed)
        }
    }
}

async fn connect_tls(place: SocketAddr, host: &str, token: &JoinToken) -> std::io::Result<Connection> {
    let tcp = TcpStream::connect(place).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let tls = tokio_rustls::TlsConnector::from(Arc::new(channel::client_config(token.pin())));
    Ok(TokioIo::new(Box::new(tls.connect(name, tcp).await?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_separated_by_commas_and_each_must_be_one() {
        let addresses = ControlAddresses::parse("unix:/a, unix:/b", None).unwrap();
        let shown: Vec<String> = addresses.0.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["unix:/a", "unix:/b"]);
        assert!(matches!(ControlAddresses::parse("unix:/a,", None), Err(AddressError::Form(_))));
        assert!(matches!(ControlAddresses::parse("https://a:1,https://b:1", None), Err(AddressError::NoToken)));
    }

    #[tokio::test]
    async fn who_is_away_is_passed_over_and_who_was_lost_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let listeners = ["one", "two"].map(|name| tokio::net::UnixListener::bind(path(name)).unwrap());
        let places = ["away", "one", "two"].map(|name| ControlAddress::Unix(path(name)));
        let rounds = Rounds { addresses: places.to_vec(), next: AtomicUsize::new(0) };
        let [one, two] = listeners;
        rounds.connect().await.unwrap();
        one.accept().await.unwrap();
        rounds.connect().await.unwrap();
        two.accept().await.unwrap();
        drop(two);
        rounds.connect().await.unwrap();
        one.accept().await.unwrap();
        drop(one);
        assert!(rounds.connect().await.is_err());
    }
}
