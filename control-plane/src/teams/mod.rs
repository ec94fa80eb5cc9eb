//! Teams: what one is, how it is made and changed, and who is in it.
//!
//! The roster is [`roster`]'s, what is set for its members [`members`]', the wire's view [`view`]'s, how data planes learn of a team [`publish`]'s.

mod callbacks;
mod defaults;
mod error;
mod fields;
pub(crate) mod http;
mod making;
pub(crate) mod members;
mod models;
mod page;
mod patch;
mod permissions;
pub(crate) mod publish;
mod roster;
mod store;
pub(crate) mod takeover;
mod view;
mod within;

use proto::NanoUsd;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use error::TeamError;
pub(crate) use roster::{Member, MemberRole, Standing, member_from};
pub(crate) use view::{TeamView, views};
pub(crate) use within::{lock_of_organizations, of_organizations, remove_of_organizations};

use members::DEFAULT_BUDGET;

use crate::audit::{Action, Entry, Noun};
use crate::budgets::{self, Budget, BudgetPatch};
use crate::change::Change;
use crate::limits::LimitError;
use crate::spend::Owner;
use crate::{keys, users};

/// The team that LiteLLM's admin pages keep their sessions under. Never a real one.
pub(crate) const RESERVED_ID: &str = "litellm-dashboard";

/// The entry of a list of models that stands for none.
const NO_MODELS: &str = "no-default-models";

/// A team as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Team {
    pub(crate) team_id: String,
    pub(crate) alias: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) members: Vec<Member>,
    pub(crate) models: Vec<String>,
    pub(crate) model_aliases: Map<String, Value>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) blocked: bool,
    pub(crate) max_budget: Option<NanoUsd>,
    pub(crate) soft_budget: Option<NanoUsd>,
    pub(crate) budget_duration: Option<String>,
    pub(crate) tpm_limit: Option<i64>,
    pub(crate) rpm_limit: Option<i64>,
    pub(crate) max_parallel_requests: Option<i64>,
    /// Fields that are kept and shown, and have no rule yet.
    pub(crate) more: Map<String, Value>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

/// The team with this id.
pub(crate) async fn find(db: &mut PgConnection, team_id: &str) -> sqlx::Result<Option<Team>> {
    store::by_id(db, team_id).await
}

/// The team with this id, which nobody deletes until the transaction ends.
pub(crate) async fn shared(db: &mut PgConnection, team_id: &str) -> sqlx::Result<Option<Team>> {
    store::shared(db, team_id).await
}

