//! `GET /key/aliases`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessError, Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::{Query, in_range};
use crate::keys::store::{self, AliasFilter};
use crate::teams;

/// Which aliases to list.
#[derive(Debug)]
pub(super) struct Wanted {
    search: Option<String>,
    team_id: Option<String>,
    page: i64,
    size: i64,
}

impl Request for Wanted {
    const NAME: &'static str = "ListedAliases";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("page", Shape::Whole, "The page, from 1."),
        optional("size", Shape::Whole, "Aliases on a page, 1 to 100; 50 where nothing is said."),
        optional("search", Shape::Text, "Aliases with this in them, in any case."),
        optional("team_id", Shape::Text, "Aliases of this team's keys."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            search: form.take("search").given(),
            team_id: form.take("team_id").given(),
            page: in_range("page", form.take("page").given().unwrap_or(1), 1, i64::from(u32::MAX))?,
            size: in_range("size", form.take("size").given().unwrap_or(50), 1, 100)?,
        })
    }
}

type ListedAliases = Query<Wanted>;

/// One page of aliases.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AliasPage {
    aliases: Vec<String>,
    total_count: i64,
    current_page: i64,
    total_pages: i64,
    size: i64,
}

/// Lists the aliases of keys, in their order. Who is no admin sees those of their own keys and of their teams' keys.
#[utoipa::path(
    get,
    path = "/key/aliases",
    tag = "keys",
    params(ListedAliases),
    responses((status = 200, body = AliasPage), crate::error::Refusals),
)]
pub(super) async fn aliases(
    State(app): State<App>,
    actor: Actor,
    Query(wanted): ListedAliases,
) -> Result<Json<AliasPage>, Generic> {
    actor.may(Permission::ReadKey, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let (user_id, team_ids) = match (actor.sees_all(), &actor.user_id) {
        (true, _) => (None, Vec::new()),
        (false, Some(own)) => {
            let teams = teams::of_member(&mut db, own).await?;
            (Some(own.clone()), teams.into_iter().map(|team| team.team_id).collect())
        }
        (false, None) => {
            return Err(AccessError::ListRefused("A key that belongs to no user cannot list keys.".to_owned()).into());
        }
    };
    let Wanted { search, team_id, page, size } = wanted;
    let filter = AliasFilter { search, team_id, user_id, team_ids };
    let total_count = store::count_aliases(&mut db, &filter).await?;
    let aliases = store::aliases(&mut db, &filter, (page - 1) * size, size).await?;
    let total_pages = (total_count + size - 1) / size;
    Ok(Json(AliasPage { aliases, total_count, current_page: page, total_pages, size }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn aliases_come_in_their_order_by_pages_and_by_what_is_in_them() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        for (alias, more) in [("b-two", json!({})), ("a-One", json!({"team_id": "t"})), ("c-three", json!({}))] {
            let mut body = more;
            body["key_alias"] = json!(alias);
            world.key(body).await;
        }
        world.key(json!({})).await;
        let page = world.get("/key/aliases?size=2").await.ok();
        assert_eq!(
            page,
            json!({"aliases": ["a-One", "b-two"], "total_count": 3, "current_page": 1, "total_pages": 2, "size": 2})
        );
        assert_eq!(world.get("/key/aliases?size=2&page=2").await.ok()["aliases"], json!(["c-three"]));
        assert_eq!(world.get("/key/aliases?search=ONE").await.ok()["aliases"], json!(["a-One"]));
        assert_eq!(world.get("/key/aliases?team_id=t").await.ok()["aliases"], json!(["a-One"]));
        assert_eq!(world.get("/key/aliases?search=%25").await.ok()["total_count"], 0);
        assert_eq!(world.get("/key/aliases?size=101").await.issues(), [json!(["query", "size"])]);
    }

    #[tokio::test]
    async fn a_user_sees_their_own_and_their_teams() {
        let world = World::new().await;
        let user = world.user("u1", "internal_user").await;
        let roster = json!([{"role": "user", "user_id": "u1"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        world.key(json!({"key_alias": "mine", "user_id": "u1"})).await;
        world.key(json!({"key_alias": "ours", "team_id": "t"})).await;
        world.key(json!({"key_alias": "theirs"})).await;
        assert_eq!(world.get_as(&user, "/key/aliases").await.ok()["aliases"], json!(["mine", "ours"]));
    }
}
