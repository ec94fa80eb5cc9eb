//! What a request may say, as tables.
//!
//! Each request type lists its fields once: from the list come the checks and their messages ([`check`]), the names
//! that nobody knows, and the OpenAPI schema ([`schema`]). What the fields mean is for the slices to say.

pub(crate) mod check;
mod schema;

use serde_json::{Map, Value};

pub(crate) use check::Issue;
pub(crate) use schema::{document, parameters};

/// One field of a request: its name on the wire, what it may hold, and what it is for.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) need: Need,
    pub(crate) about: &'static str,
}

/// Whether a request is complete without a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// What a field may hold. `null` counts as not said, except where a change clears with it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text,
    /// `true`, `false`, or a word for one of them.
    Truth,
    /// A whole number, also as text.
    Whole,
    /// A number, also as text.
    Number,
    /// US dollars: as [`Shape::Number`], and `""` for none, which admin pages send.
    Usd,
    /// A list of texts.
    Texts,
    /// An object with values of any kind.
    Object,
    /// An object whose values are texts.
    TextMap,
    /// A list of objects.
    Objects,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Anything.
    Any,
}

/// A field that may be left out.
pub(crate) const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, need: Need::Optional, about }
}

/// A field that must be there.
pub(crate) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, need: Need::Required, about }
}

/// A type that is read from a body or a query.
pub(crate) trait Request: Sized {
    /// Its name in the OpenAPI document.
    const NAME: &'static str;
    /// Its fields, in groups that the slice may want to take as a whole.
    const FIELDS: &'static [&'static [Field]];
    /// The fields whose credentials the slice seals. Everywhere else a credential in the clear is refused.
    const SEALED: &'static [&'static str] = &[];

    /// Reads the checked fields. What no single field can get wrong is an issue here.
    fn read(form: Form) -> Result<Self, Vec<Issue>>;
}

/// What a request says of one field.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Patch<T> {
    /// Nothing: a change keeps what there is.
    #[default]
    Keep,
    /// `null`: a change clears it.
    Clear,
    /// This.
    To(T),
}

impl<T> Patch<T> {
    /// The value, where one was given. For requests in which `null` and nothing are the same.
    pub(crate) fn given(self) -> Option<T> {
        match self {
            Self::To(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Whether the request names the field, with a value or `null`.
    pub(crate) fn is_said(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// Changes a value that can be absent.
    pub(crate) fn apply(self, place: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *place = None,
            Self::To(value) => *place = Some(value),
        }
    }

    /// Changes a value that is empty when cleared.
    pub(crate) fn fill(self, place: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *place = T::default(),
            Self::To(value) => *place = value,
        }
    }
}

/// Requests in a list, each read as if it came alone.
#[derive(Debug)]
pub(crate) struct Each<T> {
    pub(crate) asked: Vec<T>,
    /// Names in any of them that nobody knows.
    pub(crate) unknown: Vec<String>,
}

/// Reads the object in the field `field` of a body, and gives the names in it that nobody knows.
pub(crate) fn nested<T: Request>(field: &str, item: Map<String, Value>) -> Result<(T, Vec<String>), Vec<Issue>> {
    read_at(&[field.into()], item)
}

fn read_at<T: Request>(place: &[Value], item: Map<String, Value>) -> Result<(T, Vec<String>), Vec<Issue>> {
    let read = check::check("body", T::FIELDS, item).and_then(|(form, unknown)| Ok((T::read(form)?, unknown)));
    read.map_err(|issues| issues.into_iter().map(|issue| issue.within(place)).collect())
}

/// Reads the objects in the list `field` of a body. Issues say in which of them they are.
pub(crate) fn each<T: Request>(field: &str, items: Vec<Map<String, Value>>) -> Result<Each<T>, Vec<Issue>> {
    let mut each = Each { asked: Vec::with_capacity(items.len()), unknown: Vec::new() };
    let mut issues = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match read_at(&[field.into(), index.into()], item) {
            Ok((asked, unknown)) => {
                each.asked.push(asked);
                each.unknown.extend(unknown);
            }
            Err(found) => issues.extend(found),
        }
        if issues.len() >= check::ISSUES {
            break;
        }
    }
    issues.truncate(check::ISSUES);
    each.unknown.sort_unstable();
    each.unknown.dedup();
    if issues.is_empty() { Ok(each) } else { Err(issues) }
}

/// The fields of one request after the check: all of the right shape.
#[derive(Debug, Default)]
pub(crate) struct Form(Map<String, Value>);

impl Form {
    /// Takes the value of `name`.
    pub(crate) fn take<T: Checked>(&mut self, name: &str) -> Patch<T> {
        match self.0.remove(name) {
            None => Patch::Keep,
            Some(Value::Null) => Patch::Clear,
            Some(value) => T::from_checked(value).map_or(Patch::Keep, Patch::To),
        }
    }

    /// Whether the request names the field and it was not taken yet.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What the request says and was not taken yet, checked.
    pub(crate) fn said(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Takes what was given of the fields of `table`, with `null` where that was said.
    pub(crate) fn take_all(&mut self, table: &[Field]) -> Map<String, Value> {
        let said = |field: &Field| Some((field.name.to_owned(), self.0.remove(field.name)?));
        table.iter().filter_map(said).collect()
    }
}

/// A Rust type for the values of a shape.
pub(crate) trait Checked: Sized {
    /// The value; `None` only where the table gives the field another shape than the code that takes it.
    fn from_checked(value: Value) -> Option<Self>;
}

impl Checked for String {
    fn from_checked(value: Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Checked for bool {
    fn from_checked(value: Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Checked for i64 {
    fn from_checked(value: Value) -> Option<Self> {
        value.as_i64()
    }
}

impl Checked for f64 {
    fn from_checked(value: Value) -> Option<Self> {
        value.as_f64()
    }
}

impl Checked for Map<String, Value> {
    fn from_checked(value: Value) -> Option<Self> {
        match value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }
}

impl Checked for Value {
    fn from_checked(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl<T: Checked> Checked for Vec<T> {
    fn from_checked(value: Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.into_iter().map(T::from_checked).collect(),
            _ => None,
        }
    }
}
