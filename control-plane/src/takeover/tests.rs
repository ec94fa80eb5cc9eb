//! Imports from a database that looks like LiteLLM's, into a control plane whose admin API then shows what came.

use proto::KeyHash;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool};

use super::report::{Report, Tally};
use super::seals::sealing::{boxed, boxed_url_safe, gcm};
use super::{Mode, Order, Part, TakeoverError, run};
use crate::fixture::{TestDatabase, World, database};
use crate::secret::Secret;
use crate::vault::Vault;

const SALT: &str = "sk-the-salt-of-the-proxy";

/// LiteLLM's database.
struct Old(TestDatabase);

impl Old {
    async fn empty() -> Self {
        let old = Self(database().await);
        old.run(include_str!("litellm.sql")).await;
        old
    }

    /// One with rows of each kind.
    async fn lived_in() -> Self {
        let old = Self::empty().await;
        old.run(include_str!("tests.sql")).await;
        let hashes = ["sk-plain-key-of-ada", "sk-key-of-the-team-1", "sk-a-key-with-budget", "sk-alias-of-another"];
        for (name, value) in ["ada", "team", "shared", "alias"].iter().zip(hashes) {
            let statement = "update \"LiteLLM_VerificationToken\" set token = $1 where token = $2";
            sqlx::query(statement).bind(KeyHash::of(value).to_string()).bind(name).execute(&old.pool()).await.unwrap();
        }
        let params = [
            (
                "m-boxed",
                json!({"model": boxed(SALT, "openai/gpt-4o"), "api_key": boxed_url_safe(SALT, "sk-provider-1"), "rpm": 5}),
            ),
            ("m-gcm", json!({"model": gcm("v2", SALT, "openai/gpt-4o"), "api_key": gcm("v3", SALT, "sk-provider-2")})),
            ("m-plain", json!({"model": "openai/gpt-4o", "api_key": "os.environ/OPENAI_API_KEY"})),
            (
                "m-closed",
                json!({"model": boxed("another", "openai/gpt-4o"), "api_key": boxed("another", "sk-provider-3")}),
            ),
            (
                "m-named",
                json!({"model": boxed(SALT, "openai/gpt-4o"), "litellm_credential_name": boxed(SALT, "shared-key")}),
            ),
        ];
        for (id, params) in params {
            let statement = "insert into \"LiteLLM_ProxyModelTable\" (model_id, model_name, litellm_params, model_info)
                             values ($1, 'smart', $2, jsonb_build_object('id', $1, 'db_model', true, 'access_groups', array['beta']))";
            sqlx::query(statement).bind(id).bind(params).execute(&old.pool()).await.unwrap();
        }
        let values =
            json!({"api_key": boxed(SALT, "sk-provider-4"), "api_base": boxed(SALT, "https://host.example/v1")});
        let statement = "insert into \"LiteLLM_CredentialsTable\" (credential_id, credential_name, credential_values, credential_info)
                         values ('c1', 'shared-key', $1, '{\"note\": \"of all\"}')";
        sqlx::query(statement).bind(values).execute(&old.pool()).await.unwrap();
        old
    }

    fn pool(&self) -> PgPool {
        self.0.pool()
    }

    async fn run(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&self.pool()).await.unwrap();
    }

    fn order(&self) -> Order {
        let from = self.pool().connect_options().to_url_lossy().to_string();
        Order { from: Secret::new(from), keys: vec![Secret::new(SALT)], mode: Mode::Write, models: Part::With }
    }

    async fn moves_into(&self, world: &World) -> Report {
        import(world, self.order()).await.unwrap()
    }
}

async fn import(world: &World, order: Order) -> Result<Report, TakeoverError> {
    run(world.db(), Vault::from_secret(b"test"), order).await
}

fn tally(report: &Report, kind: &str) -> Tally {
    report.kinds.iter().find(|tally| tally.kind == kind).unwrap().clone()
}

/// Taken, renewed, unchanged, left.
fn counts(report: &Report, kind: &str) -> [u64; 4] {
    let tally = tally(report, kind);
    [tally.taken, tally.renewed, tally.unchanged, tally.left]
}

