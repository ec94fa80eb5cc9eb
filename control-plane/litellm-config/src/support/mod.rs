//! What of LiteLLM is supported: every config key, environment variable, flag, endpoint and behaviour, with reasons.
//!
//! The tables are read twice: by the walk through a file, which turns them into findings, and by the test that writes
//! `COMPATIBILITY.md`. What a key means once it is honoured stands in the sections.

pub mod behaviours;
pub mod endpoints;
mod environment;
mod flags;
mod general_settings;
mod litellm_params;
mod litellm_settings;
mod model_info;
mod nested;
pub mod prices;
mod router_settings;
mod shape;
mod top_level;

use std::collections::BTreeSet;

pub use environment::{ENVIRONMENT, Variables};
pub use flags::FLAGS;
pub(crate) use litellm_params::is_request_default;
pub(crate) use litellm_settings::GUARDING_CALLBACKS;
pub(crate) use shape::Fit;
pub use shape::Shape;

/// How far a key is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what it does in LiteLLM; the key's note says where it does so differently.
    Honoured,
    /// Read and without effect, for the reason given, and nothing is lost by that.
    Ignored(&'static str),
    /// Without effect so far; what is missing.
    NotYet(&'static str),
    /// A limit or a right that is not enforced so far; what happens instead. The start goes on, with a warning.
    NotEnforced(&'static str),
    /// A restriction that would be an open door if it were ignored; what happens then. Stops the start unless
    /// `general_settings.allow_unenforced` is set.
    OpenDoor(&'static str),
    /// Never supported, for the reason given. Stops the start.
    Refused(&'static str),
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name; `*` stands for any letters.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// How far it is supported.
    pub support: Support,
    /// How it differs from LiteLLM, or what is good to know. Often empty.
    pub note: &'static str,
}

/// What a key is that no table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Probably a mistake: nothing reads it.
    Mistake,
    /// A parameter of the provider, sent along with each request.
    Parameter,
    /// The operator's own, shown by `/model/info`.
    Free,
}

/// The keys of one section.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Where the section stands, such as `model_list[].litellm_params`; empty for the top level.
    pub section: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// What other keys are.
    pub unknown: Unknown,
}

/// All sections of a config file.
pub static TABLES: &[&[Table]] = &[
    &[
        top_level::TABLE,
        top_level::MODEL,
        litellm_params::TABLE,
        model_info::TABLE,
        litellm_settings::TABLE,
        router_settings::TABLE,
        general_settings::TABLE,
    ],
    nested::TABLES,
];

/// Every section.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().flat_map(|tables| tables.iter())
}

/// The section at `path`, where indices are written `[]`.
pub fn table(path: &str) -> Option<&'static Table> {
    tables().find(|table| table.section == path)
}

/// The environment variables that deployments fall back to for keys, addresses and headers, sorted.
pub fn provider_variables() -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for provider in providers::PROVIDERS {
        let defaults = provider.defaults();
        names.extend(defaults.base_env.iter().chain(defaults.key_env));
        names.extend(provider.fields().iter().flat_map(|field| field.env));
        names.extend(provider.quirks().headers.iter().flat_map(|header| header.env));
    }
    names
}

impl Table {
    /// The row of `name`: the exact one, else the first pattern that fits.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        let exact = self.keys.iter().find(|key| key.name == name);
        exact.or_else(|| self.keys.iter().find(|key| key.is_pattern() && fits(key.name, name)))
    }

    /// Whether price fields are keys of this section.
    pub(crate) fn takes_prices(&self) -> bool {
        matches!(self.unknown, Unknown::Parameter | Unknown::Free)
    }
}

impl Key {
    /// Whether the name stands for several.
    pub fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }

    const fn new(name: &'static str, shape: Shape, support: Support) -> Self {
        Self { name, shape, support, note: "" }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// Whether `name` fits a pattern with one `*`.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else { return pattern == name };
    name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
}

const fn works(name: &'static str, shape: Shape) -> Key {
    Key::new(name, shape, Support::Honoured)
}

const fn ignored(name: &'static str, shape: Shape, why: &'static str) -> Key {
    Key::new(name, shape, Support::Ignored(why))
}

const fn later(name: &'static str, shape: Shape, missing: &'static str) -> Key {
    Key::new(name, shape, Support::NotYet(missing))
}

const fn unenforced(name: &'static str, shape: Shape, instead: &'static str) -> Key {
    Key::new(name, shape, Support::NotEnforced(instead))
}

const fn open_door(name: &'static str, shape: Shape, instead: &'static str) -> Key {
    Key::new(name, shape, Support::OpenDoor(instead))
}

const fn refused(name: &'static str, shape: Shape, why: &'static str) -> Key {
    Key::new(name, shape, Support::Refused(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_and_every_key_stands_in_the_tables_once() {
        let mut sections = BTreeSet::new();
        for table in tables() {
            assert!(sections.insert(table.section), "{} twice", table.section);
            let mut names = BTreeSet::new();
            for key in table.keys {
                assert!(names.insert(key.name), "{}.{} twice", table.section, key.name);
            }
        }
        let flags: BTreeSet<_> = FLAGS.iter().map(|key| key.name).collect();
        assert_eq!(flags.len(), FLAGS.len());
    }

    #[test]
    fn every_key_that_is_not_honoured_says_why() {
        let keys = tables().flat_map(|table| table.keys).chain(FLAGS).map(|key| (key.name, key.support));
        for (name, support) in keys.chain(ENVIRONMENT.iter().map(|group| ("variables", group.support))) {
            match support {
                Support::Honoured => {}
                Support::Ignored(why)
                | Support::NotYet(why)
                | Support::NotEnforced(why)
                | Support::OpenDoor(why)
                | Support::Refused(why) => assert!(why.len() >= 5, "{name}"),
            }
        }
    }

    #[test]
    fn every_nested_section_hangs_below_a_known_key() {
        for table in nested::TABLES {
            let path = table.section.trim_end_matches("[]");
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            let parent = super::table(parent).unwrap_or_else(|| panic!("no section {parent}"));
            assert!(parent.key(name).is_some(), "{} hangs in the air", table.section);
        }
    }

    #[test]
    fn patterns_fit_and_exact_names_win() {
        assert!(fits("gemini_*", "gemini_x") && fits("*_y", "x_y") && !fits("a*a", "a"));
        let table = table("litellm_settings").unwrap();
        assert_eq!(table.key("toxic_confidence_threshold").unwrap().name, "*_confidence_threshold");
        assert_eq!(
            table.key("google_moderation_confidence_threshold").unwrap().name,
            "google_moderation_confidence_threshold"
        );
    }
}
