//! What the operator set for the admin side: `litellm_settings` and `general_settings`, read by slices with rules of their own.
//!
//! A rule that cannot be read is not passed over: what it would decide is refused until it is mended.

use std::fmt::Display;

use proto::NanoUsd;
use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::keys::duration::Span;
use crate::publish::Publisher;

/// A setting that nothing can be decided by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    #[error("{place} {what}. Whoever runs the gateway mends it; nothing is made meanwhile that it would decide")]
    Wrong { place: String, what: String },
    #[error("reading settings")]
    Database(#[from] sqlx::Error),
}

/// Both sections, with what the API set over what the file says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    general: Map<String, Value>,
    litellm: Map<String, Value>,
}

impl Said {
    /// Reads both sections.
    pub(crate) async fn read(db: &mut PgConnection, publisher: &Publisher) -> Result<Self, OperatorError> {
        let rows = sqlx::query!(
            "select section, value from settings where section in ('general_settings', 'litellm_settings')
             order by case origin when 'file' then 0 else 1 end",
        )
        .fetch_all(&mut *db)
        .await?;
        let mut said = Self::default();
        for row in rows {
            let Value::Object(members) = row.value else { continue };
            match row.section.as_str() {
                "general_settings" => said.general.extend(members),
                _ => said.litellm.extend(members),
            }
        }
        said.resolve(db, publisher).await
    }

    /// Only what slices ask for, so that a reference elsewhere costs nothing.
    async fn resolve(mut self, db: &mut PgConnection, publisher: &Publisher) -> Result<Self, OperatorError> {
        self.general.retain(|name, _| GENERAL.contains(&name.as_str()));
        self.litellm.retain(|name, _| LITELLM.contains(&name.as_str()));
        if !self.general.values().chain(self.litellm.values()).any(holds_reference) {
            return Ok(self);
        }
        let resolved = |error: crate::publish::source::ComposeError| OperatorError::Wrong {
            place: "A reference to the environment in a setting of the admin side".to_owned(),
            what: format!("cannot be looked up: {error}"),
        };
        let both = Value::from_iter([("general", self.general), ("litellm", self.litellm)]);
        let mut both = publisher.resolved(db, &both).await.map_err(resolved)?;
        let mut take = |name: &str| match both.get_mut(name).map(Value::take) {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        Ok(Self { general: take("general"), litellm: take("litellm") })
    }

    /// `general_settings`.
    pub(crate) fn general(&self) -> Part<'_> {
        Part { place: "general_settings".to_owned(), members: &self.general }
    }

    /// `litellm_settings`.
    pub(crate) fn litellm(&self) -> Part<'_> {
        Part { place: "litellm_settings".to_owned(), members: &self.litellm }
    }
}

const GENERAL: &[&str] = &["disable_custom_api_keys", "default_team_disabled"];

const LITELLM: &[&str] = &[
    "default_key_generate_params",
    "upperbound_key_generate_params",
    "on_upperbound",
    "key_generation_settings",
    "key_alias_pattern",
    "enable_key_alias_format_validation",
    "default_internal_user_params",
    "max_internal_user_budget",
    "default_max_internal_user_budget",
    "internal_user_budget_duration",
    "default_team_params",
    "default_team_settings",
];

fn holds_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim_start().starts_with("os.environ/"),
        Value::Array(items) => items.iter().any(holds_reference),
        Value::Object(members) => members.values().any(holds_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A mapping of settings. What is not there or null is not set.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    place: String,
    members: &'a Map<String, Value>,
}

