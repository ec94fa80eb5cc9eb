//! `general_settings`.

use std::net::IpAddr;

use super::walk::walk;
use crate::check::master_key;
use crate::check::names::{did_you_mean, nearest};
use crate::config::{General, OnUnknownPrice};
use crate::finding::Severity;
use crate::reader::{At, Reader};
use crate::yaml::Kind;

pub(super) fn read(at: &At<'_>, reader: &mut Reader<'_>) -> General {
    let fields = walk(at, "general_settings", reader);
    let text = |name: &str, reader: &Reader<'_>| fields.node(name).and_then(|node| reader.text(node));
    let flag = |name: &str, reader: &Reader<'_>| fields.node(name).and_then(|node| reader.flag(node));

    let master_key = fields.get("master_key").and_then(|at| {
        let key = reader.value(at.node)?;
        master_key::check(at, &key, reader);
        Some(key)
    });
    if let Some(at) = fields.get("allowed_ips") {
        at.items().for_each(|item| address(&item, reader));
    }
    if let Some(at) = fields.get("use_x_forwarded_for")
        && reader.flag(at.node) == Some(true)
        && fields.node("x_forwarded_for_hops").and_then(|node| reader.whole(node)).unwrap_or(0) == 0
    {
        let hint = "set `general_settings.x_forwarded_for_hops` to the number of proxies in front";
        reader.warning(at, "no header is believed: nobody says how many proxies are to be trusted", hint);
    }
    for name in ["user_header_name", "user_header_mappings"] {
        let mapped = fields.get(name).into_iter().flat_map(At::items).filter_map(|item| item.member("header_name"));
        let single = fields.get(name).filter(|at| !matches!(at.node.kind, Kind::List(_))).cloned();
        for at in mapped.chain(single).collect::<Vec<_>>() {
            header_name(&at, reader);
        }
    }
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

/// An address, or a network: one that is neither would let nobody in.
fn address(at: &At<'_>, reader: &mut Reader<'_>) {
    let Some(text) = reader.text(at.node) else { return };
    let (address, bits) = match text.trim().split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text.trim(), None),
    };
    let width = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => 0,
    };
    let is_number = |bits: &str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = |bits: &str| is_number(bits) && bits.parse::<u8>().is_ok_and(|bits| bits <= width);
    if width == 0 || !bits.is_none_or(fits) {
        let hint = "write an address such as `192.0.2.7`, or a network such as `10.0.0.0/8`";
        reader.error(at, "is neither an address nor a network", hint);
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
