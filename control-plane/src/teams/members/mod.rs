//! What is set for the members of a team: how much each may spend, how fast, on which models.
//!
//! A member is linked to a row of budgets, their own or the one that the team gives to everybody without (`team_member_budget`
//! and its like, [`Defaults`]). Who is on the roster is [`super::roster`]'s; here it is only followed.

pub(crate) mod publish;
mod store;
mod view;

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use view::Membership;
pub(super) use view::{default_budgets, memberships};

use super::{Team, TeamError};
use crate::audit::{Action, Entry, Noun};
use crate::budgets::{self, BudgetPatch, BudgetRow, Wanted};
use crate::change::Change;
use crate::http::fields::{Field, Form, Patch, Shape, optional};
use crate::spend::Owner;

/// Where a team's metadata names the budget of members without one of their own. Ours: what requests say there is passed
/// over.
pub(super) const DEFAULT_BUDGET: &str = "team_member_budget_id";

/// The fields of a team that are about all of its members.
pub(super) const DEFAULTS: &[Field] = &[
    optional("team_member_budget", Shape::Usd, "What each member may spend, in US dollars. 0: no limit."),
    optional("team_member_budget_duration", Shape::Text, "How often it starts anew."),
    optional("team_member_rpm_limit", Shape::Whole, "Requests per minute of each member."),
    optional("team_member_tpm_limit", Shape::Whole, "Tokens per minute of each member."),
];

/// What a request says of one member beside a role.
pub(super) const ACCOUNT: &[Field] = &[
    optional("max_budget_in_team", Shape::Usd, "Most that the member may spend in the team, in US dollars."),
    optional("budget_duration", Shape::Text, "How often that starts anew: `30s`, `30m`, `30h`, `30d`, `2w`, `1mo`."),
    optional("tpm_limit", Shape::Whole, "Tokens per minute of the member in the team."),
    optional("rpm_limit", Shape::Whole, "Requests per minute of the member in the team."),
    optional("allowed_models", Shape::Texts, "Models that the member may call in the team. Empty: all of the team's."),
    optional("temp_budget_increase", Shape::Usd, "US dollars on top of `max_budget_in_team`, for a while."),
    optional("temp_budget_expiry", Shape::Text, "Until when: a date, or a date and a time."),
];

/// Reads [`DEFAULTS`].
pub(super) fn read_defaults(form: &mut Form) -> BudgetPatch {
    BudgetPatch {
        max_budget: form.take("team_member_budget"),
        budget_duration: form.take("team_member_budget_duration"),
        rpm_limit: form.take("team_member_rpm_limit"),
        tpm_limit: form.take("team_member_tpm_limit"),
        ..BudgetPatch::default()
    }
}

/// Reads [`ACCOUNT`].
pub(super) fn read_account(form: &mut Form) -> BudgetPatch {
    BudgetPatch {
        max_budget: form.take("max_budget_in_team"),
        budget_duration: form.take("budget_duration"),
        tpm_limit: form.take("tpm_limit"),
        rpm_limit: form.take("rpm_limit"),
        allowed_models: form.take("allowed_models"),
        temp_increase: form.take("temp_budget_increase"),
        temp_expiry: form.take("temp_budget_expiry"),
        ..BudgetPatch::default()
    }
}

/// The members who are linked to a budget; until the transaction ends, nobody changes their links.
pub(crate) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    store::linked(db, budget_id).await
}

impl Team {
    /// The budget of members without one of their own.
    fn default_budget_id(&self) -> Option<&str> {
        self.metadata.get(DEFAULT_BUDGET).and_then(Value::as_str)
    }

    /// The members who are known by id.
    fn member_ids(&self) -> impl Iterator<Item = &String> {
        self.members.iter().filter_map(|member| member.user_id.as_ref())
    }

