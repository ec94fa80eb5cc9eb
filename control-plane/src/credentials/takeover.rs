//! Credentials from LiteLLM's database, their values opened with its salt key and sealed by our vault.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::view::for_audit;
use super::{Credential, store, values};
use crate::audit::{Action, Entry, Noun};
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, OldKeys, Reading, Record, TakeoverError, Unfit};

/// Rows of `LiteLLM_CredentialsTable`.
pub(crate) struct Credentials;

impl Kind for Credentials {
    const NAME: &'static str = "credential";
    const TABLE: &'static str = "LiteLLM_CredentialsTable";
    const ID: &'static str = "credential_name";
    const OWNER: Option<Owner> = None;
    type Ours = Credential;
    type Around = ();

    fn open(mut record: Record, old: &OldKeys, _around: &()) -> Result<Record, String> {
        let opened = opened("credential_values", record.object("credential_values"), old)?;
        record.set("credential_values", opened);
        Ok(record)
    }

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, Credential)>> {
        let mut rows = Vec::new();
        for name in ids {
            rows.extend(store::locked(db, name).await?.map(|row| (row.name.clone(), row.updated_at, row)));
        }
        Ok(rows)
    }

    async fn around(_hands: &mut Hands<'_>, _page: &[Record]) -> Result<(), TakeoverError> {
        Ok(())
    }

    async fn put(
        hands: &mut Hands<'_>,
        _around: &mut (),
        record: Record,
        before: Option<Credential>,
    ) -> Result<Vec<String>, Unfit> {
        let name = record.text(Self::ID).unwrap_or_default().to_owned();
        let vault = hands.app.publisher.vault();
        let mut given = record.object("credential_values");
        given.retain(|_, value| !value.is_null());
        values::check(&given)?;
        let mut row = Credential {
            name: name.clone(),
            display_name: record.text("display_name").map(str::to_owned),
            info: record.object("credential_info"),
            sealed_values: Vec::new(),
            created_at: record.moment("created_at").map_err(Unfit::Left)?.unwrap_or(hands.now),
            created_by: record.text("created_by").map(str::to_owned),
            updated_at: hands.now,
            updated_by: record.text("updated_by").map(str::to_owned),
        };
        row.seal(vault, &given);
        let after = for_audit(&row, &given);
        match before {
            None => {
                store::insert(hands.change.db(), &row).await?;
                let (action, noun) = (Action::Created, Noun::Credential);
                hands.change.note(Entry { action, noun, id: name, before: None, after: Some(after) });
            }
            Some(before) => {
                let was = for_audit(&before, &before.opened(vault).unwrap_or_default());
                store::update(hands.change.db(), &row).await?;
                hands.change.note(Entry::updated(Noun::Credential, name, was, after));
            }
        }
        Ok(Vec::new())
    }
}

/// The members of a column, each text in them opened where it is sealed. A reason names the member.
pub(crate) fn opened(column: &str, members: Map<String, Value>, old: &OldKeys) -> Result<Map<String, Value>, String> {
    let open = |(name, value): (String, Value)| match value.as_str().map_or(Reading::Plain, |text| old.read(text)) {
        Reading::Plain => Ok((name, value)),
        Reading::Opened(text) => Ok((name, unfolded(text))),
        Reading::Closed => {
            Err(format!("{column}.{name} does not open with the salt key: it was sealed with another one"))
        }
    };
    members.into_iter().map(open).collect()
}

/// Objects and lists were sealed as text.
fn unfolded(text: String) -> Value {
    match text.starts_with(['{', '[']) {
        true => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        false => Value::String(text),
    }
}
