//! What a value looks like, and whether it does.

use crate::reader::Reader;
use crate::reference::Value;
use crate::yaml::{Kind, Node};

/// What the value of a key looks like. Nothing (null) always fits: the key counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    Any,
    /// Text; numbers and flags count as text.
    Text,
    /// A number of any sign.
    Number,
    /// A number from zero on: limits, weights, money.
    Amount,
    /// A whole number from zero on.
    Whole,
    /// A time in seconds, from zero on.
    Seconds,
    /// True or false.
    Flag,
    /// A list of anything.
    List,
    /// A list of texts.
    Texts,
    /// A list of mappings.
    Maps,
    /// A mapping.
    Map,
    /// A mapping of names to texts.
    TextMap,
    /// Text, or a list of texts.
    TextOrTexts,
    /// Text or a mapping.
    TextOrMap,
}

/// How a value relates to a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    /// The value is a reference to a variable that is not set, so nothing can be said.
    Unset,
    Misfit,
}

impl Shape {
    /// The shape in a reader's words.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Text => "text",
            Self::Number => "a number",
            Self::Amount => "a number from zero on",
            Self::Whole => "a whole number from zero on",
            Self::Seconds => "a number of seconds",
            Self::Flag => "true or false",
            Self::List => "a list",
            Self::Texts => "a list of texts",
            Self::Maps => "a list of mappings",
            Self::Map => "a mapping",
            Self::TextMap => "a mapping of names to texts",
            Self::TextOrTexts => "text or a list of texts",
            Self::TextOrMap => "text or a mapping",
        }
    }

    /// Whether `node` looks like this.
    pub(crate) fn fit(self, node: &Node, reader: &Reader<'_>) -> Fit {
        if node.kind == Kind::Null || self == Self::Any {
            return Fit::Fits;
        }
        if let Kind::Text(text) = &node.kind {
            let value = Value::read(text);
            if matches!(value, Value::Environment(_)) && !self.takes_text() && reader.resolve(&value).is_none() {
                return Fit::Unset;
            }
        }
        let scalar = |node: &Node| !matches!(node.kind, Kind::List(_) | Kind::Map(_));
        let list_of = |fits: &dyn Fn(&Node) -> bool| match &node.kind {
            Kind::List(items) => items.iter().all(fits),
            _ => false,
        };
        let is_map = matches!(node.kind, Kind::Map(_));
        let fits = match self {
            Self::Any => true,
            Self::Text => scalar(node),
            Self::Number => reader.number(node).is_some(),
            Self::Amount => reader.number(node).is_some_and(|number| number >= 0.0),
            Self::Whole => reader.whole(node).is_some(),
            Self::Seconds => reader.seconds(node).is_some(),
            Self::Flag => reader.flag(node).is_some(),
            Self::List => matches!(node.kind, Kind::List(_)),
            Self::Texts => list_of(&scalar),
            Self::Maps => list_of(&|item| matches!(item.kind, Kind::Map(_))),
            Self::Map => is_map,
            Self::TextMap => match &node.kind {
                Kind::Map(entries) => entries.iter().all(|entry| scalar(&entry.value)),
                _ => false,
            },
            Self::TextOrTexts => scalar(node) || list_of(&scalar),
            Self::TextOrMap => scalar(node) || is_map,
        };
        if fits { Fit::Fits } else { Fit::Misfit }
    }

    const fn takes_text(self) -> bool {
        matches!(self, Self::Any | Self::Text | Self::TextOrTexts | Self::TextOrMap)
    }
}
