//! A base: all resources at one revision, in the chunks in which they came.
//!
//! `magic · header · chunk … · end`, each but the first a sealed record. A chunk is a compressed batch and is neither unpacked nor
//! packed again on its way from the stream to the disk. The end says how many resources there are: a base without it is
//! one whose writing was cut short. A random name binds the records of a base to each other.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, WireType};
use proto::v1 as pb;

use super::super::Version;
use super::record::{self, ReadError};
use crate::seal::Seal;

const MAGIC: &[u8; 8] = b"tpsnap2\n";
const NAME_BYTES: usize = 16;
/// A chunk unpacks to no more than this.
const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// First byte of a record after the header.
const CHUNK: u8 = 0;
const END: u8 = 1;

/// A base being written to a file beside those in use.
pub(crate) struct Writer {
    seal: Seal,
    pub(super) path: PathBuf,
    pub(super) version: Version,
    file: BufWriter<File>,
    name: String,
    position: u64,
    resources: u64,
}

impl Writer {
    pub(super) fn create(path: PathBuf, seal: Seal, version: Version) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(&path)?);
        file.write_all(MAGIC)?;
        let name: [u8; NAME_BYTES] = rand::random();
        let mut header = name.to_vec();
        header.extend(version.to_message().encode_to_vec());
        record::write(&mut file, &seal, "base", 0, &header)?;
        Ok(Self { seal, path, version, file, name: named(&name), position: 1, resources: 0 })
    }

    /// Adds a compressed batch of so many resources.
    pub(crate) fn chunk(&mut self, zstd: &[u8], resources: u64) -> io::Result<()> {
        let mut plain = Vec::with_capacity(zstd.len() + 1);
        plain.push(CHUNK);
        plain.extend_from_slice(zstd);
        self.resources += resources;
        self.record(&plain)
    }

    /// Adds a batch.
    pub(super) fn batch(&mut self, batch: &pb::ResourceBatch) -> io::Result<()> {
        match batch.resources.is_empty() {
            true => Ok(()),
            false => self.chunk(&zstd::bulk::compress(&batch.encode_to_vec(), 1)?, batch.resources.len() as u64),
        }
    }

    /// Writes the end, and returns when all of it has reached the disk.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut end = vec![END];
        end.extend_from_slice(&self.resources.to_le_bytes());
        self.record(&end)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    fn record(&mut self, plain: &[u8]) -> io::Result<()> {
        record::write(&mut self.file, &self.seal, &self.name, self.position, plain)?;
        self.position += 1;
        Ok(())
    }
}

/// A base being read, chunk by chunk.
pub(super) struct Reader<'s> {
    seal: &'s Seal,
    file: BufReader<File>,
    name: String,
    pub(super) version: Version,
    position: u64,
    resources: u64,
}

impl<'s> Reader<'s> {
    /// Opens a base and reads its header; `None` where there is none.
    pub(super) fn open(path: &Path, seal: &'s Seal) -> Result<Option<Self>, ReadError> {
        let mut file = match File::open(path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).map_err(|_short| ReadError::Foreign)?;
        if &magic != MAGIC {
            return Err(ReadError::Foreign);
        }
        let header = record::read(&mut file, seal, "base", 0)?.ok_or(ReadError::Truncated)?;
        let (name, version) = header.split_at_checked(NAME_BYTES).ok_or(ReadError::Damaged(0))?;
        let version = pb::Version::decode(version).map_err(|_broken| ReadError::Damaged(0))?;
        let version = Version::from_message(Some(&version)).ok_or(ReadError::Damaged(0))?;
        Ok(Some(Self { seal, file, name: named(name), version, position: 1, resources: 0 }))
    }

    /// What `take` makes of the next batch and how many resources it found there; `None` after the last one of a whole base.
    pub(super) fn batch<T>(
        &mut self,
        take: impl FnOnce(Batch) -> io::Result<(T, u64)>,
    ) -> Result<Option<T>, ReadError> {
        let damaged = ReadError::Damaged(self.position);
        let record = record::read(&mut self.file, self.seal, &self.name, self.position)?.ok_or(ReadError::Truncated)?;
        self.position += 1;
        match record.split_first() {
            Some((&CHUNK, zstd)) => {
                let Ok((taken, resources)) = unpack(zstd).and_then(take) else { return Err(damaged) };
                self.resources += resources;
                Ok(Some(taken))
            }
            Some((&END, count)) if count == self.resources.to_le_bytes() => Ok(None),
            Some(_) | None => Err(damaged),
        }
    }
}

/// Unpacks a chunk, as the control plane made it or as it lies in a base.
pub(crate) fn unpack(zstd: &[u8]) -> io::Result<Batch> {
    let mut plain = Vec::new();
    let read = zstd::stream::read::Decoder::new(zstd)?.take(MAX_CHUNK_BYTES + 1).read_to_end(&mut plain)?;
    if read as u64 > MAX_CHUNK_BYTES {
        return Err(io::Error::other("it is larger than a chunk may be"));
    }
    Ok(Batch(plain.into()))
}

/// The resources of a chunk, decoded one by one: all at once, the texts of ten thousand keys would lie between those that stay.
pub(crate) struct Batch(Bytes);

impl Batch {
    fn read(&mut self) -> Result<Option<pb::Resource>, prost::DecodeError> {
        while self.0.has_remaining() {
            let (tag, wire_type) = prost::encoding::decode_key(&mut self.0)?;
            if (tag, wire_type) == (1, WireType::LengthDelimited) {
                return pb::Resource::decode_length_delimited(&mut self.0).map(Some);
            }
            prost::encoding::skip_field(wire_type, tag, &mut self.0, DecodeContext::default())?;
        }
        Ok(None)
    }
}

impl Iterator for Batch {
    type Item = io::Result<pb::Resource>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.0.clear(); // what follows cannot be told apart any more
        }
        read.map_err(io::Error::other).transpose()
    }
}

fn named(name: &[u8]) -> String {
    format!("base-{}", hex::encode(name))
}
