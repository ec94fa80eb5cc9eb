//! `POST /key/regenerate` and `POST /key/{key}/regenerate`.

use axum::extract::State;
use proto::KeyHash;
use time::OffsetDateTime;

use crate::access::{AccessError, Actor, MASTER_KEY_ALIAS, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::budgets;
use crate::change::{Change, Wait};
use crate::error::{AdminError, Generic, InputError};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, optional};
use crate::http::moment;
use crate::http::path::Names;
use crate::keys::fields::{COLUMNS, KEPT, METADATA};
use crate::keys::patch::{self, KeyPatch};
use crate::keys::view::{self, Place};
use crate::keys::{
    self, Generated, Key, KeyError, Rules, duration, identify, link, mint, organization, replaced, rights, store,
};
use crate::limits::{self, LimitError};
use crate::spend::Owner;
use crate::teams;

#[cfg(test)]
mod tests;

const REPLACING: &[Field] = &[
    optional("key", Shape::Text, "The key or its hash. Goes before the one in the path."),
    optional("new_key", Shape::Text, "The new value, `sk-` and at least 13 more characters. Absent: a random one."),
    optional("new_master_key", Shape::Text, "Refused: the master key is the process's own."),
    optional(
        "grace_period",
        Shape::Text,
        "How long the old value works beside the new one, as `duration`. Absent: not at all.",
    ),
];

/// Which key gets another value, and what else changes.
#[derive(Debug)]
pub(super) struct Wanted {
    key: Option<String>,
    new_key: Option<String>,
    new_master_key: Option<String>,
    grace_period: Option<String>,
    patch: KeyPatch,
    changes: Changes,
}

/// Whether a request changes more than the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changes {
    Value,
    Fields,
}

impl Request for Wanted {
    const NAME: &'static str = "RegeneratedKey";
    const FIELDS: &'static [&'static [Field]] = &[REPLACING, COLUMNS, METADATA, KEPT];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let says = [COLUMNS, METADATA, KEPT].into_iter().flatten().any(|field| form.says(field.name));
        let key: Option<String> = form.take("key").given();
        let key_alias = form.take("key_alias");
        Ok(Self {
            new_key: form.take("new_key").given(),
            new_master_key: form.take("new_master_key").given(),
            grace_period: form.take("grace_period").given().filter(|text: &String| !text.is_empty()),
            patch: KeyPatch::of(form, key.clone(), key_alias)?,
            changes: if says { Changes::Fields } else { Changes::Value },
            key,
        })
    }
}

type RegeneratedKey = Body<Wanted>;

/// Gives a key another value: all else of it stays, also what was spent with it. The new value is in this answer and nowhere
/// else. The old one ends at once, or after `grace_period`, in which both are one key.
#[utoipa::path(
    post,
    path = "/key/{key}/regenerate",
    tag = "keys",
    params(("key" = String, Path, description = "The key or its hash."), Wait),
    request_body = RegeneratedKey,
    responses((status = 200, body = Generated), crate::error::Refusals),
)]
pub(super) async fn by_path(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    names: Names<1>,
    body: RegeneratedKey,
) -> Result<Changed<Generated>, Generic> {
    let Names([said]) = names;
    Ok(regenerate(&app, &actor, wait, Some(said), body).await?)
}

/// Gives the key that the body names another value, as `/key/{key}/regenerate` does.
#[utoipa::path(
    post,
    path = "/key/regenerate",
    tag = "keys",
    params(Wait),
    request_body = RegeneratedKey,
    responses((status = 200, body = Generated), crate::error::Refusals),
)]
pub(super) async fn by_body(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    body: RegeneratedKey,
) -> Result<Changed<Generated>, Generic> {
    Ok(regenerate(&app, &actor, wait, None, body).await?)
}

