//! A key keeps all but its value; nobody gets more by it than they had.

use proto::{KeyHash, v1 as pb};
use serde_json::{Value, json};

use crate::fixture::{MASTER, World};
use crate::keys::publish;

const PATH: &str = "/key/regenerate";

async fn regenerated(world: &World, key: &str, more: Value) -> Value {
    let mut body = more;
    body["key"] = json!(key);
    world.post(PATH, body).await.ok()
}

fn value(made: &Value) -> String {
    made["key"].as_str().unwrap().to_owned()
}

/// What data planes get for these values.
async fn published(world: &World, values: &[&str]) -> Vec<pb::Key> {
    let ids: Vec<String> = values.iter().map(|value| KeyHash::of(value).to_string()).collect();
    let upserts = publish::among(&mut world.db().acquire().await.unwrap(), &ids).await.unwrap();
    upserts
        .into_iter()
        .map(|upsert| match upsert.resource.body {
            Some(pb::resource::Body::Key(key)) => key,
            _ => panic!("a key"),
        })
        .collect()
}

async fn run(world: &World, statement: &'static str) {
    sqlx::query(statement).execute(&world.db()).await.unwrap();
}

#[tokio::test]
async fn a_key_gets_another_value_and_keeps_all_else_of_it() {
    let world = World::new().await;
    let fields = json!({
        "key_alias": "ci", "models": ["gpt-4o"], "max_budget": 5, "budget_duration": "30d", "spend": 1, "user_id": "u1",
        "metadata": {"owner": "x"}, "duration": "30d", "rpm_limit": 7,
        "budget_limits": [{"budget_duration": "1d", "max_budget": 9}],
    });
    let key = world.key(fields).await;
    let before = world.get(&format!("/key/info?key={key}")).await.ok()["info"].clone();
    let windows =
        "select string_agg(scope || window_ends_at::text || cost_nano_usd, ' ' order by scope) from spend_totals
                   where owner_id = $1";
    let accounts = async |key: &str| -> Option<String> {
        let id = KeyHash::of(key).to_string();
        sqlx::query_scalar(windows).bind(id).fetch_one(&world.db()).await.unwrap()
    };
    let accounts_before = accounts(&key).await;

    let answer = world.post(&format!("/key/{}/regenerate", KeyHash::of(&key)), json!({"odd": 1})).await;
    assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
    let made = answer.ok();
    let new = value(&made);
    assert!(new.starts_with("sk-") && new.len() == 35 && new != key);
    let hash = KeyHash::of(&new).to_string();
    assert_eq!((&made["token"], &made["token_id"]), (&json!(hash), &json!(hash)));
    let after = world.get(&format!("/key/info?key={new}")).await.ok()["info"].clone();
    for (name, was) in before.as_object().unwrap() {
        match name.as_str() {
            "key_name" => assert_eq!(after[name], format!("sk-...{}", &new[31..])),
            "updated_at" | "updated_by" => {}
            _ => assert_eq!(&after[name], was, "{name}"),
        }
    }
    assert!(accounts_before.is_some());
    assert_eq!((accounts(&new).await, accounts(&key).await), (accounts_before, None));

    world.post_as(&key, "/key/health", json!({})).await.refused(401);
    world.post_as(&new, "/key/health", json!({})).await.ok();
    assert_eq!(world.get(&format!("/key/info?key={key}")).await.ok()["info"]["status"], "deleted");
    assert_eq!((world.count("keys").await, world.count("deleted_keys").await), (1, 1));
    assert_eq!(world.count("change_log where revision = 2 and kind = 'key'").await, 2, "both values");
    let audit = "select a::text from audit_log a where action = 'rotated' and revision = 2";
    let audit: String = sqlx::query_scalar(audit).fetch_one(&world.db()).await.unwrap();
    assert!(audit.contains(&hash) && !audit.contains(&new) && !audit.contains(&key));
}

