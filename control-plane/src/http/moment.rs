//! Points in time as the API writes them.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::macros::format_description;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// A point in time, UTC, written as ISO 8601: with six digits of a second's fraction or none, which all of
/// LiteLLM's clients read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) OffsetDateTime);

impl Moment {
    /// The moment as text.
    pub(crate) fn text(self) -> String {
        let whole = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let fraction = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        let utc = self.0.to_offset(time::UtcOffset::UTC);
        let text = if utc.microsecond() == 0 { utc.format(whole) } else { utc.format(fraction) };
        text.unwrap_or_default()
    }
}

/// Now, to the microsecond: what Postgres stores, so that an answer equals what a later look-up shows.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.microsecond() * 1_000).unwrap_or(now)
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Moment {
    fn name() -> Cow<'static, str> {
        "Moment".into()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn moments_read_as_python_writes_them() {
        assert_eq!(Moment(datetime!(2025-02-01 00:00 UTC)).text(), "2025-02-01T00:00:00Z");
        assert_eq!(Moment(datetime!(2025-02-01 02:00:01.5 +1)).text(), "2025-02-01T01:00:01.500000Z");
    }
}
