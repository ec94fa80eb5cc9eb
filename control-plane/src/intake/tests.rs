//! Intake against a real database, and once over real gRPC.

use std::collections::BTreeMap;

use prost::Message as _;
use proto::channel::{CaPin, DATA_PLANE_ID_HEADER, JOIN_TOKEN_HEADER, JoinToken};
use proto::v1 as pb;
use proto::v1::usage_client::UsageClient;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Intake;
use super::partitions;
use crate::enrol::{Admission, grpc_router, guarded};
use crate::fixture;

fn id_at(at: OffsetDateTime) -> Vec<u8> {
    let seconds = u64::try_from(at.unix_timestamp()).unwrap();
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0)).as_bytes().to_vec()
}

fn event(team: &str, cost_nano_usd: i64) -> pb::UsageEvent {
    pb::UsageEvent {
        event_id: id_at(OffsetDateTime::now_utc()).into(),
        key_hash: vec![3; 32].into(),
        team_id: team.to_owned(),
        user_id: "u".to_owned(),
        end_user: "c".to_owned(),
        model: "gpt-4o".to_owned(),
        model_group: "smart".to_owned(),
        provider: "openai".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned(), "a".to_owned()],
        tokens: Some(pb::Tokens { prompt: 10, completion: 5, total: 15, cache_read: 4, ..pb::Tokens::default() }),
        usage_source: pb::UsageSource::Reported.into(),
        price_state: pb::PriceState::Known.into(),
        cost_nano_usd,
        ending: pb::Ending::Complete.into(),
        success: true,
        status: 200,
        spend_logs_metadata_json: r#"{"ticket": 7}"#.to_owned(),
        ..pb::UsageEvent::default()
    }
}

fn batch(sequence: u64, events: Vec<pb::UsageEvent>) -> pb::UsageBatch {
    let events = events.iter().map(|event| event.encode_to_vec().into()).collect();
    pb::UsageBatch { sequence, data_plane_id: "dp".to_owned(), events }
}

fn figures(receipt: &pb::UsageReceipt) -> (bool, u32, u32, u32) {
    (receipt.committed, receipt.inserted, receipt.known, receipt.dead_lettered)
}

async fn totals(db: &PgPool) -> BTreeMap<(String, String), (i64, i64)> {
    let rows: Vec<(String, String, i64, i64)> =
        sqlx::query_as("select kind, owner_id, total_nano_usd, calls from spend_totals").fetch_all(db).await.unwrap();
    rows.into_iter().map(|(kind, owner, cost, calls)| ((kind, owner), (cost, calls))).collect()
}

fn of(totals: &BTreeMap<(String, String), (i64, i64)>, kind: &str, owner: &str) -> Option<(i64, i64)> {
    totals.get(&(kind.to_owned(), owner.to_owned())).copied()
}

