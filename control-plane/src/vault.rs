//! Seals credentials at rest.
//!
//! XChaCha20-Poly1305 under a key derived from the operator's vault secret. Each sealed value is bound to its
//! place (table, column, row), so that one copied elsewhere does not open. What is secret is for the
//! slices to say; where the vault secret comes from is a setting.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

/// First byte of every sealed value: XChaCha20-Poly1305, 24 bytes of nonce, then the sealed text.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Seals and opens. Cheap to clone; shows nothing of its key.
#[derive(Clone)]
pub(crate) struct Vault {
    cipher: XChaCha20Poly1305,
    fingerprints: [u8; 32],
}

/// A sealed value that this vault cannot open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// It was written by a later release, or was never sealed.
    #[error("the sealed value has an unknown form: was it written by a later release?")]
    Form,
    /// It was sealed with another key or for another place, or is damaged.
    #[error(
        "the sealed value does not open: set TURNPIKE_VAULT_KEY (or LITELLM_SALT_KEY) to what it was sealed with, \
         or enter the credential again"
    )]
    Key,
}

impl Vault {
    /// A vault whose keys are derived (HKDF-SHA256) from the operator's secret.
    pub(crate) fn from_secret(secret: &[u8]) -> Self {
        let root = Hkdf::<Sha256>::new(Some(b"turnpike vault"), secret);
        Self {
            cipher: XChaCha20Poly1305::new(&derive(&root, b"seal v1").into()),
            fingerprints: derive(&root, b"fingerprint v1"),
        }
    }

    /// Seals `plain` for `place`, written `table|column|row id`.
    pub(crate) fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        #[allow(clippy::expect_used, reason = "fails only beyond 256 GiB of text")]
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("a credential fits in memory");
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// Opens what [`Vault::seal`] sealed for the same `place`.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (version, rest) = sealed.split_first().ok_or(OpenError::Form)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Form)?;
        if *version != VERSION {
            return Err(OpenError::Form);
        }
        let payload = Payload { msg: text, aad: place.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_opaque| OpenError::Key)
    }

    /// A name for `plain` that can be stored and compared, and tells nothing about it without the vault's key.
    pub(crate) fn fingerprint(&self, plain: &[u8]) -> [u8; 32] {
        Hkdf::<Sha256>::extract(Some(&self.fingerprints), plain).0.into()
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

#[allow(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes; 32 are asked for")]
fn derive(root: &Hkdf<Sha256>, purpose: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    root.expand(purpose, &mut key).expect("32 bytes are within HKDF's range");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_in_its_place_and_with_its_key() {
        let vault = Vault::from_secret(b"correct horse");
        let sealed = vault.seal("deployments|sealed_params|a", b"sk-provider");
        assert_eq!(vault.open("deployments|sealed_params|a", &sealed).unwrap(), b"sk-provider");
        assert_eq!(vault.open("deployments|sealed_params|b", &sealed), Err(OpenError::Key));
        let other = Vault::from_secret(b"battery staple");
        assert_eq!(other.open("deployments|sealed_params|a", &sealed), Err(OpenError::Key));
    }

    #[test]
    fn the_same_text_never_seals_alike() {
        let vault = Vault::from_secret(b"s");
        assert_ne!(vault.seal("p", b"text"), vault.seal("p", b"text"));
        assert_eq!(vault.fingerprint(b"text"), vault.fingerprint(b"text"));
        assert_ne!(vault.fingerprint(b"text"), Vault::from_secret(b"t").fingerprint(b"text"));
    }

    #[test]
    fn every_damage_is_an_error() {
        let vault = Vault::from_secret(b"s");
        let sealed = vault.seal("p", b"text");
        for cut in 0..sealed.len() {
            assert!(vault.open("p", &sealed[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(vault.open("p", &damaged).is_err(), "flipped byte {at}");
        }
    }
}