impl<'a> Part<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// That a member is not what it must be.
    pub(crate) fn wrong(&self, name: &str, what: impl Display) -> OperatorError {
        OperatorError::Wrong { place: format!("{}.{name}", self.place), what: what.to_string() }
    }

    fn of<T>(
        &self,
        name: &str,
        must: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, OperatorError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(name, format_args!("must be {must}")))
    }

    /// A mapping below this one.
    pub(crate) fn part(&self, name: &str) -> Result<Option<Part<'a>>, OperatorError> {
        let place = format!("{}.{name}", self.place);
        self.of(name, "a mapping", |value| Some(Part { place, members: value.as_object()? }))
    }

    /// The first of a list of mappings.
    pub(crate) fn first_part(&self, name: &str) -> Result<Option<Part<'a>>, OperatorError> {
        let place = format!("{}.{name}[0]", self.place);
        let Some(items) = self.of(name, "a list of mappings", Value::as_array)? else { return Ok(None) };
        let Some(first) = items.first() else { return Ok(None) };
        let members = first.as_object().ok_or_else(|| self.wrong(name, "must be a list of mappings"))?;
        Ok(Some(Part { place, members }))
    }

    /// A mapping with members of the operator's own.
    pub(crate) fn object(&self, name: &str) -> Result<Map<String, Value>, OperatorError> {
        Ok(self.of(name, "a mapping", Value::as_object)?.cloned().unwrap_or_default())
    }

    /// US dollars from zero on, also written as text.
    pub(crate) fn usd(&self, name: &str) -> Result<Option<NanoUsd>, OperatorError> {
        let read = |value: &Value| {
            let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
            NanoUsd::from_usd(number).filter(|amount| *amount >= NanoUsd::ZERO)
        };
        self.of(name, "a number of US dollars from 0 to 9 billion", read)
    }

    /// A whole number from zero on, also written as text or with a fraction of zero.
    pub(crate) fn whole(&self, name: &str) -> Result<Option<i64>, OperatorError> {
        let read = |value: &Value| {
            let fractionless = || value.as_f64().filter(|number| number.fract() == 0.0)?.to_string().parse().ok();
            let number = value.as_i64().or_else(fractionless).or_else(|| value.as_str()?.trim().parse().ok())?;
            (number >= 0).then_some(number)
        };
        self.of(name, "a whole number from zero on", read)
    }

    /// Text that says something; numbers and flags count as text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, OperatorError> {
        Ok(self.of(name, "text", text)?.filter(|text| !text.is_empty()))
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, OperatorError> {
        self.of(name, "a list of texts", |value| value.as_array()?.iter().map(text).collect())
    }

    /// A list of anything.
    pub(crate) fn list(&self, name: &str) -> Result<&'a [Value], OperatorError> {
        Ok(self.of(name, "a list", Value::as_array)?.map(Vec::as_slice).unwrap_or_default())
    }

    /// A flag, also as a word.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, OperatorError> {
        let read = |value: &Value| match value {
            Value::Bool(truth) => Some(*truth),
            Value::String(word) => match word.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" | "" => Some(false),
                _ => None,
            },
            _ => None,
        };
        Ok(self.of(name, "true or false", read)?.unwrap_or_default())
    }

    /// A length of time that is positive.
    pub(crate) fn span(&self, name: &str) -> Result<Option<String>, OperatorError> {
        self.checked_span(name, |text| match Span::parse(text)? {
            Span::Seconds(0) | Span::Months(0) => Err(crate::keys::duration::DurationError::Zero(text.to_owned())),
            Span::Seconds(_) | Span::Months(_) => Ok(()),
        })
    }

    /// The window of a budget.
    pub(crate) fn window(&self, name: &str) -> Result<Option<String>, OperatorError> {
        self.checked_span(name, Span::check_window)
    }

    fn checked_span<E: Display>(
        &self,
        name: &str,
        check: impl FnOnce(&str) -> Result<(), E>,
    ) -> Result<Option<String>, OperatorError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        check(&text).map_err(|error| self.wrong(name, format_args!("is no length of time: {error}")))?;
        Ok(Some(text))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(litellm: Value) -> Said {
        let Value::Object(litellm) = litellm else { panic!("a mapping") };
        Said { litellm, general: Map::new() }
    }

    #[test]
    fn what_is_set_is_read_in_every_spelling_that_yaml_has_for_it() {
        let said = said(json!({
            "part": {"usd": "1.5", "whole": 2.0, "text": 7, "texts": ["a", 1], "flag": "Yes", "span": "30d", "no": null},
        }));
        let part = said.litellm().part("part").unwrap().unwrap();
        assert_eq!(part.usd("usd").unwrap(), NanoUsd::from_usd(1.5));
        assert_eq!((part.whole("whole").unwrap(), part.text("text").unwrap()), (Some(2), Some("7".to_owned())));
        assert_eq!(part.texts("texts").unwrap().unwrap(), ["a", "1"]);
        assert!(part.flag("flag").unwrap() && !part.flag("no").unwrap());
        assert_eq!((part.span("span").unwrap(), part.usd("no").unwrap()), (Some("30d".to_owned()), None));
        assert!(said.litellm().part("other").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_says_where_it_stands() {
        let said = said(json!({"part": {
            "usd": -1, "whole": "many", "texts": "a", "flag": 3, "span": "30", "window": "2mo", "object": [], "list": {},
        }, "flat": 1}));
        let part = said.litellm().part("part").unwrap().unwrap();
        let errors = [
            part.usd("usd").map(drop),
            part.whole("whole").map(drop),
            part.texts("texts").map(drop),
            part.flag("flag").map(drop),
            part.span("span").map(drop),
            part.window("window").map(drop),
            part.object("object").map(drop),
            part.list("list").map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with("litellm_settings.part."), "{error}");
        }
        assert!(said.litellm().part("flat").is_err());
    }
}
