//! `COMPATIBILITY.md` says what the tables of `support` say: this test writes the page and compares it.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::path::PathBuf;

use litellm_config::support::behaviours::BEHAVIOURS;
use litellm_config::support::endpoints::{State, endpoints};
use litellm_config::support::{ENVIRONMENT, FLAGS, Key, Support, prices, provider_variables, tables};

#[test]
fn the_page_says_what_the_tables_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../COMPATIBILITY.md");
    let page = page().expect("text");
    if std::env::var_os("TURNPIKE_REGENERATE").is_some() {
        std::fs::write(&path, &page).expect("the page written");
    }
    let committed = std::fs::read_to_string(&path).expect("COMPATIBILITY.md");
    let differs = committed.lines().zip(page.lines()).position(|(theirs, ours)| theirs != ours);
    assert!(
        committed == page,
        "COMPATIBILITY.md is stale from line {:?} on; run `TURNPIKE_REGENERATE=1 cargo test -p litellm-config --test compatibility`",
        differs.map(|line| line + 1)
    );
}

fn page() -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    page.push_str(INTRODUCTION);
    behaviours(&mut page)?;
    endpoint_list(&mut page)?;
    page.push_str(
        "\n## Keys of config.yaml\n\nA key in no table here is reported at the start, with the nearest name.\n",
    );
    for table in tables() {
        if table.section.is_empty()
            || table.section.matches(['.', '[']).count() == 0
            || table.section.starts_with("model_list[]") && !table.section.contains("model_info.")
        {
            section(&mut page, table.section, table.keys)?;
        }
    }
    nested(&mut page)?;
    price_fields(&mut page)?;
    page.push_str("\n## Command-line flags\n");
    rows(&mut page, "flag", FLAGS.iter())?;
    environment(&mut page)?;
    Ok(page)
}

const INTRODUCTION: &str = "\
# Compatibility with LiteLLM

Turnpike is a drop-in for the LiteLLM Proxy. This page says where that holds, where it does not yet, and where it
differs on purpose. It is written by a test from the tables in `control-plane/litellm-config/src/support`; change those,
then run `TURNPIKE_REGENERATE=1 cargo test -p litellm-config --test compatibility`.

- **works**: as in LiteLLM; a remark says what is good to know.
- **differs**: there, and different, for the reason given.
- **no effect**: accepted; nothing is lost by leaving it out.
- **not yet**: accepted, without effect so far. What restricts something and is **not enforced** yet is named at the start
  as a warning, or stops it until `general_settings.allow_unenforced: true` is set.
";

fn behaviours(page: &mut String) -> std::fmt::Result {
    page.push_str("\n## Behaviour\n\n| topic | state | LiteLLM | Turnpike |\n|---|---|---|---|\n");
    for behaviour in BEHAVIOURS {
        let (state, ours) = state(behaviour.state);
        writeln!(page, "| {} | {state} | {} | {} |", cell(behaviour.topic), cell(behaviour.litellm), cell(ours))?;
    }
    Ok(())
}

fn endpoint_list(page: &mut String) -> std::fmt::Result {
    page.push_str("\n## Endpoints\n\nA path that is not there answers 404. `…` stands for every call below a path.\n\n| about | state | calls | remark |\n|---|---|---|---|\n");
    for group in endpoints() {
        let (state, how) = state(group.state);
        let calls: Vec<String> = group.calls.iter().map(|call| format!("`{call}`")).collect();
        writeln!(page, "| {} | {state} | {} | {} |", group.topic, calls.join(", "), cell(how))?;
    }
    Ok(())
}

fn state(state: State) -> (&'static str, &'static str) {
    match state {
        State::Works => ("works", ""),
        State::Differs(how) => ("differs", how),
        State::NotYet(how) => ("not yet", how),
    }
}

fn section(page: &mut String, name: &str, keys: &'static [Key]) -> std::fmt::Result {
    let title = if name.is_empty() { "Top level".to_owned() } else { format!("`{name}`") };
    writeln!(page, "\n### {title}")?;
    rows(page, "key", keys.iter())
}

fn rows(page: &mut String, what: &str, keys: impl Iterator<Item = &'static Key>) -> std::fmt::Result {
    writeln!(page, "\n| {what} | state | remark |\n|---|---|---|")?;
    for key in keys {
        let (state, remark) = support(key.support);
        let both =
            [remark.as_str(), key.note].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
        writeln!(page, "| `{}` | {state} | {} |", key.name, cell(&both))?;
    }
    Ok(())
}

fn support(support: Support) -> (&'static str, String) {
    match support {
        Support::Honoured => ("works", String::new()),
        Support::Ignored(why) => ("no effect", why.to_owned()),
        Support::NotYet(missing) => ("not yet", format!("missing: {missing}")),
        Support::NotEnforced(instead) => ("not yet", format!("**not enforced**: {instead}")),
        Support::OpenDoor(instead) => ("not yet", format!("**not enforced**, stops the start: {instead}")),
        Support::Refused(why) => ("refused", why.to_owned()),
    }
}

/// Sections below a key: their names only, since nothing reads them yet.
fn nested(page: &mut String) -> std::fmt::Result {
    page.push_str("\n### Members of nested sections\n\nKnown, so that typos are found. Their state is that of the key that they hang from.\n\n| section | members |\n|---|---|\n");
    for table in tables() {
        let own = table.section.starts_with("model_list[]") && !table.section.contains("model_info.");
        if own || table.section.matches(['.', '[']).count() == 0 {
            continue;
        }
        let names: Vec<String> = table.keys.iter().map(|key| format!("`{}`", key.name)).collect();
        writeln!(page, "| `{}` | {} |", table.section, names.join(", "))?;
    }
    Ok(())
}

fn price_fields(page: &mut String) -> std::fmt::Result {
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    page.push_str("\n### Custom prices\n\nIn `litellm_params` or `model_info`, in dollars, each perhaps followed by a tier (`_above_200k_tokens`) and a service\n(`_batches`, `_flex`, `_priority`).\n\n| state | fields |\n|---|---|\n");
    writeln!(page, "| works | {} |", list(prices::counted()))?;
    writeln!(page, "| not yet: kept, no call is priced with them | {} |", list(prices::not_counted()))
}

fn environment(page: &mut String) -> std::fmt::Result {
    page.push_str("\n## Environment variables\n\n| variables | state | remark |\n|---|---|---|\n");
    let list = |names: &mut dyn Iterator<Item = &'static str>| {
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    for group in ENVIRONMENT {
        let (state, remark) = support(group.support);
        writeln!(page, "| {} | {state} | {} |", list(&mut group.names.iter().copied()), cell(&remark))?;
    }
    writeln!(
        page,
        "| {} | works | keys, addresses and headers of providers, for deployments that name none |",
        list(&mut provider_variables().into_iter())
    )
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
