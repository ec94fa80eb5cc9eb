//! Teams from LiteLLM's database, with their rosters and their aliases of models.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::defaults::Defaults;
use super::making::{self, NewTeam};
use super::{Team, member_from, members, note_update, store, view};
use crate::audit::{Action, Entry, Noun};
use crate::budgets::BudgetPatch;
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, OldKeys, Record, TakeoverError, Unfit, without_secrets};
use crate::users;

/// Rows of `LiteLLM_TeamTable`.
pub(crate) struct Teams;

/// Where the aliases are.
const ALIASES: &str = "LiteLLM_ModelTable";

impl Kind for Teams {
    const NAME: &'static str = "team";
    const TABLE: &'static str = "LiteLLM_TeamTable";
    const ID: &'static str = "team_id";
    const OWNER: Option<Owner> = Some(Owner::Team);
    type Ours = Team;
    /// Aliases of models, by the id that teams name.
    type Around = HashMap<String, Map<String, Value>>;

    fn open(mut record: Record, _old: &OldKeys, aliases: &Self::Around) -> Result<Record, String> {
        if let Some(own) = number(&record, "model_id").and_then(|id| aliases.get(&id)) {
            record.set("model_aliases", own.clone());
        }
        // Deprecated lists: the roster says it.
        record.remove("admins");
        record.remove("members");
        Ok(record)
    }

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, Team)>> {
        let rows = store::locked(db, ids).await?.into_iter();
        Ok(rows.map(|row| (row.team_id.clone(), row.updated_at, row)).collect())
    }

    async fn around(hands: &mut Hands<'_>, page: &[Record]) -> Result<Self::Around, TakeoverError> {
        let ids: Vec<String> = page.iter().filter_map(|row| number(row, "model_id")).collect();
        let rows = hands.source.among(ALIASES, "id", &ids).await?;
        let aliases = |row: &Record| match row.get("aliases") {
            Some(_) => row.object("aliases"),
            None => row.object("model_aliases"),
        };
        Ok(rows.iter().filter_map(|row| Some((number(row, "id")?, aliases(row)))).collect())
    }

    async fn put(
        hands: &mut Hands<'_>,
        _aliases: &mut Self::Around,
        mut record: Record,
        before: Option<Team>,
    ) -> Result<Vec<String>, Unfit> {
        let mut notes = Vec::new();
        without_secrets(&mut record, &mut notes);
        let money = |name: &str| record.get(name).and_then(Value::as_f64);
        if money("soft_budget").zip(money("max_budget")).is_some_and(|(soft, max)| soft >= max) {
            record.remove("soft_budget");
            notes.push("soft_budget was left out: it is not less than max_budget".to_owned());
        }
        if let Some(Value::Array(roster)) = record.remove("members_with_roles") {
            let (named, nameless): (Vec<_>, Vec<_>) = roster
                .into_iter()
                .partition(|member| member.as_object().is_some_and(|member| member_from(member).is_some()));
            if !nameless.is_empty() {
                notes.push(format!("{} of its members have neither id nor address", nameless.len()));
            }
            record.set("members_with_roles", named);
        }
        // What the operator set for new teams is not for these.
        let new = record.ask::<NewTeam>().map_err(Unfit::Left)?;
        let (mut team, _of_members) = making::make(new, Defaults::default(), hands.now)?;
        team.created_at = record.moment("created_at").map_err(Unfit::Left)?.unwrap_or(hands.now);
        team.budgets().map_err(|error| Unfit::Left(error.to_string()))?;
        let (members, made) = users::takeover::enlist(hands.change, team.members, &team.team_id, hands.now).await?;
        team.members = members;
        if made > 0 {
            notes.push(format!("{made} of its members were no users: they are now"));
        }
        match before {
            None => {
                store::insert(hands.change.db(), &team).await?;
                team.keep_budgets(hands.change.db(), None).await?;
                members::settle(hands.change, None, &team, &BudgetPatch::default(), hands.now).await?;
                let (id, after) = (team.team_id.clone(), Some(view::for_audit(&team)));
                hands.change.note(Entry { action: Action::Created, noun: Noun::Team, id, before: None, after });
            }
            Some(before) => {
                team.created_at = before.created_at;
                store::update(hands.change.db(), &team).await?;
                team.keep_budgets(hands.change.db(), Some(&before)).await?;
                members::settle(hands.change, Some(&before), &team, &BudgetPatch::default(), hands.now).await?;
                note_update(hands.change, &before, &team);
            }
        }
        Ok(notes)
    }
}

/// A whole number as text.
fn number(record: &Record, name: &str) -> Option<String> {
    record.get(name)?.as_i64().map(|number| number.to_string())
}
