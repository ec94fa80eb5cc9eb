//! What changed after a revision.
//!
//! The change log gives ids; the rows give what they are now; an id without a row is a removal. A delta may
//! therefore carry newer content than its own last revision: what follows repeats it, so nothing is lost.

use std::collections::BTreeMap;

use prost::Message as _;
use proto::v1 as pb;
use sqlx::PgConnection;

use super::feed::Kind;
use super::resource::{Upsert, id_of};
use super::source::{ComposeError, Source};
use super::{feed, owners, sections};
use crate::{keys, models, teams, users};

/// Rows of the change log in one delta, where several revisions are merged.
const ROWS: i64 = 10_000;

/// Waiting changes past which a whole snapshot is cheaper.
const MOST_ROWS: i64 = 200_000;

/// A larger delta would not fit in one message (4 MiB at the receiver).
const MOST_BYTES: usize = 3_000_000;

const KINDS: [Kind; 6] = [Kind::Key, Kind::Team, Kind::User, Kind::Owner, Kind::Deployment, Kind::Settings];

/// How a data plane gets from what it holds to what is.
pub(crate) enum Step {
    /// It holds what is.
    Nothing,
    Delta(pb::Delta),
    /// The log does not reach back far enough, or there is too much in it.
    Whole,
}

/// The next step after revision `from` of the current epoch.
pub(crate) async fn after(source: &Source, from: u64) -> Result<Step, ComposeError> {
    let mut tx = source.one_moment().await?;
    let (epoch, current) = feed::current(&mut *tx).await?;
    if from == current {
        return Ok(Step::Nothing);
    }
    let Some(to) = next_stop(&mut tx, from).await? else { return Ok(Step::Whole) };
    let Some(changes) = changes(&mut tx, from, to).await? else { return Ok(Step::Whole) };
    let mut delta = read(&mut tx, source, changes).await?;
    delta.epoch = epoch.as_bytes().to_vec().into();
    (delta.from, delta.to) = (from, to);
    match delta.encoded_len() > MOST_BYTES {
        true => Ok(Step::Whole),
        false => Ok(Step::Delta(delta)),
    }
}

/// The revision up to which one delta goes. None where the log has a gap after `from` or holds too much.
async fn next_stop(tx: &mut PgConnection, from: u64) -> sqlx::Result<Option<u64>> {
    let Ok(from) = i64::try_from(from) else { return Ok(None) };
    let log = sqlx::query!(
        r#"select (select min(revision) from change_log) as oldest, count(*) as "waiting!",
                  bool_or(kind = 'full') as "full"
           from (select kind from change_log where revision > $1 limit $2) waiting"#,
        from,
        MOST_ROWS + 1,
    )
    .fetch_one(&mut *tx)
    .await?;
    let reaches_back = log.oldest.is_some_and(|oldest| oldest <= from + 1);
    if !reaches_back || log.waiting == 0 || log.waiting > MOST_ROWS || log.full.unwrap_or(false) {
        return Ok(None);
    }
    let stop = sqlx::query_scalar!(
        r#"select coalesce(max(revision) filter (where rows_so_far <= $2), min(revision)) as "stop!"
           from (select revision, (sum(count(*)) over (order by revision))::bigint as rows_so_far
                 from change_log where revision > $1 group by revision) revisions"#,
        from,
        ROWS,
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(u64::try_from(stop).ok())
}

/// Ids that changed, and how often, by kind.
type Changes = BTreeMap<Kind, BTreeMap<String, i64>>;

/// None where the log names a kind that this release does not know.
async fn changes(tx: &mut PgConnection, from: u64, to: u64) -> sqlx::Result<Option<Changes>> {
    let (Ok(from), Ok(to)) = (i64::try_from(from), i64::try_from(to)) else { return Ok(None) };
    let rows = sqlx::query!(
        r#"select kind, object_id, count(*) as "times!" from change_log
           where revision > $1 group by kind, object_id having min(revision) <= $2"#,
        from,
        to,
    )
    .fetch_all(tx)
    .await?;
    let mut changes = Changes::new();
    for row in rows {
        let Some(kind) = KINDS.into_iter().find(|kind| kind.as_str() == row.kind) else { return Ok(None) };
        changes.entry(kind).or_default().insert(row.object_id, row.times);
    }
    Ok(Some(changes))
}

/// What the changed objects are now.
async fn read(tx: &mut PgConnection, source: &Source, mut changes: Changes) -> Result<pb::Delta, ComposeError> {
    let mut delta = pb::Delta::default();
    let resettled = changes.contains_key(&Kind::Settings);
    if resettled || changes.contains_key(&Kind::Deployment) {
        let sections = sections::read(tx, &source.vault).await?;
        let resolver = models::publish::Resolver::new(source, &sections);
        let changed = changes.entry(Kind::Deployment).or_default();
        let rows = match resettled {
            // Settings hold what references resolve to, so that every deployment may read differently.
            true => models::all(tx).await?,
            false => models::among(tx, &ids(changed)).await?,
        };
        for row in &rows {
            changed.entry(row.id.clone()).or_insert(2);
        }
        add(&mut delta, Kind::Deployment, &mut changes, rows.iter().filter_map(|row| resolver.publish(row)));
        if resettled {
            let settings = Upsert::of(pb::resource::Body::Settings(sections.settings(source)), false);
            add(&mut delta, Kind::Settings, &mut changes, [settings]);
        }
    }
    if let Some(changed) = changes.get(&Kind::Owner) {
        let upserts = owners::among(tx, &ids(changed)).await?;
        add(&mut delta, Kind::Owner, &mut changes, upserts);
    }
    if let Some(changed) = changes.get(&Kind::User) {
        let upserts = users::publish::among(tx, &ids(changed)).await?;
        add(&mut delta, Kind::User, &mut changes, upserts);
    }
    if let Some(changed) = changes.get(&Kind::Team) {
        let upserts = teams::publish::among(tx, &ids(changed)).await?;
        add(&mut delta, Kind::Team, &mut changes, upserts);
    }
    if let Some(changed) = changes.get(&Kind::Key) {
        let upserts = keys::publish::among(tx, &ids(changed)).await?;
        add(&mut delta, Kind::Key, &mut changes, upserts);
    }
    Ok(delta)
}

fn ids(changed: &BTreeMap<String, i64>) -> Vec<String> {
    changed.keys().cloned().collect()
}

/// Puts one kind into the delta: what has a resource is an upsert, what changed and has none is a removal.
fn add(delta: &mut pb::Delta, kind: Kind, changes: &mut Changes, upserts: impl IntoIterator<Item = Upsert>) {
    let mut gone = changes.remove(&kind).unwrap_or_default();
    for Upsert { resource, untouched } in upserts {
        let Some(body) = &resource.body else { continue };
        // Twice in the log: it may have been made, removed and made again, and the data plane holds the first one.
        let once = gone.remove(&id_of(body).1).is_none_or(|times| times < 2);
        delta.narrowing |= !(untouched && once);
        delta.upserts.push(resource);
    }
    delta.narrowing |= !gone.is_empty();
    let kind = match kind {
        Kind::Key => pb::Kind::Key,
        Kind::Team => pb::Kind::Team,
        Kind::User => pb::Kind::User,
        Kind::Deployment => pb::Kind::Deployment,
        Kind::Owner => pb::Kind::Owner,
        Kind::Settings => {
            gone.clear(); // whatever id the log gave it, there is one, and it was put
            pb::Kind::Settings
        }
    };
    delta.removals.extend(gone.into_keys().map(|id| pb::ResourceId { kind: kind.into(), id }));
}
