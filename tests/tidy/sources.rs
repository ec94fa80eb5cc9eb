//! Sources are short, say what they are for, and know nothing of the machine they were written on.

use crate::tracked::{files, none, sources, text};

/// Most files have some 120 lines; none that people write has more than this.
const LONGEST: usize = 600;

#[test]
fn no_source_is_longer_than_one_can_read() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in sources()? {
        let lines = text(&file)?.unwrap_or_default().lines().count();
        if lines > LONGEST {
            faults.push(format!("{}: {lines} lines", file.display()));
        }
    }
    none("too long:", &faults)
}

#[test]
fn every_source_opens_with_what_it_is_for() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in sources()? {
        let text = text(&file)?.unwrap_or_default();
        let opening = text.lines().next().and_then(|line| line.strip_prefix("//!")).map(str::trim).unwrap_or_default();
        if opening.len() < 10 || opening == "(skeleton)" {
            faults.push(file.display().to_string());
        }
    }
    none("no `//!` in the first line:", &faults)
}

#[test]
fn no_todo_is_left_behind() -> anyhow::Result<()> {
    let words = ["TO", "FIX", "X"].map(|half| {
        half.to_owned()
            + if half == "TO" {
                "DO"
            } else if half == "FIX" {
                "ME"
            } else {
                "XX"
            }
    });
    let mut faults = Vec::new();
    for file in sources()? {
        for (number, line) in text(&file)?.unwrap_or_default().lines().enumerate() {
            let mut said = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if said.any(|word| words.iter().any(|banned| word == banned)) {
                faults.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    none("do it, or open an issue:", &faults)
}

#[test]
fn no_tracked_file_names_a_place_of_one_machine() -> anyhow::Result<()> {
    // Put together here, or this file would be its own finding.
    let places =
        ["home", "Users", "root", "work", "tmp/wt", "tmp/targets", "tmp/brief"].map(|place| format!("/{place}/"));
    let mut faults = Vec::new();
    for file in files()? {
        let Some(text) = text(&file)? else { continue };
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| stands_alone(line, place)) {
                faults.push(format!(
                    "{}:{}: {}",
                    file.display(),
                    number + 1,
                    line.trim().chars().take(120).collect::<String>()
                ));
            }
        }
    }
    none("absolute paths of some machine:", &faults)
}

/// Whether `place` stands in `line` as the start of a path, rather than within one such as `https://host/home/`.
fn stands_alone(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| !before.is_alphanumeric() && !"._-*}/".contains(before))
    })
}

#[test]
fn a_path_inside_another_is_no_place() {
    let home = format!("/{}/", "home");
    assert!(stands_alone(&format!("see {home}me/x"), &home));
    assert!(stands_alone(&format!("\"{home}me\""), &home));
    assert!(!stands_alone(&format!("https://example.org{home}page"), &home));
}
