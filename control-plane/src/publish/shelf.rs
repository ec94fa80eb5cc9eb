//! Encoded updates that several data planes wait for, made once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use proto::v1 as pb;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::chunks::Whole;
use super::delta::{self, Step};
use super::source::{ComposeError, Source};
use super::{Version, compose};

/// A whole snapshot may be sent for this long after it was made: a delta follows it. Well within what the log keeps.
const FRESH: Duration = Duration::from_secs(60);

/// What the database is known to have come to.
type Reached = watch::Receiver<Option<Version>>;

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
        reached: &Reached,
    ) -> Result<Arc<Whole>, ComposeError> {
        let mut slot = self.whole.lock().await;
        // Known anew: who waited in line while the epoch changed would find that nothing fits, and compose all over again.
        let Some(reached) = *reached.borrow() else { return Ok(Arc::new(compose::whole(source).await?)) };
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
        reached: &Reached,
    ) -> Result<Update, ComposeError> {
        let target = *reached.borrow();
        let Some((held, target)) = held.zip(target).filter(|(held, target)| held.epoch == target.epoch) else {
            return Ok(Update::Whole(self.whole(source, floor, reached).await?));
        };
        if held.revision == target.revision {
            return Ok(Update::Nothing);
        }
        let mut slot = self.delta.lock().await;
        if let Some((epoch, delta)) = &*slot
            && *epoch == held.epoch
            && delta.from == held.revision
            && delta.to >= target.revision
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

#[cfg(test)]
mod tests {
    use super::super::tests::world::World;
    use super::*;

    async fn whole(shelf: &Shelf, world: &World, reached: &Reached) -> Arc<Whole> {
        match shelf.update(&world.source, None, None, reached).await.unwrap() {
            Update::Whole(whole) => whole,
            Update::Nothing | Update::Delta(_) => panic!("who holds nothing gets everything"),
        }
    }

    #[tokio::test]
    async fn a_herd_that_came_before_a_new_epoch_was_noticed_shares_one_snapshot() {
        let world = World::new().await;
        let shelf = Shelf::default();
        let former = Version { epoch: Uuid::from_u128(7), revision: 9 };
        let (known, reached) = watch::channel(Some(former));
        // The first of the line composes: of the new epoch, which is not noticed yet. The others wait meanwhile.
        let mut slot = shelf.whole.lock().await;
        let waiting = async {
            let others = [whole(&shelf, &world, &reached), whole(&shelf, &world, &reached)];
            futures_util::future::join_all(others).await
        };
        let composing = async {
            tokio::task::yield_now().await;
            let first = Arc::new(compose::whole(&world.source).await.unwrap());
            *slot = Some((Instant::now(), Arc::downgrade(&first)));
            known.send_replace(Some(first.version));
            drop(slot);
            first
        };
        let (others, first) = tokio::join!(waiting, composing);
        assert!(others.iter().all(|other| Arc::ptr_eq(other, &first)));
    }
}
