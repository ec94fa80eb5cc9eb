//! The one connection to the control plane: gRPC streams and forwarded admin calls share it.
//!
//! TLS pins the certificate authority whose digest the join token carries; a Unix socket (standalone) is
//! plain, because whoever may open it is already us.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use proto::channel::{self, JoinToken};
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) static JOIN_TOKEN: HeaderName = HeaderName::from_static(channel::JOIN_TOKEN_HEADER);
pub(crate) static DATA_PLANE_ID: HeaderName = HeaderName::from_static(channel::DATA_PLANE_ID_HEADER);
pub(crate) static CLIENT_IP: HeaderName = HeaderName::from_static(channel::CLIENT_IP_HEADER);

/// Where the control plane listens for data planes.
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
    #[error("`{0}` is not an address of a control plane: use https://host:4002, or unix:/path for standalone")]
    Form(String),
    #[error("https needs a join token: give --join-token-file (the control plane's `init` wrote it)")]
    NoToken,
    #[error("the join token cannot be read: {0}")]
    Token(String),
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
    pub(crate) fn new(address: &ControlAddress, data_plane_id: &str) -> Result<Self, http::Error> {
        let mut headers = vec![(DATA_PLANE_ID.clone(), HeaderValue::try_from(data_plane_id)?)];
        if let ControlAddress::Tls { token, .. } = address {
            let mut value = HeaderValue::try_from(token.expose())?;
            value.set_sensitive(true);
            headers.push((JOIN_TOKEN.clone(), value));
        }
        let identity = Identity { data_plane_id: data_plane_id.to_owned(), headers };
        Ok(Self { channel: connection_to(address), identity })
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

fn connection_to(address: &ControlAddress) -> Channel {
    let endpoint = Endpoint::from_static("http://control-plane")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let address = address.clone();
    endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let address = address.clone();
        async move { connect(&address).await }
    }))
}

/// Either kind of connection; hyper wants one type.
type Connection = TokioIo<Box<dyn Duplex>>;

trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for T {}

async fn connect(address: &ControlAddress) -> std::io::Result<Connection> {
    let stream: Box<dyn Duplex> = match address {
        ControlAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        ControlAddress::Tls { host, port, token } => {
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(host.clone()).map_err(std::io::Error::other)?;
            let config = channel::client_config(token.pin());
            Box::new(tokio_rustls::TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp).await?)
        }
    };
    Ok(TokioIo::new(stream))
}
