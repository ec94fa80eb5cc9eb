//! `general_settings`.

use super::walk::walk;
use crate::check::master_key;
use crate::check::names::{did_you_mean, nearest};
use crate::config::{General, OnUnknownPrice};
use crate::finding::Severity;
use crate::reader::{At, Reader};

pub(super) fn read(at: &At<'_>, reader: &mut Reader<'_>) -> General {
    let fields = walk(at, "general_settings", reader);
    let text = |name: &str, reader: &Reader<'_>| fields.node(name).and_then(|node| reader.text(node));
    let flag = |name: &str, reader: &Reader<'_>| fields.node(name).and_then(|node| reader.flag(node));

    let master_key = fields.get("master_key").and_then(|at| {
        let key = reader.value(at.node)?;
        master_key::check(at, &key, reader);
        Some(key)
    });
    General {
        master_key,
        database_url: fields.node("database_url").and_then(|node| reader.value(node)),
        key_header_name: fields.get("litellm_key_header_name").and_then(|at| header_name(at, reader)),
        completion_model: text("completion_model", reader),
        always_include_stream_usage: flag("always_include_stream_usage", reader),
        store_model_in_db: flag("store_model_in_db", reader).unwrap_or_default(),
        on_unknown_price: fields.get("on_unknown_price").map(|at| on_unknown_price(at, reader)).unwrap_or_default(),
        allow_unenforced: flag("allow_unenforced", reader).unwrap_or_default(),
    }
}

/// A name that HTTP allows for a header: RFC 9110 section 5.6.2.
fn header_name(at: &At<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.text(at.node)?;
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if name.is_empty() || !name.chars().all(allowed) {
        reader.error(at, "is no name that a header may have", "use letters, digits and `-`, such as `X-Litellm-Key`");
        return None;
    }
    Some(name)
}

fn on_unknown_price(at: &At<'_>, reader: &mut Reader<'_>) -> OnUnknownPrice {
    match reader.text(at.node).as_deref() {
        Some("deny") => OnUnknownPrice::Deny,
        Some("allow") => OnUnknownPrice::Allow,
        other => {
            let hint = other.and_then(|word| nearest(word, ["allow", "deny"].into_iter())).map(did_you_mean);
            reader.find(at, Severity::Error, "must be `allow` or `deny`", hint);
            // Until that is settled, the narrower one.
            OnUnknownPrice::Deny
        }
    }
}
