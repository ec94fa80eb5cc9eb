//! Sealed records in files: a length, and what only the right key opens in the right place.

use std::io::{self, Read, Write};

use crate::seal::Seal;

/// A sealed record longer than this is damage.
const MAX_RECORD_BYTES: usize = 256 << 20;

/// Why a file could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not a snapshot file")]
    Foreign,
    #[error("record {0} is damaged, or sealed with another key")]
    Damaged(u64),
    #[error("it ends before its last record")]
    Truncated,
    #[error("it and its logs lead to revision {reached}, and more than that was durable: changes are missing")]
    Behind { reached: u64 },
}

/// Where a record belongs: it opens nowhere else, so that records cannot be moved between files or reordered.
fn place(file: &str, position: u64) -> String {
    format!("snapshot|{file}|{position}")
}

/// Appends a record; says how many bytes it took.
pub(super) fn write(out: &mut impl Write, seal: &Seal, file: &str, position: u64, plain: &[u8]) -> io::Result<u64> {
    let sealed = seal.seal(&place(file, position), plain);
    let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(sealed.len() + 4);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(&sealed);
    out.write_all(&framed)?;
    Ok(framed.len() as u64)
}

/// The next record; `None` at the end of the file.
pub(super) fn read(
    source: &mut impl Read,
    seal: &Seal,
    file: &str,
    position: u64,
) -> Result<Option<Vec<u8>>, ReadError> {
    let mut length = [0; 4];
    match read_fully(source, &mut length)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(ReadError::Truncated),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_RECORD_BYTES {
        return Err(ReadError::Damaged(position));
    }
    let mut sealed = Vec::new();
    source.take(length as u64).read_to_end(&mut sealed)?;
    if sealed.len() != length {
        return Err(ReadError::Truncated);
    }
    seal.open(&place(file, position), &sealed).map(Some).map_err(|_closed| ReadError::Damaged(position))
}

fn read_fully(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
