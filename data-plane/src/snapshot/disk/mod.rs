//! The last good snapshot on disk, sealed, so that a data plane restarts while its control plane is away.
//!
//! A [`base`] holds all resources at one revision, in two generations; a [`log`] beside each holds the deltas
//! since, in order. Loading takes the newest base that opens and applies what its logs hold. A damaged file is put aside,
//! never fatal: the older generation and the logs serve, or the control plane is waited for. The [`mark`] says how far
//! a copy must reach: one that lacks what was durable may lack a revocation, and is not served from. [`boots`] keep a
//! copy that kills its data plane from being loaded for ever.

mod base;
mod boots;
#[cfg(test)]
mod damage;
mod log;
mod mark;
mod overlay;
mod record;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use proto::v1 as pb;

use self::log::Log;
use self::mark::Mark;
use self::overlay::Overlay;
use super::build::Build;
use super::{Snapshot, Version};
use crate::seal::Seal;

pub(crate) use self::base::{Writer, unpack};
pub(crate) use self::boots::Boots;
pub(crate) use self::log::follows;
use self::record::ReadError;

/// The state directory's part that keeps snapshots.
pub(crate) struct Disk {
    directory: PathBuf,
    seal: Seal,
    /// Open while disk and memory hold the same; gone once a write failed, until a new base is written.
    log: Option<Log>,
}

/// What a boot finds on disk.
pub(crate) enum Loaded {
    Snapshot(Box<Snapshot>),
    Nothing,
    /// The only copy there is was in force when boot after boot died: the control plane has the first word.
    KeptBack,
}

/// When a delta must have reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before it is acknowledged: it takes rights away.
    Now,
    /// With the next one that matters.
    Soon,
}