/// What the report says of rows whose id starts so.
fn said(report: &Report, kind: &str, id: &str) -> Vec<String> {
    let all = report.left.iter().chain(&report.altered);
    all.filter(|remark| remark.kind == kind && remark.id.contains(id)).map(|remark| remark.why.clone()).collect()
}

async fn key_shown(world: &World, value: &str) -> Value {
    world.get(&format!("/key/info?key={}", KeyHash::of(value))).await.ok()["info"].clone()
}

#[tokio::test]
async fn everything_that_has_a_place_here_is_taken_and_the_rest_is_named() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    let report = old.moves_into(&world).await;
    assert_eq!(counts(&report, "budget"), [3, 0, 0, 0], "{report}");
    assert_eq!(counts(&report, "credential"), [1, 0, 0, 0], "{report}");
    assert_eq!(counts(&report, "user"), [4, 0, 0, 2], "{report}");
    assert_eq!(counts(&report, "team"), [1, 0, 0, 1], "{report}");
    assert_eq!(counts(&report, "model"), [4, 0, 0, 1], "{report}");
    assert_eq!(counts(&report, "key"), [4, 0, 0, 5], "{report}");
    assert_eq!(counts(&report, "customer"), [2, 0, 0, 1], "{report}");
    assert_eq!(counts(&report, "tag"), [1, 0, 0, 0], "{report}");
    insta::assert_snapshot!(report.to_string().replace(&report.from, "<database>"));
}

#[tokio::test]
async fn a_key_goes_on_under_its_value_with_what_it_may_and_what_it_spent() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    old.moves_into(&world).await;
    let ada = key_shown(&world, "sk-plain-key-of-ada").await;
    for (field, expected) in [
        ("key_alias", json!("ada-laptop")),
        ("key_name", json!("sk-...-ada")),
        ("user_id", json!("ada")),
        ("models", json!(["smart"])),
        ("rpm_limit", json!(7)),
        ("max_budget", json!(10.0)),
        ("spend", json!(2.5)),
        ("budget_duration", json!("30d")),
        ("expires", json!("2031-01-02T03:04:05Z")),
        ("created_by", json!("default_user_id")),
        ("metadata", json!({"tags": ["prod"], "model_rpm_limit": {"smart": 3}})),
    ] {
        assert_eq!(ada[field], expected, "{field}: {ada}");
    }
    assert_eq!(ada["budget_reset_at"], "2099-01-01T00:00:00Z");
    let total: i64 = sqlx::query_scalar("select total_nano_usd from spend_totals where kind = 'key' and owner_id = $1")
        .bind(KeyHash::of("sk-plain-key-of-ada").to_string())
        .fetch_one(&world.db())
        .await
        .unwrap();
    assert_eq!(total, 12_500_000_000);

    let own = world.get_as("sk-plain-key-of-ada", "/key/info").await.ok();
    assert_eq!(own["info"]["key_alias"], "ada-laptop");
    let shared = key_shown(&world, "sk-a-key-with-budget").await;
    assert_eq!(
        (&shared["max_budget"], &shared["tpm_limit"], &shared["rpm_limit"]),
        (&json!(50.0), &json!(1000), &json!(9))
    );
    let team = key_shown(&world, "sk-key-of-the-team-1").await;
    assert_eq!((&team["team_id"], &team["allowed_routes"]), (&json!("t1"), &json!(["llm_api_routes"])));
}

