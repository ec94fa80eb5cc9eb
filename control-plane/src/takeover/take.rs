//! Taking the rows of one kind, page by page: what is new, what changed there, what changed here. Each page is one change of
//! ours, with its audit rows, its revision and the memory of what was taken; so whoever is interrupted goes on where they were.

use std::collections::{HashMap, HashSet};

use proto::NanoUsd;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::memory::{self, Memory};
use super::record::Record;
use super::report::Tally;
use super::seals::OldKeys;
use super::source::{Source, SourceError};
use super::{Mode, Run, TakeoverError};
use crate::app::App;
use crate::budgets::{self, Brought, BudgetError};
use crate::change::Change;
use crate::credentials::CredentialError;
use crate::customers::CustomerError;
use crate::keys::KeyError;
use crate::models::ModelError;
use crate::spend::Owner;
use crate::tags::TagError;
use crate::teams::TeamError;
use crate::users::UserError;

/// Rows of a page.
const PAGE: i64 = 1_000;

/// A kind of row: where it is there, and how it is put here. Slices implement it.
pub(crate) trait Kind {
    const NAME: &'static str;
    /// LiteLLM's table, and its unique column.
    const TABLE: &'static str;
    const ID: &'static str;
    /// Whose spend the row counts.
    const OWNER: Option<Owner>;
    /// A row of ours.
    type Ours;
    /// What has to be known of a whole page.
    type Around;

    /// The row with what is sealed in it opened, and what it has from other rows filled in. The reason why that cannot be
    /// says no value.
    fn open(record: Record, _old: &OldKeys, _around: &Self::Around) -> Result<Record, String> {
        Ok(record)
    }

    /// How the report names a row.
    fn shown(record: &Record) -> String {
        record.text(Self::ID).unwrap_or_default().to_owned()
    }

    /// The rows of ours among these ids, locked, with their ids and when they were last changed.
    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, Self::Ours)>>;

    /// Looks up what a page needs.
    async fn around(hands: &mut Hands<'_>, page: &[Record]) -> Result<Self::Around, TakeoverError>;

    /// Stores a row as the admin API would; over `before`, which was taken earlier and not changed since.
    async fn put(
        hands: &mut Hands<'_>,
        around: &mut Self::Around,
        record: Record,
        before: Option<Self::Ours>,
    ) -> Result<Vec<String>, Unfit>;
}

/// What is at hand when a row is put.
pub(crate) struct Hands<'a> {
    pub(crate) app: &'a App,
    pub(crate) change: &'a mut Change,
    pub(crate) source: &'a mut Source,
    pub(crate) old: &'a OldKeys,
    /// The moment that rows of this page are written.
    pub(crate) now: OffsetDateTime,
}

/// Why a row is not put.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It breaks a rule of ours, and is named with this reason.
    Left(String),
    /// Nothing more can be done.
    Failed(TakeoverError),
}

impl From<sqlx::Error> for Unfit {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SourceError> for Unfit {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.into())
    }
}

/// What one slice refuses is left; that the database is away ends the import.
macro_rules! unfit {
    ($($error:ident),* $(,)?) => {$(
        impl From<$error> for Unfit {
            fn from(error: $error) -> Self {
                match error {
                    $error::Database(error) => error.into(),
                    refused => Self::Left(refused.to_string()),
                }
            }
        }
    )*};
}

unfit!(BudgetError, CredentialError, CustomerError, KeyError, ModelError, TagError, TeamError, UserError);

/// What is to be done with a row.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Take,
    Renew,
    Keep,
    Leave(&'static str),
}

/// Pure: what there was, what there is, and what there is now.
fn step(memory: Option<&Memory>, ours: Option<OffsetDateTime>, digest: &[u8]) -> Step {
    match (memory, ours) {
        (None, None) => Step::Take,
        (None, Some(_)) => Step::Leave("is here already, and not from an import"),
        (Some(_), None) => Step::Leave("was imported before, and deleted or regenerated here since"),
        (Some(memory), Some(_)) if memory.source_digest == digest => Step::Keep,
        (Some(memory), Some(at)) if memory.written_at == at => Step::Renew,
        (Some(_), Some(_)) => Step::Leave("changed there, and was changed here since it was imported"),
    }
}

