//! Pages of teams. The one query of this slice that is put together as it runs: a filter that is not set is not in it, so
//! that Postgres plans for what was asked.

use serde_json::json;
use sqlx::QueryBuilder;
use sqlx::postgres::{PgConnection, Postgres};

use super::Team;
use super::store::Row;

/// Which teams.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// With this user on the roster.
    pub(super) user_id: Option<String>,
    pub(super) organization: Option<Organization>,
    pub(super) team_id: Option<String>,
    /// Has this in its alias, in any case.
    pub(super) alias: Option<String>,
    /// Has this in its id or alias, in any case.
    pub(super) search: Option<String>,
}

/// Of which organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Organization {
    None,
    Of(String),
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
    Alias,
    CreatedAt,
}

/// Which end of the order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Sort {
    /// The names of the sorts in the API.
    pub(super) const NAMES: &'static [&'static str] = &["team_id", "team_alias", "created_at"];

    /// The sort under this name; by alias where there is none.
    pub(super) fn named(name: Option<&str>) -> Self {
        match name {
            Some("team_id") => Self::Id,
            Some("created_at") => Self::CreatedAt,
            Some(_) | None => Self::Alias,
        }
    }
}

/// How many teams the filter lets through.
pub(super) async fn count(db: &mut PgConnection, filter: &Filter) -> sqlx::Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from teams t");
    narrow(&mut query, filter);
    query.build_query_scalar().fetch_one(db).await
}

/// One page of teams.
pub(super) async fn read(db: &mut PgConnection, filter: &Filter, page: &Page) -> sqlx::Result<Vec<Team>> {
    let mut query = QueryBuilder::new("select t.* from teams t");
    narrow(&mut query, filter);
    let direction = match page.order {
        Order::Ascending => "asc",
        Order::Descending => "desc",
    };
    // As the indexes have them.
    match page.sort {
        Sort::Id => query.push(format_args!(" order by t.team_id {direction}")),
        Sort::Alias => query.push(format_args!(" order by t.alias {direction}, t.team_id {direction}")),
        Sort::CreatedAt => query.push(format_args!(" order by t.created_at {direction}, t.team_id {direction}")),
    };
    query.push(" limit ").push_bind(page.size).push(" offset ").push_bind(page.offset);
    let rows: Vec<Row> = query.build_query_as().fetch_all(db).await?;
    Ok(rows.into_iter().map(Team::from).collect())
}

fn narrow(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" where true");
    if let Some(user_id) = &filter.user_id {
        query.push(" and t.members @> ").push_bind(json!([{"user_id": user_id}]));
    }
    match &filter.organization {
        None => {}
        Some(Organization::None) => {
            query.push(" and t.organization_id is null");
        }
        Some(Organization::Of(id)) => {
            query.push(" and t.organization_id = ").push_bind(id.clone());
        }
    }
    if let Some(team_id) = &filter.team_id {
        query.push(" and t.team_id = ").push_bind(team_id.clone());
    }
    if let Some(part) = &filter.alias {
        query.push(" and strpos(lower(t.alias), lower(").push_bind(part.clone()).push(")) > 0");
    }
    if let Some(text) = &filter.search {
        query.push(" and strpos(lower(concat_ws(chr(10), t.team_id, t.alias)), lower(");
        query.push_bind(text.clone()).push(")) > 0");
    }
}
