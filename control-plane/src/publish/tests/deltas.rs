//! Deltas lead where a whole snapshot would.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proto::v1 as pb;

use super::world::{Replica, World};
use crate::publish::delta::{self, Step};
use crate::publish::feed::Kind;
use crate::publish::{Version, compose};

/// One admin change; the number chooses among few objects, so that changes meet.
#[derive(Debug, Clone, Copy)]
enum Admin {
    AddKey(u8),
    BlockKey(u8),
    DeleteKey(u8),
    AddTeam(u8),
    DeleteTeam(u8),
    AddUser(u8),
    AddDeployment(u8),
    DeleteDeployment(u8),
    /// Deployments that refer to a variable come and go with it.
    SetVariable,
    ClearVariable,
    /// The data plane catches up.
    CatchUp,
}

fn admin() -> impl Strategy<Value = Admin> {
    let one = 0..4_u8;
    prop_oneof![
        3 => one.clone().prop_map(Admin::AddKey),
        2 => one.clone().prop_map(Admin::BlockKey),
        2 => one.clone().prop_map(Admin::DeleteKey),
        2 => one.clone().prop_map(Admin::AddTeam),
        1 => one.clone().prop_map(Admin::DeleteTeam),
        1 => one.clone().prop_map(Admin::AddUser),
        2 => one.clone().prop_map(Admin::AddDeployment),
        1 => one.prop_map(Admin::DeleteDeployment),
        1 => Just(Admin::SetVariable),
        1 => Just(Admin::ClearVariable),
        3 => Just(Admin::CatchUp),
    ]
}

async fn perform(world: &World, replica: &mut Replica, admin: Admin) {
    let id = |number: u8| format!("o{number}");
    match admin {
        Admin::AddKey(seed) => {
            let hash = hex::encode([seed; 32]);
            let add = "insert into keys (hash) values (decode($1, 'hex')) on conflict do nothing";
            world.change(add, &hash, &[(Kind::Key, &hash)]).await;
        }
        Admin::BlockKey(seed) => {
            world.block_key(seed).await;
        }
        Admin::DeleteKey(seed) => {
            let hash = hex::encode([seed; 32]);
            world.change("delete from keys where hash = decode($1, 'hex')", &hash, &[(Kind::Key, &hash)]).await;
        }
        Admin::AddTeam(number) => {
            let add = "insert into teams (team_id) values ($1) on conflict (team_id) do update set alias = 'again'";
            world.change(add, &id(number), &[(Kind::Team, &id(number))]).await;
        }
        Admin::DeleteTeam(number) => {
            world.change("delete from teams where team_id = $1", &id(number), &[(Kind::Team, &id(number))]).await;
        }
        Admin::AddUser(number) => {
            let add = "insert into users (user_id) values ($1) on conflict (user_id) do update set models = '{a}'";
            world.change(add, &id(number), &[(Kind::User, &id(number))]).await;
        }
        Admin::AddDeployment(number) => {
            let add = r#"insert into deployments (id, model_name, params, origin) values
                ($1, 'm', '{"model": "openai/gpt-4o", "api_key": "os.environ/WANDERING"}', 'api')
                on conflict (id) do update set blocked = not deployments.blocked, updated_at = clock_timestamp()"#;
            world.change(add, &id(number), &[(Kind::Deployment, &id(number))]).await;
        }
        Admin::DeleteDeployment(number) => {
            let delete = "delete from deployments where id = $1";
            world.change(delete, &id(number), &[(Kind::Deployment, &id(number))]).await;
        }
        Admin::SetVariable => {
            let set = "insert into settings (section, origin, value)
                values ($1, 'api', '{\"WANDERING\": \"sk-set\"}') on conflict do nothing";
            world.change(set, "environment_variables", &[(Kind::Settings, "settings")]).await;
        }
        Admin::ClearVariable => {
            let clear = "delete from settings where section = $1";
            world.change(clear, "environment_variables", &[(Kind::Settings, "settings")]).await;
        }
        Admin::CatchUp => catch_up(world, replica).await,
    }
}

