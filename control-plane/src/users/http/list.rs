//! `GET /user/list`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Role, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::{Query, in_range};
use crate::keys;
use crate::users::page::{self, Filter, Ids, Order, Page, Sort};
use crate::users::view::{self, UserView};

/// Which users to list, and how.
#[derive(Debug)]
pub(super) struct Wanted {
    filter: Filter,
    page: Page,
}

impl Request for Wanted {
    const NAME: &'static str = "ListedUsers";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("role", Shape::Choice(Role::NAMES), "Users with this role."),
        optional(
            "user_ids",
            Shape::Text,
            "Users with this in their id; several ids, with commas between: these users.",
        ),
        optional("sso_user_ids", Shape::Text, "Users with these ids at the identity provider, with commas between."),
        optional("user_email", Shape::Text, "Users with this in their e-mail address."),
        optional("team", Shape::Text, "Users with this team on their list."),
        optional("organization_ids", Shape::Text, "Users of these organizations, with commas between."),
        optional("search", Shape::Text, "Users with this in their id, e-mail address or alias."),
        optional("page", Shape::Whole, "The page, from 1."),
        optional("page_size", Shape::Whole, "Users on a page, 1 to 100; 25 where nothing is said."),
        optional("sort_by", Shape::Choice(Sort::NAMES), "What to sort by. Absent: the newest first."),
        optional("sort_order", Shape::Choice(&["asc", "desc"]), "`asc` where only `sort_by` is said."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let number = in_range("page", form.take("page").given().unwrap_or(1), 1, i64::from(u32::MAX))?;
        let size = in_range("page_size", form.take("page_size").given().unwrap_or(25), 1, 100)?;
        let sort = form.take::<String>("sort_by").given();
        let order = form.take::<String>("sort_order").given();
        let mut ids = listed(form.take("user_ids").given());
        let ids = match ids.len() {
            0 => Ids::Any,
            1 => ids.pop().map_or(Ids::Any, Ids::Part),
            _ => Ids::These(ids),
        };
        Ok(Self {
            filter: Filter {
                role: form.take("role").given(),
                ids,
                sso_user_ids: listed(form.take("sso_user_ids").given()),
                email: form.take("user_email").given(),
                team: form.take("team").given(),
                organization_ids: listed(form.take("organization_ids").given()),
                search: form.take("search").given(),
            },
            page: Page {
                number,
                offset: (number - 1) * size,
                size,
                order: match (order.as_deref(), &sort) {
                    (Some("asc"), _) | (None, Some(_)) => Order::Ascending,
                    (Some(_), _) | (None, None) => Order::Descending,
                },
                sort: Sort::named(sort.as_deref()),
            },
        })
    }
}

/// The parts of a text with commas between.
fn listed(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

type ListedUsers = Query<Wanted>;

/// One page of users.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserPage {
    users: Vec<ListedUser>,
    total: i64,
    page: i64,
    page_size: i64,
    total_pages: i64,
}

/// A user, and how many keys they have.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListedUser {
    #[serde(flatten)]
    user: UserView,
    key_count: i64,
}

