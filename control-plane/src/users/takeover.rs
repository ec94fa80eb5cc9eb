//! Users from LiteLLM's database, and the members of its teams.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::defaults::Defaults;
use super::making::{self, NewUser};
use super::{User, UserError, add, join, note_update, store};
use crate::access::Role;
use crate::audit::Noun;
use crate::change::Change;
use crate::spend::Owner;
use crate::takeover::{Hands, Kind, PROXY_USER, Record, TakeoverError, Unfit, without_secrets};
use crate::teams::Member;

/// Rows of `LiteLLM_UserTable`.
pub(crate) struct Users;

impl Kind for Users {
    const NAME: &'static str = "user";
    const TABLE: &'static str = "LiteLLM_UserTable";
    const ID: &'static str = "user_id";
    const OWNER: Option<Owner> = Some(Owner::User);
    type Ours = User;
    /// Who has which e-mail address, in lower case.
    type Around = HashMap<String, String>;

    async fn ours(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime, User)>> {
        let rows = store::all_locked(db, ids).await?.into_iter();
        Ok(rows.map(|row| (row.user_id.clone(), row.updated_at, row)).collect())
    }

    async fn around(hands: &mut Hands<'_>, page: &[Record]) -> Result<HashMap<String, String>, TakeoverError> {
        let emails: Vec<String> = page.iter().filter_map(|row| row.text("user_email")).map(str::to_lowercase).collect();
        Ok(store::owners_of_emails(hands.change.db(), &emails).await?.into_iter().collect())
    }

    async fn put(
        hands: &mut Hands<'_>,
        emails: &mut HashMap<String, String>,
        mut record: Record,
        before: Option<User>,
    ) -> Result<Vec<String>, Unfit> {
        let id = record.text(Self::ID).unwrap_or_default().to_owned();
        if id == PROXY_USER {
            return Err(Unfit::Left("is no user: what it spent counts as everybody's".to_owned()));
        }
        let mut notes = Vec::new();
        without_secrets(&mut record, &mut notes);
        if record.remove("password").is_some() {
            notes.push("its password was left out".to_owned());
        }
        if let Some(role) = record.text("user_role").filter(|role| !Role::NAMES.contains(role)).map(str::to_owned) {
            record.remove("user_role");
            notes.push(format!("its role {role} is not known here: it is an internal_user"));
        }
        if let Some(email) = record.text("user_email").map(str::to_owned) {
            let owner = emails.entry(email.to_lowercase()).or_insert_with(|| id.clone());
            if *owner != id {
                record.remove("user_email");
                notes.push(format!("user_email was left out: user {owner} has it"));
            }
        }
        let mut user = making::make(record.ask::<NewUser>().map_err(Unfit::Left)?, &Defaults::default(), hands.now)?;
        user.created_at = record.moment("created_at").map_err(Unfit::Left)?.unwrap_or(hands.now);
        user.budgets().map_err(|error| Unfit::Left(error.to_string()))?;
        match before {
            None => add(hands.change, &user).await?,
            Some(before) => {
                user.created_at = before.created_at;
                store::update(hands.change.db(), &user).await?;
                store::set_teams(hands.change.db(), &id, &user.teams, hands.now).await?;
                user.keep_budgets(hands.change.db(), Some(&before)).await?;
                note_update(hands.change, &before, &user);
            }
        }
        Ok(notes)
    }
}

/// Makes the members of a team users of it, as a part of a change: those who are there get the team on their list, and count
/// as unchanged; those who are not are made. Gives the members with their ids, and how many were made.
pub(crate) async fn enlist(
    change: &mut Change,
    members: Vec<Member>,
    team_id: &str,
    now: OffsetDateTime,
) -> Result<(Vec<Member>, usize), UserError> {
    let ids: Vec<String> = members.iter().filter_map(|member| member.user_id.clone()).collect();
    let known = store::all_locked(change.db(), &ids).await?;
    let is_known = |member: &Member| known.iter().any(|user| member.user_id.as_deref() == Some(user.user_id.as_str()));
    let (mut members, unknown): (Vec<_>, Vec<_>) = members.into_iter().partition(is_known);
    let outside = known.iter().filter(|user| !user.teams.iter().any(|team| team == team_id));
    let outside: Vec<String> = outside.map(|user| user.user_id.clone()).collect();
    store::add_to_lists(change.db(), &outside, team_id).await?;
    change.publish(Noun::User, outside);
    let made = unknown.len();
    members.extend(join(change, unknown, team_id, now).await?);
    Ok((members, made))
}

/// Which of these users are here.
pub(crate) async fn known(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<String>> {
    store::known(db, ids).await
}
