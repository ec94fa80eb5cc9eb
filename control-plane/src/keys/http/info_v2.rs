//! `POST /v2/key/info`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::keys::view::{self, KeyView, Place};
use crate::keys::{identify, store};
use crate::teams;

/// Which keys to show.
#[derive(Debug)]
pub(super) struct Which {
    keys: Vec<String>,
    aliases: Vec<String>,
}

impl Request for Which {
    const NAME: &'static str = "WhichKeys";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("keys", Shape::Texts, "Keys or their hashes."),
        optional("key_aliases", Shape::Texts, "Aliases of keys."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let (keys, aliases) = (form.take("keys").given(), form.take("key_aliases").given());
        if keys.is_none() && aliases.is_none() {
            return Err(vec![Issue::missing("keys")]);
        }
        Ok(Self { keys: keys.unwrap_or_default(), aliases: aliases.unwrap_or_default() })
    }
}

type WhichKeys = Body<Which>;

/// Several keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeysShown {
    /// As they were asked for.
    key: Vec<String>,
    info: Vec<KeyView>,
}

/// Shows several keys. Those that do not exist, and those that the caller may not see, are left out.
#[utoipa::path(
    post,
    path = "/v2/key/info",
    tag = "keys",
    request_body = WhichKeys,
    responses((status = 200, body = KeysShown), crate::error::Refusals),
)]
pub(super) async fn infos(
    State(app): State<App>,
    actor: Actor,
    Body { asked: which, .. }: WhichKeys,
) -> Result<Json<KeysShown>, Generic> {
    actor.may(Permission::ReadKey, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let mut hashes: Vec<_> = which.keys.iter().filter_map(|text| identify::hash(text)).collect();
    let named = store::hashes_of_aliases(&mut db, &which.aliases).await?;
    hashes.extend(named.into_iter().map(|(_, hash)| hash));
    let mut info = Vec::new();
    for key in store::among(&mut db, &hashes).await? {
        let team = match &key.team_id {
            Some(team_id) => teams::find(&mut db, team_id).await?,
            None => None,
        };
        if actor.may(Permission::ReadKey, &Subject::Key(&key, team.as_ref())).is_ok() {
            info.push(view::view(&mut db, key, Place::Live, moment::now()).await?.without_token());
        }
    }
    Ok(Json(KeysShown { key: which.keys.into_iter().chain(which.aliases).collect(), info }))
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn keys_are_shown_that_exist_and_that_the_caller_may_see() {
        let world = World::new().await;
        let (one, two) = (world.key(json!({"key_alias": "one"})).await, world.key(json!({"key_alias": "two"})).await);
        let own = world.user("u1", "internal_user").await;
        let asked = json!({"keys": [one, KeyHash::of(&own).to_string(), "sk-nobody-knows-me"], "key_aliases": ["two"]});
        let shown = world.post("/v2/key/info", asked.clone()).await.ok();
        assert_eq!(shown["key"], json!([one, KeyHash::of(&own).to_string(), "sk-nobody-knows-me", "two"]));
        let mut aliases: Vec<_> =
            shown["info"].as_array().unwrap().iter().map(|row| row["key_alias"].clone()).collect();
        aliases.sort_by_key(ToString::to_string);
        assert_eq!(aliases, [json!("one"), json!("two"), json!(null)]);
        assert!(!shown["info"].to_string().contains(&KeyHash::of(&two).to_string()));
        let shown = world.post_as(&own, "/v2/key/info", asked).await.ok();
        assert_eq!(shown["info"].as_array().unwrap().len(), 1);
        assert_eq!(world.post("/v2/key/info", json!({"keys": []})).await.ok()["info"], json!([]));
        assert_eq!(world.post("/v2/key/info", json!({})).await.issues(), [json!(["body", "keys"])]);
    }
}
