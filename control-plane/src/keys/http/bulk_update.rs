//! `POST /key/bulk_update`.

use std::collections::HashSet;

use axum::extract::State;
use proto::KeyHash;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::Connection as _;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Entry, Noun};
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{self, Each, Field, Form, Issue, Patch, Request, Shape, required};
use crate::http::moment;
use crate::keys::patch::{self, KeyPatch};
use crate::keys::view::{self, KeyView};
use crate::keys::{self, Key, KeyError, Rules, identify, organization, store};
use crate::teams;

/// Most keys of one call.
const KEYS: usize = 500;

/// Which keys change, and how.
#[derive(Debug)]
pub(super) struct Wanted(Each<KeyPatch>);

impl Request for Wanted {
    const NAME: &'static str = "KeyPatches";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("keys", Shape::Objects, "Up to 500 changes, each as for `/key/update`, of keys named by `key`.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let keys = form.take::<Vec<Map<String, Value>>>("keys").given().unwrap_or_default();
        if keys.is_empty() {
            let msg = "List should have at least 1 item";
            return Err(vec![Issue::of_field("too_short", "keys", msg, Value::Array(Vec::new()))]);
        }
        let each = fields::each::<KeyPatch>("keys", keys)?;
        let issue = |(index, name): (usize, &str)| {
            let msg = "Name the key by `key`; its spend is set with /key/update";
            let place = [Value::from("body"), "keys".into(), index.into(), name.into()];
            Issue { kind: "value_error", loc: place.to_vec(), msg: msg.to_owned(), input: Value::Null }
        };
        let unfit = |(index, patch): (usize, &KeyPatch)| match (&patch.key, patch.spend) {
            (None, _) => Some((index, "key")),
            (Some(_), Some(_)) => Some((index, "spend")),
            (Some(_), None) => None,
        };
        let issues: Vec<Issue> = each.asked.iter().enumerate().filter_map(unfit).map(issue).take(100).collect();
        if issues.is_empty() { Ok(Self(each)) } else { Err(issues) }
    }
}

type KeyPatches = Body<Wanted>;

/// What became of each change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcomes {
    total_requested: usize,
    successful_updates: Vec<Updated>,
    failed_updates: Vec<Failed>,
}

/// A changed key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Updated {
    /// As it was asked for.
    key: String,
    key_info: KeyView,
}

/// A key that is as it was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failed {
    /// As it was asked for.
    key: String,
    /// The key, where there is one.
    key_info: Option<KeyView>,
    failed_reason: String,
}

/// Changes many keys, each as `/key/update` does and each whole or not at all. For admins.
#[utoipa::path(
    post,
    path = "/key/bulk_update",
    tag = "keys",
    params(Wait),
    request_body = KeyPatches,
    responses((status = 200, body = Outcomes), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Wanted(each), mut unknown }: KeyPatches,
) -> Result<Changed<Outcomes>, Generic> {
    actor.may(Permission::ChangeKeys, &Subject::Anything)?;
    if each.asked.len() > KEYS {
        return Err(KeyError::TooMany(KEYS).into());
    }
    let now = moment::now();
    let mut change = Change::begin(&app, &actor).await?;
    let rules = Rules::read(&mut change).await.map_err(KeyError::from)?;
    // Teams first, as everybody locks them before keys: those that keys move to are not deleted meanwhile.
    let mut team_ids: Vec<&String> = each.asked.iter().filter_map(|patch| target_team(patch)).collect();
    team_ids.sort_unstable();
    team_ids.dedup();
    for team_id in team_ids {
        teams::shared(change.db(), team_id).await?;
    }
    let hashes: Vec<Option<KeyHash>> =
        each.asked.iter().map(|patch| patch.key.as_deref().and_then(identify::hash)).collect();
    let known: Vec<KeyHash> = hashes.iter().copied().flatten().collect();
    let found = store::locked(change.db(), &known).await?;

    let (mut changed, mut failed) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    let total_requested = each.asked.len();
    for (patch, hash) in each.asked.into_iter().zip(hashes) {
        let said = patch.key.clone().unwrap_or_default();
        let before = found.iter().find(|key| Some(key.hash) == hash);
        let result = match before {
            Some(before) if seen.insert(before.hash) => change_one(&mut change, before, patch, &rules, &actor).await,
            Some(_) => Err(KeyError::Twice),
            None => Err(KeyError::NotFound),
        };
        match result {
            Ok(key) => changed.push((said, key)),
            Err(KeyError::Database(error)) => return Err(error.into()),
            Err(error) => failed.push((said, before.cloned(), error.to_string())),
        }
    }

    let (names, keys): (Vec<String>, Vec<Key>) = changed.into_iter().unzip();
    let rows = view::views(change.db(), keys, now).await?;
    let successful_updates = names.into_iter().zip(rows).map(|(key, key_info)| Updated { key, key_info }).collect();
    let mut failed_updates = Vec::with_capacity(failed.len());
    for (key, before, failed_reason) in failed {
        let key_info = view::views(change.db(), before.into_iter().collect(), now).await?.pop();
        failed_updates.push(Failed { key, key_info, failed_reason });
    }
    let published = change.commit(wait).await?;
    unknown.extend(each.unknown);
    Ok(Changed { view: Outcomes { total_requested, successful_updates, failed_updates }, published, unknown })
}

