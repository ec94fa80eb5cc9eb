//! The key table: two levels, so that a change copies one shard and shares the rest.
//!
//! A flat map costs hundreds of milliseconds to clone at a million keys; 4,096 shared shards cost a tenth
//! of one (measured, DESIGN section 5).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use proto::KeyHash;

use super::Key;

const SHARDS: usize = 4096;

/// A key to put in, or to take out.
type Change = (KeyHash, Option<Arc<Key>>);

type Shard = HashMap<KeyHash, Arc<Key>, BuildHasherDefault<DigestHasher>>;

/// Every key by its hash.
#[derive(Clone)]
pub(crate) struct Keys {
    shards: Arc<[Arc<Shard>]>,
}

/// Takes eight bytes of a digest as its hash: SHA-256 needs no second hashing, and nobody can steer it.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(eight) = bytes.get(8..16).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            self.0 = u64::from_le_bytes(eight);
        }
    }

    fn write_usize(&mut self, _length_prefix: usize) {}
}

impl Default for Keys {
    fn default() -> Self {
        let empty = Arc::<Shard>::default();
        Self { shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect() }
    }
}

impl Keys {
    /// The key with this hash.
    pub(crate) fn get(&self, hash: &KeyHash) -> Option<&Arc<Key>> {
        self.shards.get(shard_of(hash))?.get(hash)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// The next table: `None` removes. Shards without a change stay shared with this one.
    pub(crate) fn with(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut by_shard: HashMap<usize, Vec<Change>> = HashMap::new();
        for (hash, key) in changes {
            by_shard.entry(shard_of(&hash)).or_default().push((hash, key));
        }
        if by_shard.is_empty() {
            return self.clone();
        }
        let mut shards = self.shards.to_vec();
        for (index, changes) in by_shard {
            let Some(shard) = shards.get_mut(index) else { continue };
            let shard = Arc::make_mut(shard);
            for (hash, key) in changes {
                match key {
                    Some(key) => shard.insert(hash, key),
                    None => shard.remove(&hash),
                };
            }
        }
        Self { shards: shards.into() }
    }
}

fn shard_of(hash: &KeyHash) -> usize {
    let [first, second, ..] = hash.as_bytes();
    usize::from(u16::from_be_bytes([*first, *second]) >> 4)
}

#[cfg(test)]
mod tests {
    use super::super::{Rights, Standing};
    use super::*;

    fn key(alias: &str) -> Arc<Key> {
        Arc::new(Key {
            alias: Some(alias.into()),
            masked: "sk-...".into(),
            user_id: None,
            team_id: None,
            organization_id: None,
            models: Box::default(),
            aliases: Box::default(),
            tags: Box::default(),
            allowed_routes: Box::default(),
            standing: Standing::Good,
            expires_at_ms: None,
            rights: Rights::default(),
        })
    }

    #[test]
    fn a_changed_key_copies_one_shard_and_leaves_the_old_table_alone() {
        let hashes: Vec<KeyHash> = (0..10_000).map(|n| KeyHash::of(&format!("sk-{n}"))).collect();
        let before = Keys::default().with(hashes.iter().map(|hash| (*hash, Some(key("old")))));
        let after = before.with([(hashes[7], Some(key("new"))), (hashes[8], None)]);

        assert_eq!(before.len(), 10_000);
        assert_eq!(after.len(), 9_999);
        assert_eq!(before.get(&hashes[7]).unwrap().alias.as_deref(), Some("old"));
        assert_eq!(after.get(&hashes[7]).unwrap().alias.as_deref(), Some("new"));
        assert!(after.get(&hashes[8]).is_none() && before.get(&hashes[8]).is_some());
        let copied = before.shards.iter().zip(after.shards.iter()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 2);
    }
}
