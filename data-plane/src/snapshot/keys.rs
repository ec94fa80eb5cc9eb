//! The key table: two levels, so that a change copies one shard and shares the rest.
//!
//! A flat map costs hundreds of milliseconds to clone at a million keys; 4,096 shared shards cost a tenth
//! of one (measured, DESIGN section 5).

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use proto::KeyHash;

use super::Key;

const SHARDS: usize = 4096;

/// A key to put in, or to take out.
pub(super) type Change = (KeyHash, Option<Arc<Key>>);

type Shard = HashSet<Entry, BuildHasherDefault<DigestHasher>>;

/// Every key by its hash.
#[derive(Clone)]
pub(crate) struct Keys {
    shards: Arc<[Arc<Shard>]>,
}

/// A key in its shard, found by the hash that it holds itself: a place in the table is a pointer and a byte.
#[derive(Clone)]
struct Entry(Arc<Key>);

impl Borrow<KeyHash> for Entry {
    fn borrow(&self) -> &KeyHash {
        &self.0.hash
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl Eq for Entry {}

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
        self.shards.get(shard_of(hash))?.get(hash).map(|Entry(key)| key)
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|Entry(key)| key))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Makes the changes here: `None` removes. Of what is shared with another table, the shards that change are copied.
    pub(super) fn change(&mut self, changes: impl IntoIterator<Item = Change>) {
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return;
        }
        let shards = Arc::make_mut(&mut self.shards);
        for (hash, key) in changes {
            let Some(shard) = shards.get_mut(shard_of(&hash)) else { continue };
            let shard = Arc::make_mut(shard);
            match key {
                Some(key) => drop(shard.replace(Entry(key))),
                None => drop(shard.remove(&hash)),
            }
        }
    }
}

fn shard_of(hash: &KeyHash) -> usize {
    let [first, second, ..] = hash.as_bytes();
    usize::from(u16::from_be_bytes([*first, *second]) >> 4)
}

#[cfg(test)]
mod tests {
    use proto::v1 as pb;

    use super::super::Standing;
    use super::*;

    fn key(hash: KeyHash, alias: &str) -> Change {
        let key = pb::Key { alias: alias.to_owned(), ..pb::Key::default() };
        (hash, Some(Arc::new(Key::new(hash, &key, Standing::Good))))
    }

    #[test]
    fn a_changed_key_copies_one_shard_and_leaves_the_old_table_alone() {
        let hashes: Vec<KeyHash> = (0..10_000).map(|n| KeyHash::of(&format!("sk-{n}"))).collect();
        let mut before = Keys::default();
        before.change(hashes.iter().map(|hash| key(*hash, "old")));
        let mut after = before.clone();
        after.change([key(hashes[7], "new"), (hashes[8], None)]);

        assert_eq!(before.len(), 10_000);
        assert_eq!(after.len(), 9_999);
        assert_eq!(before.get(&hashes[7]).unwrap().alias(), Some("old"));
        assert_eq!(after.get(&hashes[7]).unwrap().alias(), Some("new"));
        assert!(after.get(&hashes[8]).is_none() && before.get(&hashes[8]).is_some());
        let copied = before.shards.iter().zip(after.shards.iter()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 2);
    }

    #[test]
    fn a_change_of_nothing_copies_nothing() {
        let before = Keys::default();
        let mut after = before.clone();
        after.change([]);
        assert!(Arc::ptr_eq(&before.shards, &after.shards));
    }
}
