//! House rules that no linter sees, as tests.
//!
//! They read the repository as it lies there: `cargo metadata`, the tracked files, the Markdown pages.

mod arrows;
mod documents;
mod manifests;
mod migrations;
mod names;
mod sources;
mod tracked;