/// The teams among these ids that exist, by alias.
pub(crate) async fn among(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<Vec<Team>> {
    store::among(db, team_ids).await
}

/// The teams with this user on their roster, by alias.
pub(crate) async fn of_member(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Vec<Team>> {
    store::of_member(db, user_id).await
}

/// All teams, by alias, at most `limit`.
pub(crate) async fn all(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Team>> {
    store::all(db, limit).await
}

/// Puts new users on the rosters of teams, as a part of a change. Ids that name no team are passed over.
pub(crate) async fn admit(
    change: &mut Change,
    places: &[(String, Member)],
    now: OffsetDateTime,
) -> Result<(), TeamError> {
    let team_ids: Vec<String> = places.iter().map(|(team_id, _)| team_id.clone()).collect();
    for before in store::locked(change.db(), &team_ids).await? {
        let mut team = before.clone();
        let new = places.iter().filter(|(team_id, _)| *team_id == before.team_id);
        if new.filter(|(_, member)| team.add(member.clone())).count() == 0 {
            continue;
        }
        team.updated_at = now;
        store::update(change.db(), &team).await?;
        members::settle(change, Some(&before), &team, &BudgetPatch::default(), now).await?;
        note_update(change, &before, &team);
    }
    Ok(())
}

/// Takes users off the rosters of all teams, as a part of a change.
pub(crate) async fn dismiss(change: &mut Change, user_ids: &[String], now: OffsetDateTime) -> Result<(), TeamError> {
    let mut team_ids = Vec::new();
    for user_id in user_ids {
        team_ids.extend(store::of_member(change.db(), user_id).await?.into_iter().map(|team| team.team_id));
    }
    for before in store::locked(change.db(), &team_ids).await? {
        let mut team = before.clone();
        team.members.retain(|member| member.user_id.as_ref().is_none_or(|id| !user_ids.contains(id)));
        team.updated_at = now;
        store::update(change.db(), &team).await?;
        members::settle(change, Some(&before), &team, &BudgetPatch::default(), now).await?;
        note_update(change, &before, &team);
    }
    Ok(())
}

impl Team {
    /// How much may be spent: of everything, by window and by model.
    fn budgets(&self) -> Result<Vec<Budget>, LimitError> {
        budgets::read(Budget::of_all(self.max_budget, self.budget_duration.as_deref()), &self.more)
    }

    /// Makes the accounts those of the budgets, where these differ from what they were.
    async fn keep_budgets(&self, db: &mut PgConnection, before: Option<&Self>) -> Result<(), TeamError> {
        let now = self.budgets()?;
        // Those of old rows may be such as nobody could set today.
        let was = before.map_or(Some(Vec::new()), |before| before.budgets().ok());
        if was.as_ref() != Some(&now) {
            budgets::keep(db, Owner::Team, &self.team_id, &now).await?;
        }
        Ok(())
    }
}

/// Lets a team call a model of its own, as a part of a change. An empty list lets it call every model already. Gives
/// whether there is such a team.
pub(crate) async fn open_to(
    change: &mut Change,
    team_id: &str,
    model: &str,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let Some(before) = store::locked(change.db(), &[team_id.to_owned()]).await?.pop() else { return Ok(false) };
    if !before.models.is_empty() && !before.models.iter().any(|name| name == model) {
        let mut team = before.clone();
        team.models.push(model.to_owned());
        team.updated_at = now;
        store::update(change.db(), &team).await?;
        note_update(change, &before, &team);
    }
    Ok(true)
}

/// Takes a model of its own from a team's list, as a part of a change. A list that would be empty, and so allow
/// everything, allows nothing instead.
pub(crate) async fn close_to(change: &mut Change, team_id: &str, model: &str, now: OffsetDateTime) -> sqlx::Result<()> {
    let Some(before) = store::locked(change.db(), &[team_id.to_owned()]).await?.pop() else { return Ok(()) };
    if before.models.iter().any(|name| name == model) {
        let mut team = before.clone();
        team.models.retain(|name| name != model);
        if team.models.is_empty() {
            team.models.push(NO_MODELS.to_owned());
        }
        team.updated_at = now;
        store::update(change.db(), &team).await?;
        note_update(change, &before, &team);
    }
    Ok(())
}

/// Deletes locked teams with all of their keys, as a part of a change. The keys go to the archive.
async fn remove(change: &mut Change, teams: &[Team]) -> sqlx::Result<()> {
    let team_ids: Vec<String> = teams.iter().map(|team| team.team_id.clone()).collect();
    if team_ids.is_empty() {
        return Ok(());
    }
    keys::remove_of_teams(change, &team_ids).await?;
    users::leave(change.db(), &team_ids).await?;
    members::forget_teams(change, &team_ids).await?;
    store::delete(change.db(), &team_ids).await?;
    budgets::forget(change.db(), Owner::Team, &team_ids).await?;
    for team in teams {
        change.note(Entry {
            action: Action::Deleted,
            noun: Noun::Team,
            id: team.team_id.clone(),
            before: Some(view::for_audit(team)),
            after: Some(Value::Object(Map::new())),
        });
    }
    Ok(())
}

/// The members of one object with those of another put into it, as RFC 7386 says.
pub(crate) fn merged(into: Map<String, Value>, changes: Map<String, Value>) -> Map<String, Value> {
    patch::merged(into, changes)
}

/// Notes a changed team: all of it before, and what is different after.
fn note_update(change: &mut Change, before: &Team, after: &Team) {
    change.note(Entry::updated(Noun::Team, &after.team_id, view::for_audit(before), view::for_audit(after)));
}
