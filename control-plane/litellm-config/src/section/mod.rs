//! The sections of a file, each read by its own page, and what they have to say of each other.

mod general;
mod litellm;
mod model_list;
mod router;
mod walk;

use std::collections::BTreeMap;

use crate::config::Config;
use crate::reader::{At, Reader, Unenforced};
use crate::reference::Value;
use crate::yaml::Kind;

pub(crate) use crate::deployment::read as read_entry;
pub(crate) use walk::{Fields, walk};

/// Reads the whole tree.
pub(crate) fn read(root: &At<'_>, reader: &mut Reader<'_>) -> Config {
    // Both decide how everything else is read.
    let environment = environment(root, reader);
    if allows_unenforced(root, reader) {
        reader.unenforced = Unenforced::Allowed;
    }

    let top = if root.node.kind == Kind::Null { Fields::default() } else { walk(root, "", reader) };
    let general = top.get("general_settings").map(|at| general::read(at, reader)).unwrap_or_default();
    let deployments = model_list::read(top.get("model_list"), root, &general, reader);
    let config = Config {
        litellm: top.get("litellm_settings").map(|at| litellm::read(at, reader)).unwrap_or_default(),
        router: top.get("router_settings").map(|at| router::read(at, reader)).unwrap_or_default(),
        sections: root
            .entries()
            .iter()
            .filter(|entry| !matches!(entry.name.as_str(), "model_list" | "environment_variables" | "include"))
            .map(|entry| (entry.name.clone(), entry.value.json()))
            .collect(),
        environment,
        general,
        deployments,
    };
    crate::check::aliases::check(root, &config, reader);
    config
}

/// `environment_variables`, which hold from here on for every reference.
fn environment(root: &At<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let Some(section) = root.member("environment_variables") else { return BTreeMap::new() };
    let variables: BTreeMap<String, Value> = section
        .entries()
        .iter()
        .filter_map(|entry| reader.value(&entry.value).map(|value| (entry.name.clone(), value)))
        .collect();
    for entry in section.entries() {
        // The reader does not know the section yet, so this asks the process, as the section itself will.
        if let Some(Value::Environment(name)) = variables.get(&entry.name)
            && reader.variable(name).is_none()
        {
            reader.warning(&section.key(entry), format!("`{name}` is not set, so this variable is not either"), "");
        }
    }
    let written = variables.iter().map(|(name, value)| (name.clone(), value.as_written())).collect();
    reader.set_own_environment(variables);
    written
}

fn allows_unenforced(root: &At<'_>, reader: &Reader<'_>) -> bool {
    let flag = root.member("general_settings").and_then(|general| general.member("allow_unenforced"));
    flag.and_then(|at| reader.flag(at.node)).unwrap_or_default()
}
