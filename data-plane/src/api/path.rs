//! Paths that mean one thing: what another server would read otherwise is refused before anything is routed.

use crate::error::ProxyError;
use crate::telemetry::limits;

/// `path`, unless it has dot segments, empty segments, a backslash or an escape that could stand for one of these.
///
/// An escaped slash is read only where a model's name stands: clients escape the slash of `vendor/model` there.
pub(super) fn checked(path: &str) -> Result<&str, ProxyError> {
    let is_plain = !path.contains("/.") && !path.contains("//") && !path.contains(['%', '\\']);
    match is_plain || is_safe(path) {
        true => Ok(path),
        false => {
            limits::reached("path");
            Err(ProxyError::Path(path.chars().take(200).collect()))
        }
    }
}

#[cold]
fn is_safe(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let names_model = ["/v1/models/", "/models/", "/engines/", "/v1/engines/", "/openai/deployments/"];
    let may_escape_slash = names_model.iter().any(|prefix| path.starts_with(prefix));
    let unescaped = lower.replace("%2e", ".");
    let unescaped = if may_escape_slash { unescaped.replace("%2f", "/") } else { unescaped };
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    !["//", "\\", "%5c", "%00", "%2f", "%25"].iter().any(|trick| unescaped.contains(trick))
        && !unescaped.split('/').any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_and_escaped_model_names_pass() {
        for path in [
            "/v1/chat/completions",
            "/key/generate",
            "/v1/models/gpt-4.1",
            "/v1/models/vendor%2Fmodel",
            "/openai/deployments/my%20model/chat/completions",
            "/openai/deployments/.hidden/embeddings",
            "/.well-known/x",
        ] {
            assert!(checked(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_hides_segments_is_refused() {
        for path in [
            "/v1/../key/generate",
            "/v1/./models",
            "/v1/%2e%2e/key/generate",
            "/v1/.%2E/key/generate",
            "/v1/..;/key/generate",
            "/v1//chat/completions",
            "/v1%2fchat/completions",
            "/key%2Fgenerate",
            "/v1/chat\\completions",
            "/v1/chat%5ccompletions",
            "/v1/models/..%2f..%2fkey",
            "/v1/models/%252e%252e%252f",
            "/v1/models/a%00b",
        ] {
            assert!(matches!(checked(path), Err(ProxyError::Path(_))), "{path}");
        }
    }
}
