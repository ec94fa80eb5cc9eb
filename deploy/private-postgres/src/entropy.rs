//! Names that nobody can guess or meet by chance.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};

/// Sixteen hex digits from the system's random numbers.
pub(crate) fn random_id() -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut id, byte| {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    }))
}