async fn regenerate(
    app: &App,
    actor: &Actor,
    wait: Wait,
    in_path: Option<String>,
    Body { asked: wanted, unknown }: RegeneratedKey,
) -> Result<Changed<Generated>, AdminError> {
    actor.may(Permission::RegenerateKey, &Subject::Anything)?;
    let Some(said) = wanted.key.or(in_path) else {
        return Err(InputError::Fields(vec![Issue::missing("key")]).into());
    };
    let hash = identify::hash(&said);
    let is_master = |hash: &KeyHash| app.master.is(hash);
    if wanted.new_master_key.is_some()
        || said == MASTER_KEY_ALIAS
        || is_master(&KeyHash::of(&said))
        || hash.as_ref().is_some_and(is_master)
    {
        return Err(KeyError::Master.into());
    }
    let hash = hash.ok_or_else(|| KeyError::unknown(&said))?;
    let now = moment::now();
    let chosen = wanted.new_key.clone();
    let value = match wanted.new_key {
        Some(chosen) => mint::checked_value(chosen)?,
        None => mint::random_value(rand::random()),
    };
    let new_hash = KeyHash::of(&value);
    if is_master(&new_hash) {
        return Err(KeyError::ValueUsed.into());
    }
    if new_hash == hash {
        return Err(KeyError::ValueTaken.into());
    }
    let revoke_at = grace_end(wanted.grace_period.as_deref(), now)?;

    let mut change = Change::begin(app, actor).await?;
    let rules = Rules::read(&mut change).await.map_err(KeyError::from)?;
    rules.values.check(chosen.as_deref())?;
    let before = store::locked(change.db(), &[hash]).await?.pop().ok_or_else(|| KeyError::unknown(&said))?;
    let team = match &before.team_id {
        Some(team_id) => teams::find(change.db(), team_id).await?,
        None => None,
    };
    actor.may(Permission::RegenerateKey, &Subject::Key(&before, team.as_ref()))?;
    let with_budget = link::effective(change.db(), &before).await?;
    let own = match actor.key().filter(|_| !actor.is_admin()) {
        Some(own) => Some(link::effective(change.db(), own).await?),
        None => None,
    };
    rights::check_takeover(&with_budget, actor, own.as_ref())?;
    if let Some(own) = actor.key_hash()
        && keys::by_hash(change.db(), &own).await?.is_none()
    {
        return Err(AccessError::Forbidden("The key that asks has just been deleted.".to_owned()).into());
    }
    if wanted.changes == Changes::Fields {
        actor.may(Permission::ChangeKey, &Subject::Key(&before, team.as_ref()))?;
        rights::check_change(&wanted.patch, &with_budget, actor)?;
    }
    if let Patch::To(team_id) = &wanted.patch.team_id {
        // Shared: the team that the key moves to is not deleted meanwhile.
        teams::shared(change.db(), team_id).await?;
    }

    let spent = limits::usd("spend", wanted.patch.spend).map_err(KeyError::from)?;
    let lifetime = match &wanted.patch.duration {
        Patch::To(text) => Some(text.clone()),
        Patch::Keep | Patch::Clear => None,
    };
    let renamed = Key { hash: new_hash, masked: Some(proto::key::masked(&value)), ..before.clone() };
    let wishes = KeyPatch { key: Some(said), ..wanted.patch };
    let mut key = patch::apply(renamed.clone(), wishes, &rules, actor.user_id.as_deref(), now)?;
    organization::settle(change.db(), &before, &mut key).await?;

    // From here on usage waits to be booked: it must not meet accounts that are on their way.
    replaced::lock(change.db()).await?;
    if replaced::is_used(change.db(), &new_hash).await? {
        return Err(KeyError::ValueUsed.into());
    }
    let author = change.author().clone();
    store::archive(change.db(), std::slice::from_ref(&before), &author).await?;
    let moved = replaced::replace(change.db(), &before, &renamed, revoke_at).await;
    moved.map_err(|error| KeyError::from_insert(error, &renamed))?;
    keys::put(change.db(), &renamed, &key).await?;
    if let Some(spent) = spent {
        budgets::set_spent(change.db(), Owner::Key, &new_hash.to_string(), spent.nanos()).await?;
    }
    let row = view::view(change.db(), key.clone(), Place::Live, now).await?;
    let (old, new) = (view::for_audit(&before), view::for_audit(&key));
    change.note(Entry { action: Action::Rotated, ..Entry::updated(Noun::Key, new_hash.to_string(), old, new) });
    let published = change.commit(wait).await?;
    let view = Generated { key: value, token_id: row.token.clone(), duration: lifetime, row };
    Ok(Changed { view, published, unknown })
}

/// When the old value ends. Without a grace, on no clock at all: that of a data plane may be late.
fn grace_end(grace_period: Option<&str>, now: OffsetDateTime) -> Result<OffsetDateTime, KeyError> {
    let Some(text) = grace_period else { return Ok(OffsetDateTime::UNIX_EPOCH) };
    duration::end(text, now).map_err(|source| LimitError::Duration { field: "grace_period", source }.into())
}
