//! What LiteLLM sealed with its salt key: opened here, and sealed again by our own vault.
//!
//! Three forms are in its databases. Two name themselves (`v2:gcm:`, `v3:gcm:`: AES-256-GCM, base64url of nonce, text and
//! tag); the oldest is bare base64 of a NaCl secret box (nonce, tag, text). The key is the SHA-256 of the salt key, for
//! `v3` an HKDF of it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hkdf::Hkdf;
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// Nonce and tag of a secret box.
const BOX_NONCE: usize = 24;
const BOX_TAG: usize = 16;

const GCM_NONCE: usize = 12;

/// The keys under which the values may have been sealed.
#[derive(Debug, Default)]
pub(crate) struct OldKeys(Vec<Secret>);

/// What a text in LiteLLM's database is.
#[derive(PartialEq, Eq)]
pub(crate) enum Reading {
    /// It was never sealed.
    Plain,
    /// This, sealed.
    Opened(String),
    /// Sealed with another key, or damaged.
    Closed,
}

impl OldKeys {
    pub(super) fn of(keys: Vec<Secret>) -> Self {
        Self(keys)
    }

    /// Opens a text, where it is sealed.
    pub(crate) fn read(&self, text: &str) -> Reading {
        let Some(form) = Form::of(text) else { return Reading::Plain };
        let opened = self.0.iter().find_map(|key| form.open(key.expose().as_bytes()));
        opened.and_then(|plain| String::from_utf8(plain).ok()).map_or(Reading::Closed, Reading::Opened)
    }
}

/// A text that looks sealed.
enum Form {
    Box(Vec<u8>),
    GcmOfDigest(Vec<u8>),
    GcmOfHkdf(Vec<u8>),
}

impl Form {
    fn of(text: &str) -> Option<Self> {
        if let Some(sealed) = text.strip_prefix("v3:gcm:") {
            return Some(Self::GcmOfHkdf(URL_SAFE.decode(sealed).unwrap_or_default()));
        }
        if let Some(sealed) = text.strip_prefix("v2:gcm:") {
            return Some(Self::GcmOfDigest(URL_SAFE.decode(sealed).unwrap_or_default()));
        }
        // What Python writes is padded. A provider's key of the right length and letters may pass for one: then it does
        // not open, and the row is left and named rather than taken for what it may not be.
        let sealed = URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).ok()?;
        (text.len().is_multiple_of(4) && sealed.len() >= BOX_NONCE + BOX_TAG).then_some(Self::Box(sealed))
    }

    fn open(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Box(sealed) => open_box(&Sha256::digest(key).into(), sealed),
            Self::GcmOfDigest(sealed) => open_gcm(&Sha256::digest(key).into(), sealed),
            Self::GcmOfHkdf(sealed) => {
                let mut derived = [0; 32];
                Hkdf::<Sha256>::new(None, key).expand(b"litellm-at-rest-v3", &mut derived).ok()?;
                open_gcm(&derived, sealed)
            }
        }
    }
}

/// XSalsa20-Poly1305 as NaCl has it: the first 32 bytes of the key stream are the key of the tag, which stands first.
fn open_box(key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<BOX_NONCE>()?;
    let (tag, text) = rest.split_first_chunk::<BOX_TAG>()?;
    let mut stream = XSalsa20::new(&(*key).into(), &(*nonce).into());
    let mut tag_key = [0; 32];
    stream.apply_keystream(&mut tag_key);
    let computed = Poly1305::new(&tag_key.into()).compute_unpadded(text);
    if !bool::from(computed.as_slice().ct_eq(tag)) {
        return None;
    }
    let mut plain = text.to_vec();
    stream.apply_keystream(&mut plain);
    Some(plain)
}

fn open_gcm(key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_first_chunk::<GCM_NONCE>()?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut text = text.to_vec();
    let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut text).ok()?;
    Some(plain.to_vec())
}

/// Seals as LiteLLM does, for tests.
#[cfg(test)]
pub(crate) mod sealing {
    use super::*;

