//! `turnpike import`: into the private Postgres, of a `turnpike` that runs or of one that does not, or into another.

use std::path::Path;

use anyhow::Context as _;
use control_plane::secret::Secret;
use control_plane::settings;
use control_plane::takeover::flags::Import;
use private_postgres::{Options, StopMode};

use crate::data_dir::DataDir;

/// Imports, and prints the report.
pub(crate) fn run(import: &Import, data_dir: &Path, database_url: Option<String>) -> anyhow::Result<()> {
    if database_url.is_some() || std::env::var_os("DATABASE_HOST").is_some() {
        // Another Postgres may have been used with a vault key from the environment, or with that of the directory.
        let key = DataDir::known_vault_key(data_dir)?;
        return into(import, database_url, key);
    }
    match DataDir::open(data_dir) {
        Ok(open) => {
            let key = open.vault_key()?;
            let server = private_postgres::start(&Options::new(open.postgres())).context("the private Postgres")?;
            let imported = into(import, Some(server.url().to_owned()), Some(key));
            server.stop(StopMode::Fast).context("stopping the private Postgres")?;
            imported
        }
        Err(in_use) => match private_postgres::url_of_running(&DataDir::postgres_in(data_dir)) {
            Some(url) => into(import, Some(url), DataDir::known_vault_key(data_dir)?),
            None => Err(in_use),
        },
    }
}

#[allow(clippy::print_stdout, reason = "the report is what `import` is asked for")]
fn into(import: &Import, url: Option<String>, vault_key: Option<String>) -> anyhow::Result<()> {
    let database = settings::database_at(url)?;
    let vault_secret = settings::vault_secret(vault_key.map(Secret::new))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(import.run(&database, &vault_secret))?;
    println!("{}", report.trim_end());
    Ok(())
}
