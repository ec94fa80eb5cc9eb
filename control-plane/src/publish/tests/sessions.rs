//! Sessions over channels instead of sockets, against a real database.

use std::time::Duration;

use pb::from_control_plane::Message as Down;
use pb::from_data_plane::Message as Up;
use proto::v1 as pb;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};

use super::world::{Replica, World};
use crate::publish::{Publisher, Version, session};

pub(super) const SOON: Duration = Duration::from_secs(10);

/// A publisher at work.
pub(super) fn running(world: &World) -> (Publisher, DropGuard) {
    let publisher = world.publisher();
    let running = run(&publisher);
    (publisher, running)
}

pub(super) fn run(publisher: &Publisher) -> DropGuard {
    let shutdown = CancellationToken::new();
    tokio::spawn(publisher.clone().run(shutdown.clone()));
    shutdown.drop_guard()
}

/// A data plane on one connection.
pub(super) struct DataPlane {
    say: mpsc::Sender<Result<pb::FromDataPlane, Status>>,
    hear: mpsc::Receiver<Result<pb::FromControlPlane, Status>>,
    pub(super) replica: Replica,
    /// How many data planes it was told of.
    fleet: u32,
}

impl DataPlane {
    pub(super) fn dial(publisher: &Publisher) -> Self {
        let (say, said) = mpsc::channel(16);
        let (out, hear) = mpsc::channel(2);
        tokio::spawn(session::run(publisher.clone(), None, ReceiverStream::new(said), out));
        Self { say, hear, replica: Replica::default(), fleet: 0 }
    }

    pub(super) async fn connect(publisher: &Publisher, id: &str, replica: Replica) -> Self {
        let mut data_plane = Self { replica, ..Self::dial(publisher) };
        data_plane.say(Up::Hello(greeting(id, data_plane.replica.version))).await;
        assert!(matches!(data_plane.hear().await, Down::Welcome(_)));
        data_plane
    }

    pub(super) async fn say(&self, message: Up) {
        self.say.send(Ok(pb::FromDataPlane { message: Some(message) })).await.unwrap();
    }

    /// The next message; how many data planes there are is only noted.
    pub(super) async fn hear(&mut self) -> Down {
        loop {
            let heard = timeout(SOON, self.hear.recv()).await.expect("a message in time").expect("an open stream");
            match heard.expect("no error").message.unwrap() {
                Down::Fleet(fleet) => self.fleet = fleet.data_planes,
                message => return message,
            }
        }
    }

    async fn hears_of(&mut self, data_planes: u32) {
        while self.fleet != data_planes {
            let heard = timeout(SOON, self.hear.recv()).await.expect("a message in time").expect("an open stream");
            if let Some(Down::Fleet(fleet)) = heard.expect("no error").message {
                self.fleet = fleet.data_planes;
            }
        }
    }

    async fn end(&mut self) -> Status {
        loop {
            match timeout(SOON, self.hear.recv()).await.expect("an end in time").expect("a status first") {
                Ok(_message) => {}
                Err(status) => return status,
            }
        }
    }

    /// Applies the next update without acknowledging it: what was held before, and what kind of update it was.
    pub(super) async fn apply(&mut self) -> &'static str {
        match self.hear().await {
            Down::Delta(delta) => {
                self.replica.apply(&delta);
                "delta"
            }
            Down::Begin(begin) => {
                self.replica = Replica::default();
                loop {
                    match self.hear().await {
                        Down::Chunk(chunk) => {
                            let plain = zstd::bulk::decompress(&chunk.zstd, 8 << 20).unwrap();
                            let batch: pb::ResourceBatch = prost::Message::decode(&plain[..]).unwrap();
                            batch.resources.into_iter().for_each(|resource| self.replica.put(resource));
                        }
                        Down::End(end) => {
                            assert_eq!(end.version, begin.version);
                            break;
                        }
                        other => panic!("{other:?} amid chunks"),
                    }
                }
                assert_eq!(begin.resources, self.replica.resources.len() as u64);
                let version = begin.version.unwrap();
                let epoch = uuid::Uuid::from_slice(&version.epoch).unwrap();
                self.replica.version = Some(Version { epoch, revision: version.revision });
                "whole"
            }
            other => panic!("{other:?} instead of an update"),
        }
    }

    pub(super) async fn acknowledge(&self) {
        let version = self.replica.version.map(Version::to_wire);
        self.say(Up::Ack(pb::Ack { applied: version.clone(), durable: version })).await;
    }

    /// Whether nothing was sent that is not heard yet.
    pub(super) fn is_quiet(&mut self) -> bool {
        while let Ok(Ok(heard)) = self.hear.try_recv() {
            let Some(Down::Fleet(fleet)) = heard.message else { return false };
            self.fleet = fleet.data_planes;
        }
        true
    }

    /// Says that what the database holds now is applied.
    pub(super) async fn acknowledge_current(&mut self, world: &World) {
        let (epoch, revision) = crate::publish::feed::current(&world.db).await.unwrap();
        self.replica.version = Some(Version { epoch, revision });
        self.acknowledge().await;
    }

    /// Follows until `revision` is held, and says which kinds of updates led there.
    pub(super) async fn follow(&mut self, revision: u64) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        while self.replica.version.is_none_or(|version| version.revision < revision) {
            kinds.push(self.apply().await);
            self.acknowledge().await;
        }
        kinds
    }
}