#[tokio::test]
async fn within_its_grace_the_old_value_is_the_new_key_and_ends_with_it() {
    let world = World::new().await;
    let key = world.key(json!({"rpm_limit": 7, "user_id": "u1"})).await;
    let new = value(&regenerated(&world, &key, json!({"grace_period": "1h"})).await);
    let info = world.get_as(&key, "/key/info").await.ok();
    assert_eq!(info["key"], json!(KeyHash::of(&new).to_string()));

    let [old] = &published(&world, &[&key]).await[..] else { panic!("the old value") };
    let [newer] = &published(&world, &[&new]).await[..] else { panic!("the new value") };
    assert_eq!((&old.acts_as, newer.acts_as.len(), &old.limits), (&newer.hash, 0, &newer.limits));
    assert!(old.expires_at_ms > 0 && newer.expires_at_ms == 0);

    // What becomes of the new one becomes of the old one, and is told at the same revision.
    world.post("/key/block", json!({"key": new})).await.ok();
    assert!(published(&world, &[&key]).await[0].blocked);
    assert_eq!(world.count("change_log where revision = 3 and kind = 'key'").await, 2);
    world.get_as(&key, "/key/info").await.refused(401);
    world.post("/key/delete", json!({"keys": [new]})).await.ok();
    assert_eq!(world.count("change_log where revision = 4 and kind = 'key'").await, 2);
    assert!(published(&world, &[&key, &new]).await.is_empty());
    world.get_as(&key, "/key/info").await.refused(401);
}

#[tokio::test]
async fn values_that_were_replaced_again_and_again_lead_to_the_newest_and_end_no_later_than_the_last() {
    let world = World::new().await;
    let one = world.key(json!({})).await;
    let two = value(&regenerated(&world, &one, json!({"grace_period": "1h"})).await);
    let three = value(&regenerated(&world, &two, json!({"grace_period": "2h"})).await);
    let newest = KeyHash::of(&three).as_bytes().to_vec();
    for old in [&one, &two] {
        assert_eq!(published(&world, &[old]).await[0].acts_as, newest);
        world.post_as(old, "/key/health", json!({})).await.ok();
    }
    assert!(published(&world, &[&one]).await[0].expires_at_ms < published(&world, &[&two]).await[0].expires_at_ms);
    world.post(PATH, json!({"key": two})).await.refused(404);
    // One that leaked is replaced without grace: nothing older works any more.
    let four = value(&regenerated(&world, &three, json!({})).await);
    for old in [&one, &two, &three] {
        world.post_as(old, "/key/health", json!({})).await.refused(401);
    }
    world.post_as(&four, "/key/health", json!({})).await.ok();
    assert_eq!(world.count("change_log where revision = 4 and kind = 'key'").await, 4);
}

#[tokio::test]
async fn fields_change_with_the_value_as_an_update_changes_them() {
    let world = World::new().await;
    let key = world.key(json!({"max_budget": 5, "spend": 2, "models": ["a"]})).await;
    let wishes = json!({
        "max_budget": 7, "spend": 1, "key_alias": "fresh", "duration": "1h", "metadata": {"a": 1}, "models": null,
        "new_key": "sk-0123456789abcdef",
    });
    let made = regenerated(&world, &key, wishes).await;
    assert_eq!(
        (&made["key"], &made["max_budget"], &made["spend"]),
        (&json!("sk-0123456789abcdef"), &json!(7.0), &json!(1.0))
    );
    assert_eq!((&made["key_alias"], &made["duration"], &made["models"]), (&json!("fresh"), &json!("1h"), &json!([])));
    assert!(made["expires"].is_string());
}

#[tokio::test]
async fn what_is_no_value_no_time_or_no_key_is_refused_and_nothing_changes() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let taken = world.key(json!({"key": "sk-taken-0123456789"})).await;
    let gone = world.key(json!({"key": "sk-gone-0123456789", "spend": 1})).await;
    world.post("/key/delete", json!({"keys": [gone]})).await.ok();
    let replaced = world.key(json!({"key": "sk-replaced-0123456789"})).await;
    regenerated(&world, &replaced, json!({})).await;
    let before = world.revision().await;
    for (more, says) in [
        (json!({"new_key": "sk-short"}), "Invalid key"),
        (json!({"new_key": "no-prefix-0123456789"}), "Invalid key"),
        (json!({"new_key": key}), "already exists"),
        (json!({"new_key": taken}), "already exists"),
        (json!({"new_key": gone}), "used before"),
        (json!({"new_key": replaced}), "used before"),
        (json!({"new_key": MASTER}), "used before"),
        (json!({"grace_period": "soon"}), "grace_period"),
        (json!({"grace_period": "99999999999999999999d"}), "grace_period"),
        (json!({"max_budget": -1}), "max_budget"),
        (json!({"new_master_key": "sk-another-master-key"}), "master key is not regenerated"),
    ] {
        let mut body = more.clone();
        body["key"] = json!(key);
        let error = world.post(PATH, body).await.refused(400);
        assert!(error["message"].as_str().unwrap().contains(says), "{more}: {error}");
        assert!(error["message"].as_str().unwrap().len() < 250 && !error.to_string().contains(&key), "{error}");
    }
    for master in [MASTER, "litellm_proxy_master_key"] {
        world.post(PATH, json!({"key": master})).await.refused(400);
        world.post(&format!("/key/{master}/regenerate"), json!({})).await.refused(400);
    }
    for said in ["sk-nobody-knows-me", "nonsense"] {
        let error = world.post(&format!("/key/{said}/regenerate"), json!({})).await.refused(404);
        assert_eq!((&error["type"], &error["param"]), (&json!("not_found_error"), &json!("key")));
        assert!(!error.to_string().contains("nobody-knows"), "{error}");
    }
    assert_eq!(world.post(PATH, json!({})).await.issues(), [json!(["body", "key"])]);
    assert_eq!(
        world.post(PATH, json!({"key": key, "grace_period": 5})).await.issues(),
        [json!(["body", "grace_period"])]
    );
    world.post("/key/generate", json!({"key": replaced})).await.refused(400);
    assert_eq!(world.revision().await, before);
    world.post_as(&key, "/key/health", json!({})).await.ok();
}

