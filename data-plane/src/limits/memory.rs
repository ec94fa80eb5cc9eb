//! What is spent of budgets, for a start without the control plane.
//!
//! The file holds what was booked when it was written, and up to where each spool segment was acknowledged by then: what a
//! segment holds beyond that was spent too ([`Memory::positions`]). So a segment is not unlinked before the file is written
//! anew. A file that cannot be read counts for nothing: then all that is still spooled counts as spent.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prost::Message as _;
use proto::v1 as pb;

use super::account::News;
use super::local::Counters;
use super::redis::Redis;
use super::{EVERYBODY, Owner};
use crate::clock::{self, Clock};
use crate::snapshot::Key;

const MAGIC: &[u8; 8] = b"tpspent1";

/// News are written no more often.
const EVERY: Duration = Duration::from_secs(10);

/// Writing takes no more than this part of the time: there may be a million budgets.
const PART_OF_TIME: u32 = 50;

/// How far a segment was acknowledged, by the name of its file.
pub(crate) type Positions = HashMap<String, u64>;

/// Takes in what is spent, and remembers it.
pub(crate) struct Memory {
    counters: Arc<Counters>,
    file: PathBuf,
    has_news: AtomicBool,
    next: Mutex<Instant>,
    redis: Option<Arc<Redis>>,
}

impl Memory {
    /// What was last known, from `file`, now in `counters`; and how far the spool was acknowledged by then.
    pub(crate) fn open(file: PathBuf, counters: Arc<Counters>) -> (Self, Positions) {
        let (has_news, next) = (AtomicBool::new(false), Mutex::new(Instant::now()));
        let memory = Self { counters, file, has_news, next, redis: None };
        let (totals, positions) = match memory.read() {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, file = %memory.file.display(), "what was spent of budgets cannot be read");
                Default::default()
            }
        };
        memory.take_in(&totals, News::Round);
        (memory, positions)
    }

    /// Tells Redis what changes.
    pub(crate) fn telling(self, redis: Option<Arc<Redis>>) -> Self {
        Self { redis, ..self }
    }

    /// Takes in what the control plane says.
    pub(crate) fn hear(&self, totals: &[pb::Total], news: News) {
        self.take_in(totals, news);
        for (redis, total) in self.redis.iter().flat_map(|redis| totals.iter().map(move |total| (redis, total))) {
            if let Some(owner) = Owner::of(total.kind()) {
                redis.tell(owner, total.id.as_str().into(), None);
            }
        }
        if !totals.is_empty() {
            self.has_news.store(true, Ordering::Relaxed);
        }
    }

    /// Keys that took another's place go on with its limits and with what it spent. To be said before the first call comes
    /// with them.
    pub(crate) fn follow_all<'a>(&self, keys: impl Iterator<Item = &'a Arc<Key>>) {
        for (old, new) in keys.filter_map(|key| Some((key.hash(), key.acts_as()?))) {
            self.counters.follow(Owner::Key, &old.to_string(), &new.to_string(), Clock.now_ms());
            self.has_news.store(true, Ordering::Relaxed);
        }
    }

    fn take_in(&self, totals: &[pb::Total], news: News) {
        let (now_ms, now) = (Clock.now_ms(), clock::seconds());
        totals.iter().for_each(|total| self.counters.is_booked(total, news, now_ms, now));
    }

    /// Notes usage of an earlier process that the control plane has not acknowledged.
    pub(crate) fn owe(&self, event: &pb::UsageEvent) {
        let model = if event.model_group.is_empty() { &event.model } else { &event.model_group };
        let key = hex::encode(&event.key_hash);
        let member = match event.user_id.is_empty() || event.team_id.is_empty() {
            true => String::new(),
            false => proto::owner::member_id(&event.user_id, &event.team_id),
        };
        let owners = [
            (Owner::Key, key.as_str()),
            (Owner::User, &event.user_id),
            (Owner::Team, &event.team_id),
            (Owner::Member, &member),
            (Owner::Customer, &event.end_user),
            (Owner::Organization, &event.organization_id),
            (Owner::Proxy, EVERYBODY),
        ];
        let tags = event.tags.iter().map(|tag| (Owner::Tag, tag.as_str()));
        if event.cost_nano_usd > 0 {
            for (owner, id) in owners.into_iter().chain(tags).filter(|(_, id)| !id.is_empty()) {
                self.counters.owe(owner, id, model, event.cost_nano_usd, clock::seconds());
            }
        }
    }

    /// There are news, and they were not written for a while.
    pub(crate) fn is_due(&self) -> bool {
        self.has_news.load(Ordering::Relaxed)
            && Instant::now() >= *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There are news.
    pub(crate) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Relaxed)
    }

    /// Writes what is known. `positions` say how far each segment is acknowledged; they must not be ahead of what was heard.
    pub(crate) fn save(&self, positions: impl Iterator<Item = (String, u64)>) -> io::Result<()> {
        let began = Instant::now();
        self.has_news.store(false, Ordering::Relaxed);
        let written = self.write(positions);
        if written.is_err() {
            self.has_news.store(true, Ordering::Relaxed);
        }
        let pause = EVERY.max(began.elapsed() * PART_OF_TIME);
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + pause;
        written
    }

    fn write(&self, positions: impl Iterator<Item = (String, u64)>) -> io::Result<()> {
        let positions: String = positions.map(|(name, at)| format!("{name} {at}\n")).collect();
        let mut body = u32::try_from(positions.len()).unwrap_or(0).to_le_bytes().to_vec();
        body.extend(positions.bytes());
        pb::Totals { totals: self.counters.kept() }.encode(&mut body).map_err(io::Error::other)?;
        let fresh = self.file.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(MAGIC)?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.file)?;
        match self.file.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    fn read(&self) -> io::Result<(Vec<pb::Total>, Positions)> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(error),
        };
        parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged, or of another release"))
    }
}