fn target_team(patch: &KeyPatch) -> Option<&String> {
    match &patch.team_id {
        Patch::To(team_id) => Some(team_id),
        Patch::Keep | Patch::Clear => None,
    }
}

/// Changes one key, or nothing: what fails is undone without the rest.
async fn change_one(
    change: &mut Change,
    before: &Key,
    patch: KeyPatch,
    rules: &Rules,
    actor: &Actor,
) -> Result<Key, KeyError> {
    let mut key = patch::apply(before.clone(), patch, rules, actor.user_id.as_deref(), moment::now())?;
    organization::settle(change.db(), before, &mut key).await?;
    let mut step = change.db().begin().await?;
    keys::put(&mut step, before, &key).await?;
    step.commit().await?;
    let (old, new) = (view::for_audit(before), view::for_audit(&key));
    change.note(Entry::updated(Noun::Key, key.hash.to_string(), old, new));
    Ok(key)
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::json;

    use crate::fixture::World;

    const PATH: &str = "/key/bulk_update";

    #[tokio::test]
    async fn each_key_changes_or_does_not_and_all_of_it_is_one_revision() {
        let world = World::new().await;
        let (one, two) = (world.key(json!({"max_budget": 5})).await, world.key(json!({})).await);
        world.key(json!({"key_alias": "taken"})).await;
        let three = world.key(json!({"key_alias": "three"})).await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let before = world.revision().await;
        let hash = KeyHash::of(&two).to_string();
        let keys = json!([
            {"key": one, "max_budget": null, "tags": ["a"], "odd": 1},
            {"key": hash, "team_id": "t"},
            {"key": three, "key_alias": "taken", "rpm_limit": 1},
            {"key": "sk-nobody-knows-me", "rpm_limit": 1},
            {"key": "nonsense", "rpm_limit": 1},
            {"key": one, "rpm_limit": 1},
        ]);
        let answer = world.post(PATH, json!({"keys": keys})).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        let answer = answer.ok();
        assert_eq!(answer["total_requested"], 6);
        let good = answer["successful_updates"].as_array().unwrap();
        assert_eq!((good.len(), &good[0]["key"], &good[1]["key"]), (2, &json!(one), &json!(hash)));
        assert_eq!((&good[0]["key_info"]["max_budget"], &good[1]["key_info"]["team_id"]), (&json!(null), &json!("t")));
        let bad = answer["failed_updates"].as_array().unwrap();
        assert_eq!((bad.len(), &bad[0]["key_info"]["rpm_limit"], &bad[1]["key_info"]), (4, &json!(null), &json!(null)));
        assert!(bad[0]["failed_reason"].as_str().unwrap().contains("already exists"));
        assert_eq!(bad[1]["failed_reason"], "Key not found.");
        assert_eq!(world.revision().await, before + 1);
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'key'").await, 2);
        assert_eq!(world.count("keys where rpm_limit is not null").await, 0);
        assert_eq!(world.count("keys where team_id = 't'").await, 1);
    }

    #[tokio::test]
    async fn admins_alone_do_it_and_bad_input_says_where_it_is_bad() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        let body = json!({"keys": [{"key": key, "max_budget": 100}]});
        world.post_as(&key, PATH, body.clone()).await.refused(403);
        world.post_as(&viewer, PATH, body).await.refused(401);
        let many: Vec<_> = (0..501).map(|number| json!({"key": format!("sk-{number}")})).collect();
        world.post(PATH, json!({"keys": many})).await.refused(400);
        for (body, place) in [
            (json!({}), json!(["body", "keys"])),
            (json!({"keys": []}), json!(["body", "keys"])),
            (json!({"keys": "sk-1"}), json!(["body", "keys"])),
            (json!({"keys": [{"rpm_limit": 1}]}), json!(["body", "keys", 0, "key"])),
            (json!({"keys": [{"key_alias": "a"}]}), json!(["body", "keys", 0, "key"])),
            (json!({"keys": [{"key": key}, {"key": key, "spend": 0}]}), json!(["body", "keys", 1, "spend"])),
            (json!({"keys": [{"key": key, "models": "m"}]}), json!(["body", "keys", 0, "models"])),
        ] {
            assert_eq!(world.post(PATH, body.clone()).await.issues(), [place], "{body}");
        }
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
    }
}