#[tokio::test]
async fn teams_users_customers_and_tags_show_as_they_were() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    old.moves_into(&world).await;
    let team = world.get("/team/info?team_id=t1").await.ok()["team_info"].clone();
    assert_eq!(
        (&team["team_alias"], &team["max_budget"], &team["spend"]),
        (&json!("Red"), &json!(100.0), &json!(40.0))
    );
    assert_eq!(team["litellm_model_table"]["model_aliases"], json!({"fast": "smart"}), "{team}");
    let members = team["members_with_roles"].as_array().unwrap();
    let has = |id: &str, role: &str| members.iter().any(|member| member["user_id"] == id && member["role"] == role);
    assert!(has("ada", "admin") && has("nobody-yet", "user"), "{team}");
    let ada = world.get("/user/info?user_id=ada").await.ok()["user_info"].clone();
    assert_eq!((&ada["user_role"], &ada["teams"], &ada["spend"]), (&json!("proxy_admin"), &json!(["t1"]), &json!(3.5)));
    let customer = world.get("/customer/info?end_user_id=acme").await.ok();
    assert_eq!((&customer["blocked"], &customer["spend"]), (&json!(true), &json!(1.25)), "{customer}");
    assert_eq!(customer["litellm_budget_table"]["max_budget"], 5.0, "{customer}");
    let tags = world.post("/tag/info", json!({"names": ["blue"]})).await.ok();
    assert_eq!((&tags["blue"]["description"], &tags["blue"]["models"]), (&json!("the blue ones"), &json!(["m-boxed"])));
    let everybody: i64 = sqlx::query_scalar("select cost_nano_usd from spend_totals where kind = 'proxy'")
        .fetch_one(&world.db())
        .await
        .unwrap();
    assert_eq!(everybody, 99_000_000_000);
}

#[tokio::test]
async fn models_are_opened_with_the_salt_key_and_sealed_by_our_vault() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    let report = old.moves_into(&world).await;
    for (id, secret) in [("m-boxed", "sk-provider-1"), ("m-gcm", "sk-provider-2"), ("m-named", "sk-provider-4")] {
        let published = world.published(id).await.unwrap();
        assert_eq!((published.api_key.as_str(), published.upstream_model.as_str()), (secret, "gpt-4o"), "{id}");
    }
    assert!(said(&report, "model", "m-closed")[0].contains("litellm_params.model does not open"), "{report}");
    let groups: Value =
        sqlx::query_scalar("select model_info -> 'access_groups' from deployments where id = 'm-boxed'")
            .fetch_one(&world.db())
            .await
            .unwrap();
    assert_eq!(groups, json!(["beta"]));

    let everything: String = sqlx::query_scalar(
        "select string_agg(t, ' ') from (select d::text as t from deployments d union all select c::text from credentials c
             union all select k::text from keys k union all select t::text from teams t union all select x::text from taken_over x
             union all select a::text from audit_log a) rows",
    )
    .fetch_one(&world.db())
    .await
    .unwrap();
    for secret in ["sk-provider", "sk-plain", "langfuse-secret", "hunter2", SALT] {
        assert!(!everything.contains(secret), "{secret} lies open");
        assert!(!report.to_string().contains(secret) && !report.json().contains(secret), "{secret} is reported");
    }
}

#[tokio::test]
async fn a_second_import_changes_nothing() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    old.moves_into(&world).await;
    let before = everything(&world).await;
    let report = old.moves_into(&world).await;
    for tally in &report.kinds {
        assert_eq!((tally.taken, tally.renewed, tally.spend_brought), (0, 0, 0), "{report}");
    }
    assert_eq!(everything(&world).await, before);
}

/// All that an import writes, and the revision.
async fn everything(world: &World) -> String {
    sqlx::query_scalar(
        "select string_agg(t, chr(10) order by t) from (
             select k::text as t from keys k union all select t::text from teams t union all select u::text from users u
             union all select c::text from customers c union all select g::text from tags g union all select b::text from budgets b
             union all select d::text from deployments d union all select c::text from credentials c
             union all select s::text from spend_totals s union all select x::text from taken_over x
             union all select revision::text from installation union all select a::text from audit_log a) rows",
    )
    .fetch_one(&world.db())
    .await
    .unwrap()
}

