//! What sessions tell of budgets.

use pb::from_control_plane::Message as Down;
use pb::from_data_plane::Message as Up;
use proto::v1 as pb;

use super::sessions::{DataPlane, greeting, running};
use super::world::{Replica, World};
use crate::budgets::{self, Budget};
use crate::publish::feed::Kind;
use crate::spend::Owner;

async fn has_budget(world: &World, team_id: &str, spent: i64) {
    // At once: a look in between would tell of a budget of which nothing is spent.
    let mut db = world.db.begin().await.unwrap();
    let most = Some(proto::NanoUsd::from_nanos(100));
    let budgets: Vec<Budget> = Budget::of_all(most, None).into_iter().collect();
    budgets::keep(&mut db, Owner::Team, team_id, &budgets).await.unwrap();
    budgets::set_spent(&mut db, Owner::Team, team_id, spent).await.unwrap();
    db.commit().await.unwrap();
}

fn told(message: Down) -> Vec<(String, i64)> {
    match message {
        Down::Totals(totals) => totals.totals.into_iter().map(|total| (total.id, total.spent_nano_usd)).collect(),
        other => panic!("{other:?} instead of totals"),
    }
}

#[tokio::test]
async fn totals_come_before_the_first_snapshot_and_then_whenever_they_change() {
    let world = World::new().await;
    has_budget(&world, "a", 5).await;
    has_budget(&world, "nothing-spent", 0).await;
    let (publisher, _running) = running(&world);
    let mut data_plane = DataPlane::dial(&publisher);
    let features = vec![proto::channel::BUDGETS.to_owned()];
    data_plane.say(Up::Hello(pb::Hello { features, ..greeting("dp", None) })).await;
    assert!(matches!(data_plane.hear().await, Down::Welcome(_)));
    assert_eq!(told(data_plane.hear().await), [("a".to_owned(), 5)]);
    assert_eq!(data_plane.apply().await, "whole");
    data_plane.acknowledge().await;

    has_budget(&world, "b", 7).await;
    assert_eq!(told(data_plane.hear().await), [("b".to_owned(), 7)]);

    // What an owner spent comes before the change that gives them a budget.
    has_budget(&world, "c", 9).await;
    world.change("insert into teams (team_id, max_budget_nano_usd) values ($1, 100)", "c", &[(Kind::Team, "c")]).await;
    publisher.hint(1);
    assert_eq!(told(data_plane.hear().await), [("c".to_owned(), 9)]);
    assert_eq!(data_plane.apply().await, "delta");
}

#[tokio::test]
async fn a_data_plane_that_knows_no_budgets_is_told_of_none() {
    let world = World::new().await;
    has_budget(&world, "a", 5).await;
    let (publisher, _running) = running(&world);
    let mut data_plane = DataPlane::connect(&publisher, "old", Replica::default()).await;
    assert_eq!(data_plane.apply().await, "whole");
}
