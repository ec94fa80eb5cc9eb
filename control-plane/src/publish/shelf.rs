//! Encoded updates that several data planes wait for, made once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use proto::v1 as pb;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::chunks::Whole;
use super::delta::{self, Step};
use super::source::{ComposeError, Source};
use super::{Version, compose};

/// A whole snapshot may be sent for this long after it was made: a delta follows it. Well within what the log keeps.
const FRESH: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Shelf {
    /// Held by those who send it, so that it goes when the last transfer ends.
    whole: Mutex<Option<(Instant, Weak<Whole>)>>,
    delta: Mutex<Option<(Uuid, Arc<pb::Delta>)>>,
}

/// What to send next.
pub(super) enum Update {
    Nothing,
    Delta(Arc<pb::Delta>),
    Whole(Arc<Whole>),
}

impl Shelf {
    /// A whole snapshot: the one that others are being sent, if it is not older than `floor`, or a new one.
    async fn whole(
        &self,
        source: &Source,
        floor: Option<Version>,
        reached: Version,
    ) -> Result<Arc<Whole>, ComposeError> {
        let mut slot = self.whole.lock().await;
        if let Some((made, whole)) = &*slot
            && let Some(whole) = whole.upgrade()
            && made.elapsed() < FRESH
            && whole.version.epoch == reached.epoch
            && floor.is_none_or(|floor| floor.epoch != reached.epoch || floor.revision <= whole.version.revision)
        {
            return Ok(whole);
        }
        let whole = Arc::new(compose::whole(source).await?);
        *slot = Some((Instant::now(), Arc::downgrade(&whole)));
        Ok(whole)
    }

    /// What leads from `held` towards `reached`, and not behind `floor` in its lineage.
    pub(super) async fn update(
        &self,
        source: &Source,
        held: Option<Version>,
        floor: Option<Version>,
        reached: Version,
    ) -> Result<Update, ComposeError> {
        let Some(held) = held.filter(|held| held.epoch == reached.epoch) else {
            return Ok(Update::Whole(self.whole(source, floor, reached).await?));
        };
        if held.revision == reached.revision {
            return Ok(Update::Nothing);
        }
        let mut slot = self.delta.lock().await;
        if let Some((epoch, delta)) = &*slot
            && *epoch == held.epoch
            && delta.from == held.revision
            && delta.to >= reached.revision
        {
            return Ok(Update::Delta(delta.clone()));
        }
        match delta::after(source, held.revision).await? {
            Step::Nothing => Ok(Update::Nothing),
            Step::Delta(delta) => {
                let delta = Arc::new(delta);
                *slot = Some((held.epoch, delta.clone()));
                Ok(Update::Delta(delta))
            }
            Step::Whole => {
                drop(slot);
                Ok(Update::Whole(self.whole(source, floor, reached).await?))
            }
        }
    }
}
