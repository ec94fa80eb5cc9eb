//! The price table that ships with the build.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use proto::v1::{Price, PriceState};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::names;
use super::sheet::{self, Crossing, Sheet};

static BUNDLED: &str = include_str!("table.json");

/// Prices and facts of models, by the names that LiteLLM gives them. Entries are kept as text and read when asked for:
/// a control plane needs a few of its 4,241.
pub struct Table {
    entries: HashMap<&'static str, Entry>,
    /// Lower-case names, for those who write `GPT-4o`.
    folded: HashMap<String, &'static str>,
    by_family: BTreeMap<&'static str, Vec<&'static str>>,
}

#[derive(Clone, Copy)]
struct Entry {
    name: &'static str,
    json: &'static RawValue,
    family: &'static str,
}

/// Whose entries count as a hit for a name that does not say its provider.
#[derive(Clone, Copy)]
enum Owner<'a> {
    Family(&'a str),
    Anyone,
}

impl Table {
    /// The table of this build, read once.
    pub fn bundled() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            Self::read(BUNDLED).unwrap_or_else(|error| {
                tracing::error!(%error, "the price table of this build cannot be read: no model has a known price");
                Self { entries: HashMap::new(), folded: HashMap::new(), by_family: BTreeMap::new() }
            })
        })
    }

    /// The price of a provider's model. `base_model` is what the admin says the model is, and goes before its name.
    ///
    /// A name without the provider's prefix counts only where the entry belongs to that provider: the same open model costs
    /// something else elsewhere. `None` where there is no entry; an entry without prices that we can charge is a price of
    /// state unknown. Not applied are prices by the hour of the day (`off_peak_pricing`: the higher standard rates hold)
    /// and regional multipliers.
    pub fn find(&self, provider: &str, upstream_model: &str, base_model: Option<&str>) -> Option<Price> {
        let by_base = base_model.and_then(|base| self.look_up(provider, base, Owner::Anyone));
        by_base.or_else(|| self.look_up(provider, upstream_model, Owner::Family(provider))).map(Entry::price)
    }

    /// All models of a provider whose price is known or free, by their names at the provider, in order.
    pub fn of_provider(&self, provider: &str) -> impl Iterator<Item = (&'static str, Price)> + use<> {
        let mut entries: BTreeMap<&'static str, Entry> = BTreeMap::new();
        for name in self.by_family.get(names::family(provider)).into_iter().flatten() {
            let Some(entry) = self.entries.get(name) else { continue };
            let bare = names::without_prefix(provider, name);
            // An entry that names its provider goes before one that does not.
            if bare != *name || !entries.contains_key(bare) {
                entries.insert(bare, *entry);
            }
        }
        let priced = |(name, entry): (&'static str, Entry)| (name, entry.price());
        entries.into_iter().map(priced).filter(|(_, price)| price.state() != PriceState::Unknown)
    }

    /// What is known of a provider's model beside its price.
    pub fn entry(&self, provider: &str, model: &str) -> Option<ModelFacts> {
        let entry = self.look_up(provider, model, Owner::Family(provider))?;
        Some(ModelFacts { name: entry.name, fields: entry.fields() })
    }

    fn read(json: &'static str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head<'a> {
            litellm_provider: Option<&'a str>,
        }
        let raw: BTreeMap<&'static str, &'static RawValue> = serde_json::from_str(json)?;
        let mut entries = HashMap::with_capacity(raw.len());
        let mut by_family: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, json) in raw {
            let head: Head<'static> = serde_json::from_str(json.get())?;
            let family = names::family(head.litellm_provider.unwrap_or_default());
            entries.insert(name, Entry { name, json, family });
            by_family.entry(family).or_default().push(name);
        }
        let folded = entries.keys().map(|name| (name.to_ascii_lowercase(), *name)).collect();
        Ok(Self { entries, folded, by_family })
    }

    fn look_up(&self, provider: &str, model: &str, owner: Owner<'_>) -> Option<Entry> {
        let candidates = names::candidates(provider, model);
        let exact = candidates.iter().find_map(|name| self.owned(name, provider, owner));
        exact.or_else(|| {
            let folded = |name: &String| self.folded.get(&name.to_ascii_lowercase()).copied();
            candidates.iter().filter_map(folded).find_map(|name| self.owned(name, provider, owner))
        })
    }

    fn owned(&self, name: &str, provider: &str, owner: Owner<'_>) -> Option<Entry> {
        let entry = self.entries.get(name)?;
        let counts = match owner {
            Owner::Anyone => true,
            Owner::Family(wanted) => {
                names::without_prefix(provider, name) != name
                    || entry.family == names::family(wanted)
                    // Another gateway of LiteLLM's kind passes models of all providers on.
                    || wanted == "litellm_proxy"
            }
        };
        counts.then_some(*entry)
    }
}

impl Entry {
    fn price(self) -> Price {
        let crossing = match self.family {
            "xai" => Crossing::AtOrAbove,
            _ => Crossing::Above,
        };
        let sheet = Sheet::read(&self.fields(), crossing);
        sheet::report(&sheet.unreadable, self.name);
        sheet.into_price(self.name)
    }

    fn fields(self) -> Map<String, Value> {
        // That every entry is an object, a test makes sure of.
        serde_json::from_str(self.json.get()).unwrap_or_default()
    }
}

/// What the table says of one model, in LiteLLM's words.
pub struct ModelFacts {
    /// The name it stands under.
    pub name: &'static str,
    fields: Map<String, Value>,
}

impl ModelFacts {
    /// The provider, as the table names it: `vertex_ai-language-models` for one of Vertex's families.
    pub fn litellm_provider(&self) -> Option<&str> {
        self.text("litellm_provider")
    }

    /// What it is for: `chat`, `embedding`, …
    pub fn mode(&self) -> Option<&str> {
        self.text("mode")
    }

    /// The longest prompt, in tokens.
    pub fn max_input_tokens(&self) -> Option<u64> {
        self.fields.get("max_input_tokens").and_then(Value::as_u64)
    }

    /// The longest answer, in tokens.
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.fields.get("max_output_tokens").and_then(Value::as_u64)
    }

    /// The older name of the output's limit, in tokens.
    pub fn max_tokens(&self) -> Option<u64> {
        self.fields.get("max_tokens").and_then(Value::as_u64)
    }

    /// Everything: limits, prices in dollars, `supports_…` flags.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
