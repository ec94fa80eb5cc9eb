//! Makes the authority, the server certificate and the join token of an installation.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use proto::channel::{CaPin, JoinToken};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// An installation's authority outlives its machines; the server's certificate is made anew by `init` with its key.
const CA_VALID: Duration = Duration::days(20 * 365);
const SERVER_VALID: Duration = Duration::days(825);

/// Names that the server certificate always has: a data plane on the same machine needs no flag.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where `init` put what it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The authority's certificate, public.
    pub ca: PathBuf,
    /// The authority's key, needed only to make more certificates: keep it off the servers.
    pub ca_key: PathBuf,
    /// The server's certificate and the authority's, as the server sends them.
    pub server: PathBuf,
    /// The server's key.
    pub server_key: PathBuf,
    /// What data planes need to join.
    pub join_token: PathBuf,
    /// The names that the server certificate is valid for.
    pub names: Vec<String>,
}

/// Nothing usable was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file of an earlier run is there. An installation is not replaced by accident.
    #[error("{} exists already: choose another directory, or move the earlier files away", .0.display())]
    Exists(PathBuf),
    /// The directory cannot be made or written to.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name is not one that a certificate can have.
    #[error("no certificate can be made for these names: {0}. Give host names or IP addresses, without scheme or port")]
    Certificate(#[from] rcgen::Error),
}

/// Makes and writes an authority, a server certificate for `names` (host names or IP addresses; `localhost` is always
/// among them) and a join token into `out`. Secret files are readable by their owner only.
pub fn init(out: &Path, names: &[String]) -> Result<Written, InitError> {
    let names: Vec<String> = LOCAL_NAMES.iter().map(|name| (*name).to_owned()).chain(names.iter().cloned()).collect();
    let (ca, ca_key) = authority()?;
    let issuer = Issuer::new(ca.clone(), &ca_key);
    let ca = ca.self_signed(&ca_key)?;
    let server_key = KeyPair::generate()?;
    let server = server(&names)?.signed_by(&server_key, &issuer)?;
    let token = JoinToken::new(CaPin::of(ca.der()), rand::random());

    fs::create_dir_all(out).map_err(|source| InitError::Write { path: out.to_owned(), source })?;
    let written = Written {
        ca: out.join("ca.pem"),
        ca_key: out.join("ca-key.pem"),
        server: out.join("server.pem"),
        server_key: out.join("server-key.pem"),
        join_token: out.join("join-token"),
        names,
    };
    let all = [&written.ca, &written.ca_key, &written.server, &written.server_key, &written.join_token];
    if let Some(path) = all.into_iter().find(|path| path.exists()) {
        return Err(InitError::Exists(path.clone()));
    }
    write(&written.ca, &ca.pem(), 0o644)?;
    write(&written.ca_key, &ca_key.serialize_pem(), 0o600)?;
    write(&written.server, &(server.pem() + &ca.pem()), 0o644)?;
    write(&written.server_key, &server_key.serialize_pem(), 0o600)?;
    write(&written.join_token, &(token.expose() + "\n"), 0o600)?;
    Ok(written)
}

fn authority() -> Result<(CertificateParams, KeyPair), rcgen::Error> {
    let mut params = valid_for(CertificateParams::new(Vec::new())?, CA_VALID);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Turnpike authority");
    Ok((params, KeyPair::generate()?))
}

fn server(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    // An address in brackets, as URLs write IPv6, is meant as an address.
    let bare = |name: &String| match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_not_an_address) => name.clone(),
    };
    let mut params = valid_for(CertificateParams::new(names.iter().map(bare).collect::<Vec<_>>())?, SERVER_VALID);
    params.distinguished_name.push(DnType::CommonName, "Turnpike control plane");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Valid from an hour ago: clocks differ.
fn valid_for(mut params: CertificateParams, length: Duration) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::HOUR, now + length);
    params
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), InitError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let done = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    done.map_err(|source| InitError::Write { path: path.to_owned(), source })
}
