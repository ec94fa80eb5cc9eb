//! `router_settings`.

use super::walk::walk;
use crate::check::names::{did_you_mean, nearest};
use crate::config::{GroupAlias, Router, RoutingStrategy};
use crate::finding::Severity;
use crate::reader::{At, Reader};
use crate::yaml::Kind;

/// LiteLLM's strategies beside the shuffle.
const OTHER_STRATEGIES: [&str; 5] =
    ["least-busy", "usage-based-routing", "usage-based-routing-v2", "latency-based-routing", "cost-based-routing"];

pub(super) fn read(at: &At<'_>, reader: &mut Reader<'_>) -> Router {
    let fields = walk(at, "router_settings", reader);
    let num_retries = fields.node("num_retries").and_then(|node| reader.whole(node));
    let aliases = fields.get("model_group_alias");
    Router {
        num_retries: num_retries.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        timeout: fields.node("timeout").and_then(|node| reader.seconds(node)),
        stream_timeout: fields.node("stream_timeout").and_then(|node| reader.seconds(node)),
        routing_strategy: fields.get("routing_strategy").map(|at| strategy(at, reader)).unwrap_or_default(),
        model_group_alias: aliases
            .map(|section| {
                let entries = section.entries().iter();
                entries
                    .filter_map(|entry| alias(&section.key(entry), reader).map(|alias| (entry.name.clone(), alias)))
                    .collect()
            })
            .unwrap_or_default(),
    }
}

fn strategy(at: &At<'_>, reader: &mut Reader<'_>) -> RoutingStrategy {
    let name = reader.text(at.node).unwrap_or_default();
    if OTHER_STRATEGIES.contains(&name.as_str()) {
        reader.warning(at, format!("the strategy `{name}` is not there yet; `simple-shuffle` is used"), "");
    } else if name != "simple-shuffle" {
        let known = OTHER_STRATEGIES.into_iter().chain(["simple-shuffle"]);
        reader.find(at, Severity::Error, "no strategy is called so", nearest(&name, known).map(did_you_mean));
    }
    RoutingStrategy::SimpleShuffle
}

/// An alias is a model's name, or `{model, hidden}`.
fn alias(at: &At<'_>, reader: &mut Reader<'_>) -> Option<GroupAlias> {
    let (model, hidden) = match &at.node.kind {
        Kind::Map(entries) => {
            for entry in entries.iter().filter(|entry| !matches!(entry.name.as_str(), "model" | "hidden")) {
                let hint = nearest(&entry.name, ["model", "hidden"].into_iter()).map(did_you_mean);
                reader.find(&at.key(entry), Severity::Warning, "unknown key", hint);
            }
            let hidden = at.member("hidden");
            let flag = hidden.as_ref().map(|hidden| reader.flag(hidden.node));
            if let (Some(None), Some(hidden)) = (flag, &hidden) {
                reader.error(hidden, "must be true or false", "");
            }
            (at.member("model").and_then(|model| reader.text(model.node)), flag.flatten().unwrap_or_default())
        }
        _ => (reader.text(at.node), false),
    };
    let model = model.filter(|model| !model.is_empty());
    if model.is_none() {
        reader.error(at, "must name a model", "write `alias: model`, or `alias: {model: …, hidden: true}`");
    }
    Some(GroupAlias { model: model?, hidden })
}
