//! Sealing what lies in the state directory.
//!
//! The key comes from `--state-key-file`; without one, a 0600 file beside the state, which guards against a
//! copied volume only when that file is not copied with it: hence the warning.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

const NONCE_BYTES: usize = 24;

/// Seals and opens records; what belongs elsewhere does not open.
#[derive(Clone)]
pub(crate) struct Seal(XChaCha20Poly1305);

/// The record was damaged, moved, or sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record does not open: damaged, moved, or sealed with another key")]
pub(crate) struct Closed;

impl Seal {
    /// A seal from any secret of enough randomness.
    pub(crate) fn from_secret(secret: &[u8]) -> Self {
        let mut key = [0; 32];
        let expanded = Hkdf::<Sha256>::new(None, secret).expand(b"turnpike data-plane state v1", &mut key);
        debug_assert!(expanded.is_ok(), "32 bytes are within what HKDF gives");
        Self(XChaCha20Poly1305::new(&key.into()))
    }

    /// The seal of a state directory: from `key_file`, or from a file made at random beside the state.
    pub(crate) fn of_state(state: &Path, key_file: Option<&Path>) -> io::Result<Self> {
        let secret = match key_file {
            Some(path) => fs::read(path).map_err(|error| named(path, &error))?,
            None => secret_beside(state)?,
        };
        match secret.len() >= 16 {
            true => Ok(Self::from_secret(&secret)),
            false => Err(io::Error::other("the state key has fewer than 16 bytes")),
        }
    }

    /// Seals `plain` for `place`, which names where the record belongs.
    pub(crate) fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let mut sealed: Vec<u8> = rand::random::<[u8; NONCE_BYTES]>().into();
        let nonce = XNonce::try_from(sealed.as_slice()).unwrap_or_default();
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        // The cipher refuses only messages of more than 256 GiB.
        sealed.extend(self.0.encrypt(&nonce, payload).unwrap_or_default());
        sealed
    }

    /// Opens what was sealed for `place`.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, Closed> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(Closed)?;
        let nonce = XNonce::try_from(nonce).map_err(|_length| Closed)?;
        self.0.decrypt(&nonce, Payload { msg: text, aad: place.as_bytes() }).map_err(|_closed| Closed)
    }
}

fn secret_beside(state: &Path) -> io::Result<Vec<u8>> {
    let path = state.join("state-key");
    match fs::read(&path) {
        Ok(secret) => return Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(named(&path, &error)),
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    Ok(secret.to_vec())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_only_where_it_belongs_and_as_it_was() {
        let seal = Seal::from_secret(b"0123456789abcdef");
        let sealed = seal.seal("here", b"text");
        assert_eq!(seal.open("here", &sealed), Ok(b"text".to_vec()));
        assert_eq!(seal.open("there", &sealed), Err(Closed));
        assert_eq!(Seal::from_secret(b"another").open("here", &sealed), Err(Closed));
        assert_eq!(seal.open("here", &sealed[..10]), Err(Closed));
        let mut flipped = sealed;
        flipped[30] ^= 1;
        assert_eq!(seal.open("here", &flipped), Err(Closed));
    }

    #[test]
    fn the_key_beside_the_state_is_made_once() {
        let state = tempfile::tempdir().unwrap();
        let sealed = Seal::of_state(state.path(), None).unwrap().seal("x", b"y");
        assert_eq!(Seal::of_state(state.path(), None).unwrap().open("x", &sealed), Ok(b"y".to_vec()));
    }
}
