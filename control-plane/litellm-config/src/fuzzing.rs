//! What must hold for any file: the body of the fuzz target `config`, which `tests/fuzz` runs.
//!
//! Compiled for tests and for the fuzzer only. A broken promise is a panic, as fuzzers expect.

use crate::{Severity, Sources, read};

#[cfg(test)]
#[path = "../../../tests/fuzz/replay.rs"]
mod replay;

/// Reading any text ends, says what is wrong in single lines, and says the same when it is asked again.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = |name: &str| name.len().is_multiple_of(2).then(|| "value".to_owned());
    let include =
        |name: &str| if name.len().is_multiple_of(3) { Ok(text.to_owned()) } else { Err("gone\naway".to_owned()) };
    let sources = Sources { environment: &environment, include: &include };
    let reading = read(text, &sources);
    let lines: Vec<String> = reading.findings.iter().map(ToString::to_string).collect();
    for line in &lines {
        assert!(!line.contains(['\n', '\r']) && line.len() < 4_000, "not one line: {line:?}");
    }
    let has_errors = reading.findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(reading.has_errors(), has_errors);

    let again = read(text, &sources);
    assert_eq!(format!("{:?}", again.config), format!("{:?}", reading.config), "read twice, it means two things");
    assert_eq!(again.findings.iter().map(ToString::to_string).collect::<Vec<_>>(), lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_read_to_the_same_config_and_findings_of_one_line() {
        replay::replay("config", config);
    }
}
