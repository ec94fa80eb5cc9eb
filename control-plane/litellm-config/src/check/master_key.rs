//! The master key: present where named, of the right form, long enough to be a secret.

use crate::reader::{At, Reader};
use crate::reference::Value;

/// Fewer characters than this are guessed. `sk-` and 16 random letters are 95 bits.
const SHORTEST: usize = 19;

/// Looks at the master key of the file. Findings never repeat it.
pub(crate) fn check(at: &At<'_>, key: &Value, reader: &mut Reader<'_>) {
    let Some(text) = reader.resolve(key) else {
        if let Value::Environment(name) = key {
            let hint = format!("set `{name}` in the environment, to `sk-` and at least 32 random characters");
            reader.error(at, format!("`{name}` is not set, so there is no master key"), &hint);
        }
        return;
    };
    if text.trim().is_empty() {
        reader.error(
            at,
            "the master key is empty",
            "remove the line, or give it `sk-` and at least 32 random characters",
        );
    } else if !text.starts_with("sk-") {
        reader.error(at, "the master key must start with `sk-`", "put `sk-` before it");
    } else if text.chars().count() < SHORTEST {
        reader.warning(
            at,
            format!("ANYBODY CAN GUESS THIS MASTER KEY: it has {} characters", text.chars().count()),
            "whoever has it may do everything; use `sk-` and at least 32 random characters",
        );
    }
}