#[tokio::test]
async fn what_changed_there_is_taken_again_and_what_changed_here_is_left_and_named() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    old.moves_into(&world).await;
    let ours = KeyHash::of("sk-key-of-the-team-1").to_string();
    world.post("/key/update", json!({"key": ours, "rpm_limit": 1})).await.ok();
    world.post("/customer/delete", json!({"user_ids": ["plain"]})).await.ok();
    old.run(&format!(
        "update \"LiteLLM_VerificationToken\" set rpm_limit = 70, spend = spend + 1, total_spend = total_spend + 1;
         update \"LiteLLM_TeamTable\" set models = array['smart', 'other'], spend = 41 where team_id = 't1';
         update \"LiteLLM_UserTable\" set user_alias = 'Countess' where user_id = 'ada';
         update \"LiteLLM_BudgetTable\" set max_budget = 60 where budget_id = 'b-key';
         delete from \"LiteLLM_VerificationToken\" where token = '{}'",
        KeyHash::of("sk-alias-of-another")
    ))
    .await;
    let report = old.moves_into(&world).await;
    assert_eq!(counts(&report, "key"), [1, 2, 0, 5], "{report}");
    assert_eq!(counts(&report, "team")[1], 1, "{report}");
    assert_eq!(counts(&report, "user")[1], 1, "{report}");
    assert_eq!(counts(&report, "budget")[1], 1, "{report}");
    assert!(said(&report, "key", &ours).iter().any(|why| why.contains("was changed here")), "{report}");
    assert!(said(&report, "customer", "plain").iter().any(|why| why.contains("deleted")), "{report}");
    let gone = KeyHash::of("sk-alias-of-another").to_string();
    assert!(said(&report, "key", &gone).iter().any(|why| why.contains("deleted there")), "{report}");

    let shown = key_shown(&world, "sk-plain-key-of-ada").await;
    assert_eq!((&shown["rpm_limit"], &shown["spend"]), (&json!(70), &json!(3.5)));
    assert_eq!(key_shown(&world, "sk-a-key-with-budget").await["max_budget"], 60.0);
    let left = key_shown(&world, "sk-key-of-the-team-1").await;
    assert_eq!((&left["rpm_limit"], &left["spend"]), (&json!(1), &json!(1.0)), "settings stay, spend counts");
    let team = world.get("/team/info?team_id=t1").await.ok()["team_info"].clone();
    assert_eq!((&team["models"], &team["spend"]), (&json!(["smart", "other"]), &json!(41.0)));
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    let before = everything(&world).await;
    let tried = import(&world, Order { mode: Mode::Try, ..old.order() }).await.unwrap();
    assert_eq!(everything(&world).await, before);
    let done = old.moves_into(&world).await;
    assert!(tried.dry_run && !done.dry_run);
    assert_eq!((tried.kinds, tried.left, tried.altered), (done.kinds, done.left, done.altered));
}

#[tokio::test]
async fn changes_are_audited_and_reach_data_planes_like_any_other() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    old.moves_into(&world).await;
    assert!(world.revision().await > 0);
    let hash = KeyHash::of("sk-plain-key-of-ada").to_string();
    for (count, from) in [
        (1, "change_log where kind = 'key' and object_id = $1"),
        (1, "audit_log where noun = 'key' and action = 'created' and changed_by = 'litellm-import' and object_id = $1"),
    ] {
        let counted: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {from}")))
            .bind(&hash)
            .fetch_one(&world.db())
            .await
            .unwrap();
        assert_eq!(counted, count, "{from}");
    }
}

#[tokio::test]
async fn a_wrong_salt_key_or_a_foreign_database_ends_it_before_anything_is_written() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    let before = everything(&world).await;
    for keys in [vec![], vec![Secret::new("sk-wrong")]] {
        let error = import(&world, Order { keys, ..old.order() }).await.err().unwrap().to_string();
        assert!(error.contains("LITELLM_SALT_KEY") && error.contains("--without-models"), "{error}");
    }
    let foreign = Old(database().await);
    let error = import(&world, foreign.order()).await.err().unwrap().to_string();
    assert!(error.contains("LiteLLM_VerificationToken") && error.contains("schema"), "{error}");
    assert_eq!(everything(&world).await, before);

    let report = import(&world, Order { keys: vec![], models: Part::Without, ..old.order() }).await.unwrap();
    assert_eq!(counts(&report, "key")[0], 4, "{report}");
    assert!(report.not_imported.iter().any(|left| left.table == "LiteLLM_ProxyModelTable"), "{report}");
    assert_eq!(world.count("deployments").await, 0);
}

