//! The walk through one section: every key is looked up in the table, its value held against its shape, and what the
//! gateway does not do with it is said.

use crate::check::names::{did_you_mean, nearest};
use crate::finding::Severity;
use crate::reader::{At, Reader, Unenforced};
use crate::reference::{self, Value};
use crate::support::prices::{self, PriceName};
use crate::support::{self, Fit, Key, Shape, Support, Table, Unknown};
use crate::yaml::{Kind, Node, object};

/// The members of a section that can be used.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    at: Option<At<'a>>,
    known: Vec<(&'static Key, At<'a>)>,
    prices: Vec<At<'a>>,
    unknown: Vec<At<'a>>,
}

impl<'a> Fields<'a> {
    /// The member `name`, if it is there, of the right shape, and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&At<'a>> {
        self.known.iter().map(|(_, at)| at).find(|at| at.name == name)
    }

    pub(crate) fn node(&self, name: &str) -> Option<&'a Node> {
        self.get(name).map(|at| at.node)
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = (&'static Key, &At<'a>)> {
        self.known.iter().map(|(key, at)| (*key, at))
    }

    /// The price fields.
    pub(crate) fn prices(&self) -> impl Iterator<Item = &At<'a>> {
        self.prices.iter()
    }

    /// Members that no table knows.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &At<'a>> {
        self.unknown.iter()
    }

    /// The whole section as written.
    pub(crate) fn json(&self) -> serde_json::Map<String, serde_json::Value> {
        self.at.as_ref().map(|at| object(at.entries())).unwrap_or_default()
    }
}

/// Walks through the mapping at `at`, which is the section that the table knows as `section`.
pub(crate) fn walk<'a>(at: &At<'a>, section: &str, reader: &mut Reader<'_>) -> Fields<'a> {
    let mut fields = Fields { at: Some(at.clone()), ..Fields::default() };
    if !matches!(at.node.kind, Kind::Map(_)) {
        reader.error(at, format!("must be a mapping, and is {}", at.node.noun()), "");
        return fields;
    }
    let Some(table) = support::table(section) else { return fields };
    for entry in at.entries() {
        let member = at.key(entry);
        if let Some(key) = table.key(&entry.name) {
            if check(key, &member, reader) {
                if !has_own_page(section, &entry.name) {
                    nested(section, &member, reader);
                    odd_references(&member, reader);
                }
                fields.known.push((key, member));
            }
        } else if let Some(price) = prices::classify(&entry.name).filter(|_| table.takes_prices()) {
            if check_price(price, &member, reader) {
                fields.prices.push(member);
            }
        } else {
            unknown(table, &member, reader);
            odd_references(&member, reader);
            fields.unknown.push(member);
        }
    }
    fields
}

/// Whether the value can be used. Says so where it cannot, and how far the key is supported.
fn check(key: &Key, at: &At<'_>, reader: &mut Reader<'_>) -> bool {
    if at.node.kind == Kind::Null {
        return false;
    }
    match key.shape.fit(at.node, reader) {
        Fit::Fits => {}
        Fit::Unset => {
            reader.warning(at, "the variable that it refers to is not set; the value counts as absent", "");
            return false;
        }
        Fit::Misfit => {
            reader.error(at, misfit(key.shape, at.node), "");
            return false;
        }
    }
    say(key.support, at, reader);
    if key.support == Support::Honoured {
        unset_text(key, at, reader);
    }
    true
}

fn misfit(shape: Shape, node: &Node) -> String {
    let expected = shape.expected();
    match (&node.kind, shape) {
        (Kind::Whole(_) | Kind::Real(_), Shape::Amount | Shape::Whole | Shape::Seconds) => {
            format!("must be {expected}; this number is out of range")
        }
        (Kind::Text(_), Shape::Number | Shape::Amount | Shape::Whole | Shape::Seconds | Shape::Flag) => {
            format!("must be {expected}, and is text that holds none")
        }
        (Kind::List(_), Shape::Texts | Shape::TextOrTexts | Shape::Maps) => {
            format!("must be {expected}, and holds something else")
        }
        (Kind::Map(_), Shape::TextMap) => format!("must be {expected}, and holds something else"),
        _ => format!("must be {expected}, and is {}", node.noun()),
    }
}

/// Says what the gateway does not do with a key.
pub(super) fn say(support: Support, at: &At<'_>, reader: &mut Reader<'_>) {
    match support {
        Support::Honoured => {}
        Support::Ignored(why) => reader.note(at, format!("has no effect: {why}")),
        Support::NotYet(missing) => reader.warning(at, format!("has no effect yet; missing: {missing}"), ""),
        // A restriction that restricts nothing is not missed.
        Support::NotEnforced(_) | Support::OpenDoor(_) if at.node.is_off() => {}
        Support::NotEnforced(instead) => reader.warning(at, format!("is NOT enforced yet: {instead}"), ""),
        Support::OpenDoor(instead) => {
            let problem = format!("is NOT enforced yet: {instead}");
            match reader.unenforced {
                Unenforced::Allowed => reader.warning(at, problem, ""),
                Unenforced::Refused => reader.error(
                    at,
                    problem,
                    "remove it, or set `general_settings.allow_unenforced: true` to start without it",
                ),
            }
        }
        Support::Refused(why) => reader.error(at, format!("is not supported: {why}"), "remove it"),
    }
}

