//! What an import did: how much of each kind was taken, what was altered on the way, what was left and why.
//!
//! It names rows and columns, never what opens something.

use std::fmt;

use serde::Serialize;

/// Most rows that are named; the rest is counted.
const NAMED: usize = 10_000;

/// What was done.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Which database was read.
    pub(super) from: String,
    /// Whether it was only tried.
    pub(super) dry_run: bool,
    pub(super) kinds: Vec<Tally>,
    /// Rows that were taken, but not quite as they were.
    pub(super) altered: Vec<Remark>,
    /// Rows that were not taken.
    pub(super) left: Vec<Remark>,
    /// How many more were altered or left than are named.
    pub(super) unnamed: u64,
    /// What is in the database and was not looked at.
    pub(super) not_imported: Vec<NotImported>,
}

/// How many rows of a kind.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) kind: &'static str,
    /// New here.
    pub(super) taken: u64,
    /// Changed there since they were taken, and taken again.
    pub(super) renewed: u64,
    pub(super) unchanged: u64,
    pub(super) left: u64,
    /// Had more spend than when they were last read.
    pub(super) spend_brought: u64,
}

/// A row, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Remark {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) why: String,
}

/// Rows of a table that this import does not know.
#[derive(Debug, Serialize)]
pub(super) struct NotImported {
    pub(super) table: &'static str,
    pub(super) rows: i64,
    pub(super) why: &'static str,
}

impl Report {
    pub(super) fn of(from: String, dry_run: bool) -> Self {
        let (kinds, altered, left, not_imported) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { from, dry_run, kinds, altered, left, unnamed: 0, not_imported }
    }

    /// Notes what was altered of a row that was taken.
    pub(super) fn alter(&mut self, kind: &'static str, id: &str, why: String) {
        self.name(Remark { kind, id: id.to_owned(), why }, |report| &mut report.altered);
    }

    /// Notes a row that was left.
    pub(super) fn leave(&mut self, kind: &'static str, id: String, why: String) {
        self.name(Remark { kind, id, why }, |report| &mut report.left);
    }

    fn name(&mut self, remark: Remark, list: fn(&mut Self) -> &mut Vec<Remark>) {
        match list(self).len() < NAMED {
            true => list(self).push(remark),
            false => self.unnamed += 1,
        }
    }

    /// The report as JSON.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried = if self.dry_run { " (dry run: nothing was written)" } else { "" };
        writeln!(f, "import from {}{tried}\n", self.from)?;
        writeln!(f, "{:<12}{:>9}{:>9}{:>11}{:>9}{:>15}", "", "taken", "renewed", "unchanged", "left", "spend brought")?;
        for Tally { kind, taken, renewed, unchanged, left, spend_brought } in &self.kinds {
            writeln!(f, "{:<12}{taken:>9}{renewed:>9}{unchanged:>11}{left:>9}{spend_brought:>15}", format!("{kind}s"))?;
        }
        for (title, remarks) in [("taken, but altered:", &self.altered), ("left:", &self.left)] {
            if !remarks.is_empty() {
                writeln!(f, "\n{title}")?;
            }
            for Remark { kind, id, why } in remarks {
                writeln!(f, "  {kind} {id}: {why}")?;
            }
        }
        if self.unnamed > 0 {
            writeln!(f, "  and {} more", self.unnamed)?;
        }
        if !self.not_imported.is_empty() {
            writeln!(f, "\nnot imported:")?;
        }
        for NotImported { table, rows, why } in &self.not_imported {
            writeln!(f, "  {table}, {rows} rows: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_so_many_rows_and_counts_the_rest() {
        let mut report = Report::of("db on host".to_owned(), true);
        for number in 0..NAMED + 3 {
            report.leave("key", number.to_string(), "why".to_owned());
        }
        report.kinds.push(Tally { kind: "key", left: 10_003, ..Tally::default() });
        assert_eq!((report.left.len(), report.unnamed), (NAMED, 3));
        let text = report.to_string();
        assert!(text.contains("dry run") && text.contains("and 3 more") && text.contains("  key 0: why"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&read["kinds"][0]["left"], &read["dry_run"]), (&10_003.into(), &true.into()));
    }
}