async fn catch_up(world: &World, replica: &mut Replica) {
    loop {
        match delta::after(&world.source, replica.version.unwrap().revision).await.unwrap() {
            Step::Nothing => return,
            Step::Delta(delta) => replica.apply(&delta),
            Step::Whole => panic!("the log reaches back to the beginning"),
        }
    }
}

#[test]
fn a_data_plane_that_applies_deltas_holds_what_a_fresh_one_gets() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let mut runner = TestRunner::new(Config { cases: 24, max_shrink_iters: 100, ..Config::default() });
    let histories = proptest::collection::vec(admin(), 1..30);
    runner
        .run(&histories, |history| {
            runtime.block_on(async {
                let mut replica = Replica::of(&compose::whole(&world.source).await.unwrap());
                for admin in history {
                    perform(&world, &mut replica, admin).await;
                }
                catch_up(&world, &mut replica).await;
                let fresh = Replica::of(&compose::whole(&world.source).await.unwrap());
                prop_assert_eq!(&replica.version, &fresh.version);
                prop_assert_eq!(&replica.resources, &fresh.resources);
                Ok(())
            })
        })
        .unwrap();
}

async fn delta_after(world: &World, revision: u64) -> pb::Delta {
    match delta::after(&world.source, revision).await.unwrap() {
        Step::Delta(delta) => delta,
        Step::Nothing | Step::Whole => panic!("a delta after {revision}"),
    }
}

#[tokio::test]
async fn what_takes_rights_away_is_narrowing_and_a_new_key_is_not() {
    let world = World::new().await;
    let added = world.add_key(1).await;
    assert!(!delta_after(&world, added - 1).await.narrowing);
    let blocked = world.block_key(1).await;
    assert!(delta_after(&world, blocked - 1).await.narrowing);
    // From before the key was made, the blocked key is news, and no addition.
    assert!(delta_after(&world, added - 1).await.narrowing);
    let hash = hex::encode([1; 32]);
    let delete = "delete from keys where hash = decode($1, 'hex')";
    let deleted = world.change(delete, &hash, &[(Kind::Key, &hash)]).await;
    let delta = delta_after(&world, deleted - 1).await;
    assert!(delta.narrowing);
    assert_eq!(delta.removals, [pb::ResourceId { kind: pb::Kind::Key.into(), id: hash.clone() }]);
    world.add_key(1).await;
    assert!(delta_after(&world, added).await.narrowing, "made again, it may have lost rights");
}

#[tokio::test]
async fn a_gap_in_the_log_a_full_marker_or_too_much_of_it_needs_everything() {
    let world = World::new().await;
    let first = world.add_key(1).await;
    let second = world.add_key(2).await;
    sqlx::query("delete from change_log where revision <= $1")
        .bind(i64::try_from(first).unwrap())
        .execute(&world.db)
        .await
        .unwrap();
    assert!(matches!(delta::after(&world.source, first - 1).await.unwrap(), Step::Whole));
    assert!(matches!(delta::after(&world.source, first).await.unwrap(), Step::Delta(_)));
    assert!(matches!(delta::after(&world.source, second).await.unwrap(), Step::Nothing));
    assert!(matches!(delta::after(&world.source, second + 5).await.unwrap(), Step::Whole), "time went back");

    sqlx::query("insert into change_log (revision, kind, object_id) values ($1, 'full', '')")
        .bind(i64::try_from(second).unwrap())
        .execute(&world.db)
        .await
        .unwrap();
    assert!(matches!(delta::after(&world.source, first).await.unwrap(), Step::Whole));
    sqlx::query("update change_log set kind = 'guardrail' where kind = 'full'").execute(&world.db).await.unwrap();
    assert!(matches!(delta::after(&world.source, first).await.unwrap(), Step::Whole), "a later release's kind");
    sqlx::query(
        "with filler as (insert into change_log (revision, kind, object_id)
             select $1, 'user', n::text from generate_series(1, 200001) n)
         delete from change_log where kind = 'guardrail'",
    )
    .bind(i64::try_from(second).unwrap())
    .execute(&world.db)
    .await
    .unwrap();
    assert!(matches!(delta::after(&world.source, first).await.unwrap(), Step::Whole), "200,001 ids");
}

