//! `import`, as both programs that own a database offer it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use sqlx::postgres::PgConnectOptions;

use super::{Mode, Order, Part, from_the_command_line};
use crate::secret::Secret;
use crate::vault::Vault;

/// What to import, and how.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Import {
    /// The database of the LiteLLM proxy, its DATABASE_URL. It is only read.
    #[arg(long, env = "TURNPIKE_IMPORT_FROM", hide_env_values = true, value_name = "URL")]
    from: String,

    /// A file with the LITELLM_SALT_KEY of that proxy or, if it had none, its master key: models are sealed with it. Also in
    /// TURNPIKE_IMPORT_SALT_KEY; else LITELLM_SALT_KEY and LITELLM_MASTER_KEY are tried.
    #[arg(long, value_name = "FILE")]
    salt_key_file: Option<PathBuf>,

    /// Leaves models and credentials out.
    #[arg(long)]
    without_models: bool,

    /// Does everything and undoes it at the end: says what an import would do. Until it ends, what it would change is locked.
    #[arg(long)]
    dry_run: bool,

    /// Reports as JSON.
    #[arg(long)]
    json: bool,
}

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportForm {
    Text,
    Json,
}

impl Import {
    /// Imports into this database, and gives the report. `vault_secret` seals what was sealed there.
    ///
    /// # Errors
    /// Either database cannot be used, or what is sealed does not open: then nothing was written.
    pub async fn run(&self, database: &PgConnectOptions, vault_secret: &Secret) -> anyhow::Result<String> {
        let order = self.order(&|name| std::env::var(name).ok())?;
        let form = if self.json { ReportForm::Json } else { ReportForm::Text };
        let vault = Vault::from_secret(vault_secret.expose().as_bytes());
        from_the_command_line(database, vault, order, form).await
    }

    fn order(&self, process: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Order> {
        let set = |name: &str| process(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let given = match &self.salt_key_file {
            Some(path) => {
                let named = || format!("--salt-key-file {}", path.display());
                let text = std::fs::read_to_string(path).with_context(named)?;
                anyhow::ensure!(!text.trim().is_empty(), "{} is empty", named());
                Some(text.trim().to_owned())
            }
            None => set("TURNPIKE_IMPORT_SALT_KEY"),
        };
        let keys = match given {
            Some(key) => vec![key],
            None => [set("LITELLM_SALT_KEY"), set("LITELLM_MASTER_KEY")].into_iter().flatten().collect(),
        };
        Ok(Order {
            from: Secret::new(&self.from),
            keys: keys.into_iter().map(Secret::new).collect(),
            mode: if self.dry_run { Mode::Try } else { Mode::Write },
            models: if self.without_models { Part::Without } else { Part::With },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(salt_key_file: Option<PathBuf>) -> Import {
        let from = "postgresql://u:hunter2@h/d".to_owned();
        Import { from, salt_key_file, without_models: false, dry_run: true, json: false }
    }

    fn keys(import: &Import, environment: &[(&str, &str)]) -> Vec<String> {
        let find =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        import.order(&find).unwrap().keys.iter().map(|key| key.expose().to_owned()).collect()
    }

    #[test]
    fn the_salt_key_is_the_given_one_or_what_litellm_would_use() {
        let both = [("LITELLM_SALT_KEY", "salt"), ("LITELLM_MASTER_KEY", "sk-master")];
        assert_eq!(keys(&import(None), &both), ["salt", "sk-master"]);
        assert_eq!(keys(&import(None), &[("TURNPIKE_IMPORT_SALT_KEY", "old"), both[0], both[1]]), ["old"]);
        assert!(keys(&import(None), &[]).is_empty());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("salt");
        std::fs::write(&path, "in-a-file\n").unwrap();
        assert_eq!(keys(&import(Some(path.clone())), &both), ["in-a-file"]);
        std::fs::write(&path, "\n").unwrap();
        assert!(import(Some(path.clone())).order(&|_| None).unwrap_err().to_string().contains("is empty"));
        std::fs::remove_file(&path).unwrap();
        assert!(import(Some(path)).order(&|_| None).is_err());
    }
}
