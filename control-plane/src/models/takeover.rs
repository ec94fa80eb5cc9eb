//! Models from LiteLLM's database: `litellm_params` opened with its salt key, checked as `/model/new` checks, and sealed again.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::making::{self, Wanted};
use super::{Deployment, ModelError, Origin, row, store};
use crate::audit::{Action, Entry, Noun};
use crate::credentials::takeover::opened;
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, OldKeys, Record, TakeoverError, Unfit};
use crate::teams;

/// Rows of `LiteLLM_ProxyModelTable`.
pub(crate) struct Models;

impl Kind for Models {
    const NAME: &'static str = "model";
    const TABLE: &'static str = "LiteLLM_ProxyModelTable";
    const ID: &'static str = "model_id";
    const OWNER: Option<Owner> = None;
    type Ours = Deployment;
    type Around = ();

    fn open(mut record: Record, old: &OldKeys, _around: &()) -> Result<Record, String> {
        let opened = opened("litellm_params", record.object("litellm_params"), old)?;
        record.set("litellm_params", opened);
        Ok(record)
    }

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, Deployment)>> {
        let rows = store::locked(db, ids).await?.into_iter();
        Ok(rows.map(|row| (row.id.clone(), row.updated_at, row)).collect())
    }

    async fn around(_hands: &mut Hands<'_>, _page: &[Record]) -> Result<(), TakeoverError> {
        Ok(())
    }

    async fn put(
        hands: &mut Hands<'_>,
        _around: &mut (),
        record: Record,
        before: Option<Deployment>,
    ) -> Result<Vec<String>, Unfit> {
        if before.as_ref().is_some_and(|before| before.origin == Origin::File) {
            return Err(Unfit::Left("stands in config.yaml by now".to_owned()));
        }
        let id = record.text(Self::ID).unwrap_or_default().to_owned();
        let name = record.text("model_name").unwrap_or_default().to_owned();
        let mut model_info = record.object("model_info");
        model_info.insert("id".to_owned(), id.into());
        let wanted = Wanted {
            model_name: Some(name.clone()),
            params: record.object("litellm_params"),
            model_info,
            blocked: record.get("blocked").and_then(serde_json::Value::as_bool),
        };
        let by = record.text("created_by").unwrap_or_default();
        let mut row = making::make(wanted, by, hands.now)?;
        row.created_at = record.moment("created_at").map_err(Unfit::Left)?.unwrap_or(hands.now);
        row.updated_by = record.text("updated_by").map(str::to_owned);
        if let Some(team_id) = row.team_id().map(str::to_owned) {
            // Its list of models came with the team.
            if teams::shared(hands.change.db(), &team_id).await?.is_none() {
                return Err(ModelError::UnknownTeam(team_id).into());
            }
            // Nobody else's has that name, here as there.
            row.model_name = name;
        }
        match super::check(hands.app, hands.change.db(), &row).await {
            Err(ModelError::Resolve(error)) => return Err(Unfit::Failed(TakeoverError::Rule(error.to_string()))),
            checked => checked?,
        }
        row.seal(hands.app.publisher.vault());
        match before {
            None => {
                store::insert(hands.change.db(), &row).await?;
                let after = Some(row::for_audit(&row));
                hands.change.note(Entry {
                    action: Action::Created,
                    noun: Noun::Model,
                    id: row.id,
                    before: None,
                    after,
                });
            }
            Some(before) => {
                (row.created_at, row.created_by) = (before.created_at, before.created_by.clone());
                super::put(hands.change, &before, &row).await?;
            }
        }
        Ok(Vec::new())
    }
}
