//! Whatever a file holds, reading it ends, without a panic, with findings that are single lines.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use litellm_config::{Severity, Sources, read};
use proptest::prelude::*;

static FIXTURES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let paths = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("an entry").path());
    let texts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let sorted: BTreeSet<PathBuf> = texts.collect();
    sorted.iter().map(|path| std::fs::read_to_string(path).expect("a fixture")).collect()
});

const SNIPPETS: [&str; 24] = [
    "\t",
    "- ",
    "? ",
    ": ",
    "[",
    "{",
    "]",
    "}",
    "&a ",
    "*a",
    "<<: *a\n",
    "!x ",
    "\"",
    "'",
    "|\n",
    ">\n",
    "#",
    "---\n",
    "\0",
    "\u{2028}",
    "os.environ/",
    ".inf",
    "-1e999",
    "99999999999999999999999",
];

fn read_it(text: &str) {
    let environment = |name: &str| name.len().is_multiple_of(2).then(|| "value".to_owned());
    let include =
        |name: &str| if name.len().is_multiple_of(3) { Ok(text.to_owned()) } else { Err("gone\naway".to_owned()) };
    let reading = read(text, &Sources { environment: &environment, include: &include });
    for finding in &reading.findings {
        let line = finding.to_string();
        assert!(!line.contains('\n') && line.len() < 4_000, "{line}");
    }
    assert_eq!(reading.has_errors(), reading.findings.iter().any(|finding| finding.severity == Severity::Error));
    assert!(!format!("{:?}", reading.config).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_configs_are_read_without_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, any::<prop::sample::Index>()), 1..6),
    ) {
        let mut letters: Vec<char> = which.get(&FIXTURES).chars().collect();
        for (place, kind, what) in edits {
            if letters.is_empty() {
                break;
            }
            let place = place.index(letters.len());
            let snippet = what.get(&SNIPPETS).chars();
            match kind {
                0 => { letters.splice(place..place, snippet); }
                1 => { letters.remove(place); }
                2 => letters.truncate(place),
                _ => {
                    let tail: Vec<char> = letters[place..].to_vec();
                    letters.extend(tail);
                }
            }
        }
        read_it(&letters.into_iter().collect::<String>());
    }

    #[test]
    fn any_text_is_read_without_panic(text in "(\\PC|[ \\n\\t:\\-{}\\[\\]&*!|>'\"#,?]){0,200}") {
        read_it(&text);
    }

    #[test]
    fn any_value_under_any_known_key_is_read_without_panic(
        which in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "1", "-1", "1.5", "text", "true", "~", "[]", "[1, a]", "{}", "{a: 1}", "[{a: {b: [c]}}]", "os.environ/X", "''", "1e400",
            "{model: [], hidden: {}}", "{~: ~}", "18446744073709551616",
        ]),
    ) {
        let keys: Vec<(&str, &str)> = litellm_config::support::tables()
            .flat_map(|table| table.keys.iter().map(|key| (table.section, key.name)))
            .collect();
        let (section, key) = *which.get(&keys);
        let mut text = String::new();
        let mut depth = 0;
        for step in section.split('.').filter(|step| !step.is_empty()) {
            let indent = "  ".repeat(depth);
            text += &format!("{indent}{}:\n", step.trim_end_matches("[]"));
            depth += 1;
            if step.ends_with("[]") {
                text += &format!("{}- model_name: m\n", "  ".repeat(depth));
                depth += 1;
            }
        }
        text += &format!("{}\"{key}\": {value}\n", "  ".repeat(depth));
        read_it(&text);
    }
}