fn parse(bytes: &[u8]) -> Option<(Vec<pb::Total>, Positions)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (crc, body) = rest.split_first_chunk()?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
        return None;
    }
    let (length, rest) = body.split_first_chunk()?;
    let (positions, totals) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let positions = std::str::from_utf8(positions).ok()?.lines().map(|line| {
        let (name, at) = line.rsplit_once(' ')?;
        Some((name.to_owned(), at.parse().ok()?))
    });
    Some((pb::Totals::decode(totals).ok()?.totals, positions.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(id: &str, spent_nano_usd: i64) -> pb::Total {
        let (kind, id) = (pb::OwnerKind::Team.into(), id.to_owned());
        pb::Total { kind, id, spent_nano_usd, version: 3, window_ends_at_ms: 9, ..pb::Total::default() }
    }

    #[test]
    fn what_was_heard_is_known_after_a_restart_and_damage_is_nothing_known() {
        let directory = tempfile::tempdir().unwrap();
        let open = || {
            let counters = Arc::<Counters>::default();
            let (memory, positions) = Memory::open(directory.path().join("spent"), Arc::clone(&counters));
            (memory, positions, counters)
        };
        let (memory, positions, _) = open();
        assert!(positions.is_empty() && !memory.is_due());
        memory.hear(&[total("t", 5)], News::Round);
        assert!(memory.is_due());
        memory.save([("0.seg".to_owned(), 77)].into_iter()).unwrap();
        memory.hear(&[total("u", 6)], News::Round);
        assert!(memory.has_news() && !memory.is_due(), "it was written a moment ago");

        let (_, positions, counters) = open();
        assert_eq!((positions["0.seg"], counters.kept()), (77, vec![total("t", 5)]));

        let file = directory.path().join("spent");
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(parse(&bad), None, "byte {at}");
            assert_eq!(parse(&good[..at]), None, "cut at {at}");
        }
        fs::write(&file, b"tpspent1").unwrap();
        let (_, positions, counters) = open();
        assert!(positions.is_empty() && counters.kept().is_empty());
    }

    #[test]
    fn usage_that_nobody_acknowledged_is_owed_by_all_who_pay_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let counters = Arc::<Counters>::default();
        let (memory, _) = Memory::open(directory.path().join("spent"), Arc::clone(&counters));
        let event = pb::UsageEvent {
            key_hash: vec![1; 32].into(),
            team_id: "t".to_owned(),
            model_group: "gpt-4o".to_owned(),
            cost_nano_usd: 5,
            ..pb::UsageEvent::default()
        };
        memory.owe(&event);
        let mut owners: Vec<_> = counters.kept().into_iter().map(|total| (total.kind, total.id)).collect();
        owners.sort();
        let of = |kind: pb::OwnerKind, id: &str| (i32::from(kind), id.to_owned());
        let expected =
            [of(pb::OwnerKind::Key, &"01".repeat(32)), of(pb::OwnerKind::Team, "t"), of(pb::OwnerKind::Proxy, "proxy")];
        assert_eq!(owners, expected);
    }
}
