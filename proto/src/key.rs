//! How a presented key becomes a look-up.
//!
//! The hash is LiteLLM's: lower-case hex of the SHA-256 over the whole `sk-…` text, unsalted, so that
//! imported rows keep working. It is a name, never a credential: nothing accepts it in place of the key.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// SHA-256 of a virtual key. Shown as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

/// The text is not 64 hex digits, or the bytes are not 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is 64 hex digits (32 bytes)")]
pub struct NotAKeyHash;

impl KeyHash {
    /// The hash of a key as a client presents it.
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    /// The raw digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether both are the same, in time that does not depend on where they differ.
    pub fn same(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(&other.0).into()
    }
}

impl From<[u8; 32]> for KeyHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for KeyHash {
    type Error = NotAKeyHash;

    fn try_from(bytes: &[u8]) -> Result<Self, NotAKeyHash> {
        <[u8; 32]>::try_from(bytes).map(Self).map_err(|_wrong_length| NotAKeyHash)
    }
}

impl FromStr for KeyHash {
    type Err = NotAKeyHash;

    fn from_str(text: &str) -> Result<Self, NotAKeyHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_not_hex| NotAKeyHash)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

/// How a key is shown after its making: `sk-...` and its last four characters, or `sk-...` alone when
/// it has fewer than 16 (LiteLLM's `key_name`).
pub fn masked(presented: &str) -> String {
    let count = presented.chars().count();
    match count < 16 {
        true => "sk-...".to_owned(),
        false => format!("sk-...{}", presented.chars().skip(count - 4).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_litellms() {
        let hash = KeyHash::of("sk-1234");
        assert_eq!(hash.to_string(), "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn what_is_not_a_hash_is_refused() {
        assert_eq!("sk-1234".parse::<KeyHash>(), Err(NotAKeyHash));
        assert_eq!(KeyHash::try_from(&[0_u8; 31][..]), Err(NotAKeyHash));
    }

    #[test]
    fn a_short_key_shows_none_of_its_characters() {
        assert_eq!(masked("sk-1234"), "sk-...");
        assert_eq!(masked("sk-0123456789abwxyz"), "sk-...wxyz");
    }
}
