//! Users: who owns keys and is in teams.
//!
//! Roles are rows here and rights in [`crate::access`]. How data planes learn of a user is [`publish`]'s business.

mod defaults;
mod error;
pub(crate) mod http;
mod making;
mod page;
mod patch;
pub(crate) mod publish;
mod store;
pub(crate) mod takeover;
mod view;

use proto::NanoUsd;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use error::UserError;
pub(crate) use view::UserView;

use defaults::Defaults;

use crate::audit::{Action, Entry, Noun};
use crate::budgets::{self, Budget};
use crate::change::Change;
use crate::limits::LimitError;
use crate::spend::Owner;
use crate::teams::Member;

/// A user as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct User {
    pub(crate) user_id: String,
    pub(crate) email: Option<String>,
    pub(crate) alias: Option<String>,
    pub(crate) role: String,
    pub(crate) team_id: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) teams: Vec<String>,
    pub(crate) models: Vec<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) max_budget: Option<NanoUsd>,
    pub(crate) budget_duration: Option<String>,
    pub(crate) tpm_limit: Option<i64>,
    pub(crate) rpm_limit: Option<i64>,
    pub(crate) max_parallel_requests: Option<i64>,
    /// Fields that are kept and shown, and have no rule yet.
    pub(crate) more: Map<String, Value>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

