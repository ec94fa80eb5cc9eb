//! Pages of keys. The one query of this slice that is put together as it runs: a filter that is not set is not in it, so
//! that Postgres plans for what was asked.

use sqlx::QueryBuilder;
use sqlx::postgres::{PgConnection, Postgres};
use time::OffsetDateTime;

use super::Key;
use super::store::Row;

/// Which keys.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) user_id: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) agent_id: Option<String>,
    pub(super) access_group_id: Option<String>,
    pub(super) key_hash: Option<String>,
    pub(super) key_alias: Option<String>,
    pub(super) search: Option<String>,
    pub(super) matching: Matching,
    pub(super) status: Option<Status>,
    pub(super) alive: Option<Alive>,
    /// Keys of these teams, beside those of `user_id`.
    pub(super) of_teams_too: Option<Vec<String>>,
    /// Keys that this user made, beside those of `user_id`.
    pub(super) made_by_too: Option<String>,
}

/// How `user_id` and `key_alias` are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Matching {
    #[default]
    Whole,
    Parts,
}

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Active,
    Expired,
    Revoked,
    Deleted,
}

/// Whether a key's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alive {
    Lives,
    Expired,
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
    Spend,
    MaxBudget,
    CreatedAt,
    UpdatedAt,
    Token,
    Alias,
}

/// Which end of the order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Sort {
    /// The sort under this name of the API; the newest first where there is none.
    pub(super) fn named(name: Option<&str>) -> Self {
        match name {
            Some("spend") => Self::Spend,
            Some("max_budget") => Self::MaxBudget,
            Some("updated_at") => Self::UpdatedAt,
            Some("token") => Self::Token,
            Some("key_alias") => Self::Alias,
            Some(_) | None => Self::CreatedAt,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Spend => "coalesce(t.cost_nano_usd, 0)",
            Self::MaxBudget => "k.max_budget_nano_usd",
            Self::CreatedAt => "k.created_at",
            Self::UpdatedAt => "k.updated_at",
            Self::Token => "k.hash",
            Self::Alias => "k.alias",
        }
    }
}

/// How many keys the filter lets through.
pub(super) async fn count(db: &mut PgConnection, filter: &Filter, now: OffsetDateTime) -> sqlx::Result<i64> {
    let mut query = QueryBuilder::new("select count(*) from ");
    from(&mut query, filter, now);
    query.build_query_scalar().fetch_one(db).await
}

/// One page of keys.
pub(super) async fn read(
    db: &mut PgConnection,
    filter: &Filter,
    page: &Page,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Key>> {
    let mut query = QueryBuilder::new("select k.* from ");
    from(&mut query, filter, now);
    let (direction, nulls) = match (page.order, page.sort) {
        (Order::Ascending, _) => ("asc", ""),
        // So that the index by creation serves the usual page.
        (Order::Descending, Sort::CreatedAt | Sort::Token) => ("desc", ""),
        (Order::Descending, _) => ("desc", "nulls last"),
    };
    query.push(format_args!(" order by {} {direction} {nulls}, k.hash {direction}", page.sort.column()));
    query.push(" limit ").push_bind(page.size).push(" offset ").push_bind(page.offset);
    let rows: Vec<Row> = query.build_query_as().fetch_all(db).await?;
    rows.into_iter().map(Key::try_from).collect()
}

fn from(query: &mut QueryBuilder<Postgres>, filter: &Filter, now: OffsetDateTime) {
    query.push(match filter.status {
        Some(Status::Deleted) => "deleted_keys d, jsonb_populate_record(null::keys, d.row_before) k",
        _ => "keys k",
    });
    // Sorting by spend must see what the spend slice keeps; elsewhere it is asked by function.
    query.push(" left join spend_totals t on t.kind = 'key' and t.owner_id = encode(k.hash, 'hex') and t.scope = '' where true");
    owner(query, filter);
    equal(query, "k.team_id", filter.team_id.as_deref());
    equal(query, "k.organization_id", filter.organization_id.as_deref());
    equal(query, "k.more ->> 'project_id'", filter.project_id.as_deref());
    equal(query, "k.more ->> 'agent_id'", filter.agent_id.as_deref());
    equal(query, "encode(k.hash, 'hex')", filter.key_hash.as_deref());
    match filter.matching {
        Matching::Whole => equal(query, "k.alias", filter.key_alias.as_deref()),
        Matching::Parts => contains(query, "k.alias", filter.key_alias.as_deref()),
    }
    if let Some(group) = &filter.access_group_id {
        query.push(" and k.more -> 'access_group_ids' ? ").push_bind(group.clone());
    }
    if let Some(text) = &filter.search {
        query.push(" and (encode(k.hash, 'hex') = ").push_bind(text.clone());
        query.push(" or strpos(lower(k.alias), lower(").push_bind(text.clone()).push(")) > 0)");
    }
    match filter.status {
        Some(Status::Active) => {
            query
                .push(" and k.blocked is not true and (k.expires_at is null or k.expires_at >= ")
                .push_bind(now)
                .push(")");
        }
        Some(Status::Expired) => {
            query.push(" and k.blocked is not true and k.expires_at < ").push_bind(now);
        }
        Some(Status::Revoked) => {
            query.push(" and k.blocked is true");
        }
        Some(Status::Deleted) | None => {}
    }
    match filter.alive {
        Some(Alive::Lives) => {
            query.push(" and (k.expires_at is null or k.expires_at >= ").push_bind(now).push(")");
        }
        Some(Alive::Expired) => {
            query.push(" and k.expires_at < ").push_bind(now);
        }
        None => {}
    }
}

/// The user, or what counts beside them. Nothing of it set: everybody.
fn owner(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    let Some(user_id) = &filter.user_id else { return };
    match filter.matching {
        Matching::Whole => query.push(" and (k.user_id = ").push_bind(user_id.clone()),
        Matching::Parts => {
            query.push(" and (strpos(lower(k.user_id), lower(").push_bind(user_id.clone()).push(")) > 0")
        }
    };
    if let Some(teams) = filter.of_teams_too.as_ref().filter(|teams| !teams.is_empty()) {
        query.push(" or k.team_id = any(").push_bind(teams.clone()).push(")");
    }
    if let Some(maker) = &filter.made_by_too {
        query.push(" or k.created_by = ").push_bind(maker.clone());
    }
    query.push(")");
}

fn equal(query: &mut QueryBuilder<Postgres>, column: &str, value: Option<&str>) {
    if let Some(value) = value {
        query.push(format_args!(" and {column} = ")).push_bind(value.to_owned());
    }
}

fn contains(query: &mut QueryBuilder<Postgres>, column: &str, part: Option<&str>) {
    if let Some(part) = part {
        query.push(format_args!(" and strpos(lower({column}), lower(")).push_bind(part.to_owned()).push(")) > 0");
    }
}
