//! Making a user out of a request. Pure.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Defaults, User, UserError};
use crate::access::Role;
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, optional};
use crate::keys::NewKey;
use crate::limits;

pub(super) const COLUMNS: &[Field] = &[
    optional("user_id", Shape::Text, "The id of the user. Absent: a random one."),
    optional("user_email", Shape::Text, "The user's e-mail address, unique among all users."),
    optional("user_alias", Shape::Text, "A name for the user."),
    optional("user_role", Shape::Choice(Role::NAMES), "What the user may do. Absent: `internal_user`."),
    optional("teams", Shape::Any, "Teams of the user: ids, or `[{team_id}]`."),
    optional("team_id", Shape::Text, "The team of the user's first key."),
    optional("organization_id", Shape::Text, "The organization whom the user belongs to."),
    optional("models", Shape::Texts, "Models that the user may call. Empty: all."),
    optional("metadata", Shape::Object, "Anything that you want to keep with the user."),
    optional("max_budget", Shape::Usd, "Most that the user may spend, in US dollars."),
    optional("budget_duration", Shape::Text, "How often the budget starts anew: `30d`, `1mo`."),
    optional("tpm_limit", Shape::Whole, "Tokens per minute."),
    optional("rpm_limit", Shape::Whole, "Requests per minute."),
    optional("max_parallel_requests", Shape::Whole, "Requests at once."),
    optional("password", Shape::Any, "Refused: passwords are set elsewhere."),
];

const OF_THE_KEY: &[Field] = &[
    optional("auto_create_key", Shape::Truth, "Whether the user gets a key. Absent: yes."),
    optional("key_alias", Shape::Text, "A name for the key."),
    optional("duration", Shape::Text, "How long the key lives: `30d`."),
    optional("aliases", Shape::TextMap, "Model aliases of the key."),
    optional("config", Shape::Object, "Per-key configuration (deprecated)."),
    optional("permissions", Shape::Object, "Special permissions of the key."),
    optional("blocked", Shape::Truth, "Whether the key is refused."),
];

/// Fields that are kept as they came and have no rule yet.
pub(super) const KEPT: &[Field] = &[
    optional("organizations", Shape::Texts, "Organizations of the user."),
    optional("model_max_budget", Shape::Object, "A budget of each model."),
    optional("allowed_cache_controls", Shape::Texts, "Cache controls that the user's calls may send."),
    optional("policies", Shape::Texts, "Policies for the user's calls."),
    optional("object_permission", Shape::Object, "MCP servers, vector stores, agents that the user may use."),
    optional("soft_budget", Shape::Usd, "Spend at which somebody is told, in US dollars."),
    optional("sso_user_id", Shape::Text, "The user's id at the identity provider."),
    optional("send_invite_email", Shape::Truth, "Whether the user gets a mail."),
];

/// What `POST /user/new` asks for.
#[derive(Debug)]
pub(super) struct NewUser {
    user_id: Option<String>,
    email: Option<String>,
    alias: Option<String>,
    role: Option<String>,
    pub(super) teams: Option<Vec<String>>,
    team_id: Option<String>,
    organization_id: Option<String>,
    models: Vec<String>,
    metadata: Map<String, Value>,
    max_budget: Option<f64>,
    budget_duration: Option<String>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    kept: Map<String, Value>,
    /// The key to make, without its owner.
    pub(super) key: Option<NewKey>,
}

impl Request for NewUser {
    const NAME: &'static str = "NewUser";
    const FIELDS: &'static [&'static [Field]] = &[COLUMNS, OF_THE_KEY, KEPT];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        if form.take::<Value>("password").is_said() {
            let msg = "Passwords cannot be set here";
            return Err(vec![Issue::of_field("value_error", "password", msg, Value::Null)]);
        }
        let text = |said: Patch<String>| said.given().filter(|text| !text.is_empty());
        let teams = form.take::<Value>("teams").given().map(team_ids).transpose()?;
        let team_id = text(form.take("team_id"));
        let models: Vec<String> = form.take("models").given().unwrap_or_default();
        let key = NewKey {
            key_alias: form.take("key_alias").given(),
            duration: form.take("duration").given(),
            models: models.clone(),
            aliases: form.take("aliases").given().unwrap_or_default(),
            config: form.take("config").given().unwrap_or_default(),
            permissions: form.take("permissions").given(),
            blocked: form.take("blocked").given(),
            team_id: team_id.clone(),
            ..NewKey::default()
        };
        let wants_key = form.take("auto_create_key").given().unwrap_or(true);
        Ok(Self {
            user_id: text(form.take("user_id")),
            email: text(form.take("user_email")),
            alias: form.take("user_alias").given(),
            role: form.take("user_role").given(),
            teams,
            team_id,
            organization_id: text(form.take("organization_id")),
            models,
            metadata: form.take("metadata").given().unwrap_or_default(),
            max_budget: form.take("max_budget").given(),
            budget_duration: form.take("budget_duration").given(),
            tpm_limit: form.take("tpm_limit").given(),
            rpm_limit: form.take("rpm_limit").given(),
            max_parallel_requests: form.take("max_parallel_requests").given(),
            kept: form.take_all(KEPT),
            key: wants_key.then_some(key),
        })
    }
}

/// Makes the user that was asked for, in the teams that were said or are everybody's.
pub(super) fn make(new: NewUser, defaults: &Defaults, now: OffsetDateTime) -> Result<User, UserError> {
    let is_left_alone = new.role.as_deref() == Some(Role::ProxyAdmin.name());
    let everybodys = || defaults.teams().iter().map(|team| team.team_id.clone()).collect();
    let mut user = User {
        user_id: new.user_id.unwrap_or_else(|| Uuid::new_v4().to_string()),
        email: new.email,
        alias: new.alias,
        role: new.role.unwrap_or_else(|| defaults.role().name().to_owned()),
        team_id: new.team_id,
        organization_id: new.organization_id,
        teams: match new.teams {
            Some(teams) => teams,
            None if is_left_alone => Vec::new(),
            None => everybodys(),
        },
        models: new.models,
        metadata: new.metadata,
        max_budget: limits::usd("max_budget", new.max_budget)?,
        budget_duration: limits::window(new.budget_duration)?,
        tpm_limit: limits::limit("tpm_limit", new.tpm_limit)?,
        rpm_limit: limits::limit("rpm_limit", new.rpm_limit)?,
        max_parallel_requests: limits::limit("max_parallel_requests", new.max_parallel_requests)?,
        more: new.kept.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        created_at: now,
        updated_at: now,
    };
    if !is_left_alone {
        defaults.fill(&mut user);
    }
    Ok(user)
}

/// A list of ids, or of objects that hold one.
fn team_ids(value: Value) -> Result<Vec<String>, Vec<Issue>> {
    let wrong = |input| vec![Issue::of_field("list_type", "teams", "Input should be a list of team ids", input)];
    let Value::Array(items) = value else { return Err(wrong(value)) };
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        match item.as_str().or_else(|| item.get("team_id").and_then(Value::as_str)) {
            Some(id) => ids.push(id.to_owned()),
            None => return Err(wrong(item)),
        }
    }
    Ok(ids)
}