/// The role of a user, where there is such a user.
pub(crate) async fn role(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Option<String>> {
    store::role(db, user_id).await
}

/// The user with this id.
pub(crate) async fn find(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Option<User>> {
    store::by_id(db, user_id).await
}

/// The user with this id, or else with this address.
pub(crate) async fn named(
    db: &mut PgConnection,
    user_id: Option<&str>,
    email: Option<&str>,
) -> sqlx::Result<Option<User>> {
    match (user_id, email) {
        (Some(user_id), _) => store::by_id(db, user_id).await,
        (None, Some(email)) => match store::ids_of_emails(db, &[email.to_owned()]).await?.first() {
            Some(user_id) => store::by_id(db, user_id).await,
            None => Ok(None),
        },
        (None, None) => Ok(None),
    }
}

/// Adds a user of whom only this is known, as a part of a change. Gives the id.
pub(crate) async fn add_named(
    change: &mut Change,
    user_id: Option<String>,
    email: Option<String>,
    role: &str,
    now: OffsetDateTime,
) -> Result<String, UserError> {
    let user = User { email, role: role.to_owned(), ..User::bare(user_id, now) };
    add(change, &user).await?;
    Ok(user.user_id)
}

/// What the API shows of these users.
pub(crate) async fn views_of(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<Vec<UserView>> {
    let mut views = Vec::new();
    for user_id in user_ids {
        if let Some(user) = store::by_id(db, user_id).await? {
            views.push(view::view(db, user).await?);
        }
    }
    Ok(views)
}

/// The ids of the first users by id, at most `limit`.
pub(crate) async fn ids(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<String>> {
    store::ids(db, limit).await
}

/// Keeps the user from being deleted until the transaction ends, where there is such a user.
pub(crate) async fn hold(db: &mut PgConnection, user_id: &str) -> sqlx::Result<()> {
    store::hold(db, user_id).await
}

/// Takes a team out of a user's list.
pub(crate) async fn leave_one(db: &mut PgConnection, user_id: &str, team_id: &str) -> sqlx::Result<()> {
    store::leave_one(db, user_id, team_id).await
}

/// Makes the named members users of a team: finds them by id or e-mail address, and makes those who are not there. Gives
/// the members with both.
pub(crate) async fn join(
    change: &mut Change,
    members: Vec<Member>,
    team_id: &str,
    now: OffsetDateTime,
) -> Result<Vec<Member>, UserError> {
    // All of them are locked in one order, so that two who add the same users do not wait for each other.
    let mut ids: Vec<String> = members.iter().filter_map(|member| member.user_id.clone()).collect();
    let addresses = members.iter().filter(|member| member.user_id.is_none());
    let addresses: Vec<String> = addresses.filter_map(|member| member.user_email.clone()).collect();
    ids.extend(store::ids_of_emails(change.db(), &addresses).await?);
    let mut known = store::all_locked(change.db(), &ids).await?;
    let mut defaults = None;
    let mut joined = Vec::with_capacity(members.len());
    for member in members {
        let is_member = |user: &User| match (&member.user_id, &member.user_email) {
            (Some(user_id), _) => user.user_id == *user_id,
            (None, Some(email)) => user.email.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(email)),
            (None, None) => false,
        };
        if member.user_id.is_none() && member.user_email.is_none() {
            continue;
        }
        let found = known.iter().find(|user| is_member(user)).cloned();
        let user = match found {
            Some(mut user) => {
                if !user.teams.iter().any(|known| known == team_id) {
                    user.teams.push(team_id.to_owned());
                    store::set_teams(change.db(), &user.user_id, &user.teams, now).await?;
                }
                user
            }
            None => {
                let defaults = match &mut defaults {
                    Some(known) => known,
                    none => none.insert(Defaults::read(change).await?),
                };
                let mut user = User::of_member(&member, team_id, now);
                defaults.role_of_member().name().clone_into(&mut user.role);
                defaults.fill(&mut user);
                add(change, &user).await?;
                known.push(user.clone());
                user
            }
        };
        joined.push(Member {
            role: member.role,
            user_id: Some(user.user_id),
            user_email: user.email.or(member.user_email),
        });
    }
    Ok(joined)
}

/// Takes teams out of all users' lists.
pub(crate) async fn leave(db: &mut PgConnection, team_ids: &[String]) -> sqlx::Result<()> {
    store::leave(db, team_ids).await
}

/// Stores a new user as a part of a change.
async fn add(change: &mut Change, user: &User) -> Result<(), UserError> {
    store::insert(change.db(), user).await.map_err(|error| UserError::from_insert(error, user))?;
    user.keep_budgets(change.db(), None).await?;
    change.note(Entry {
        action: Action::Created,
        noun: Noun::User,
        id: user.user_id.clone(),
        before: None,
        after: Some(view::for_audit(user)),
    });
    Ok(())
}

impl User {
    /// How much may be spent: of everything, by window and by model.
    fn budgets(&self) -> Result<Vec<Budget>, LimitError> {
        budgets::read(Budget::of_all(self.max_budget, self.budget_duration.as_deref()), &self.more)
    }

    /// Makes the accounts those of the budgets, where these differ from what they were.
    async fn keep_budgets(&self, db: &mut PgConnection, before: Option<&Self>) -> Result<(), UserError> {
        let now = self.budgets()?;
        // Those of old rows may be such as nobody could set today.
        let was = before.map_or(Some(Vec::new()), |before| before.budgets().ok());
        if was.as_ref() != Some(&now) {
            budgets::keep(db, Owner::User, &self.user_id, &now).await?;
        }
        Ok(())
    }
}

/// Notes a changed user: all of them before, and what is different after.
fn note_update(change: &mut Change, before: &User, after: &User) {
    change.note(Entry::updated(Noun::User, &after.user_id, view::for_audit(before), view::for_audit(after)));
}

impl User {
    /// Somebody who is known only because a team has them.
    fn of_member(member: &Member, team_id: &str, now: OffsetDateTime) -> Self {
        Self {
            email: member.user_email.clone(),
            teams: vec![team_id.to_owned()],
            ..Self::bare(member.user_id.clone(), now)
        }
    }

    /// A user of the usual role of whom nothing else is known; without an id, they get one.
    fn bare(user_id: Option<String>, now: OffsetDateTime) -> Self {
        Self {
            user_id: user_id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            email: None,
            alias: None,
            role: "internal_user".to_owned(),
            team_id: None,
            organization_id: None,
            teams: Vec::new(),
            models: Vec::new(),
            metadata: Map::new(),
            max_budget: None,
            budget_duration: None,
            tpm_limit: None,
            rpm_limit: None,
            max_parallel_requests: None,
            more: Map::new(),
            created_at: now,
            updated_at: now,
        }
    }
}