    fn box_of(key: &str, plain: &str) -> Vec<u8> {
        let nonce = [7; BOX_NONCE];
        let key: [u8; 32] = Sha256::digest(key).into();
        let mut stream = XSalsa20::new(&key.into(), &nonce.into());
        let mut tag_key = [0; 32];
        stream.apply_keystream(&mut tag_key);
        let mut text = plain.as_bytes().to_vec();
        stream.apply_keystream(&mut text);
        let tag = Poly1305::new(&tag_key.into()).compute_unpadded(&text);
        [&nonce[..], tag.as_slice(), &text].concat()
    }

    /// The oldest form.
    pub(crate) fn boxed(key: &str, plain: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(box_of(key, plain))
    }

    /// The same in another alphabet.
    pub(crate) fn boxed_url_safe(key: &str, plain: &str) -> String {
        base64::engine::general_purpose::URL_SAFE.encode(box_of(key, plain))
    }

    pub(crate) fn gcm(version: &str, key: &str, plain: &str) -> String {
        let mut derived: [u8; 32] = Sha256::digest(key).into();
        if version == "v3" {
            Hkdf::<Sha256>::new(None, key.as_bytes()).expand(b"litellm-at-rest-v3", &mut derived).unwrap();
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derived).unwrap());
        let mut text = plain.as_bytes().to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key([9; GCM_NONCE]), Aad::empty(), &mut text).unwrap();
        let sealed = [&[9; GCM_NONCE][..], &text].concat();
        format!("{version}:gcm:{}", base64::engine::general_purpose::URL_SAFE.encode(sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::sealing::{boxed, boxed_url_safe, gcm};
    use super::*;

    fn keys(keys: &[&str]) -> OldKeys {
        OldKeys::of(keys.iter().map(|key| Secret::new(*key)).collect())
    }

    fn opened(text: &str, known: &[&str]) -> Option<String> {
        match keys(known).read(text) {
            Reading::Opened(plain) => Some(plain),
            Reading::Plain | Reading::Closed => None,
        }
    }

    #[test]
    fn a_secret_box_is_as_nacl_makes_it() {
        // The example that Bernstein's "Cryptography in NaCl" ends with.
        let key = hex::decode("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389").unwrap();
        let nonce = hex::decode("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37").unwrap();
        let sealed = hex::decode(concat!(
            "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186a",
            "c0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae",
            "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
        ))
        .unwrap();
        let plain = open_box(&key.try_into().unwrap(), &[nonce, sealed].concat()).unwrap();
        assert_eq!((plain.len(), hex::encode(&plain[..4])), (131, "be075fc5".to_owned()));
    }

    #[test]
    fn every_form_opens_with_its_key_and_with_no_other() {
        let long = "a key of a provider, with enough letters, and an ö";
        for plain in ["", "openai/gpt-4o", long] {
            for sealed in [
                boxed("salt", plain),
                boxed_url_safe("salt", plain),
                gcm("v2", "salt", plain),
                gcm("v3", "salt", plain),
            ] {
                assert_eq!(opened(&sealed, &["other", "salt"]).as_deref(), Some(plain), "{sealed}");
                assert!(matches!(keys(&["other"]).read(&sealed), Reading::Closed), "{sealed}");
                assert!(matches!(keys(&[]).read(&sealed), Reading::Closed), "{sealed}");
            }
        }
    }

    #[test]
    fn what_was_never_sealed_is_plain_and_what_is_damaged_is_closed() {
        for plain in ["", "openai/gpt-4o", "os.environ/KEY", "sk-0123", "https://host.example/v1", "no=base64 at all"] {
            assert!(matches!(keys(&["salt"]).read(plain), Reading::Plain), "{plain}");
        }
        for sealed in [boxed("salt", "text"), gcm("v2", "salt", "text"), gcm("v3", "salt", "text")] {
            let at = sealed.len() - 6;
            let other = if sealed.as_bytes()[at] == b'A' { "B" } else { "A" };
            let damaged = format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]);
            assert!(matches!(keys(&["salt"]).read(&damaged), Reading::Closed), "{damaged}");
        }
        assert!(matches!(keys(&["salt"]).read("v3:gcm:"), Reading::Closed));
    }
}
