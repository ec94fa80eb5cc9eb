//! `model_list`: the deployments, each on its own and all together.

use std::collections::BTreeMap;

use crate::config::General;
use crate::deployment::{self, Deployment};
use crate::finding::Severity;
use crate::reader::{At, Reader};
use crate::yaml::Kind;

/// Reads the list at `list`, which may be absent from the file at `root`.
pub(super) fn read(
    list: Option<&At<'_>>,
    root: &At<'_>,
    general: &General,
    reader: &mut Reader<'_>,
) -> Vec<Deployment> {
    let mut deployments: Vec<Deployment> = Vec::new();
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for entry in list.map(At::items).into_iter().flatten() {
        for deployment in deployment::read(&entry, reader) {
            let written = deployment.model_info.contains_key("id");
            match given.get(&deployment.id).cloned() {
                None => {
                    given.insert(deployment.id.clone(), entry.path.clone());
                    deployments.push(deployment);
                }
                Some(other) if written => {
                    let at = entry.member("model_info").and_then(|info| info.member("id")).unwrap_or(entry.clone());
                    reader.error(
                        &at,
                        format!("`{other}` has the same id"),
                        "ids must differ; without one, it is generated",
                    );
                }
                // The same entry once more: legal, and a way to give it twice the share of calls.
                Some(other) => {
                    reader.note(&entry, format!("is the same as `{other}`, and takes a second share of the calls"));
                    let id = (1..).map(|copy| format!("{}-{copy}", deployment.id)).find(|id| !given.contains_key(id));
                    let id = id.unwrap_or_default();
                    given.insert(id.clone(), entry.path.clone());
                    deployments.push(Deployment { id, ..deployment });
                }
            }
        }
    }
    nothing_to_serve(list, root, &deployments, general, reader);
    deployments
}

/// A gateway without a model can only serve ones that are added later.
fn nothing_to_serve(
    list: Option<&At<'_>>,
    root: &At<'_>,
    deployments: &[Deployment],
    general: &General,
    reader: &mut Reader<'_>,
) {
    // What is no mapping has its finding already.
    if !matches!(root.node.kind, Kind::Null | Kind::Map(_)) {
        return;
    }
    if !deployments.is_empty() {
        if deployments.iter().all(|deployment| deployment.unavailable.is_some()) {
            reader.warning(
                list.unwrap_or(root),
                "no deployment can serve for now",
                "see the other findings for what each waits for",
            );
        }
        return;
    }
    let may_come_later = general.store_model_in_db || reader.variable("STORE_MODEL_IN_DB").is_some_and(is_true);
    match list {
        // Each entry has its own finding.
        Some(list) if list.items().next().is_some() => {
            reader.error(list, "no entry can be used, so there is no model to serve", "");
        }
        _ if may_come_later => reader.note(list.unwrap_or(root), "no models here; they can be added through the API"),
        _ => reader.find_in(
            0,
            "model_list",
            list.map(|list| list.line),
            Severity::Error,
            "there is no model to serve",
            Some(
                "add an entry, or set `general_settings.store_model_in_db: true` to add models through the API"
                    .to_owned(),
            ),
        ),
    }
}

fn is_true(text: String) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}
