//! Requests of somebody who is no proxy admin, held field by field to the rules that stand with the fields. Pure.

use serde_json::{Map, Value};

use super::{Right, is_something, refuse_if};
use crate::access::Actor;
use crate::keys::fields::{COLUMN_RULES, KEPT_RULES, METADATA_RULES, RESERVED_METADATA, Ruled};
use crate::keys::mint::NewKey;
use crate::keys::patch::KeyPatch;
use crate::keys::{Key, KeyError};

/// Checks a new key, and hands on what the key that makes it cannot go without.
pub(super) fn narrow(new: &mut NewKey, own: Option<&Key>) -> Result<(), KeyError> {
    for rule in &COLUMN_RULES {
        if rule.made == Right::Admins {
            refuse_if(new.said.get(rule.name()).is_some_and(gives), rule.name())?;
        }
    }
    for name in RESERVED_METADATA {
        refuse_if(new.metadata.contains_key(*name), &format!("metadata.{name}"))?;
    }
    for rule in &METADATA_RULES {
        // A field says the same as the member of metadata, and goes before it.
        if let Some(member) = new.metadata.shift_remove(rule.name())
            && new.in_metadata.get(rule.name()).is_none_or(Value::is_null)
        {
            refuse_if(matches!(rule.made, Right::Admins), &format!("metadata.{}", rule.name()))?;
            new.in_metadata.insert(rule.name().to_owned(), member);
        }
        hold(rule, &mut new.in_metadata, own.and_then(|own| own.metadata.get(rule.name())))?;
    }
    for rule in &KEPT_RULES {
        hold(rule, &mut new.kept, own.and_then(|own| own.more.get(rule.name())))?;
    }
    Ok(())
}

/// Whether the value of a column gives something. An empty list of routes gives all of them.
fn gives(value: &Value) -> bool {
    !value.is_null() && value.as_object().is_none_or(|members| !members.is_empty())
}

/// Holds one field of a new key to what the key that makes it has.
fn hold(rule: &Ruled, place: &mut Map<String, Value>, own: Option<&Value>) -> Result<(), KeyError> {
    let name = rule.name();
    let own = own.filter(|own| is_something(own));
    let said = place.get(name).filter(|said| !said.is_null());
    let other = |is_other: bool| refuse_if(is_other, &format!("another {name} than their own"));
    let held = match (rule.made, own) {
        (Right::Free | Right::Own, _) => return Ok(()),
        (Right::Admins, _) | (Right::Handed, None) => {
            let gives = |said: &Value| is_something(said) && *said != Value::Bool(false);
            return refuse_if(said.is_some_and(gives), name);
        }
        (Right::Same | Right::Keeps | Right::Within | Right::AtMost, None) => return Ok(()),
        (Right::Same | Right::Handed, Some(own)) => {
            other(said.is_some_and(|said| is_something(said) && said != own))?;
            own.clone()
        }
        (Right::Keeps, Some(own)) => {
            other(said.is_some_and(|said| !said.is_array()))?;
            let mut all = items(Some(own)).to_vec();
            all.extend(items(said).iter().filter(|item| !items(Some(own)).contains(item)).cloned());
            Value::Array(all)
        }
        (Right::Within, Some(own)) => match said.filter(|said| is_something(said)) {
            None => own.clone(),
            Some(said) => {
                other(!is_within(said, own))?;
                said.clone()
            }
        },
        (Right::AtMost, Some(own)) => match said {
            None => own.clone(),
            Some(said) => {
                other(said.as_f64() > own.as_f64())?;
                said.clone()
            }
        },
    };
    place.insert(name.to_owned(), held);
    Ok(())
}

/// Checks a change of `before`, a key with what it has from its budget.
pub(super) fn check_change(patch: &KeyPatch, before: &Key, actor: &Actor) -> Result<(), KeyError> {
    for rule in &COLUMN_RULES {
        refuse_if(rule.changed == Right::Admins && patch.said.contains_key(rule.name()), rule.name())?;
    }
    let replaced = match &patch.metadata {
        crate::http::fields::Patch::Keep => None,
        crate::http::fields::Patch::Clear => Some(Map::new()),
        crate::http::fields::Patch::To(metadata) => Some(metadata.clone()),
    };
    if let Some(metadata) = &replaced {
        for name in RESERVED_METADATA {
            let is_new = metadata.contains_key(*name) && metadata.get(*name) != before.metadata.get(*name);
            refuse_if(is_new, &format!("metadata.{name}"))?;
        }
    }
    for rule in &METADATA_RULES {
        let was = before.metadata.get(rule.name());
        let field = patch.in_metadata.get(rule.name());
        refuse_if(field.is_some() && is_admins(rule), rule.name())?;
        // `null` leaves a field of metadata as it is; metadata as a whole is replaced.
        let member = replaced.as_ref().map(|metadata| metadata.get(rule.name()));
        if let Some(now) = field.filter(|field| !field.is_null()).map(Some).or(member) {
            check_field(rule, was, now, before, actor)?;
        }
    }
    for rule in &KEPT_RULES {
        let was = before.more.get(rule.name());
        if let Some(now) = patch.kept.get(rule.name()) {
            refuse_if(is_admins(rule), rule.name())?;
            check_field(rule, was, Some(now), before, actor)?;
        }
    }
    Ok(())
}

