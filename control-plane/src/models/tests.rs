//! Rows for tests of this slice.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Deployment, Origin};

/// A deployment of a file, with one sealed member that does not open.
pub(super) fn deployment(params: Value) -> Deployment {
    Deployment {
        id: "one".to_owned(),
        model_name: "smart".to_owned(),
        params: params.as_object().cloned().unwrap(),
        sealed_params: Some(vec![1]),
        model_info: json!({"team": "a", "secret_note": "x"}).as_object().cloned().unwrap(),
        blocked: false,
        origin: Origin::File,
        created_at: OffsetDateTime::UNIX_EPOCH,
        created_by: None,
        updated_at: OffsetDateTime::UNIX_EPOCH,
        updated_by: None,
    }
}
