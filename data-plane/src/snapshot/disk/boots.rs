//! Counts the boots that died, so that a copy that kills its data plane is not loaded for ever.
//!
//! `booting` is written before a copy is loaded and removed when the data plane has been healthy for a while, or ends in
//! order. What is left of it are the deaths in a row. It is a hint and not sealed: unreadable, it counts as none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Deaths in a row after which a copy is not simply loaded again.
const DEATHS: u32 = 3;

/// One life of a data plane, as long as it is not known to be healthy.
pub(crate) struct Boots {
    marker: PathBuf,
    deaths: u32,
}

impl Boots {
    /// Notes that a boot begins.
    pub(super) fn begin(directory: &Path) -> Self {
        let marker = directory.join("booting");
        let deaths = fs::read_to_string(&marker).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let boots = Self { marker, deaths };
        if let Err(error) = boots.note(deaths.saturating_add(1)) {
            tracing::warn!(%error, "boots are not counted: a copy that kills its data plane would be loaded again and again");
        }
        boots
    }

    /// Whether the boots before this one died, one after the other.
    pub(super) fn loops(&self) -> bool {
        self.deaths >= DEATHS
    }

    /// Gives what is loaded now its own three boots.
    pub(super) fn start_over(&mut self) {
        self.deaths = 0;
        if let Err(error) = self.note(1) {
            tracing::warn!(%error, "boots are not counted");
        }
    }

    /// The data plane is healthy, or ends in order.
    pub(crate) fn healthy(&self) {
        drop(fs::remove_file(&self.marker)); // it is gone already where this was said before
    }

    fn note(&self, deaths: u32) -> io::Result<()> {
        fs::write(&self.marker, deaths.to_string())
    }
}