    /// Models of members who join.
    fn models_of_new_members(&self) -> Vec<String> {
        let models = self.more.get("default_team_member_models").and_then(Value::as_array);
        models.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

/// Puts what a request says of all members into the team's budget for them, which the team's metadata name. The team is
/// stored, and [`settle`]d, by the caller.
pub(super) async fn set_defaults(
    change: &mut Change,
    team: &mut Team,
    said: BudgetPatch,
    now: OffsetDateTime,
) -> Result<(), TeamError> {
    if said.is_empty() {
        return Ok(());
    }
    let before = team.default_budget_id().map(str::to_owned);
    if let Some(row) = budgets::linked(change, before.as_deref(), Wanted::own(said), now).await? {
        team.metadata.insert(DEFAULT_BUDGET.to_owned(), Value::String(row.budget_id));
    }
    Ok(())
}

/// Makes the accounts of members those that the stored team asks for: who joined gets one of their own where `joining` or the
/// team's models for new members ask for it, everybody else without one the team's, and who left loses theirs.
pub(super) async fn settle(
    change: &mut Change,
    before: Option<&Team>,
    team: &Team,
    joining: &BudgetPatch,
    now: OffsetDateTime,
) -> Result<(), TeamError> {
    let held: HashMap<String, String> = store::of_team(change.db(), &team.team_id).await?;
    let roster: HashSet<&String> = team.member_ids().collect();
    let gone: Vec<String> = held.keys().filter(|id| !roster.contains(id)).cloned().collect();
    dismiss(change, &team.team_id, &gone).await?;

    let was_there: HashSet<&String> = before.into_iter().flat_map(Team::member_ids).collect();
    let default = match team.default_budget_id() {
        Some(id) => budgets::held(change.db(), id).await?,
        None => None,
    };
    let models = team.models_of_new_members();
    let mut without = Vec::new();
    for user_id in roster.into_iter().filter(|id| !held.contains_key(*id)) {
        match was_there.contains(user_id) || (joining.is_empty() && models.is_empty()) {
            true => without.push(user_id.clone()),
            false => {
                let mut said = joining.clone();
                if said.allowed_models == Patch::Keep && !models.is_empty() {
                    said.allowed_models = Patch::To(models.clone());
                }
                give_own(change, &team.team_id, user_id, default.clone(), said, now).await?;
            }
        }
    }
    if let Some(default) = default.filter(|_| !without.is_empty()) {
        without.sort_unstable();
        link(change, &team.team_id, &without, &default).await?;
    }
    Ok(())
}

/// Forgets what was set for the members of teams that are about to go.
pub(super) async fn forget_teams(change: &mut Change, team_ids: &[String]) -> sqlx::Result<()> {
    for team_id in team_ids {
        let gone: Vec<String> = store::of_team(change.db(), team_id).await?.into_keys().collect();
        dismiss(change, team_id, &gone).await?;
    }
    Ok(())
}

/// Changes what is set for one member, who gets a budget of their own if they have none yet. Gives it; nothing where nothing
/// was ever set.
pub(super) async fn change_account(
    change: &mut Change,
    team: &Team,
    user_id: &str,
    said: BudgetPatch,
    now: OffsetDateTime,
) -> Result<Option<BudgetRow>, TeamError> {
    let held = store::of_team(change.db(), &team.team_id).await?.remove(user_id);
    let is_own = held.as_deref() != team.default_budget_id();
    match held {
        held if said.is_empty() => match held {
            Some(id) => Ok(budgets::held(change.db(), &id).await?),
            None => Ok(None),
        },
        Some(id) if is_own => Ok(budgets::linked(change, Some(&id), Wanted::own(said), now).await?),
        held => {
            let base = match held {
                Some(id) => budgets::held(change.db(), &id).await?,
                None => None,
            };
            give_own(change, &team.team_id, user_id, base, said, now).await.map(Some)
        }
    }
}

/// Gives a member a budget of their own: the team's for all, but for what was said.
async fn give_own(
    change: &mut Change,
    team_id: &str,
    user_id: &str,
    team_budget: Option<BudgetRow>,
    said: BudgetPatch,
    now: OffsetDateTime,
) -> Result<BudgetRow, TeamError> {
    let base = team_budget.map(|row| BudgetRow {
        // A new amount of money has the window that comes with it.
        budget_duration: row.budget_duration.filter(|_| !said.max_budget.is_said() || said.budget_duration.is_said()),
        // As the budget of all 0 is no limit, as one's own it would allow nothing.
        max_budget: row.max_budget.filter(|most| most.nanos() > 0),
        ..row
    });
    let row = budgets::add_own(change, base, said, now).await?;
    link(change, team_id, &[user_id.to_owned()], &row).await?;
    Ok(row)
}

/// Links members to a budget, and makes their accounts those of it.
async fn link(change: &mut Change, team_id: &str, user_ids: &[String], row: &BudgetRow) -> Result<(), TeamError> {
    let ids: Vec<String> = user_ids.iter().map(|user_id| proto::owner::member_id(user_id, team_id)).collect();
    store::link(change.db(), team_id, &ids, user_ids, &row.budget_id).await?;
    let budgets = row.budgets().map_err(budgets::BudgetError::from)?;
    budgets::keep_all(change.db(), Owner::Member, &ids, &budgets).await?;
    for (id, user_id) in ids.into_iter().zip(user_ids) {
        let after = json!({"team_id": team_id, "user_id": user_id, "budget_id": row.budget_id});
        change.note(Entry { action: Action::Updated, noun: Noun::Member, id, before: None, after: Some(after) });
    }
    Ok(())
}

/// Takes away what was set for members; what they spent stays known.
async fn dismiss(change: &mut Change, team_id: &str, user_ids: &[String]) -> sqlx::Result<()> {
    if user_ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = user_ids.iter().map(|user_id| proto::owner::member_id(user_id, team_id)).collect();
    store::unlink(change.db(), &ids).await?;
    budgets::forget(change.db(), Owner::Member, &ids).await?;
    change.publish(Noun::Member, ids);
    Ok(())
}
