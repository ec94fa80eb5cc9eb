//! One word per thing, and no word for nothing.

use crate::tracked::{files, none, sources, text};

/// Files and folders that are named after nothing in particular.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "shared", "core", "stuff"];

/// Endings of types that say nothing. Alone they may be the right word: a provider's `Base`, a compose file's `Service`.
const EMPTY_ENDINGS: &[&str] =
    &["Manager", "Service", "Helper", "Handler", "Processor", "Base", "Impl", "Data", "Info"];

#[test]
fn no_file_or_folder_is_named_after_nothing() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in files()? {
        let named = file.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        for name in named {
            let stem = name.split('.').next().unwrap_or_default();
            if EMPTY_NAMES.contains(&stem) {
                faults.push(file.display().to_string());
            }
        }
    }
    none("a noun, please:", &faults)
}

#[test]
fn no_type_has_a_name_that_says_nothing() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in sources()? {
        for line in text(&file)?.unwrap_or_default().lines() {
            if let Some(name) = type_named(line)
                && EMPTY_ENDINGS.iter().any(|ending| name != *ending && name.ends_with(ending))
            {
                faults.push(format!("{}: {name}", file.display()));
            }
        }
    }
    none("names that say nothing:", &faults)
}

/// The type that a line declares.
fn type_named(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub")).peekable();
    while words.peek().is_some_and(|word| word.starts_with("in") || word.ends_with(')')) {
        words.next();
    }
    let kind = words.next()?;
    let named = ["struct", "enum", "trait"].contains(&kind).then(|| words.next()).flatten()?;
    named.split(|c: char| !c.is_alphanumeric()).next()
}

#[test]
fn declared_types_are_found_whoever_may_see_them() {
    assert_eq!(type_named("pub(crate) struct KeyWarden<T> {"), Some("KeyWarden"));
    assert_eq!(type_named("    enum Body{"), Some("Body"));
    assert_eq!(type_named("pub trait Provider: Sync {"), Some("Provider"));
    assert_eq!(type_named("let manager = 1;"), None);
}
