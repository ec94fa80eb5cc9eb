//! Changing a user: what a request leaves out stays, `null` clears what can be none. Pure.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::making::{COLUMNS, KEPT};
use super::{Defaults, User, UserError};
use crate::http::fields::{Field, Form, Issue, Patch, Request};
use crate::limits;

/// What `POST /user/update` asks for.
#[derive(Debug, Clone)]
pub(super) struct UserPatch {
    pub(super) user_id: Option<String>,
    /// Says which user is meant, where there is no id.
    pub(super) email: Option<String>,
    alias: Option<String>,
    role: Option<String>,
    models: Option<Vec<String>>,
    metadata: Option<Map<String, Value>>,
    max_budget: Patch<f64>,
    budget_duration: Patch<String>,
    tpm_limit: Patch<i64>,
    rpm_limit: Patch<i64>,
    max_parallel_requests: Patch<i64>,
    kept: Map<String, Value>,
    /// Fields that only proxy admins set, of those that were said.
    reserved: Vec<&'static str>,
}

/// What users change of themselves; everything else is said by admins.
const OWN: &[&str] = &["user_id", "user_alias", "metadata", "send_invite_email"];

/// Fields of a new user that do not change this way. Said all the same, they are refused and not forgotten.
const ELSEWHERE: &[&str] = &["teams", "team_id", "organization_id", "organizations"];

impl Request for UserPatch {
    const NAME: &'static str = "UserPatch";
    const FIELDS: &'static [&'static [Field]] = &[COLUMNS, KEPT];

    fn read(form: Form) -> Result<Self, Vec<Issue>> {
        let patch = Self::of(form)?;
        match patch.user_id.is_none() && patch.email.is_none() {
            true => Err(vec![Issue::missing("user_id")]),
            false => Ok(patch),
        }
    }
}

/// What changes of every user alike.
#[derive(Debug)]
pub(super) struct Anyones(pub(super) UserPatch);

impl Request for Anyones {
    const NAME: &'static str = "PatchOfAnyUser";
    const FIELDS: &'static [&'static [Field]] = UserPatch::FIELDS;

    fn read(form: Form) -> Result<Self, Vec<Issue>> {
        // Of one user each, and so not of all.
        let own = ["user_id", "user_email", "sso_user_id"];
        if let Some(name) = own.into_iter().find(|name| form.says(name)) {
            let msg = "This is different for each user: leave it out, or name users one by one in `users`";
            return Err(vec![Issue::of_field("value_error", name, msg, Value::Null)]);
        }
        UserPatch::of(form).map(Self)
    }
}

impl UserPatch {
    /// Reads what changes. Whom it is about may be missing.
    fn of(mut form: Form) -> Result<Self, Vec<Issue>> {
        if form.take::<Value>("password").is_said() {
            let msg = "Passwords cannot be set here";
            return Err(vec![Issue::of_field("value_error", "password", msg, Value::Null)]);
        }
        if let Some(name) = ELSEWHERE.iter().find(|name| form.says(name)) {
            let msg = "Teams and organizations are not changed here: use /team/member_add and /team/member_delete";
            return Err(vec![Issue::of_field("value_error", name, msg, Value::Null)]);
        }
        let text = |said: Patch<String>| said.given().filter(|text| !text.is_empty());
        let names = Self::FIELDS.iter().flat_map(|table| table.iter()).map(|field| field.name);
        let reserved = names.filter(|name| !OWN.contains(name) && form.says(name)).collect();
        Ok(Self {
            user_id: text(form.take("user_id")),
            email: text(form.take("user_email")),
            alias: form.take("user_alias").given(),
            role: form.take("user_role").given(),
            // Admin pages send empty ones for what they do not want to change.
            models: form.take::<Vec<String>>("models").given().filter(|models| !models.is_empty()),
            metadata: form.take::<Map<String, Value>>("metadata").given().filter(|metadata| !metadata.is_empty()),
            max_budget: form.take("max_budget"),
            budget_duration: form.take("budget_duration"),
            tpm_limit: form.take("tpm_limit"),
            rpm_limit: form.take("rpm_limit"),
            max_parallel_requests: form.take("max_parallel_requests"),
            kept: form.take_all(KEPT),
            reserved,
        })
    }

    /// Whether it says what the user may spend, or that there is no end to it.
    pub(super) fn says_budget(&self) -> bool {
        self.max_budget.is_said()
    }

    /// Refuses what users may not change of themselves.
    pub(super) fn check_own(&self) -> Result<(), UserError> {
        match self.reserved.first() {
            Some(name) => Err(UserError::NotAllowed(format!("Only proxy admins can set {name} of a user."))),
            None => Ok(()),
        }
    }
}

/// The user as they are after the change. Who is made an internal user, and has no budget, gets that of internal users.
pub(super) fn apply(
    mut user: User,
    patch: UserPatch,
    defaults: &Defaults,
    now: OffsetDateTime,
) -> Result<User, UserError> {
    let gets_budget = patch.role.is_some() && !patch.max_budget.is_said();
    if patch.user_id.is_some() && patch.email.is_some() {
        user.email = patch.email;
    }
    user.alias = patch.alias.or(user.alias);
    user.role = patch.role.unwrap_or(user.role);
    user.models = patch.models.unwrap_or(user.models);
    user.metadata = patch.metadata.unwrap_or(user.metadata);
    limits::set(patch.max_budget, &mut user.max_budget, |value| limits::usd("max_budget", value))?;
    limits::set(patch.budget_duration, &mut user.budget_duration, limits::window)?;
    limits::set(patch.tpm_limit, &mut user.tpm_limit, |value| limits::limit("tpm_limit", value))?;
    limits::set(patch.rpm_limit, &mut user.rpm_limit, |value| limits::limit("rpm_limit", value))?;
    let parallel = |value| limits::limit("max_parallel_requests", value);
    limits::set(patch.max_parallel_requests, &mut user.max_parallel_requests, parallel)?;
    limits::merge(&mut user.more, patch.kept);
    user.updated_at = now;
    if gets_budget {
        defaults.fill_internal(&mut user);
    }
    Ok(user)
}

/// Somebody of whom nothing is known yet but what names them.
pub(super) fn unknown(patch: &UserPatch, now: OffsetDateTime) -> User {
    User { email: patch.email.clone(), ..User::bare(patch.user_id.clone(), now) }
}
