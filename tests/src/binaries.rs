//! Where the programs under test lie. Building them is cargo's business.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// A program of the workspace, such as `turnpike-data-plane`: beside the test executable (`target/<profile>/`), or in the
/// directory that `TURNPIKE_BIN_DIR` names.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let folder = match env::var_os("TURNPIKE_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => beside_this_test()?,
    };
    let path = folder.join(name);
    ensure!(
        path.is_file(),
        "`{name}` is not in {}: run `cargo build --workspace --bins` (as `make test` does), or set TURNPIKE_BIN_DIR",
        folder.display()
    );
    Ok(path)
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// `target/<profile>/deps/e2e-…` to `target/<profile>`.
fn beside_this_test() -> anyhow::Result<PathBuf> {
    let test = env::current_exe().context("where the test executable lies")?;
    let folder = test.parent().and_then(Path::parent).context("the test executable lies in no folder")?;
    Ok(folder.to_path_buf())
}