/// Takes all rows of a kind.
pub(super) async fn take<K: Kind>(run: &mut Run) -> Result<(), TakeoverError> {
    let mut tally = Tally { kind: K::NAME, ..Tally::default() };
    let mut after: Option<String> = None;
    while run.source.has(K::TABLE) {
        let page = run.source.page(K::TABLE, K::ID, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.text(K::ID).map(str::to_owned);
        take_page::<K>(run, page, &mut tally).await?;
        if after.is_none() {
            break;
        }
    }
    run.report.kinds.push(tally);
    name_the_gone::<K>(run).await
}

/// Names what was imported, is here, and is there no more: it may have been taken from somebody on purpose.
async fn name_the_gone<K: Kind>(run: &mut Run) -> Result<(), TakeoverError> {
    let mut change = run.begin().await?;
    let mut after = String::new();
    loop {
        let ids = memory::page(change.db(), K::NAME, &after, PAGE).await?;
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        let there = run.source.among(K::TABLE, K::ID, &ids).await?;
        let there: HashSet<&str> = there.iter().filter_map(|row| row.text(K::ID)).collect();
        let gone: Vec<String> = ids.iter().filter(|id| !there.contains(id.as_str())).cloned().collect();
        for (id, _, _) in K::ours(change.db(), &gone).await? {
            run.report.leave(K::NAME, id, "was deleted there since it was imported, and is still here".to_owned());
        }
    }
    run.end(change).await
}

async fn take_page<K: Kind>(run: &mut Run, page: Vec<Record>, tally: &mut Tally) -> Result<(), TakeoverError> {
    let mut change = run.begin().await?;
    let now = crate::http::moment::now();
    let ids: Vec<String> = page.iter().filter_map(|row| row.text(K::ID)).map(str::to_owned).collect();
    let mut memories = memory::of(change.db(), K::NAME, &ids).await?;
    let rows = K::ours(change.db(), &ids).await?.into_iter().map(|(id, at, row)| (id, (at, row)));
    let mut ours: HashMap<String, (OffsetDateTime, K::Ours)> = rows.collect();
    // A try would keep intake waiting for as long as it takes.
    let owner = K::OWNER.filter(|_| run.mode == Mode::Write);
    if let Some(owner) = owner {
        budgets::lock_all(change.db(), owner, &ids).await?;
    }
    let mut hands = Hands { app: &run.app, change: &mut change, source: &mut run.source, old: &run.old, now };
    let mut around = K::around(&mut hands, &page).await?;
    let (mut kept, mut spent) = (Vec::new(), Vec::new());
    for record in page {
        let Some(id) = record.text(K::ID).map(str::to_owned) else { continue };
        let shown = K::shown(&record);
        let record = match K::open(record, hands.old, &around) {
            Ok(record) => record,
            Err(why) => {
                tally.left += 1;
                run.report.leave(K::NAME, shown, why);
                continue;
            }
        };
        let used = record.clone();
        let digest = hands.app.publisher.vault().fingerprint(record.state().as_bytes()).to_vec();
        let (memory, here) = (memories.remove(&id), ours.remove(&id));
        let is_here = here.is_some();
        let step = step(memory.as_ref(), here.as_ref().map(|(at, _)| *at), &digest);
        let put = match step {
            Step::Take | Step::Renew => {
                let before = here.map(|(_, row)| row);
                match K::put(&mut hands, &mut around, record, before).await {
                    Ok(notes) => {
                        notes.into_iter().for_each(|note| run.report.alter(K::NAME, &shown, note));
                        Ok(Some(Memory::written(id.clone(), digest, now, memory.as_ref())))
                    }
                    Err(Unfit::Left(why)) => Err(why),
                    Err(Unfit::Failed(error)) => return Err(error),
                }
            }
            Step::Keep => Ok(None),
            Step::Leave(why) => Err(why.to_owned()),
        };
        match (&put, step) {
            (Err(why), _) => {
                tally.left += 1;
                run.report.leave(K::NAME, shown, why.clone());
            }
            (Ok(_), Step::Take) => tally.taken += 1,
            (Ok(_), Step::Renew) => tally.renewed += 1,
            (Ok(_), Step::Keep | Step::Leave(_)) => tally.unchanged += 1,
        }
        // What was spent there since counts here too, whoever changed the row: it is the same owner's.
        let is_new = memory.is_none();
        let written = put.ok().flatten();
        let changed = written.is_some();
        let Some(mut latest) = written.or(memory.filter(|_| is_here)) else { continue };
        let brought = K::OWNER.and_then(|_owner| latest.bring(&used, is_new));
        if brought.is_some() || changed {
            kept.push(latest);
        }
        spent.extend(brought);
    }
    tally.spend_brought += u64::try_from(spent.len()).unwrap_or(u64::MAX);
    if let Some(owner) = owner {
        budgets::bring(change.db(), owner, &spent).await?;
    }
    memory::keep(change.db(), K::NAME, &kept, now).await?;
    run.end(change).await
}

impl Memory {
    fn written(id: String, source_digest: Vec<u8>, written_at: OffsetDateTime, before: Option<&Self>) -> Self {
        let (spent, total) = before.map_or((0, 0), |before| (before.spent_nano_usd, before.total_nano_usd));
        Self { id, source_digest, written_at, spent_nano_usd: spent, total_nano_usd: total }
    }

    /// What was spent there since it was last read. A window that has less in it than then is another one.
    pub(super) fn bring(&mut self, record: &Record, is_new: bool) -> Option<Brought> {
        let spent = record.usd("spend")?.nanos();
        let total = record.usd("total_spend").map_or(0, NanoUsd::nanos);
        let window = match spent < self.spent_nano_usd {
            true => spent,
            false => spent - self.spent_nano_usd,
        };
        // Older versions have no total: then it is the sum of what was read.
        let ever = (total - self.total_nano_usd).max(window);
        let ends_at = record.moment("budget_reset_at").ok().flatten().filter(|_| is_new);
        (self.spent_nano_usd, self.total_nano_usd) = (spent, total.max(self.total_nano_usd + ever));
        (window > 0 || ever > 0).then(|| Brought { id: self.id.clone(), window, ever, ends_at })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn memory(spent: i64, total: i64) -> Memory {
        let written_at = datetime!(2025-01-01 00:00 UTC);
        Memory { id: "a".to_owned(), source_digest: vec![1], written_at, spent_nano_usd: spent, total_nano_usd: total }
    }

    #[test]
    fn a_row_is_taken_once_renewed_when_it_changed_there_and_left_when_it_changed_here() {
        let known = memory(0, 0);
        let later = known.written_at + time::Duration::SECOND;
        assert_eq!(step(None, None, &[1]), Step::Take);
        assert_eq!(step(Some(&known), Some(known.written_at), &[1]), Step::Keep);
        assert_eq!(step(Some(&known), Some(later), &[1]), Step::Keep);
        assert_eq!(step(Some(&known), Some(known.written_at), &[2]), Step::Renew);
        assert!(matches!(step(Some(&known), Some(later), &[2]), Step::Leave(_)));
        assert!(matches!(step(Some(&known), None, &[1]), Step::Leave(_)));
        assert!(matches!(step(None, Some(later), &[1]), Step::Leave(_)));
    }

    #[test]
    fn spend_is_brought_once_and_later_only_what_is_new() {
        let record = |spent: f64, total: Option<f64>| {
            let row = json!({"spend": spent, "total_spend": total, "budget_reset_at": "2030-01-01T00:00:00"});
            Record::of(row.as_object().cloned().unwrap())
        };
        let mut known = memory(0, 0);
        let brought = known.bring(&record(1.5, Some(9.0)), true).unwrap();
        assert_eq!((brought.window, brought.ever), (1_500_000_000, 9_000_000_000));
        assert!(brought.ends_at.is_some());
        assert!(known.bring(&record(1.5, Some(9.0)), false).is_none());
        let brought = known.bring(&record(2.0, Some(9.5)), false).unwrap();
        assert_eq!((brought.window, brought.ever, brought.ends_at), (500_000_000, 500_000_000, None));
        // The window ended there: all that is in the new one is new.
        let brought = known.bring(&record(0.25, Some(10.0)), false).unwrap();
        assert_eq!((brought.window, brought.ever), (250_000_000, 500_000_000));

        // A version without totals.
        let mut known = memory(0, 0);
        assert_eq!(known.bring(&record(1.0, None), true).unwrap().ever, 1_000_000_000);
        assert!(known.bring(&record(1.0, None), false).is_none());
        let brought = known.bring(&record(1.5, None), false).unwrap();
        assert_eq!((brought.window, brought.ever), (500_000_000, 500_000_000));
        assert!(known.bring(&record(-3.0, None), false).is_none(), "nobody spends less than nothing");
    }
}
