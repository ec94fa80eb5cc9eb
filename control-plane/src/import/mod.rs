//! A checked `config.yaml` to rows, in one transaction.
//!
//! Only a file that changed is imported. What the file owned and no longer names goes; what the API owns stays. Reading
//! and checking the file is `litellm_config`'s work, and whether its findings allow a start is the caller's decision.

mod rows;
mod store;
#[cfg(test)]
mod tests;

use litellm_config::Config;
use serde_json::json;
use sqlx::PgPool;

use crate::audit::{self, Action, Author, Entry, Noun};
use crate::publish::feed::{self, Change, Kind};
use crate::vault::Vault;

/// One control plane imports at a time.
const LOCK: i64 = 0x7475_726e_696d_7001;

/// The file was not imported, and nothing changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// The database refused.
    #[error("importing the config file: {0}")]
    Database(#[from] sqlx::Error),
    /// Ids in the file are taken by deployments that were made through the API.
    #[error(
        "model_list: these ids belong to models that were added through the API: {}. Give the file's entries another \
         model_info.id, or delete the models with POST /model/delete",
        .0.join(", ")
    )]
    Taken(Vec<String>),
}

/// Makes the file-owned rows match `config`, whose text (with all that it includes) has the digest `sha256`. Gives the
/// revision, or `None` where the file was imported before or says nothing new.
pub(crate) async fn apply(
    db: &PgPool,
    vault: &Vault,
    config: &Config,
    sha256: [u8; 32],
) -> Result<Option<u64>, ImportError> {
    // Under another vault key nothing that was sealed opens: then the file was not imported.
    let sha256 = vault.fingerprint(&sha256);
    let mut tx = db.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK).fetch_one(&mut *tx).await?;
    if store::imported(&mut tx).await?.as_deref() == Some(&sha256[..]) {
        return Ok(None);
    }
    let deployments = rows::put_deployments(&mut tx, vault, config).await?;
    let sections = rows::put_sections(&mut tx, vault, config).await?;
    store::note_import(&mut tx, &sha256).await?;

    let mut changes: Vec<Change> = Vec::new();
    let ids = deployments.put.iter().chain(&deployments.removed);
    changes.extend(ids.map(|id| Change { kind: Kind::Deployment, id: id.clone() }));
    if !sections.is_empty() {
        changes.push(Change { kind: Kind::Settings, id: "settings".to_owned() });
    }
    if changes.is_empty() {
        tx.commit().await?;
        return Ok(None);
    }
    let revision = feed::record(&mut tx, &changes).await?;
    let entry = Entry {
        action: Action::Updated,
        noun: Noun::Config,
        id: "config".to_owned(),
        before: None,
        after: Some(json!({
            "deployments_put": deployments.put,
            "deployments_removed": deployments.removed,
            "sections": sections,
        })),
    };
    audit::note(&mut tx, &Author::configuration(), &[entry], revision).await?;
    tx.commit().await?;
    tracing::info!(
        revision,
        deployments_put = deployments.put.len(),
        deployments_removed = deployments.removed.len(),
        sections = sections.join(", "),
        "the config file was imported"
    );
    Ok(Some(revision))
}