#[tokio::test]
async fn an_event_is_booked_once_however_often_it_comes() {
    let database = fixture::database().await;
    let db = database.pool();
    let intake = Intake::new(db.clone());
    let (one, other) = (event("t", 100), event("t", 20));
    let receipt = intake.take_in(batch(1, vec![one.clone(), other.clone(), one.clone()])).await;
    assert_eq!(figures(&receipt), (true, 2, 1, 0));
    let receipt = intake.take_in(batch(2, vec![other, event("t", 3), one])).await;
    assert_eq!((receipt.sequence, figures(&receipt)), (2, (true, 1, 2, 0)));

    let totals = totals(&db).await;
    let hash = hex::encode([3; 32]);
    for (kind, owner) in [
        ("key", hash.as_str()),
        ("team", "t"),
        ("user", "u"),
        ("customer", "c"),
        ("tag", "a"),
        ("tag", "b"),
        ("model", "smart"),
        ("proxy", "proxy"),
    ] {
        assert_eq!(of(&totals, kind, owner), Some((123, 3)), "{kind} {owner}");
    }
    assert_eq!(of(&totals, "organization", ""), None);
    let daily: (i64, i64, i64) = sqlx::query_as(
        "select cost_nano_usd, prompt_tokens, calls from spend_daily where kind = 'team' and model = 'gpt-4o'",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(daily, (123, 30, 3));
}

#[tokio::test]
async fn a_row_says_all_that_the_event_said() {
    let database = fixture::database().await;
    let db = database.pool();
    Intake::new(db.clone()).take_in(batch(1, vec![event("t", 100)])).await;
    let row: (Vec<String>, serde_json::Value, serde_json::Value, String, String, Option<String>, String) =
        sqlx::query_as(
            "select tags, token_details, spend_logs_metadata, ending, usage_source, organization_id, data_plane_id
             from spend_logs",
        )
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(row.0, ["a", "b"]);
    assert_eq!((row.1, row.2), (serde_json::json!({"cache_read": 4}), serde_json::json!({"ticket": 7})));
    assert_eq!((row.3.as_str(), row.4.as_str(), row.5, row.6.as_str()), ("complete", "reported", None, "dp"));
}

#[tokio::test]
async fn poison_is_put_aside_and_the_rest_of_its_batch_is_booked() {
    let database = fixture::database().await;
    let db = database.pool();
    // One more nano-dollar does not fit into this team's total, which only the database can know.
    sqlx::query("insert into spend_totals (kind, owner_id, total_nano_usd) values ('team', 'full', $1)")
        .bind(i64::MAX)
        .execute(&db)
        .await
        .unwrap();
    let negative = pb::UsageEvent { cost_nano_usd: -1, ..event("t", 0) };
    let nameless = pb::UsageEvent { event_id: vec![1, 2, 3].into(), ..event("t", 1) };
    let overflowing = event("full", 1);
    let mut events: Vec<_> = (0..20).map(|_| event("t", 1)).collect();
    events.insert(7, overflowing.clone());
    events.insert(3, negative);
    events.push(nameless);
    let intake = Intake::new(db.clone());
    let receipt = intake.take_in(batch(1, events.clone())).await;
    assert_eq!(figures(&receipt), (true, 20, 0, 3));
    assert_eq!(of(&totals(&db).await, "team", "t"), Some((20, 20)));

    let receipt = intake.take_in(batch(2, events)).await;
    assert_eq!(figures(&receipt), (true, 0, 20, 3), "sent again, nothing changes");
    let letters: Vec<(String, Vec<u8>)> =
        sqlx::query_as("select reason, event from spend_dead_letters order by reason").fetch_all(&db).await.unwrap();
    let reasons: Vec<&str> = letters.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().any(|reason| reason.contains("out of range")), "{reasons:?}");
    let kept = letters.iter().map(|(_, bytes)| pb::UsageEvent::decode(&bytes[..]).unwrap());
    assert!(kept.into_iter().any(|event| event.event_id == overflowing.event_id));
}

