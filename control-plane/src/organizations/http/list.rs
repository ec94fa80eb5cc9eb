//! `GET /organization/list`.

use axum::Json;
use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Plain;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::Query;
use crate::organizations::store;
use crate::organizations::view::{self, WholeOrganization};

/// Most organizations in the list.
const MOST: i64 = 10_000;

/// Which organizations to list.
#[derive(Debug)]
pub(super) struct Wanted {
    id: Option<String>,
    alias: Option<String>,
}

impl Request for Wanted {
    const NAME: &'static str = "ListedOrganizations";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("org_id", Shape::Text, "Only this organization."),
        optional("org_alias", Shape::Text, "Only those with this in their name, in any case."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { id: form.take("org_id").given(), alias: form.take("org_alias").given() })
    }
}

type ListedOrganizations = Query<Wanted>;

/// Lists organizations by their alias, with who and what is in them: all for admins, for others those that they administer, and
/// those that they are in without their teams.
#[utoipa::path(
    get,
    path = "/organization/list",
    tag = "organizations",
    params(ListedOrganizations),
    responses((status = 200, body = Vec<WholeOrganization>), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(wanted): ListedOrganizations,
) -> Result<Json<Vec<WholeOrganization>>, Plain> {
    actor.may(Permission::ListOrganizations, &Subject::Anything)?;
    let own = match (actor.sees_all(), &actor.user_id) {
        (true, _) => None,
        (false, Some(user_id)) => Some(user_id.as_str()),
        (false, None) => return Ok(Json(Vec::new())),
    };
    let mut db = app.db.acquire().await?;
    let rows = store::listed(&mut db, wanted.id.as_deref(), wanted.alias.as_deref(), own, MOST).await?;
    Ok(Json(view::whole_for(&mut db, &actor, rows).await?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn ids(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|one| one["organization_id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn admins_see_all_and_others_their_own() {
        let world = World::new().await;
        let (boss, plain) = (world.user("boss", "internal_user").await, world.user("plain", "internal_user").await);
        for (id, alias) in [("o", "Acme"), ("p", "Other")] {
            world.post("/organization/new", json!({"organization_id": id, "organization_alias": alias})).await.ok();
            world.post("/team/new", json!({"team_id": id, "organization_id": id})).await.ok();
        }
        for (user, role) in [("boss", "org_admin"), ("plain", "internal_user")] {
            let member = json!({"organization_id": "o", "member": {"role": role, "user_id": user}});
            world.post("/organization/member_add", member).await.ok();
        }
        let all = world.get("/organization/list").await.ok();
        assert_eq!(ids(&all), ["o", "p"]);
        assert_eq!((&all[0]["teams"][0]["team_id"], all[0]["members"].as_array().unwrap().len()), (&json!("o"), 2));
        assert_eq!(ids(&world.get("/organization/list?org_id=p").await.ok()), ["p"]);
        assert_eq!(ids(&world.get("/organization/list?org_alias=ACM").await.ok()), ["o"]);
        let own = world.get_as(&boss, "/organization/list").await.ok();
        assert_eq!((ids(&own), &own[0]["teams"][0]["team_id"]), (vec!["o"], &json!("o")));
        let own = world.get_as(&plain, "/organization/list").await.ok();
        assert_eq!((ids(&own), &own[0]["teams"]), (vec!["o"], &json!([])), "a member does not see its teams");
        assert_eq!(own[0]["members"].as_array().unwrap().len(), 1, "nor the other members");
        let nobody = world.key(json!({})).await;
        assert_eq!(world.get_as(&nobody, "/organization/list").await.ok(), json!([]));

        assert_eq!(
            world.get_as(&plain, "/organization/info?organization_id=o").await.ok()["organization_alias"],
            "Acme"
        );
        world.get_as(&plain, "/organization/info?organization_id=p").await.refused(401);
        assert_eq!(world.get("/organization/info?organization_id=none").await.status, 404);
        assert_eq!(world.get("/organization/info").await.status, 422);
        let several = world.post("/organization/info", json!({"organizations": ["p", "o"]})).await.ok();
        assert_eq!(ids(&several), ["o", "p"]);
        world.post_as(&boss, "/organization/info", json!({"organizations": ["p", "o"]})).await.refused(401);
        assert_eq!(world.post("/organization/info", json!({"organizations": ["none"]})).await.status, 404);
    }
}
