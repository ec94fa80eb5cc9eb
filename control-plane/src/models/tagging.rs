//! Tags of deployments: `litellm_params.tags`, by which calls choose among those of a model.

use serde_json::Value;
use time::OffsetDateTime;

use super::{Origin, put, store};
use crate::change::Change;

/// Why a deployment does not get a tag.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TagModelError {
    #[error("models: there is no model with the id {0}. /model/info shows which there are.")]
    Unknown(String),
    #[error(
        "models: the model with the id {0} stands in config.yaml: write the tag into its litellm_params.tags there."
    )]
    OfFile(String),
    #[error("storing models")]
    Database(#[from] sqlx::Error),
}

/// Puts a tag on these deployments, all of which the API owns, as a part of a change. Those that have it stay as they are.
pub(crate) async fn tag(
    change: &mut Change,
    ids: &[String],
    tag: &str,
    now: OffsetDateTime,
) -> Result<(), TagModelError> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = store::locked(change.db(), ids).await?;
    if let Some(unknown) = ids.iter().find(|id| rows.iter().all(|row| row.id != **id)) {
        return Err(TagModelError::Unknown(unknown.clone()));
    }
    if let Some(row) = rows.iter().find(|row| row.origin == Origin::File) {
        return Err(TagModelError::OfFile(row.id.clone()));
    }
    for before in rows {
        let mut tags = match before.params.get("tags") {
            Some(Value::Array(tags)) => tags.clone(),
            _ => Vec::new(),
        };
        if tags.iter().any(|known| known == tag) {
            continue;
        }
        tags.push(tag.into());
        let mut row = before.clone();
        row.params.insert("tags".to_owned(), Value::Array(tags));
        row.updated_at = now;
        row.updated_by = Some(change.author().changed_by.clone());
        put(change, &before, &row).await?;
    }
    Ok(())
}