#[tokio::test]
async fn bytes_that_are_no_event_are_put_aside_once_and_the_rest_of_their_batch_is_booked() {
    let database = fixture::database().await;
    let db = database.pool();
    let garbage = vec![0xff; 40];
    let mut sent = batch(1, vec![event("t", 1), event("t", 1)]);
    sent.events.insert(1, garbage.clone().into());
    let intake = Intake::new(db.clone());
    assert_eq!(figures(&intake.take_in(sent.clone()).await), (true, 2, 0, 1));
    assert_eq!(figures(&intake.take_in(sent).await), (true, 0, 2, 1));
    let letters: Vec<(String, Vec<u8>)> =
        sqlx::query_as("select reason, event from spend_dead_letters").fetch_all(&db).await.unwrap();
    assert_eq!(letters, [("its bytes are no usage event".to_owned(), garbage)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn intakes_that_book_the_same_owners_in_opposite_order_both_get_through() {
    let database = fixture::database().await;
    let db = database.pool();
    let teams: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    let forwards = Intake::new(db.clone());
    let backwards = Intake::new(db.clone());
    let mut shared: Vec<_> = teams.iter().map(|team| event(team, 1)).collect();
    let mut tasks = Vec::new();
    for round in 0..10 {
        let own: Vec<_> = teams.iter().map(|team| event(team, 1)).collect();
        let mut events: Vec<_> = own.into_iter().chain(shared.clone()).collect();
        let intake = if round % 2 == 0 { forwards.clone() } else { backwards.clone() };
        if round % 2 == 1 {
            events.reverse();
            shared.reverse();
        }
        tasks.push(tokio::spawn(async move { intake.take_in(batch(round, events)).await }));
    }
    for task in tasks {
        assert!(task.await.unwrap().committed);
    }
    let totals = totals(&db).await;
    for team in &teams {
        assert_eq!(of(&totals, "team", team), Some((11, 11)), "{team}: ten of its own, and the shared one once");
    }
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
}

#[tokio::test]
async fn rows_lie_in_the_partition_of_their_own_day_and_far_ones_wait_in_the_default() {
    let database = fixture::database().await;
    let db = database.pool();
    let today = OffsetDateTime::now_utc();
    let (yesterday, far) = (today - Duration::days(1), today + Duration::days(300));
    let dated = |at: OffsetDateTime| pb::UsageEvent { event_id: id_at(at).into(), ..event("t", 1) };
    let events = vec![dated(today), dated(yesterday), dated(far)];
    let intake = Intake::new(db.clone());
    assert_eq!(figures(&intake.take_in(batch(1, events.clone())).await), (true, 3, 0, 0));
    let partition_of = async |at: OffsetDateTime| -> String {
        sqlx::query_scalar("select tableoid::regclass::text from spend_logs where day = $1")
            .bind(at.date())
            .fetch_one(&db)
            .await
            .unwrap()
    };
    let name = |at: OffsetDateTime| format!("spend_logs_{}", at.date().to_string().replace('-', ""));
    assert_eq!(partition_of(today).await, name(today));
    assert_eq!(partition_of(yesterday).await, name(yesterday));
    assert_eq!(partition_of(far).await, "spend_logs_other");

    // When that day comes near, its rows move along, and the same event is still known.
    partitions::create(&db, far.date()).await.unwrap();
    partitions::create(&db, far.date()).await.unwrap();
    assert_eq!(partition_of(far).await, name(far));
    assert_eq!(figures(&intake.take_in(batch(2, events)).await), (true, 0, 3, 0));
}

#[tokio::test]
async fn while_the_database_is_away_a_batch_is_not_acknowledged_and_books_later() {
    let database = fixture::database().await;
    let away = database.pool();
    away.close().await;
    let events = vec![event("t", 1)];
    let receipt = Intake::new(away).take_in(batch(5, events.clone())).await;
    assert_eq!((receipt.sequence, receipt.committed), (5, false));
    assert!(receipt.retry_after_ms > 0);
}

#[tokio::test]
async fn a_connection_needs_the_token_and_books_under_its_own_name_only() {
    let database = fixture::database().await;
    let db = database.pool();
    let token = JoinToken::new(CaPin::of(&vec![1].into()), [5; 32]);
    let publisher = crate::publish::Publisher::new(
        db.clone(),
        crate::vault::Vault::from_secret(b"test"),
        crate::prices::Table::bundled(),
        crate::publish::Environment::new(|_| None),
        crate::publish::PublishedSettings { master_key_sha256: vec![], master_user_id: String::new(), no_auth: false },
    );
    let router = guarded(grpc_router(&publisher, db.clone()), Admission::Token(token.digest()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = UsageClient::connect(format!("http://{address}")).await.unwrap();

    let report = async |token: &str, batch: pb::UsageBatch| {
        let mut request = tonic::Request::new(tokio_stream::iter([batch]));
        request.metadata_mut().insert(JOIN_TOKEN_HEADER, token.parse().unwrap());
        request.metadata_mut().insert(DATA_PLANE_ID_HEADER, "dp".parse().unwrap());
        client.clone().report(request).await?.into_inner().message().await
    };
    let refused = report("tpjoin1.a.b", batch(1, vec![event("t", 1)])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let foreign = pb::UsageBatch { data_plane_id: "another".to_owned(), ..batch(1, vec![event("t", 1)]) };
    assert_eq!(report(&token.expose(), foreign).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    let receipt = report(&token.expose(), batch(9, vec![event("t", 1)])).await.unwrap().unwrap();
    assert_eq!((receipt.sequence, figures(&receipt)), (9, (true, 1, 0, 0)));
    assert_eq!(of(&totals(&db).await, "proxy", "proxy"), Some((1, 1)));
}

#[tokio::test]
async fn usage_that_comes_late_under_a_replaced_key_is_booked_on_the_newest() {
    let database = fixture::database().await;
    let db = database.pool();
    let intake = Intake::new(db.clone());
    let early = event("t", 100);
    intake.take_in(batch(1, vec![early.clone()])).await;
    let (old, new) = (hex::encode([3; 32]), hex::encode([4; 32]));
    // As /key/regenerate does it.
    for statement in [
        format!("update spend_totals set owner_id = '{new}', budgeted = true where owner_id = '{old}'"),
        format!("insert into replaced_keys values (decode('{old}', 'hex'), decode('{new}', 'hex'), null, now())"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&db).await.unwrap();
    }
    let receipt = intake.take_in(batch(2, vec![early, event("t", 20)])).await;
    assert_eq!(figures(&receipt), (true, 1, 1, 0));
    let told: Vec<_> =
        receipt.totals.iter().map(|total| (&*total.id, total.spent_nano_usd, total.of_batch_nano_usd)).collect();
    assert_eq!(told, [(&*new, 120, 120)], "what the data plane spent under the old one is a part of it");
    let totals = totals(&db).await;
    assert_eq!((of(&totals, "key", &new), of(&totals, "key", &old)), (Some((120, 2)), None));
    let logged: Vec<(String, i64)> =
        sqlx::query_as("select encode(key_hash, 'hex'), cost_nano_usd from spend_logs order by cost_nano_usd")
            .fetch_all(&db)
            .await
            .unwrap();
    assert_eq!(logged, [(new, 20), (old, 100)]);
}