fn is_admins(rule: &Ruled) -> bool {
    matches!(rule.changed, Right::Admins | Right::Handed)
}

/// Checks what a field was against what it is to be.
fn check_field(
    rule: &Ruled,
    was: Option<&Value>,
    now: Option<&Value>,
    before: &Key,
    actor: &Actor,
) -> Result<(), KeyError> {
    let now = now.filter(|now| is_something(now));
    let was = was.filter(|was| is_something(was));
    let is_refused = match rule.changed {
        Right::Free | Right::Own => false,
        // What is gone gives nothing.
        Right::Admins => now.is_some() && now != was,
        Right::Handed => now != was,
        Right::Same => was.is_some() && now != was,
        Right::Keeps => {
            let kept = items(was).iter().filter(|item| is_kept(item, rule, before, actor));
            !kept.into_iter().all(|item| items(now).contains(item))
        }
        Right::Within => {
            let own = actor.key().and_then(|own| member(own, rule.name())).filter(|own| is_something(own));
            own.is_some_and(|own| now.is_none_or(|now| !is_within(now, own)))
        }
        Right::AtMost => was.is_some_and(|was| now.is_none_or(|now| now.as_f64() > was.as_f64())),
    };
    refuse_if(is_refused, rule.name())
}

/// What somebody wrote into a key that they made, they take out again, unless the key that asks has it too.
fn is_kept(item: &Value, rule: &Ruled, before: &Key, actor: &Actor) -> bool {
    let is_maker = actor.user_id.is_some() && before.created_by == actor.user_id;
    !is_maker || actor.key().is_some_and(|own| items(member(own, rule.name())).contains(item))
}

/// What another value of `key` would give to whoever asks with `own`, by the name of the field; nothing where it is no more
/// than they have.
pub(super) fn wider(key: &Key, own: &Key) -> Option<&'static str> {
    let is_reserved = |name: &&&str| {
        key.metadata.get(**name).is_some_and(|value| !value.is_null() && own.metadata.get(**name) != Some(value))
    };
    if RESERVED_METADATA.iter().any(|name| is_reserved(&name)) {
        return Some("metadata");
    }
    let metadata =
        METADATA_RULES.iter().map(|rule| (rule, key.metadata.get(rule.name()), own.metadata.get(rule.name())));
    let kept = KEPT_RULES.iter().map(|rule| (rule, key.more.get(rule.name()), own.more.get(rule.name())));
    metadata.chain(kept).find(|(rule, key, own)| is_wider(rule.made, *key, *own)).map(|(rule, ..)| rule.name())
}

fn is_wider(right: Right, key: Option<&Value>, own: Option<&Value>) -> bool {
    let key = key.filter(|key| is_something(key));
    let own = own.filter(|own| is_something(own));
    match (right, own) {
        (Right::Free | Right::Own, _) => false,
        (Right::Admins, own) => key.is_some() && key != own,
        (Right::Same | Right::Keeps | Right::Within | Right::AtMost | Right::Handed, None) => false,
        (Right::Same | Right::Handed, own) => key != own,
        (Right::Keeps, own) => !items(own).iter().all(|item| items(key).contains(item)),
        (Right::Within, Some(own)) => key.is_none_or(|key| !is_within(key, own)),
        (Right::AtMost, Some(own)) => key.is_none_or(|key| key.as_f64() > own.as_f64()),
    }
}

fn member<'a>(key: &'a Key, name: &str) -> Option<&'a Value> {
    key.metadata.get(name).or_else(|| key.more.get(name))
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is_within(list: &Value, all: &Value) -> bool {
    list.is_array() && items(Some(list)).iter().all(|item| items(Some(all)).contains(item))
}
