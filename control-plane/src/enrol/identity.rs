//! What the control plane shows to data planes: certificate and key, ready for TLS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and its key, checked to belong together.
#[derive(Clone)]
pub struct ServerIdentity(Arc<ServerConfig>);

/// The files do not make a server.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read as PEM, or holds nothing of its kind.
    #[error("cannot read {} as PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate file has no certificate in it.
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    /// Certificate and key do not belong together, or are of a kind that TLS does not take.
    #[error("certificate and key do not make a TLS server: {0}")]
    Tls(#[from] rustls::Error),
}

impl ServerIdentity {
    /// Reads PEM files: the server's certificate followed by its authority's, and the key.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let pem = |path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::Pem { path, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate).map_err(pem(certificate))?;
        let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(pem(certificate))?;
        if chain.is_empty() {
            return Err(IdentityError::Empty(certificate.to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(crypto)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// For a TLS acceptor. HTTP/2 only: gRPC and forwarded admin calls share the connection.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.0.clone()
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerIdentity(..)")
    }
}