/// A text whose variable is not set counts as absent. Where more hangs on it, the section that reads it says so.
fn unset_text(key: &Key, at: &At<'_>, reader: &mut Reader<'_>) {
    const SAID_ELSEWHERE: [&str; 7] =
        ["master_key", "model_name", "model", "api_key", "api_base", "base_url", "azure_ad_token"];
    let takes_text = matches!(key.shape, Shape::Text | Shape::Texts | Shape::TextOrTexts | Shape::TextOrMap);
    if !takes_text || SAID_ELSEWHERE.contains(&key.name) {
        return;
    }
    for text in at.items().chain([at.clone()]) {
        if let Some(Value::Environment(name)) = reader.value(text.node)
            && reader.variable(&name).is_none()
        {
            reader.warning(&text, format!("`{name}` is not set; the value counts as absent"), "");
        }
    }
}

fn check_price(price: PriceName, at: &At<'_>, reader: &mut Reader<'_>) -> bool {
    if at.node.kind == Kind::Null {
        return false;
    }
    if price == PriceName::Misspelt {
        let hint = nearest(at.name, prices::names()).map(did_you_mean);
        reader.find(at, Severity::Warning, "no price is called so; calls are not priced with it", hint);
        return false;
    }
    let compound = matches!(at.node.kind, Kind::List(_) | Kind::Map(_)) && price == PriceName::NotCounted;
    if !compound && Shape::Amount.fit(at.node, reader) != Fit::Fits {
        reader.error(at, "must be a price in dollars, from zero on", "");
        return false;
    }
    if price == PriceName::NotCounted {
        reader.note(at, "is kept; no call is priced with it yet");
    }
    true
}

fn unknown(table: &Table, at: &At<'_>, reader: &mut Reader<'_>) {
    let own = table.keys.iter().filter(|key| !key.is_pattern()).map(|key| key.name);
    let with_prices = own.chain(prices::names().filter(|_| table.takes_prices()));
    if let Some(known) = nearest(at.name, with_prices) {
        let problem = match table.unknown {
            Unknown::Mistake => "unknown key",
            Unknown::Parameter => "unknown key; it is sent to the provider as a request parameter",
            Unknown::Free => "unknown key; it is only kept and shown",
        };
        return reader.find(at, Severity::Warning, problem, Some(did_you_mean(known)));
    }
    match table.unknown {
        Unknown::Mistake => reader.find(at, Severity::Warning, "unknown key, nothing reads it", elsewhere(at.name)),
        Unknown::Parameter => reader.note(at, "no setting of the gateway: sent to the provider as a request parameter"),
        Unknown::Free => reader.note(at, "no setting of the gateway: only kept and shown"),
    }
}

/// Where a key of this name belongs.
fn elsewhere(name: &str) -> Option<String> {
    let sections = ["general_settings", "litellm_settings", "router_settings", "model_list[].litellm_params", ""];
    let section = sections
        .into_iter()
        .find(|section| support::table(section).is_some_and(|table| table.keys.iter().any(|key| key.name == name)))?;
    let place = if section.is_empty() { "at the top level".to_owned() } else { format!("in `{section}`") };
    Some(format!("it belongs {place}"))
}

/// Whether the value is walked through on its own, by the page of its section.
fn has_own_page(section: &str, name: &str) -> bool {
    match section {
        "" => matches!(name, "model_list" | "general_settings" | "litellm_settings" | "router_settings"),
        "model_list[]" => matches!(name, "litellm_params" | "model_info"),
        _ => false,
    }
}

/// Looks for typos below a key: mappings, and lists of mappings, that have a section of their own.
fn nested(section: &str, at: &At<'_>, reader: &mut Reader<'_>) {
    let path = if section.is_empty() { at.name.to_owned() } else { format!("{section}.{}", at.name) };
    if let (Some(table), Kind::Map(_)) = (support::table(&path), &at.node.kind) {
        members(table, at, reader);
    }
    if let Some(table) = support::table(&format!("{path}[]")) {
        for item in at.items() {
            members(table, &item, reader);
        }
    }
}

fn members(table: &'static Table, at: &At<'_>, reader: &mut Reader<'_>) {
    for entry in at.entries() {
        let member = at.key(entry);
        if let Some(key) = table.key(&entry.name) {
            match key.support {
                // What somebody reads must be readable.
                Support::Honoured => _ = check(key, &member, reader),
                Support::Ignored(_) => say(key.support, &member, reader),
                // Said of the section as a whole.
                Support::NotYet(_) | Support::NotEnforced(_) | Support::OpenDoor(_) | Support::Refused(_) => {}
            }
            nested(table.section, &member, reader);
        } else if table.unknown == Unknown::Mistake {
            unknown(table, &member, reader);
        } else if let Some(known) = nearest(&entry.name, table.keys.iter().map(|key| key.name)) {
            reader.find(&member, Severity::Warning, "unknown key", Some(did_you_mean(known)));
        }
    }
}

/// Texts that were meant as references and are none, at any depth.
fn odd_references(at: &At<'_>, reader: &mut Reader<'_>) {
    match &at.node.kind {
        Kind::Text(text) => {
            if let Some(name) = reference::nearly(text) {
                let hint = format!("write `{}{name}` if the variable is meant", reference::PREFIX);
                reader.warning(at, "is used as it stands, although it looks like a reference", &hint);
            } else if text.contains(reference::PREFIX) && !text.trim().starts_with(reference::PREFIX) {
                reader.warning(
                    at,
                    "the reference inside this text is not resolved",
                    "a reference must be the whole text",
                );
            }
        }
        Kind::List(_) => at.items().for_each(|item| odd_references(&item, reader)),
        Kind::Map(entries) => entries.iter().for_each(|entry| odd_references(&at.key(entry), reader)),
        Kind::Null | Kind::Flag(_) | Kind::Whole(_) | Kind::Real(_) => {}
    }
}