pub(super) fn greeting(id: &str, held: Option<Version>) -> pb::Hello {
    pb::Hello {
        data_plane_id: id.to_owned(),
        build: "test".to_owned(),
        protocol_min: 1,
        protocol_max: 1,
        features: vec![],
        held: held.map(Version::to_wire),
    }
}

#[tokio::test]
async fn data_planes_hear_how_many_they_are() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let mut one = DataPlane::connect(&publisher, "one", Replica::default()).await;
    one.hears_of(1).await;
    let mut two = DataPlane::connect(&publisher, "two", Replica::default()).await;
    two.hears_of(2).await;
    one.hears_of(2).await;
}

#[tokio::test]
async fn a_data_plane_gets_everything_once_and_then_what_changes() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let before = world.add_key(1).await;
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    assert_eq!(data_plane.follow(before).await[0], "whole");
    assert!(data_plane.replica.key(1).is_some());

    let revision = world.add_key(2).await;
    assert_eq!(data_plane.apply().await, "delta");
    assert_eq!(publisher.applied(revision, Duration::from_millis(50)).await, ["a"], "not acknowledged yet");
    data_plane.acknowledge().await;
    assert_eq!(publisher.applied(revision, SOON).await, Vec::<String>::new());
    let fleet = publisher.fleet();
    assert_eq!((fleet[0].revision_applied, fleet[0].revision_durable), (Some(revision), Some(revision)));

    drop(data_plane);
    assert_eq!(publisher.applied(u64::MAX, SOON).await, Vec::<String>::new(), "who left is not waited for");
}

#[tokio::test]
async fn a_hint_publishes_long_before_the_poll() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    data_plane.apply().await;
    data_plane.acknowledge().await;
    let mut fastest = Duration::MAX;
    for seed in 1..6 {
        let began = std::time::Instant::now();
        let revision = world.add_key(seed).await;
        publisher.hint(revision);
        data_plane.follow(revision).await;
        fastest = fastest.min(began.elapsed());
    }
    assert!(fastest < Duration::from_millis(500), "the fastest of five took {fastest:?}");
}

#[tokio::test]
async fn changes_that_a_slow_data_plane_missed_come_merged() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let start = world.add_key(1).await;
    let mut slow = DataPlane::connect(&publisher, "slow", Replica::default()).await;
    slow.follow(start).await;
    let first = world.add_key(2).await;
    assert_eq!(slow.apply().await, "delta");
    for seed in 3..8 {
        world.add_key(seed).await;
    }
    let last = world.block_key(1).await;
    let mut quick = DataPlane::connect(&publisher, "quick", Replica::default()).await;
    quick.follow(last).await;
    assert!(slow.is_quiet(), "nothing more before the acknowledgement");
    assert_eq!(slow.replica.version.unwrap().revision, first);

    slow.acknowledge().await;
    assert_eq!(slow.follow(last).await, ["delta"]);
    assert_eq!(slow.replica.resources, quick.replica.resources);
    assert!(slow.replica.key(1).unwrap().blocked);
}

