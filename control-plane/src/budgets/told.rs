//! What data planes are told of accounts.

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// The kinds of owners, as `spend_totals` and as the contract names them.
const KINDS: [(&str, pb::OwnerKind); 8] = [
    ("customer", pb::OwnerKind::Customer),
    ("key", pb::OwnerKind::Key),
    ("member", pb::OwnerKind::Member),
    ("organization", pb::OwnerKind::Organization),
    ("proxy", pb::OwnerKind::Proxy),
    ("tag", pb::OwnerKind::Tag),
    ("team", pb::OwnerKind::Team),
    ("user", pb::OwnerKind::User),
];

/// An account, and the model that it is about, if it is about one.
pub(crate) struct Told {
    pub(crate) total: pb::Total,
    pub(crate) model: Option<String>,
}

struct Row {
    kind: String,
    owner_id: String,
    scope: String,
    model: Option<String>,
    cost_nano_usd: i64,
    version: i64,
    window_ends_at: Option<OffsetDateTime>,
}

impl From<Row> for Told {
    fn from(row: Row) -> Self {
        let kind =
            KINDS.iter().find(|(name, _)| *name == row.kind).map_or(pb::OwnerKind::Unspecified, |(_, kind)| *kind);
        let ends_at_ms = row.window_ends_at.map_or(0, |at| at.unix_timestamp_nanos() / 1_000_000);
        let total = pb::Total {
            kind: kind.into(),
            id: row.owner_id,
            scope: row.scope,
            spent_nano_usd: row.cost_nano_usd,
            version: u64::try_from(row.version).unwrap_or(0),
            window_ends_at_ms: i64::try_from(ends_at_ms).unwrap_or(i64::MAX),
            of_batch_nano_usd: 0,
        };
        Self { total, model: row.model }
    }
}

/// Whether an account belongs to an owner of this kind, as `spend_totals` names it.
pub(crate) fn is_kind(total: &pb::Total, kind: &str) -> bool {
    KINDS.iter().any(|(name, known)| *name == kind && *known == total.kind())
}

/// The accounts of these owners, named by kind and id in turn.
pub(crate) async fn of_owners(db: &mut PgConnection, kinds: &[&str], ids: &[&str]) -> sqlx::Result<Vec<Told>> {
    let rows = sqlx::query_as!(
        Row,
        "select t.kind, t.owner_id, t.scope, t.model, t.cost_nano_usd, t.version, t.window_ends_at
         from unnest($1::text[], $2::text[]) as owner (kind, owner_id)
             join spend_totals t on t.kind = owner.kind and t.owner_id = owner.owner_id
         where t.budgeted",
        kinds as &[&str],
        ids as &[&str],
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(Told::from).collect())
}

/// All accounts of which there is something to tell: without them, nothing was ever spent and no window ends. One that was set
/// back to nothing is told, since a data plane may know it otherwise.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<pb::Total>> {
    let rows = sqlx::query_as!(
        Row,
        "select kind, owner_id, scope, model, cost_nano_usd, version, window_ends_at from spend_totals
         where budgeted and (cost_nano_usd <> 0 or total_nano_usd <> 0 or window_ends_at is not null)",
    );
    rows.fetch(db).map_ok(|row| Told::from(row).total)
}

/// Where a look at what changed begins: every transaction that may still commit is at or after it.
#[derive(Debug, Clone)]
pub(crate) struct Cursor(String);

/// The cursor of this moment.
pub(crate) async fn cursor(db: &mut PgConnection) -> sqlx::Result<Cursor> {
    let xmin = sqlx::query_scalar!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text as "xmin!""#);
    Ok(Cursor(xmin.fetch_one(db).await?))
}

/// Accounts that changed since, some perhaps for the second time.
pub(crate) async fn since(db: &mut PgConnection, cursor: &Cursor) -> sqlx::Result<Vec<pb::Total>> {
    let rows = sqlx::query_as!(
        Row,
        "select kind, owner_id, scope, model, cost_nano_usd, version, window_ends_at from spend_totals
         where budgeted and told_in >= $1::text::xid8",
        cursor.0,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| Told::from(row).total).collect())
}
