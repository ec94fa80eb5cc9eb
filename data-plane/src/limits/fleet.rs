//! How many data planes share the limits: the control plane says so, and a restart without it remembers.

use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use super::local::Counters;

/// The number of data planes, in force and on disk.
pub(crate) struct Fleet {
    counters: Arc<Counters>,
    file: PathBuf,
    planes: NonZeroU32,
}

impl Fleet {
    /// What was last known, from `file`. A data plane that never heard of others is alone.
    pub(crate) fn open(file: PathBuf, counters: Arc<Counters>) -> Self {
        let known = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let planes = known.unwrap_or(NonZeroU32::MIN);
        counters.share_among(planes);
        Self { counters, file, planes }
    }

    /// Takes in what the control plane says. A file that cannot be written is a worry for the next start only.
    pub(crate) fn is(&mut self, planes: u32) {
        let planes = NonZeroU32::new(planes).unwrap_or(NonZeroU32::MIN);
        if planes == self.planes {
            return;
        }
        tracing::info!(data_planes = planes, "each data plane admits its part of every limit");
        self.planes = planes;
        self.counters.share_among(planes);
        if let Err(error) = fs::write(&self.file, planes.to_string()) {
            tracing::warn!(%error, "the number of data planes could not be kept for the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_remembered_and_nonsense_is_being_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fleet");
        let open = || Fleet::open(file.clone(), Arc::default());
        assert_eq!(open().planes, NonZeroU32::MIN);
        open().is(3);
        assert_eq!(open().planes.get(), 3);
        open().is(0);
        assert_eq!(open().planes, NonZeroU32::MIN);
        fs::write(&file, "many").unwrap();
        assert_eq!(open().planes, NonZeroU32::MIN);
    }
}
