//! `POST /key/delete`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, optional};
use crate::keys::{self, KeyError, identify, store};
use crate::teams;

/// Which keys to delete.
#[derive(Debug)]
pub(super) enum Which {
    Keys(Vec<String>),
    Aliases(Vec<String>),
}

impl Request for Which {
    const NAME: &'static str = "DeletedKeys";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("keys", Shape::Texts, "Keys or their hashes. Goes before `key_aliases`."),
        optional("key_aliases", Shape::Texts, "Aliases of keys."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        match (form.take("keys"), form.take("key_aliases")) {
            (Patch::To(keys), _) => Ok(Self::Keys(keys)),
            (_, Patch::To(aliases)) => Ok(Self::Aliases(aliases)),
            (Patch::Keep | Patch::Clear, Patch::Keep | Patch::Clear) => Err(vec![Issue::missing("keys")]),
        }
    }
}

type WhichKeys = Body<Which>;

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedKeys {
    /// The keys or aliases, as they were asked for.
    deleted_keys: Vec<String>,
}

/// Deletes keys, all or none. They go to an archive, so that their spend keeps a name.
#[utoipa::path(
    post,
    path = "/key/delete",
    tag = "keys",
    params(Wait),
    request_body = WhichKeys,
    responses((status = 200, body = RemovedKeys), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: which, unknown }: WhichKeys,
) -> Result<Changed<RemovedKeys>, Generic> {
    actor.may(Permission::DeleteKey, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let (hashes, said) = match which {
        Which::Keys(texts) => (texts.iter().filter_map(|text| identify::hash(text)).collect::<Vec<_>>(), texts),
        Which::Aliases(aliases) => {
            let found = store::hashes_of_aliases(change.db(), &aliases).await?;
            (found.into_iter().map(|(_, hash)| hash).collect(), aliases)
        }
    };
    let found = store::locked(change.db(), &hashes).await?;
    if found.is_empty() {
        return Err(KeyError::NoneFound.into());
    }
    for key in &found {
        let team = match &key.team_id {
            Some(team_id) => teams::find(change.db(), team_id).await?,
            None => None,
        };
        actor.may(Permission::DeleteKey, &Subject::Key(key, team.as_ref()))?;
    }
    keys::remove(&mut change, &found).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view: RemovedKeys { deleted_keys: said }, published, unknown })
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn deleted_keys_are_gone_at_one_revision_and_kept_in_the_archive() {
        let world = World::new().await;
        let (one, two) = (world.key(json!({})).await, world.key(json!({"key_alias": "two"})).await);
        let said = json!([one, KeyHash::of(&two).to_string(), "sk-nobody-knows-me"]);
        let answer = world.post("/key/delete", json!({"keys": said})).await;
        assert_eq!(answer.header("x-turnpike-revision"), Some("3"));
        assert_eq!(answer.ok(), json!({"deleted_keys": said}));
        assert_eq!((world.count("keys").await, world.count("deleted_keys").await), (0, 2));
        assert_eq!(world.count("change_log where revision = 3 and kind = 'key'").await, 2);
        assert_eq!(world.count("audit_log where action = 'deleted' and revision = 3").await, 2);
        world.get_as(&one, "/key/info").await.refused(401);
        assert_eq!(world.get(&format!("/key/info?key={two}")).await.ok()["info"]["key_alias"], "two");
        world.key(json!({"key_alias": "two"})).await;
    }

    #[tokio::test]
    async fn keys_are_deleted_by_alias() {
        let world = World::new().await;
        world.key(json!({"key_alias": "a"})).await;
        let deleted = world.post("/key/delete", json!({"key_aliases": ["a", "b"]})).await.ok();
        assert_eq!(deleted, json!({"deleted_keys": ["a", "b"]}));
    }

    #[tokio::test]
    async fn nothing_asked_for_nothing_found_and_nothing_allowed_delete_nothing() {
        let world = World::new().await;
        let (own, other) = (world.user("u1", "internal_user").await, world.key(json!({})).await);
        assert_eq!(world.post("/key/delete", json!({})).await.issues(), [json!(["body", "keys"])]);
        assert_eq!(world.post("/key/delete", json!({"keys": [1]})).await.issues(), [json!(["body", "keys", 0])]);
        let error = world.post("/key/delete", json!({"keys": ["sk-nobody-knows-me"]})).await.refused(404);
        assert_eq!(error["message"], "No keys found");
        let before = world.count("keys").await;
        world.post_as(&own, "/key/delete", json!({"keys": [own, other]})).await.refused(403);
        assert_eq!(world.count("keys").await, before);
        world.post_as(&own, "/key/delete", json!({"keys": [own]})).await.ok();
    }
}
