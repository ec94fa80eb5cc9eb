//! What the pages name exists, and every invariant names its guard.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::tracked::{ending, files, none, text, top};

/// Pages that must be there, since readers look for them first.
const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "COMPATIBILITY.md"];

/// Folders of the top level: what starts with one of them, in backticks, is meant as a path.
const ROOMS: &[&str] = &["proto/", "control-plane/", "data-plane/", "deploy/", "migrations/", "tests/", ".ci/"];

#[test]
fn the_pages_that_readers_look_for_are_there() -> anyhow::Result<()> {
    let missing: Vec<String> =
        PAGES.iter().filter(|page| !top().join(page).is_file()).map(|page| (*page).to_owned()).collect();
    none("missing pages:", &missing)
}

#[test]
fn every_path_that_a_page_names_exists() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for page in ending("md")? {
        let text = text(&page)?.unwrap_or_default();
        let folder = page.parent().map(Path::to_path_buf).unwrap_or_default();
        for path in in_backticks(&text).into_iter().filter(|path| is_path(path)) {
            // From the top, from the page's own folder, or from its crate's.
            if !page.ancestors().any(|above| exists(above, path)) {
                faults.push(format!("{}: `{path}`", page.display()));
            }
        }
        for link in links(&text) {
            if !exists(&folder, link) {
                faults.push(format!("{}: ({link})", page.display()));
            }
        }
    }
    none("pages name what does not exist:", &faults)
}

#[test]
fn every_invariant_names_a_guard_that_exists() -> anyhow::Result<()> {
    let page = text("ARCHITECTURE.md".as_ref()).context("ARCHITECTURE.md")?.unwrap_or_default();
    let rows = invariants(&page);
    ensure!(rows.len() >= 12, "ARCHITECTURE.md lists {} invariants; the design has twelve promises", rows.len());
    let mut faults = Vec::new();
    for (invariant, guard) in rows {
        let named: Vec<&str> =
            in_backticks(guard).into_iter().filter(|path| is_path(path) || path.ends_with(".toml")).collect();
        if named.is_empty() {
            faults.push(format!("{invariant}: its guard names no file"));
        }
        faults.extend(
            named.iter().filter(|path| !exists(Path::new(""), path)).map(|path| format!("{invariant}: no `{path}`")),
        );
    }
    none("invariants without a guard:", &faults)
}

#[test]
fn examples_of_configuration_are_named_somewhere() -> anyhow::Result<()> {
    let mut pages = String::new();
    for file in files()?
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "md" || e == "rs" || e == "yaml" || e == "toml"))
    {
        pages.push_str(&text(file)?.unwrap_or_default());
    }
    let scripts = files()?.into_iter().filter(|file| file.starts_with("deploy/make") || file.ends_with("Makefile"));
    for script in scripts {
        pages.push_str(&text(&script)?.unwrap_or_default());
    }
    let mut faults = Vec::new();
    for example in files()?.iter().filter(|file| file.starts_with("deploy/examples")) {
        let name = example.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !pages.contains(&name) && !pages.contains("deploy/examples") {
            faults.push(example.display().to_string());
        }
    }
    none("examples that nobody points to:", &faults)
}

/// The rows of the table whose head is `| invariant | guard |`: both cells.
fn invariants(page: &str) -> Vec<(&str, &str)> {
    let is_head = |line: &&str| {
        let line = line.to_lowercase();
        line.starts_with('|') && line.contains("invariant") && line.contains("guard")
    };
    let table = page.lines().skip_while(|line| !is_head(line)).skip(2).take_while(|line| line.starts_with('|'));
    table
        .filter_map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            // A number may stand before the invariant; the guard comes last.
            let (guard, others) = cells.split_last()?;
            Some((*others.last()?, *guard))
        })
        .collect()
}

/// Everything in single backticks, outside code blocks.
fn in_backticks(text: &str) -> Vec<&str> {
    let mut found = BTreeSet::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found.into_iter().collect()
}

/// Targets of links that stay in the repository, without their anchors.
fn links(text: &str) -> Vec<&str> {
    let targets = text.match_indices("](").filter_map(|(at, _)| text.get(at + 2..)?.split(')').next());
    let inside = targets.map(|target| target.split('#').next().unwrap_or_default());
    inside.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// Paths start with a room and hold nothing that only a pattern has.
fn is_path(text: &str) -> bool {
    ROOMS.iter().any(|room| text.starts_with(room)) && !text.contains(|c: char| "*<>{}… $|".contains(c))
}

/// Whether `path`, seen from `folder`, lies in the repository. What stands behind `::` or `:` names something inside the file.
fn exists(folder: &Path, path: &str) -> bool {
    let file = path.split(':').next().unwrap_or_default();
    let place: PathBuf = top().join(folder).join(file);
    place.exists()
}

#[test]
fn the_guard_of_an_invariant_is_its_last_cell() {
    let page = "# x\n\n| # | Invariant | Guard |\n|---|---|---|\n| 1 | Money is whole | `proto/src/money.rs` |\n\nend";
    assert_eq!(invariants(page), [("Money is whole", "`proto/src/money.rs`")]);
}

#[test]
fn paths_are_told_from_commands_and_patterns() {
    let text = "See `tests/e2e/main.rs`, `cargo test`, `migrations/*.sql`.\n```\n`tests/none.rs`\n```\n";
    let paths: Vec<&str> = in_backticks(text).into_iter().filter(|path| is_path(path)).collect();
    assert_eq!(paths, ["tests/e2e/main.rs"]);
}
