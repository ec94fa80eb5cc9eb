//! Migrations are named `YYYYMMDDHHMM_verb_noun.sql`, each at its own minute, and destroy nothing.

use crate::tracked::{files, none, text};

/// Verbs that a migration's name starts with.
const VERBS: &[&str] =
    &["add", "alter", "backfill", "change", "create", "drop", "fix", "index", "move", "rename", "widen"];

#[test]
fn migrations_are_named_by_time_verb_and_noun() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    let mut minutes = Vec::new();
    for file in files()?.iter().filter(|file| file.starts_with("migrations")) {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name == "README.md" {
            continue;
        }
        match parts(&name) {
            Some(minute) => minutes.push((minute, name)),
            None => faults.push(format!("{name}: not YYYYMMDDHHMM_verb_noun.sql, with a verb of {VERBS:?}")),
        }
    }
    anyhow::ensure!(!minutes.is_empty(), "no migrations found");
    minutes.sort();
    for pair in minutes.windows(2) {
        if let [(one, name), (other, twin)] = pair
            && one == other
        {
            faults.push(format!("{name} and {twin} have the same minute: their order is a matter of chance"));
        }
    }
    none("names of migrations:", &faults)
}

#[test]
fn migrations_do_not_move_data_or_drop_tables_in_passing() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in
        files()?.iter().filter(|file| file.starts_with("migrations") && file.extension().is_some_and(|e| e == "sql"))
    {
        let contracts = file.to_string_lossy().contains("_drop_");
        let sql = text(file)?.unwrap_or_default().to_lowercase();
        for word in ["drop table", "drop column", "truncate "] {
            if sql.contains(word) && !contracts {
                faults.push(format!("{}: `{word}` belongs in a migration named `…_drop_…`", file.display()));
            }
        }
    }
    none("forward only:", &faults)
}

/// The minute of a well-formed name.
fn parts(name: &str) -> Option<String> {
    let (minute, rest) = name.strip_suffix(".sql")?.split_once('_')?;
    let (verb, noun) = rest.split_once('_')?;
    let number = |range: std::ops::Range<usize>| minute.get(range)?.parse::<u32>().ok();
    let well_formed = minute.len() == 12
        && minute.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=12).contains(&number(4..6)?)
        && (1..=31).contains(&number(6..8)?)
        && VERBS.contains(&verb)
        && !noun.is_empty()
        && noun.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    well_formed.then(|| minute.to_owned())
}

#[test]
fn a_name_out_of_order_is_seen() {
    assert_eq!(parts("202611200001_create_owners.sql"), Some("202611200001".to_owned()));
    for wrong in [
        "20261120_create_owners.sql",
        "202613200001_create_owners.sql",
        "202611200001_owners.sql",
        "202611200001_Create_x.sql",
    ] {
        assert_eq!(parts(wrong), None, "{wrong}");
    }
}
