//! The master key: kept as a digest, compared in constant time.

use std::fmt;

use proto::KeyHash;

/// The user that the master key stands for.
pub(crate) const DEFAULT_USER_ID: &str = "default_user_id";

/// What logs and audit rows call the master key; its hash appears nowhere.
pub(crate) const MASTER_KEY_ALIAS: &str = "litellm_proxy_master_key";

/// What the control plane remembers of its master key.
#[derive(Clone)]
pub(crate) enum MasterKey {
    /// SHA-256 of the key.
    Digest(KeyHash),
    /// There is none, and nobody is asked for a key (`--insecure-no-auth`).
    NoAuth,
}

impl MasterKey {
    /// The digest of a master key.
    pub(crate) fn of(key: &str) -> Self {
        Self::Digest(KeyHash::of(key))
    }

    /// Whether `presented` is the master key.
    pub(crate) fn is(&self, presented: &KeyHash) -> bool {
        match self {
            Self::Digest(digest) => digest.same(presented),
            Self::NoAuth => false,
        }
    }

    /// The digest, as data planes get it.
    pub(crate) fn digest(&self) -> Option<KeyHash> {
        match self {
            Self::Digest(digest) => Some(*digest),
            Self::NoAuth => None,
        }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digest(_) => "MasterKey(..)",
            Self::NoAuth => "MasterKey(none)",
        })
    }
}
