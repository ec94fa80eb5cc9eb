//! A data plane that does not believe that so much is gone, and what makes it believe.

use pb::from_control_plane::Message as Down;
use pb::from_data_plane::Message as Up;
use proto::v1 as pb;

use super::sessions::{DataPlane, running};
use super::world::{Replica, World};
use crate::publish::Version;

/// Asks for everything, refuses it because of so many lost keys, and says what the next beginning confirms.
async fn refuse(data_plane: &mut DataPlane, lost: u64) {
    data_plane.say(Up::Resync(pb::Resync { reason: "a story".into() })).await;
    assert!(!whole(data_plane).await, "nothing is confirmed before anybody doubts");
    let shrink = pb::Shrink { kind: pb::Kind::Key.into(), held: lost + 1, offered: 1 };
    let kept = data_plane.replica.version.map(Version::to_wire);
    data_plane.say(Up::Nack(pb::Nack { kept, rejections: vec![], shrinks: vec![shrink] })).await;
}

/// Hears a whole snapshot without taking it: whether it came confirmed.
async fn whole(data_plane: &mut DataPlane) -> bool {
    let begin = loop {
        match data_plane.hear().await {
            Down::Begin(begin) => break begin,
            Down::Delta(_) => {} // pushed before everything was asked for
            other => panic!("{other:?} instead of a whole snapshot"),
        }
    };
    while !matches!(data_plane.hear().await, Down::End(_)) {}
    begin.confirm_shrink
}

async fn empty(world: &World) {
    sqlx::query("delete from keys").execute(&world.db).await.unwrap();
}

#[tokio::test]
async fn what_the_change_log_explains_is_confirmed_at_once() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let start = world.add_key(1).await;
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    data_plane.follow(start).await;
    let held = data_plane.replica.clone();
    for seed in 2..5 {
        world.block_key(seed).await;
    }
    data_plane.replica = held;
    refuse(&mut data_plane, 3).await;
    assert!(whole(&mut data_plane).await);
}

#[tokio::test]
async fn what_nothing_explains_waits_for_an_admin_and_is_shown() {
    let world = World::new().await;
    let (publisher, _running) = running(&world);
    let start = world.add_key(1).await;
    let mut data_plane = DataPlane::connect(&publisher, "a", Replica::default()).await;
    data_plane.follow(start).await;
    empty(&world).await;
    refuse(&mut data_plane, 500).await;

    let refused = async {
        while !publisher.fleet().iter().any(|view| view.refuses_shrink) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::sessions::SOON, refused).await.expect("it is shown");
    assert!(data_plane.is_quiet(), "nothing is sent before somebody decides");
    assert_eq!(publisher.confirm_shrink(), ["a"]);
    assert!(whole(&mut data_plane).await);
    data_plane.acknowledge_current(&world).await;
    let taken = async {
        while publisher.fleet().iter().any(|view| view.refuses_shrink) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::sessions::SOON, taken).await.expect("taken, it is shown no more");
}