#[tokio::test]
async fn owners_regenerate_their_own_and_others_what_their_team_lets_them() {
    let world = World::new().await;
    let (own, other) = (world.user("u1", "internal_user").await, world.user("u2", "internal_user").await);
    let (boss, viewer) = (world.user("boss", "internal_user").await, world.user("v", "internal_user_viewer").await);
    world.post_as(&other, PATH, json!({"key": own})).await.refused(403);
    world.post_as(&viewer, PATH, json!({"key": viewer})).await.refused(401);
    let new = value(&world.post_as(&own, PATH, json!({"key": own})).await.ok());
    for wish in [json!({"max_budget": 1}), json!({"spend": 0}), json!({"blocked": false}), json!({"user_id": "u2"})] {
        let mut body = wish;
        body["key"] = json!(new);
        world.post_as(&new, PATH, body).await.refused(403);
    }

    let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "u1"}]);
    world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
    let robot = world.post("/key/service-account/generate", json!({"team_id": "t"})).await.ok();
    world.post_as(&new, PATH, json!({"key": value(&robot)})).await.refused(403);
    let robot = value(&world.post_as(&boss, PATH, json!({"key": value(&robot)})).await.ok());
    world.post("/team/update", json!({"team_id": "t", "team_member_permissions": ["/key/regenerate"]})).await.ok();
    let robot = value(&world.post_as(&new, PATH, json!({"key": robot})).await.ok());
    // The value, and nothing else of the key.
    world.post_as(&new, PATH, json!({"key": robot, "key_alias": "mine"})).await.refused(403);
}

#[tokio::test]
async fn nobody_gets_more_by_another_value_than_they_have() {
    let world = World::new().await;
    let boss = world.user("boss", "internal_user").await;
    world.user("root", "proxy_admin").await;
    let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "root"}]);
    world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
    let roots = world.key(json!({"team_id": "t", "user_id": "root"})).await;
    let error = world.post_as(&boss, PATH, json!({"key": roots})).await.refused(403);
    assert!(error["message"].as_str().unwrap().contains("another user"), "{error}");

    let wide = world.key(json!({"user_id": "boss", "permissions": {"get_spend_routes": true}})).await;
    for narrow in [
        json!({"models": ["gpt-4o"]}),
        json!({"max_budget": 5}),
        json!({"budget_limits": [{"budget_duration": "1d", "max_budget": 9}]}),
        json!({"rpm_limit": 5}),
        json!({"duration": "1h"}),
        json!({"allowed_routes": ["/key/regenerate"]}),
        json!({}),
    ] {
        let mut fields = narrow.clone();
        fields["user_id"] = json!("boss");
        let narrow_key = world.key(fields).await;
        world.post_as(&narrow_key, PATH, json!({"key": wide})).await.refused(403);
        world.post_as(&narrow_key, PATH, json!({"key": narrow_key})).await.ok();
    }

    // An old value does not make itself a new one that lasts.
    let key = world.key(json!({"user_id": "boss"})).await;
    let new = value(&regenerated(&world, &key, json!({"grace_period": "1h"})).await);
    world.post_as(&key, PATH, json!({"key": new})).await.refused(403);
    let made = world.post_as(&key, "/key/generate", json!({})).await.ok();
    assert!(made["expires"].is_string(), "it does not outlive the old value");
    run(&world, "update replaced_keys set revoke_at = now() - interval '1 second'").await;
    world.post_as(&key, "/key/health", json!({})).await.refused(401);
}