#[tokio::test]
async fn many_waiting_changes_come_in_several_deltas() {
    let world = World::new().await;
    let start = world.add_key(1).await;
    for _ in 0..3 {
        let bulk = "with made as (insert into users (user_id) select gen_random_uuid()::text
                        from generate_series(1, 6000) returning user_id)
                    insert into change_log (revision, kind, object_id)
                    select revision + 1, 'user', user_id from made, installation where $1 = ''";
        world.change(bulk, "", &[]).await;
    }
    let mut replica = Replica { version: Some(version_of(&world, start).await), ..Replica::default() };
    let mut deltas = 0;
    while let Step::Delta(delta) = delta::after(&world.source, replica.version.unwrap().revision).await.unwrap() {
        replica.apply(&delta);
        deltas += 1;
    }
    assert_eq!((deltas, replica.resources.len()), (3, 18_000));
}

async fn version_of(world: &World, revision: u64) -> Version {
    let epoch = sqlx::query_scalar("select epoch from installation").fetch_one(&world.db).await.unwrap();
    Version { epoch, revision }
}

#[tokio::test]
async fn deployments_travel_with_opened_credentials_and_prices_and_the_unusable_stay_home() {
    let world = World::new().await;
    let secret = world.source.vault.seal("deployments|sealed_params|sealed", br#"{"api_key": "sk-sealed"}"#);
    let add = "insert into deployments (id, model_name, params, sealed_params, model_info, origin)
               values ($1, 'm', $2, $3, '{\"access_groups\": [\"beta\"]}', 'file')";
    let rows = [
        ("sealed", serde_json::json!({"model": "openai/gpt-4o", "timeout": 2.5, "temperature": 0.5}), Some(secret)),
        ("environment", serde_json::json!({"model": "gpt-4o"}), None),
        ("unset", serde_json::json!({"model": "openai/gpt-4o", "api_key": "os.environ/NOT_SET"}), None),
        ("damaged", serde_json::json!({"model": "openai/gpt-4o"}), Some(vec![1; 60])),
        ("wildcard", serde_json::json!({"model": "openai/*"}), None),
        ("mock", serde_json::json!({"model": "openai/x", "mock_response": "hi", "input_cost_per_token": 1e-6}), None),
    ];
    for (id, params, sealed) in rows {
        sqlx::query(add).bind(id).bind(params).bind(sealed).execute(&world.db).await.unwrap();
    }
    let replica = Replica::of(&compose::whole(&world.source).await.unwrap());
    let of = |id: &str| match replica.resources.get(&(pb::Kind::Deployment.into(), id.to_owned()))?.body.as_ref()? {
        pb::resource::Body::Deployment(deployment) => Some(deployment.clone()),
        _ => None,
    };
    let sealed = of("sealed").unwrap();
    assert_eq!((sealed.api_key.as_str(), sealed.timeout_ms), ("sk-sealed", 2_500));
    assert_eq!((sealed.provider.as_str(), sealed.upstream_model.as_str()), ("openai", "gpt-4o"));
    assert_eq!((sealed.extra_body_json.as_str(), sealed.max_retries), (r#"{"temperature":0.5}"#, -1));
    assert_eq!(sealed.access_groups, ["beta"]);
    assert_eq!(sealed.price.unwrap().state(), pb::PriceState::Known);
    assert_eq!(of("environment").unwrap().api_key, "sk-from-environment");
    assert!(of("unset").is_none() && of("damaged").is_none());
    let wildcard = of("wildcard").unwrap();
    assert!(wildcard.known_prices.iter().any(|named| named.model == "gpt-4o"));
    let mock = of("mock").unwrap();
    assert_eq!((mock.mock, mock.mock_response_json.as_str()), (true, r#""hi""#));
    assert_eq!(mock.price.unwrap().source, "custom");
}

#[tokio::test]
async fn another_environment_at_the_next_start_is_published() {
    let world = World::new().await;
    let first = crate::publish::refresh::refresh(&world.source).await.unwrap();
    assert!(first.is_some());
    assert_eq!(crate::publish::refresh::refresh(&world.source).await.unwrap(), None);
    let mut source = world.source;
    source.extras.master_key_sha256 = vec![1; 32];
    assert!(crate::publish::refresh::refresh(&source).await.unwrap() > first);
}
