//! A whole snapshot as it travels: resources packed into compressed chunks.
//!
//! Plain computing; composing decides what goes in.

use bytes::Bytes;
use prost::Message as _;
use proto::v1 as pb;
use sha2::{Digest, Sha256};

use super::Version;

/// Most of a batch before compression. Zstandard adds at most 1/256 and a few bytes to what it cannot shrink,
/// so a chunk stays below 1 MiB.
const BATCH_BYTES: usize = 1_000_000;

/// One resource larger than this is left out: a data plane could not receive it. It decodes at most 4 MiB.
const RESOURCE_BYTES: usize = 3_000_000;

/// All of one version, encoded once and shared by all who wait for it.
pub(crate) struct Whole {
    pub(crate) version: Version,
    pub(crate) resources: u64,
    pub(crate) uncompressed_bytes: u64,
    /// Compressed batches with their CRC-32.
    pub(crate) chunks: Vec<(Bytes, u32)>,
    pub(crate) sha256: [u8; 32],
}

/// Packs resources, in order.
pub(crate) struct Packer {
    batch: Vec<u8>,
    whole: Whole,
    digest: Sha256,
}

impl Packer {
    pub(crate) fn new(version: Version) -> Self {
        let whole = Whole { version, resources: 0, uncompressed_bytes: 0, chunks: Vec::new(), sha256: [0; 32] };
        Self { batch: Vec::with_capacity(BATCH_BYTES), whole, digest: Sha256::new() }
    }

    /// Adds a resource. One that is too large to travel is left out and logged: without it, a data plane denies.
    pub(crate) fn push(&mut self, resource: &pb::Resource) -> std::io::Result<()> {
        let bytes = resource.encoded_len();
        if bytes > RESOURCE_BYTES {
            let id = resource.body.as_ref().map(super::resource::id_of);
            tracing::error!(?id, bytes, most = RESOURCE_BYTES, "a resource is too large to be published");
            return Ok(());
        }
        if self.batch.len() + bytes > BATCH_BYTES {
            self.close_batch()?;
        }
        // Field 1 of ResourceBatch, as if the whole batch had been encoded at once.
        prost::encoding::message::encode(1, resource, &mut self.batch);
        self.whole.resources += 1;
        Ok(())
    }

    /// The finished snapshot.
    pub(crate) fn finish(mut self) -> std::io::Result<Whole> {
        self.close_batch()?;
        self.whole.sha256 = self.digest.finalize().into();
        Ok(self.whole)
    }

    fn close_batch(&mut self) -> std::io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let zstd = Bytes::from(zstd::bulk::compress(&self.batch, 1)?);
        self.whole.uncompressed_bytes += self.batch.len() as u64;
        self.digest.update(&zstd);
        let crc32 = crc32fast::hash(&zstd);
        self.whole.chunks.push((zstd, crc32));
        self.batch.clear();
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn unpack(whole: &Whole) -> Vec<pb::Resource> {
    let mut digest = Sha256::new();
    let mut resources = Vec::new();
    for (zstd, crc32) in &whole.chunks {
        assert!(zstd.len() <= 1 << 20, "a chunk of {} bytes", zstd.len());
        assert_eq!(crc32fast::hash(zstd), *crc32);
        digest.update(zstd);
        let plain = zstd::bulk::decompress(zstd, 8 << 20).unwrap();
        resources.extend(pb::ResourceBatch::decode(&plain[..]).unwrap().resources);
    }
    assert_eq!(whole.sha256[..], digest.finalize()[..]);
    assert_eq!(whole.resources, resources.len() as u64);
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> pb::Resource {
        let hash: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
        let key = pb::Key { hash: hash.to_vec().into(), masked: hex::encode(hash), ..pb::Key::default() };
        pb::Resource { required_features: vec![], body: Some(pb::resource::Body::Key(key)) }
    }

    #[test]
    fn what_is_packed_unpacks_in_order_from_small_chunks() {
        let version = Version { epoch: uuid::Uuid::nil(), revision: 7 };
        let mut packer = Packer::new(version);
        let keys: Vec<_> = (0..30_000).map(key).collect();
        for key in &keys {
            packer.push(key).unwrap();
        }
        let whole = packer.finish().unwrap();
        assert!(whole.chunks.len() > 2);
        assert_eq!(unpack(&whole), keys);
    }

    #[test]
    fn a_resource_too_large_to_travel_is_left_out_and_the_rest_goes() {
        let mut packer = Packer::new(Version { epoch: uuid::Uuid::nil(), revision: 1 });
        let huge = pb::Deployment { mock_response_json: "x".repeat(RESOURCE_BYTES), ..pb::Deployment::default() };
        let huge = pb::Resource { required_features: vec![], body: Some(pb::resource::Body::Deployment(huge)) };
        packer.push(&huge).unwrap();
        packer.push(&key(1)).unwrap();
        assert_eq!(unpack(&packer.finish().unwrap()), [key(1)]);
    }

    #[test]
    fn an_empty_snapshot_has_no_chunks() {
        let whole = Packer::new(Version { epoch: uuid::Uuid::nil(), revision: 1 }).finish().unwrap();
        assert_eq!((whole.chunks.len(), whole.resources), (0, 0));
    }
}