/// Lists users, the newest first. For admins.
#[utoipa::path(
    get,
    path = "/user/list",
    tag = "users",
    params(ListedUsers),
    responses((status = 200, body = UserPage), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(Wanted { filter, page }): ListedUsers,
) -> Result<Json<UserPage>, Generic> {
    actor.may(Permission::ListUsers, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let total = page::count(&mut db, &filter).await?;
    let users = page::read(&mut db, &filter, &page).await?;
    let ids: Vec<String> = users.iter().map(|user| user.user_id.clone()).collect();
    let mut counts = keys::counts_of_users(&mut db, &ids).await?;
    let users = view::views(&mut db, users).await?.into_iter();
    let listed = users.map(|user| ListedUser { key_count: counts.remove(&user.user_id).unwrap_or(0), user });
    Ok(Json(UserPage {
        users: listed.collect(),
        total,
        page: page.number,
        page_size: page.size,
        total_pages: (total + page.size - 1) / page.size,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn ids(page: &Value) -> Vec<&str> {
        page["users"].as_array().unwrap().iter().map(|user| user["user_id"].as_str().unwrap()).collect()
    }

    async fn world_of_three() -> World {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        for body in [
            json!({
                "user_id": "Ada", "user_email": "ada@one.org", "user_alias": "Countess", "sso_user_id": "s1",
                "organization_id": "o1", "teams": ["t"], "user_role": "proxy_admin_viewer",
            }),
            json!({"user_id": "bob", "user_email": "bob@two.org", "organizations": ["o2"]}),
            json!({"user_id": "bobby", "auto_create_key": false}),
        ] {
            world.post("/user/new", body).await.ok();
        }
        world
    }

    #[tokio::test]
    async fn users_are_listed_newest_first_page_by_page_with_their_keys_counted() {
        let world = world_of_three().await;
        world.key(json!({"user_id": "bob"})).await;
        let page = world.get("/user/list").await.ok();
        assert_eq!(ids(&page), ["bobby", "bob", "Ada"]);
        let counts: Vec<_> = page["users"].as_array().unwrap().iter().map(|user| user["key_count"].clone()).collect();
        assert_eq!(counts, [json!(0), json!(2), json!(1)]);
        assert_eq!(page["users"][2]["user_email"], "ada@one.org");
        let page = world.get("/user/list?page_size=2&page=2").await.ok();
        assert_eq!(ids(&page), ["Ada"]);
        let figures = ["total", "page", "page_size", "total_pages"].map(|name| page[name].clone());
        assert_eq!(figures, [json!(3), json!(2), json!(2), json!(2)]);
        assert_eq!(ids(&world.get("/user/list?page=9").await.ok()), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn every_filter_filters() {
        let world = world_of_three().await;
        for (query, expected) in [
            ("role=proxy_admin_viewer", vec!["Ada"]),
            ("user_ids=BOB", vec!["bobby", "bob"]),
            ("user_ids=bob,Ada", vec!["bob", "Ada"]),
            ("user_ids=bob,BOBBY", vec!["bob"]),
            ("sso_user_ids=s1", vec!["Ada"]),
            ("user_email=TWO", vec!["bob"]),
            ("team=t", vec!["Ada"]),
            ("organization_ids=o1", vec!["Ada"]),
            ("organization_ids=o1,o2", vec!["bob", "Ada"]),
            ("search=countess", vec!["Ada"]),
            ("search=bobby", vec!["bobby"]),
            ("search=one.org&role=internal_user", vec![]),
            ("team=T", vec![]),
            ("user_email=%25", vec![]),
            ("sort_by=user_id&user_ids=bob", vec!["bob", "bobby"]),
        ] {
            let found = world.get(&format!("/user/list?{query}")).await.ok();
            assert_eq!((ids(&found), &found["total"]), (expected.clone(), &json!(expected.len())), "{query}");
        }
    }

    #[tokio::test]
    async fn every_sort_sorts_both_ways() {
        let world = world_of_three().await;
        sqlx::query(
            "insert into spend_totals (kind, owner_id, cost_nano_usd) values ('user', 'bob', 5), ('key', 'Ada', 9)",
        )
        .execute(&world.db())
        .await
        .unwrap();
        for (sort, first, last) in [
            ("user_email", "Ada", "bob"),
            ("user_alias", "Ada", "Ada"),
            ("user_role", "bob", "Ada"),
            ("created_at", "Ada", "bobby"),
            ("spend", "Ada", "bob"),
        ] {
            let up = world.get(&format!("/user/list?sort_by={sort}")).await.ok();
            assert_eq!(ids(&up)[0], first, "{sort}");
            let down = world.get(&format!("/user/list?sort_by={sort}&sort_order=desc")).await.ok();
            assert_eq!(ids(&down)[0], last, "{sort}");
        }
        assert_eq!(ids(&world.get("/user/list?sort_order=asc").await.ok())[0], "Ada");
    }

    #[tokio::test]
    async fn admins_and_viewers_list_users_and_nobody_else() {
        let world = World::new().await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        let (user, reader) = (world.user("u", "internal_user").await, world.user("r", "internal_user_viewer").await);
        assert_eq!(world.get_as(&viewer, "/user/list").await.ok()["total"], 3);
        for key in [user, reader, world.key(json!({})).await] {
            world.get_as(&key, "/user/list").await.refused(403);
        }
        for (query, field) in [
            ("page_size=101", "page_size"),
            ("page_size=0", "page_size"),
            ("page=x", "page"),
            ("page=-1", "page"),
            ("sort_by=metadata", "sort_by"),
            ("sort_order=up", "sort_order"),
            ("role=king", "role"),
        ] {
            assert_eq!(world.get(&format!("/user/list?{query}")).await.issues(), [json!(["query", field])], "{query}");
        }
    }
}