#[tokio::test]
async fn a_data_plane_that_returns_gets_a_delta_or_everything_after_a_gap_or_another_epoch() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let start = world.add_key(1).await;
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    data_plane.follow(start).await;
    let held = data_plane.replica.clone();
    drop(data_plane);

    let revision = world.add_key(2).await;
    let mut back = DataPlane::connect(&publisher, "a", held.clone()).await;
    assert_eq!(back.follow(revision).await, ["delta"]);
    drop(back);

    sqlx::query("delete from change_log where revision <= $1")
        .bind(i64::try_from(revision).unwrap())
        .execute(&world.db)
        .await
        .unwrap();
    let revision = world.add_key(3).await;
    // A control plane that just started: the first one may still have the delta that led out of the gap.
    let (publisher, _running) = running(&world);
    let mut back = DataPlane::connect(&publisher, "a", held).await;
    assert_eq!(back.follow(revision).await, ["whole"]);

    sqlx::query("update installation set epoch = gen_random_uuid()").execute(&world.db).await.unwrap();
    assert_eq!(back.apply().await, "whole");
    let epoch: uuid::Uuid = sqlx::query_scalar("select epoch from installation").fetch_one(&world.db).await.unwrap();
    assert_eq!(back.replica.version.unwrap().epoch, epoch);
}

#[tokio::test]
async fn what_is_asked_for_anew_or_refused_comes_whole_and_refusals_are_shown() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let start = world.add_key(1).await;
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    data_plane.follow(start).await;
    data_plane.say(Up::Resync(pb::Resync { reason: "damaged".into() })).await;
    assert_eq!(data_plane.apply().await, "whole");
    data_plane.acknowledge().await;

    let kept = data_plane.replica.version.map(Version::to_wire);
    world.add_key(2).await;
    let Down::Delta(_) = data_plane.hear().await else { panic!("a delta") };
    let id = pb::ResourceId { kind: pb::Kind::Key.into(), id: "ab".into() };
    let rejection = pb::Rejection { id: Some(id), reason: "too many rights".into() };
    data_plane.say(Up::Nack(pb::Nack { kept, rejections: vec![rejection], shrinks: vec![] })).await;
    let revision = world.add_key(3).await;
    assert_eq!(data_plane.follow(revision).await, ["whole"]);
    assert_eq!(publisher.fleet()[0].rejections, ["key ab: too many rights"]);
}

#[tokio::test]
async fn an_update_taken_in_part_is_built_upon() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let start = world.add_key(1).await;
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    data_plane.follow(start).await;
    let revision = world.add_key(2).await;
    assert_eq!(data_plane.apply().await, "delta");
    let kept = data_plane.replica.version.map(Version::to_wire);
    data_plane.say(Up::Nack(pb::Nack { kept, rejections: vec![], shrinks: vec![] })).await;
    assert_eq!(publisher.applied(revision, SOON).await, Vec::<String>::new());
    let revision = world.add_key(3).await;
    assert_eq!(data_plane.follow(revision).await, ["delta"]);
}

#[tokio::test]
async fn who_speaks_another_protocol_or_no_hello_is_told_so() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let mut data_plane = DataPlane::dial(&publisher);
    data_plane.say(Up::Hello(pb::Hello { protocol_min: 7, protocol_max: 9, ..greeting("a", None) })).await;
    let status = data_plane.end().await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("7 to 9"), "{}", status.message());

    let mut data_plane = DataPlane::dial(&publisher);
    data_plane.say(Up::Resync(pb::Resync::default())).await;
    assert_eq!(data_plane.end().await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_newer_connection_of_a_data_plane_ends_the_older() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let mut old = DataPlane::connect(&publisher, "a", Replica::default()).await;
    let mut new = DataPlane::connect(&publisher, "a", Replica::default()).await;
    assert_eq!(old.end().await.code(), Code::Aborted);
    let revision = world.add_key(1).await;
    new.follow(revision).await;
    assert_eq!(publisher.applied(revision, SOON).await, Vec::<String>::new());
    assert_eq!(publisher.fleet().len(), 1);
}

#[tokio::test]
async fn who_does_not_acknowledge_in_time_is_cut() {
    let world = World::new().await;
    let publisher = world.publisher_that_waits(Duration::from_millis(100));
    let _running = run(&publisher);
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    assert_eq!(data_plane.apply().await, "whole");
    let status = data_plane.end().await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("no acknowledgement"), "{}", status.message());
    assert!(publisher.fleet().is_empty());
}
