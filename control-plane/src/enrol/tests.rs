//! Handshakes between real TLS ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use proto::channel::{JoinToken, client_config};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Admission, InitError, NotAdmitted, ServerIdentity, init};

fn token(dir: &Path) -> JoinToken {
    std::fs::read_to_string(dir.join("join-token")).unwrap().parse().unwrap()
}

/// What a client that holds `token` gets from a server with the identity in `dir` when it dials `name`.
async fn greeting(dir: &Path, token: &JoinToken, name: &str) -> std::io::Result<String> {
    let identity = ServerIdentity::load(&dir.join("server.pem"), &dir.join("server-key.pem")).unwrap();
    let (near, far) = tokio::io::duplex(65_536);
    let server = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(identity.server_config()).accept(far).await?;
        stream.write_all(b"welcome").await?;
        stream.shutdown().await
    });
    let connector = TlsConnector::from(Arc::new(client_config(token.pin())));
    let mut stream = connector.connect(ServerName::try_from(name.to_owned()).unwrap(), near).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    server.await.unwrap()?;
    Ok(text)
}

#[tokio::test]
async fn a_data_plane_with_the_token_trusts_the_servers_of_its_installation_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let written = init(dir.path(), &["control.example".to_owned(), "10.1.2.3".to_owned()]).unwrap();
    assert_eq!(written.names, ["localhost", "127.0.0.1", "::1", "control.example", "10.1.2.3"]);
    for name in ["control.example", "localhost", "127.0.0.1", "10.1.2.3"] {
        assert_eq!(greeting(dir.path(), &token(dir.path()), name).await.unwrap(), "welcome", "{name}");
    }
    let refused = greeting(dir.path(), &token(dir.path()), "elsewhere.example").await.unwrap_err();
    assert!(refused.to_string().contains("not valid for name"), "{refused}");
}

#[tokio::test]
async fn another_authority_is_refused_also_when_it_sends_the_pinned_certificate_along() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    init(ours.path(), &[]).unwrap();
    init(theirs.path(), &[]).unwrap();
    let refused = greeting(theirs.path(), &token(ours.path()), "localhost").await.unwrap_err();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");

    // An impostor can copy our public certificate; it cannot have been signed by its key.
    let mut chain = std::fs::read_to_string(theirs.path().join("server.pem")).unwrap();
    chain.push_str(&std::fs::read_to_string(ours.path().join("ca.pem")).unwrap());
    std::fs::write(theirs.path().join("server.pem"), chain).unwrap();
    let refused = greeting(theirs.path(), &token(ours.path()), "localhost").await.unwrap_err();
    assert!(refused.to_string().contains("invalid peer certificate"), "{refused}");
}

#[test]
fn secrets_are_for_their_owner_and_an_installation_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let written = init(dir.path(), &[]).unwrap();
    for secret in [&written.ca_key, &written.server_key, &written.join_token] {
        let mode = secret.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", secret.display());
    }
    assert!(matches!(init(dir.path(), &[]), Err(InitError::Exists(path)) if path == written.ca));
}

#[test]
fn only_the_installations_token_opens_the_door() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path(), &[]).unwrap();
    let token = token(dir.path());
    let door = Admission::Token(token.digest());
    let with = |text: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert(proto::channel::JOIN_TOKEN_HEADER, text.parse().unwrap());
        headers
    };
    assert_eq!(door.check(&with(&token.expose())), Ok(()));
    assert_eq!(door.check(&http::HeaderMap::new()), Err(NotAdmitted::NoToken));
    let other = JoinToken::new(token.pin(), [0; 32]);
    assert_eq!(door.check(&with(&other.expose())), Err(NotAdmitted::WrongToken));
}
