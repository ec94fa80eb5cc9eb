//! Pages of users. The one query of this slice that is put together as it runs: a filter that is not set is not in it, so
//! that Postgres plans for what was asked.

use sqlx::QueryBuilder;
use sqlx::postgres::{PgConnection, Postgres};

use super::User;
use super::store::Row;

/// Which users.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) role: Option<String>,
    pub(super) ids: Ids,
    pub(super) sso_user_ids: Vec<String>,
    /// Has this in their e-mail address, in any case.
    pub(super) email: Option<String>,
    pub(super) team: Option<String>,
    pub(super) organization_ids: Vec<String>,
    /// Has this in their id, address or alias, in any case.
    pub(super) search: Option<String>,
}

/// How ids are asked for.
#[derive(Debug, Default)]
pub(super) enum Ids {
    #[default]
    Any,
    /// Has this in it, in any case.
    Part(String),
    These(Vec<String>),
}

/// Which part of the list, in which order.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) number: i64,
    pub(super) offset: i64,
    pub(super) size: i64,
    pub(super) sort: Sort,
    pub(super) order: Order,
}

/// What to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Id,
    Email,
    Alias,
    Role,
    CreatedAt,
    Spend,
}

/// Which end of the order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Sort {
    /// The names of the sorts in the API.
    pub(super) const NAMES: &'static [&'static str] =
        &["user_id", "user_email", "user_alias", "user_role", "created_at", "spend"];

    /// The sort under this name; by creation where there is none.
    pub(super) fn named(name: Option<&str>) -> Self {
        match name {
            Some("user_id") => Self::Id,
            Some("user_email") => Self::Email,
            Some("user_alias") => Self::Alias,
            Some("user_role") => Self::Role,
            Some("spend") => Self::Spend,
            Some(_) | None => Self::CreatedAt,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Id => "u.user_id",
            Self::Email => "u.email",
            Self::Alias => "u.alias",
            Self::Role => "u.role",
            Self::CreatedAt => "u.created_at",
            Self::Spend => "coalesce(t.cost_nano_usd, 0)",
        }
    }
}

/// How many users the filter lets through.
pub(super) async fn count(db: &mut PgConnection, filter: &Filter) -> sqlx::Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from users u");
    narrow(&mut query, filter);
    query.build_query_scalar().fetch_one(db).await
}

/// One page of users.
pub(super) async fn read(db: &mut PgConnection, filter: &Filter, page: &Page) -> sqlx::Result<Vec<User>> {
    let mut query = QueryBuilder::new("select u.* from users u");
    if page.sort == Sort::Spend {
        // Sorting by spend must see what the spend slice keeps; elsewhere it is asked by function.
        query.push(" left join spend_totals t on t.kind = 'user' and t.owner_id = u.user_id and t.scope = ''");
    }
    narrow(&mut query, filter);
    let (direction, nulls) = match (page.order, page.sort) {
        (Order::Ascending, _) => ("asc", ""),
        // So that the indexes by creation and by id serve these pages.
        (Order::Descending, Sort::CreatedAt | Sort::Id) => ("desc", ""),
        (Order::Descending, _) => ("desc", "nulls last"),
    };
    query.push(format_args!(" order by {} {direction} {nulls}", page.sort.column()));
    if page.sort != Sort::Id {
        query.push(format_args!(", u.user_id {direction}"));
    }
    query.push(" limit ").push_bind(page.size).push(" offset ").push_bind(page.offset);
    let rows: Vec<Row> = query.build_query_as().fetch_all(db).await?;
    Ok(rows.into_iter().map(User::from).collect())
}

fn narrow(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" where true");
    if let Some(role) = &filter.role {
        query.push(" and u.role = ").push_bind(role.clone());
    }
    match &filter.ids {
        Ids::Any => {}
        Ids::Part(part) => {
            query.push(" and strpos(lower(u.user_id), lower(").push_bind(part.clone()).push(")) > 0");
        }
        Ids::These(ids) => {
            query.push(" and u.user_id = any(").push_bind(ids.clone()).push(")");
        }
    }
    if !filter.sso_user_ids.is_empty() {
        query.push(" and u.more ->> 'sso_user_id' = any(").push_bind(filter.sso_user_ids.clone()).push(")");
    }
    if let Some(part) = &filter.email {
        query.push(" and strpos(lower(u.email), lower(").push_bind(part.clone()).push(")) > 0");
    }
    if let Some(team_id) = &filter.team {
        query.push(" and u.teams @> array[").push_bind(team_id.clone()).push("]::text[]");
    }
    if !filter.organization_ids.is_empty() {
        let ids = &filter.organization_ids;
        query.push(" and (u.organization_id = any(").push_bind(ids.clone());
        query.push(") or u.more -> 'organizations' ?| ").push_bind(ids.clone()).push(")");
    }
    if let Some(text) = &filter.search {
        query.push(" and strpos(lower(concat_ws(chr(10), u.user_id, u.email, u.alias)), lower(");
        query.push_bind(text.clone()).push(")) > 0");
    }
}
