//! The faults: each breaks something under load, sees that calls go on, and mends it.

use std::time::Duration;

use acceptance::cable::Condition;
use acceptance::planes::Fleet;
use acceptance::redis::Redis;
use acceptance::wait::eventually;
use anyhow::{Context, bail, ensure};
use private_postgres::StopMode;

use super::dice::Dice;
use super::load::Load;

/// A data plane that was cut off delivers again within this time; its longest pause between tries is 10 s.
const DELIVERS_WITHIN: Duration = Duration::from_secs(40);

/// A batch that is under way is booked within this time, mostly.
const BOOKED_WITHIN: Duration = Duration::from_secs(3);

/// How often it is tried to lose receipts.
const TRIES: usize = 8;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9`, and a start with what it left on disk.
    KillDataPlane,
    /// SIGTERM and a start: nothing breaks.
    RestartDataPlane,
    /// `kill -9`; the other control plane goes on.
    KillControlPlane,
    /// A fast stop of Postgres and a start.
    RestartPostgres,
    /// An immediate stop of Postgres: the start recovers from its log.
    CrashPostgres,
    /// The connection between a data plane and the control planes breaks, and none comes up.
    CutStream,
    /// It hangs: nobody is told.
    FreezeStream,
    /// Batches arrive and are booked, and their receipts are lost: all of them come again.
    LoseReceipts,
    /// Segments that were delivered long ago lie in the spool once more: old events come again, after newer ones.
    ReplaySpool,
    /// The spool fills up while the control planes are away: calls are refused.
    FillSpool,
    /// Postgres, both control planes and a data plane at once; the data plane comes back alone.
    Blackout,
    /// Redis stands still: it takes what it is told, and says nothing.
    FreezeRedis,
    /// Redis comes back with nothing in it.
    EmptyRedis,
}

const KINDS: [Fault; 13] = [
    Fault::KillDataPlane,
    Fault::RestartDataPlane,
    Fault::KillControlPlane,
    Fault::RestartPostgres,
    Fault::CrashPostgres,
    Fault::CutStream,
    Fault::FreezeStream,
    Fault::LoseReceipts,
    Fault::ReplaySpool,
    Fault::FillSpool,
    Fault::Blackout,
    Fault::FreezeRedis,
    Fault::EmptyRedis,
];

/// Faults in random order, each kind as often as every other.
#[derive(Default)]
pub(super) struct Deck(Vec<Fault>);

impl Deck {
    pub(super) fn draw(&mut self, dice: &mut Dice) -> Fault {
        if self.0.is_empty() {
            self.0.extend(KINDS);
        }
        self.0.swap_remove(dice.below(self.0.len()))
    }
}

/// What faults act upon.
pub(super) struct Faults<'a> {
    pub(super) fleet: &'a mut Fleet,
    pub(super) redis: &'a mut Redis,
    pub(super) load: &'a Load,
    pub(super) dice: &'a mut Dice,
}

impl Faults<'_> {
    /// Breaks and mends.
    pub(super) async fn strike(&mut self, fault: Fault) -> anyhow::Result<()> {
        let data_plane = self.dice.below(self.fleet.data.len());
        let calls = self.dice.between(2, 12);
        match fault {
            Fault::KillDataPlane => {
                self.fleet.data[data_plane].kill_nine()?;
                self.load.goes_on(calls).await?;
                self.fleet.data[data_plane].start().await
            }
            Fault::RestartDataPlane => {
                let status = self.fleet.data[data_plane].stop().await?;
                ensure!(status.success(), "data plane {data_plane} ended with {status}");
                self.fleet.data[data_plane].start().await
            }
            Fault::KillControlPlane => {
                let control_plane = self.dice.below(self.fleet.control.len());
                self.fleet.control[control_plane].kill_nine()?;
                self.load.goes_on(calls).await?;
                self.fleet.control[control_plane].start().await
            }
            Fault::RestartPostgres => self.restart_postgres(StopMode::Fast, calls).await,
            Fault::CrashPostgres => self.restart_postgres(StopMode::Immediate, calls).await,
            Fault::CutStream => self.while_cables_are(Condition::Cut, data_plane, calls).await,
            Fault::FreezeStream => self.while_cables_are(Condition::Frozen, data_plane, 3 * calls).await,
            Fault::LoseReceipts => self.lose_receipts(data_plane).await,
            Fault::ReplaySpool => self.replay_spool(data_plane, calls).await,
            Fault::FillSpool => {
                self.fleet.set_cables(data_plane, Condition::Cut);
                self.load.fill(data_plane, self.dice).await?;
                self.load.is_met(calls).await?;
                self.fleet.set_cables(data_plane, Condition::Sound);
                Ok(())
            }
            Fault::Blackout => self.blackout(data_plane, calls).await,
            Fault::FreezeRedis => {
                let frozen = self.redis.freeze()?;
                self.load.goes_on(5 * calls).await?;
                drop(frozen);
                Ok(())
            }
            Fault::EmptyRedis => {
                self.redis.kill_nine()?;
                self.load.goes_on(calls).await?;
                self.redis.start_again().await?;
                // Otherwise it would not be asked again for a minute.
                self.redis.has_counted_long().await
            }
        }
    }

    async fn restart_postgres(&mut self, mode: StopMode, calls: usize) -> anyhow::Result<()> {
        self.fleet.server.stop(mode).await?;
        self.load.is_met(calls).await?;
        self.fleet.server.start_again().await
    }

    async fn while_cables_are(&mut self, condition: Condition, data_plane: usize, calls: usize) -> anyhow::Result<()> {
        self.fleet.set_cables(data_plane, condition);
        self.load.goes_on(calls).await?;
        self.fleet.set_cables(data_plane, Condition::Sound);
        Ok(())
    }

    async fn lose_receipts(&mut self, data_plane: usize) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            self.delivers(data_plane, DELIVERS_WITHIN).await?;
            self.fleet.set_cables(data_plane, Condition::Deaf);
            // What is booked from here on has its receipt on this side of the cable, where it is lost. Nothing is where all
            // batches that may be under way at once were booked already.
            let booked = self.delivers(data_plane, BOOKED_WITHIN).await;
            self.fleet.set_cables(data_plane, Condition::Cut);
            self.fleet.set_cables(data_plane, Condition::Sound);
            if booked.is_ok() {
                return Ok(());
            }
        }
        bail!("no batch was booked whose receipt was lost, in {TRIES} tries")
    }

    /// Waits until a data plane has delivered something new.
    async fn delivers(&self, data_plane: usize, within: Duration) -> anyhow::Result<()> {
        let id = self.fleet.id(data_plane)?;
        let before = self.fleet.database.rows_of(&id).await?;
        eventually("usage is delivered", within, async || {
            Ok((self.fleet.database.rows_of(&id).await? > before).then_some(()))
        })
        .await
    }

    async fn replay_spool(&mut self, data_plane: usize, calls: usize) -> anyhow::Result<()> {
        self.load.goes_on(calls).await?;
        let mut kept = Vec::new();
        for segment in self.fleet.segments(data_plane)? {
            // One may be delivered and gone between the list and the look.
            if let Ok(bytes) = std::fs::read(&segment) {
                kept.push((segment, bytes));
            }
        }
        ensure!(!kept.is_empty(), "a data plane under load has no segment");
        // A restart closes the segments, so that they go once they are delivered.
        self.fleet.data[data_plane].kill_nine()?;
        self.fleet.data[data_plane].start().await?;
        eventually("the old segments are delivered", DELIVERS_WITHIN, async || {
            Ok(kept.iter().all(|(segment, _)| !segment.exists()).then_some(()))
        })
        .await?;
        self.fleet.data[data_plane].kill_nine()?;
        for (segment, bytes) in &kept {
            std::fs::write(segment, bytes).with_context(|| format!("{}", segment.display()))?;
        }
        self.fleet.data[data_plane].start().await
    }

    async fn blackout(&mut self, data_plane: usize, calls: usize) -> anyhow::Result<()> {
        self.fleet.server.stop(StopMode::Immediate).await?;
        for control_plane in &mut self.fleet.control {
            control_plane.kill_nine()?;
        }
        self.fleet.data[data_plane].kill_nine()?;
        self.fleet.data[data_plane].start().await.context("alone, from its disk copy")?;
        self.load.is_met(calls).await?;
        // They are started before their database: they wait for it.
        for control_plane in &mut self.fleet.control {
            control_plane.launch()?;
        }
        self.fleet.server.start_again().await?;
        for control_plane in &mut self.fleet.control {
            control_plane.ready().await?;
        }
        Ok(())
    }
}