#[tokio::test]
async fn an_older_version_without_tables_and_columns_is_read_as_far_as_it_goes() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    old.run(
        "drop table \"LiteLLM_TagTable\", \"LiteLLM_CredentialsTable\", \"LiteLLM_TeamMembership\", \"LiteLLM_ModelTable\";
         alter table \"LiteLLM_VerificationToken\" drop column total_spend, drop column key_type, drop column budget_limits,
             drop column created_by, drop column tpd_limit;
         alter table \"LiteLLM_ProxyModelTable\" drop column blocked",
    )
    .await;
    let report = old.moves_into(&world).await;
    assert_eq!((counts(&report, "key")[0], counts(&report, "tag")), (4, [0; 4]), "{report}");
    assert_eq!(key_shown(&world, "sk-plain-key-of-ada").await["spend"], 2.5);
    let before = everything(&world).await;
    old.run("alter table \"LiteLLM_TeamTable\" rename column team_id to id").await;
    let error = import(&world, old.order()).await.err().unwrap().to_string();
    assert!(error.contains("LiteLLM_TeamTable") && error.contains("team_id"), "{error}");
    assert_eq!(everything(&world).await, before, "said before anything was read");
}

#[tokio::test]
async fn what_is_here_already_is_never_written_over() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    world.post("/team/new", json!({"team_id": "t1", "team_alias": "Ours"})).await.ok();
    world.key(json!({"key": "sk-plain-key-of-ada", "rpm_limit": 1})).await;
    world.key(json!({"key_alias": "shared-one"})).await;
    world.post("/user/new", json!({"user_id": "eve", "user_email": "ADA@example.org"})).await.ok();
    let report = old.moves_into(&world).await;
    assert_eq!(key_shown(&world, "sk-plain-key-of-ada").await["rpm_limit"], 1);
    assert_eq!(world.get("/team/info?team_id=t1").await.ok()["team_info"]["team_alias"], "Ours");
    assert!(said(&report, "team", "t1")[0].contains("is here already"), "{report}");
    let shared = said(&report, "key", &KeyHash::of("sk-a-key-with-budget").to_string());
    assert!(shared.iter().any(|why| why.contains("another key has it")), "{report}");
    assert_eq!(key_shown(&world, "sk-a-key-with-budget").await["key_alias"], Value::Null);
    assert!(said(&report, "user", "ada").iter().any(|why| why.contains("user eve has it")), "{report}");
}

#[tokio::test]
async fn many_keys_are_taken_page_by_page() {
    let (old, world) = (Old::empty().await, World::new().await);
    old.run(
        "insert into \"LiteLLM_VerificationToken\" (token, key_name, spend)
         select encode(sha256(convert_to('sk-many-' || n, 'UTF8')), 'hex'), 'sk-...', n from generate_series(1, 2500) n",
    )
    .await;
    let report = old.moves_into(&world).await;
    assert_eq!((counts(&report, "key"), tally(&report, "key").spend_brought), ([2500, 0, 0, 0], 2500), "{report}");
    assert_eq!((world.count("keys").await, world.revision().await), (2500, 3));
    assert_eq!(world.count("change_log where kind = 'key'").await, 2500);
}

#[tokio::test]
async fn two_imports_at_once_are_one() {
    let (old, world) = (Old::lived_in().await, World::new().await);
    let (one, other) = tokio::join!(import(&world, old.order()), import(&world, old.order()));
    let refused = [one.err(), other.err()].into_iter().flatten().collect::<Vec<_>>();
    assert!(matches!(&refused[..], [TakeoverError::Running]), "{refused:?}");
    assert_eq!(counts(&old.moves_into(&world).await, "key")[0], 0, "the lock was given back");
}
