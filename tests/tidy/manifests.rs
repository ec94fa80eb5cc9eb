//! Every crate inherits from the workspace, and the top level holds what the design says.

use crate::tracked::{ending, files, none, text};

/// What every crate takes over from the workspace.
const INHERITED: &[&str] =
    &["version.workspace = true", "edition.workspace = true", "license.workspace = true", "publish.workspace = true"];

/// The six rooms and what tools or readers look for beside them. Folders with a dot are free.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "proto",
    "control-plane",
    "data-plane",
    "deploy",
    "migrations",
    "tests",
    "Cargo.lock",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "clippy.toml",
    "deny.toml",
    "Makefile",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "COMPATIBILITY.md",
    "CHANGELOG.md",
    "LICENSE",
];

#[test]
fn every_crate_inherits_lints_version_and_licence() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for manifest in ending("toml")?.iter().filter(|file| file.ends_with("Cargo.toml")) {
        let text = text(manifest)?.unwrap_or_default();
        if !text.contains("[package]") {
            continue;
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for wanted in INHERITED {
            if !lines.contains(wanted) {
                faults.push(format!("{}: no `{wanted}`", manifest.display()));
            }
        }
        if !lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]) {
            faults.push(format!("{}: no `[lints] workspace = true`", manifest.display()));
        }
    }
    none("inherit from the workspace:", &faults)
}

#[test]
fn unsafe_code_is_forbidden_for_the_whole_workspace() -> anyhow::Result<()> {
    let root = text("Cargo.toml".as_ref())?.unwrap_or_default();
    anyhow::ensure!(
        root.lines().any(|line| line.trim() == "unsafe_code = \"forbid\""),
        "Cargo.toml does not forbid it"
    );
    Ok(())
}

#[test]
fn the_top_level_holds_the_names_of_the_design_and_no_others() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in files()? {
        let name =
            file.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
        if !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()) {
            faults.push(file.display().to_string());
        }
    }
    none("no room for these at the top level:", &faults)
}
