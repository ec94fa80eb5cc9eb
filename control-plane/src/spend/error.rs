//! What can be wrong with a request about spend.

/// Why a request about spend is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpendError {
    #[error("{field} must be a day written as YYYY-MM-DD, got '{text}'")]
    Day { field: &'static str, text: String },
    #[error("from start_date to end_date there may be at most {most} days")]
    TooManyDays { most: i64 },
    #[error("reading spend")]
    Database(#[from] sqlx::Error),
}
