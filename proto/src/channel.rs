//! How the planes trust each other on the wire.
//!
//! `turnpike-control-plane init` makes a certificate authority and a join token. The token names the
//! authority by digest, so that a data plane knows its control plane without a certificate file, and
//! carries a secret, so that the control plane knows its data planes. Making both is the control
//! plane's work; opening sockets is each plane's own.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Versions of the snapshot protocol that this build speaks.
pub const PROTOCOLS: RangeInclusive<u32> = 1..=1;

/// The feature that a data plane must have to serve a key, team or user with limits.
pub const LIMITS: &str = "limits";

/// The feature that a data plane must have to serve a key, team or user with budgets, and to be told what is spent.
pub const BUDGETS: &str = "budgets";

/// The feature that a data plane must have to know owners beside keys, teams and users, and limits of single models.
pub const OWNERS: &str = "owners";

/// The feature that a data plane must have to serve a key that acts as the one that took its place.
pub const REPLACED: &str = "replaced-keys";

/// The feature that a data plane must have to ask at the gate: for addresses, routes, and parameters that calls must have.
pub const GATE: &str = "gate";

/// The feature that a data plane must have to keep members of teams and organizations to their lists of models.
pub const OWNER_MODELS: &str = "owner-models";

/// Carries the whole join token on every call between the planes.
pub const JOIN_TOKEN_HEADER: &str = "x-turnpike-join-token";

/// The address of the client for whom a data plane forwards an admin call. Believed on that channel only.
pub const CLIENT_IP_HEADER: &str = "x-turnpike-client-ip";

/// The revision at which an answered change is in force.
pub const REVISION_HEADER: &str = "x-turnpike-revision";

/// Says which data plane is calling, on every call between the planes.
pub const DATA_PLANE_ID_HEADER: &str = "x-turnpike-data-plane-id";

/// A certificate authority, named by the SHA-256 of its certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CaPin([u8; 32]);

impl CaPin {
    /// The pin of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Debug for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaPin({})", hex::encode(self.0))
    }
}

/// What a data plane must hold to join: whom to trust, and a secret that admits it.
///
/// Written `tpjoin1.<pin>.<secret>`, both parts 32 bytes in unpadded URL-safe base64.
#[derive(Clone)]
pub struct JoinToken {
    pin: CaPin,
    secret: [u8; 32],
}

/// The text is not a join token. Says what is wrong with its shape and never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAJoinToken {
    /// It has another prefix, or not three parts.
    #[error("a join token reads `tpjoin1.<ca digest>.<secret>`, as `turnpike-control-plane init` wrote it")]
    Shape,
    /// The first part does not decode to 32 bytes.
    #[error("the CA digest in the join token is damaged: copy the token again, whole")]
    Pin,
    /// The second part does not decode to 32 bytes.
    #[error("the secret in the join token is damaged: copy the token again, whole")]
    Secret,
}

impl JoinToken {
    /// A token for the authority behind `pin`. The secret must come from the system's random source.
    pub fn new(pin: CaPin, secret: [u8; 32]) -> Self {
        Self { pin, secret }
    }

    /// The authority whose servers the holder trusts.
    pub fn pin(&self) -> CaPin {
        self.pin
    }

    /// The token as text: a secret, for a 0600 file or [`JOIN_TOKEN_HEADER`] on a trusted channel.
    pub fn expose(&self) -> String {
        format!("tpjoin1.{}.{}", URL_SAFE_NO_PAD.encode(self.pin.0), URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// What the control plane may keep of it.
    pub fn digest(&self) -> JoinTokenDigest {
        JoinTokenDigest(Sha256::digest(self.expose()).into())
    }
}

impl FromStr for JoinToken {
    type Err = NotAJoinToken;

    /// Reads a token; white space around it, as files have it, is ignored.
    fn from_str(text: &str) -> Result<Self, NotAJoinToken> {
        let parts = text.trim().strip_prefix("tpjoin1.").and_then(|rest| rest.split_once('.'));
        let (pin, secret) = parts.ok_or(NotAJoinToken::Shape)?;
        let pin = CaPin(bytes32(pin).ok_or(NotAJoinToken::Pin)?);
        let secret = bytes32(secret).ok_or(NotAJoinToken::Secret)?;
        Ok(Self { pin, secret })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// SHA-256 over the text of a join token: admits its holders, and is no use to who finds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JoinTokenDigest([u8; 32]);

impl JoinTokenDigest {
    /// The raw digest, as it is stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `presented` is the token, in time that does not depend on where it differs.
    pub fn admits(&self, presented: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(presented.trim()).into();
        self.0.ct_eq(&digest).into()
    }
}

impl From<[u8; 32]> for JoinTokenDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for JoinTokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinTokenDigest(..)")
    }
}

fn bytes32(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// TLS for a data plane that holds a join token: only servers whose chain includes the pinned
/// authority, under the name that was dialled, speaking HTTP/2.
pub fn client_config(pin: CaPin) -> ClientConfig {
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(PinnedAuthority { pin, crypto: crypto.clone() });
    let mut config = modern(crypto).dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// TLS for a data plane that was given authority certificates as files instead of a pin.
pub fn client_config_trusting(authorities: RootCertStore) -> ClientConfig {
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = modern(crypto).with_root_certificates(authorities).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Both ends are ours, so nothing older than TLS 1.3 is spoken.
#[allow(clippy::expect_used, reason = "ring always offers TLS 1.3 suites; the input is constant")]
fn modern(crypto: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(crypto)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring offers TLS 1.3")
}

/// Finds the pinned authority in the chain that the server sent, then leaves the checks (signatures,
/// validity, name) to webpki with that authority as the only root.
#[derive(Debug)]
struct PinnedAuthority {
    pin: CaPin,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = intermediates.iter().find(|certificate| CaPin::of(certificate) == self.pin);
        let authority = pinned.ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.crypto.clone())
            .build()
            .map_err(|problem| rustls::Error::General(problem.to_string()))?;
        webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.crypto.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.crypto.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken::new(CaPin::of(&CertificateDer::from(vec![1, 2, 3])), [7; 32])
    }

    #[test]
    fn a_token_reads_back_and_its_digest_admits_only_it() {
        let token = token();
        let read: JoinToken = format!("{}\n", token.expose()).parse().unwrap();
        assert_eq!(read.pin(), token.pin());
        assert_eq!(read.digest(), token.digest());
        assert!(token.digest().admits(&token.expose()));
        assert!(!token.digest().admits(&JoinToken::new(token.pin(), [8; 32]).expose()));
        assert!(!token.digest().admits(&hex::encode(token.digest().as_bytes())), "the stored digest must not admit");
    }

    #[test]
    fn damaged_tokens_are_refused_by_the_part_that_is_damaged() {
        let text = token().expose();
        let refused = |text: &str| text.parse::<JoinToken>().err();
        assert_eq!(refused(""), Some(NotAJoinToken::Shape));
        assert_eq!(refused(&text.replace("tpjoin1", "tpjoin2")), Some(NotAJoinToken::Shape));
        assert_eq!(refused(&text[..text.len() - 2]), Some(NotAJoinToken::Secret));
        assert_eq!(refused(&text.replace("tpjoin1.", "tpjoin1.A")), Some(NotAJoinToken::Pin));
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = token();
        let secret = URL_SAFE_NO_PAD.encode([7; 32]);
        assert!(!format!("{token:?}").contains(&secret));
        assert!(!format!("{:?}", token.digest()).contains(&hex::encode(token.digest().as_bytes())));
    }
}
