//! `litellm_settings`.

use std::collections::BTreeMap;

use super::walk::{Fields, say, walk};
use crate::config::Litellm;
use crate::reader::{At, Reader};
use crate::support::{GUARDING_CALLBACKS, Support};
use crate::yaml::Kind;

pub(super) fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Litellm {
    let fields = walk(at, "litellm_settings", reader);
    guarding_callbacks(&fields, reader);
    let aliases = fields.get("model_alias_map").map(At::entries).unwrap_or_default();
    let num_retries = fields.node("num_retries").and_then(|node| reader.whole(node));
    Litellm {
        num_retries: num_retries.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        request_timeout: fields.node("request_timeout").and_then(|node| reader.seconds(node)),
        model_alias_map: aliases
            .iter()
            .filter_map(|entry| reader.text(&entry.value).map(|model| (entry.name.clone(), model)))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A callback that only writes logs can be missed; one that keeps text or callers out cannot.
fn guarding_callbacks(fields: &Fields<'_>, reader: &mut Reader<'_>) {
    const LISTS: [&str; 3] = ["callbacks", "success_callback", "failure_callback"];
    for list in LISTS.into_iter().filter_map(|name| fields.get(name)) {
        let single = matches!(list.node.kind, Kind::Text(_)).then(|| list.clone());
        for item in list.items().chain(single) {
            let name = reader.text(item.node).unwrap_or_default();
            if GUARDING_CALLBACKS.contains(&name.as_str()) {
                say(Support::OpenDoor("what it would keep out passes unchecked"), &item, reader);
            }
        }
    }
}
