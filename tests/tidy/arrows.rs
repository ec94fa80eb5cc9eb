//! Who may use whom: the arrows of the design, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use crate::tracked::{none, top};

/// Our crates and what of ours each may name in `[dependencies]`.
const ARROWS: &[(&str, &[&str])] = &[
    // The herd of light data planes speaks their protocol (`tests/src/light.rs`): a hundred real ones do not fit.
    ("acceptance", &["private-postgres", "proto"]),
    ("control-plane", &["litellm-config", "private-postgres", "proto", "providers"]),
    ("data-plane", &["dialects", "proto", "providers", "wire"]),
    ("dialects", &["wire"]),
    ("litellm-config", &["providers"]),
    ("private-postgres", &[]),
    ("proto", &[]),
    ("providers", &["dialects", "wire"]),
    ("standalone", &["control-plane", "data-plane", "private-postgres"]),
    ("wire", &[]),
];

/// Crates that neither wait nor talk to anybody, and what must not come in, however deep.
const PURE: &[&str] = &["dialects", "litellm-config", "providers", "wire"];
const IMPURE: &[&str] =
    &["async-std", "axum", "hyper", "mio", "redis", "reqwest", "smol", "socket2", "sqlx", "tokio", "tonic", "ureq"];

/// Crates from outside that only some of ours may name, and who.
const RESERVED: &[(&str, &[&str])] = &[
    ("redis", &["data-plane"]),
    ("sqlx", &["acceptance", "control-plane"]),
    ("sqlx-core", &[]),
    ("sqlx-postgres", &[]),
    ("openssl", &[]),
    ("native-tls", &[]),
];

/// What must not come into a crate, however deep.
const KEPT_OUT: &[(&str, &[&str])] = &[
    ("control-plane", &["data-plane", "redis"]),
    ("data-plane", &["control-plane", "litellm-config", "private-postgres", "sqlx", "sqlx-core"]),
    ("proto", &["sqlx", "redis"]),
];

#[test]
fn our_crates_use_each_other_only_along_the_arrows_of_the_design() -> anyhow::Result<()> {
    let tree = Tree::read()?;
    let mut faults = Vec::new();
    for (crate_name, used) in tree.direct_uses()? {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == crate_name) else {
            faults.push(format!("{crate_name} is not in the table of arrows"));
            continue;
        };
        let ours = used.iter().filter(|used| ARROWS.iter().any(|(name, _)| name == *used));
        faults.extend(
            ours.filter(|used| !allowed.contains(&used.as_str())).map(|used| format!("{crate_name} uses {used}")),
        );
    }
    none("arrows that the design does not have:", &faults)
}

#[test]
fn pure_crates_stay_pure_down_to_their_last_dependency() -> anyhow::Result<()> {
    let tree = Tree::read()?;
    let mut faults = Vec::new();
    for pure in PURE {
        for (found, way) in tree.everything_below(pure)? {
            if IMPURE.contains(&found.as_str()) {
                faults.push(format!("{pure} gets {found} by {way}"));
            }
        }
    }
    none("no async, no sockets and no database in these crates:", &faults)
}

#[test]
fn only_the_control_plane_knows_sql_and_only_the_data_plane_knows_redis() -> anyhow::Result<()> {
    let tree = Tree::read()?;
    let mut faults = Vec::new();
    for (crate_name, used) in tree.direct_uses()? {
        for (reserved, owners) in RESERVED {
            if used.contains(*reserved) && !owners.contains(&crate_name.as_str()) {
                faults.push(format!("{crate_name} uses {reserved}; only {owners:?} may"));
            }
        }
    }
    for (crate_name, kept_out) in KEPT_OUT {
        for (found, way) in tree.everything_below(crate_name)? {
            if kept_out.contains(&found.as_str()) {
                faults.push(format!("{crate_name} gets {found} by {way}"));
            }
        }
    }
    none("what belongs to somebody else:", &faults)
}

/// What cargo resolved, without what only tests and build scripts need.
struct Tree {
    metadata: Metadata,
    names: BTreeMap<PackageId, String>,
    uses: BTreeMap<PackageId, Vec<PackageId>>,
}

impl Tree {
    fn read() -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(top().join("Cargo.toml"))
            // For this platform alone: the crates of others may not have been fetched.
            .other_options(["--offline", "--locked", "--filter-platform", &platform()?].map(str::to_owned))
            .exec()
            .context("cargo metadata")?;
        let names = metadata.packages.iter().map(|package| (package.id.clone(), package.name.to_string())).collect();
        let nodes = &metadata.resolve.as_ref().context("cargo metadata without a resolution")?.nodes;
        let uses = nodes.iter().map(|node| {
            let normal =
                node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
            (node.id.clone(), normal.map(|dep| dep.pkg.clone()).collect())
        });
        Ok(Self { uses: uses.collect(), names, metadata })
    }

    /// Each of our crates and the names of what it names itself.
    fn direct_uses(&self) -> anyhow::Result<Vec<(String, BTreeSet<String>)>> {
        let ours = self.metadata.workspace_members.iter().map(|id| {
            let used = self.uses.get(id).context("a member that was not resolved")?;
            Ok((self.name(id).to_owned(), used.iter().map(|id| self.name(id).to_owned()).collect()))
        });
        ours.collect()
    }

    /// Everything below one of our crates, each with the way that leads there.
    fn everything_below(&self, crate_name: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let start = self.metadata.workspace_members.iter().find(|id| self.name(id) == crate_name);
        let start = start.with_context(|| format!("no crate {crate_name}"))?;
        let mut found = BTreeMap::new();
        let mut waiting = vec![(start.clone(), crate_name.to_owned())];
        while let Some((id, way)) = waiting.pop() {
            for used in self.uses.get(&id).into_iter().flatten() {
                let name = self.name(used).to_owned();
                let way = format!("{way} > {name}");
                if found.insert(name, way.clone()).is_none() {
                    waiting.push((used.clone(), way));
                }
            }
        }
        Ok(found)
    }

    fn name(&self, id: &PackageId) -> &str {
        self.names.get(id).map_or("?", String::as_str)
    }
}

/// What the compiler builds for, as cargo names it.
fn platform() -> anyhow::Result<String> {
    let said = Command::new("rustc").arg("-vV").output().context("rustc -vV")?;
    let said = String::from_utf8(said.stdout)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}