impl Disk {
    pub(crate) fn open(directory: PathBuf, seal: Seal) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let disk = Self { directory, seal, log: None };
        for unfinished in [INCOMING, COMPACTED] {
            drop(fs::remove_file(disk.path(unfinished))); // most often there is none
        }
        Ok(disk)
    }

    /// Begins a boot: loads the newest copy, or, when boot after boot died with it, an older one.
    pub(crate) fn boot(&mut self) -> (Boots, Loaded) {
        let mut boots = Boots::begin(&self.directory);
        let loaded = match boots.loops() {
            false => self.load(),
            true => self.load_older(&mut boots),
        };
        (boots, loaded)
    }

    /// The newest snapshot that opens and lacks nothing. What is damaged is renamed and reported. The log goes on where
    /// it ended.
    pub(crate) fn load(&mut self) -> Loaded {
        for generation in [CURRENT, PREVIOUS] {
            let loaded = self.load_generation(generation);
            if !matches!(loaded, Loaded::Nothing) {
                return loaded;
            }
        }
        Loaded::Nothing
    }

    fn load_older(&mut self, boots: &mut Boots) -> Loaded {
        let newest = self.path(CURRENT);
        if !newest.exists() && !self.path(PREVIOUS).exists() {
            return Loaded::Nothing;
        }
        let older = match newest.exists() {
            true => self.load_generation(PREVIOUS),
            false => Loaded::Nothing,
        };
        if let Loaded::Snapshot(_) = older {
            tracing::error!(file = %newest.display(), "the last boots died: this copy is put aside, an older one and the logs serve");
            set_aside(&newest, "crashed");
            boots.start_over();
            return older;
        }
        tracing::error!(
            "the last boots died with the only disk copy there is: the control plane is waited for, for a while"
        );
        Loaded::KeptBack
    }

    fn load_generation(&mut self, generation: &str) -> Loaded {
        let path = self.path(generation);
        let (build, end) = match self.read(&path) {
            Ok(Some(read)) => read,
            Ok(None) => return Loaded::Nothing,
            Err(error @ (ReadError::Behind { .. } | ReadError::Io(_))) => {
                tracing::error!(file = %path.display(), %error, "the disk copy is not served from");
                return Loaded::Nothing;
            }
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "the disk copy of the snapshot is put aside");
                set_aside(&path, "damaged");
                return Loaded::Nothing;
            }
        };
        match Log::go_on(&self.directory, end) {
            Ok(log) => self.log = Some(log),
            Err(error) => tracing::warn!(%error, "the snapshot's log cannot be gone on with"),
        }
        Loaded::Snapshot(Box::new(build.finish().0))
    }

    /// A base and what its logs hold, if that is all that was durable.
    fn read(&self, path: &Path) -> Result<Option<(Build, log::End)>, ReadError> {
        let Some(mut base) = base::Reader::open(path, &self.seal)? else { return Ok(None) };
        let mut build = Build::new(base.version, None);
        while base.batch(|batch| Ok(((), build.put(batch)?)))?.is_some() {}
        let end = log::replay(&self.directory, &self.seal, base.version, |delta| build.follow(delta))?;
        let mark = Mark::read(&self.directory, &self.seal);
        match mark.is_some_and(|mark| mark.is_reached_by(end.version)) {
            true => Ok(Some((build, end))),
            false => Err(ReadError::Behind { reached: end.version.revision }),
        }
    }

    /// Begins a base beside those in use.
    pub(crate) fn begin(&self, version: Version) -> io::Result<Writer> {
        Writer::create(self.path(INCOMING), self.seal.clone(), version)
    }

    /// Puts a base in place, and begins its log. The one before becomes the older generation.
    pub(crate) fn put(&mut self, written: Writer) -> io::Result<()> {
        self.log = None;
        let (path, version) = (written.path.clone(), written.version);
        written.finish()?;
        let log = Log::create(&self.directory, version)?;
        Mark::or(Mark::read(&self.directory, &self.seal), version).write(&self.directory, &self.seal)?;
        let current = self.path(CURRENT);
        if current.exists() {
            fs::rename(&current, self.path(PREVIOUS))?;
        }
        fs::rename(&path, &current)?;
        File::open(&self.directory)?.sync_all()?;
        Mark::at(version).write(&self.directory, &self.seal)?;
        self.log = Some(log);
        self.drop_old_logs();
        Ok(())
    }

    /// Writes base and log as one new base. Call it when [`Disk::wants_base`].
    pub(crate) fn compact(&mut self) -> io::Result<()> {
        let version = self.log.as_ref().map(|log| log.version);
        let version =
            version.ok_or_else(|| io::Error::other("the disk copy is behind: there is nothing to compact"))?;
        for generation in [CURRENT, PREVIOUS] {
            match self.compacted(&self.path(generation), version) {
                Ok(Some(written)) => return self.put(written),
                Ok(None) => {}
                Err(ReadError::Io(error)) => return Err(error),
                Err(error) => tracing::error!(generation, %error, "this copy of the snapshot cannot be gone on with"),
            }
        }
        self.log = None;
        Err(io::Error::other("no base can be compacted: the disk copy waits for a whole snapshot"))
    }

    /// A base at `version`, made of an older one and its logs; `None` where they do not lead there.
    fn compacted(&self, path: &Path, version: Version) -> Result<Option<Writer>, ReadError> {
        let Some(mut base) = base::Reader::open(path, &self.seal)? else { return Ok(None) };
        let mut overlay = Overlay::default();
        let end = log::replay(&self.directory, &self.seal, base.version, |delta| overlay.take(delta))?;
        if end.version != version {
            return Ok(None);
        }
        let mut written = Writer::create(self.path(COMPACTED), self.seal.clone(), version)?;
        let all_of = |batch: base::Batch| {
            let resources = batch.collect::<io::Result<Vec<_>>>()?;
            let count = resources.len() as u64;
            Ok((pb::ResourceBatch { resources }, count))
        };
        while let Some(batch) = base.batch(all_of)? {
            written.batch(&overlay.over(batch))?;
        }
        for batch in overlay.rest() {
            written.batch(&batch)?;
        }
        Ok(Some(written))
    }

    /// Appends a delta to the log of the current base; `Durability::Now` returns after it reached the disk. After a
    /// failure the disk is behind, and nothing more is appended until a whole snapshot is written.
    pub(crate) fn append(&mut self, delta: &pb::Delta, durability: Durability) -> io::Result<()> {
        let behind = || io::Error::other("the disk copy is behind: it waits for a whole snapshot");
        let mut log = self.log.take().ok_or_else(behind)?;
        if !follows(log.version, delta) {
            return Err(behind());
        }
        log.append(&self.seal, delta, durability)?;
        if durability == Durability::Now {
            Mark::at(log.version).write(&self.directory, &self.seal)?;
        }
        self.log = Some(log);
        Ok(())
    }

    /// What is in force was not written: says so, and appends nothing more until a whole snapshot is.
    pub(crate) fn fall_behind(&mut self) -> io::Error {
        self.log = None;
        io::Error::other("it could not be written as it came")
    }

    /// Whether a write failed, so that only a whole snapshot can bring the disk up to date.
    pub(crate) fn is_behind(&self) -> bool {
        self.log.is_none()
    }

    /// Whether the log has grown so long that a new base is due.
    pub(crate) fn wants_base(&self) -> bool {
        self.log.as_ref().is_some_and(Log::is_long)
    }

    /// Logs that lead from no base any more are of no use. Failing to remove one costs disk, nothing else.
    fn drop_old_logs(&self) {
        let version_of = |generation| Some(base::Reader::open(&self.path(generation), &self.seal).ok()??.version);
        let (current, previous) = (version_of(CURRENT), version_of(PREVIOUS));
        let leads_on = |from: Version| {
            let follows = |base: Version| base.epoch == from.epoch && base.revision <= from.revision;
            current == Some(from) || previous.is_some_and(follows)
        };
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            if log::beginning(&entry.file_name().to_string_lossy()).is_some_and(|from| !leads_on(from)) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

const CURRENT: &str = "current.base";
const PREVIOUS: &str = "previous.base";
const INCOMING: &str = "incoming.base";
const COMPACTED: &str = "compacted.base";

fn set_aside(path: &Path, why: &str) {
    if let Err(error) = fs::rename(path, path.with_extension(why)) {
        tracing::warn!(file = %path.display(), %error, "it could not be renamed");
    }
}

#[cfg(test)]
impl Disk {
    /// Writes these resources as a base.
    pub(crate) fn write_base(&mut self, version: Version, resources: &[pb::Resource]) -> io::Result<()> {
        let mut written = self.begin(version)?;
        for batch in resources.chunks(1_000) {
            written.batch(&pb::ResourceBatch { resources: batch.to_vec() })?;
        }
        self.put(written)
    }
}

#[cfg(test)]
mod tests;
