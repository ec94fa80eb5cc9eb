//! What a reading has to say: findings, and the list in which they gather.
//!
//! A finding never holds a value from the file, only names: values may be secrets.

use std::fmt;

/// How grave a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Note,
    /// The gateway starts, and something will not be as the file says.
    Warning,
    /// The gateway does not start with this file.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// How the hint for an unknown name begins.
pub(crate) const DID_YOU_MEAN: &str = "did you mean";

/// One thing that a reader of the file should know: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The place, such as `model_list[2].litellm_params.modle`. Empty: the file as a whole.
    pub path: String,
    /// The line, counted from 1, where the place is known.
    pub line: Option<usize>,
    /// The included file that `line` counts in, `None` for the file itself.
    pub file: Option<String>,
    /// Whether the start goes on.
    pub severity: Severity,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// Whether a name is not known and one like it is.
    pub fn is_misspelling(&self) -> bool {
        self.hint.as_deref().is_some_and(|hint| hint.starts_with(DID_YOU_MEAN))
    }
}

impl fmt::Display for Finding {
    /// One line: `error: model_list[0].litellm_params.modle (line 4): unknown key; did you mean `model`?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        let place = if self.path.is_empty() { "config" } else { &self.path };
        f.write_str(&one_line(place))?;
        match (self.line, &self.file) {
            (Some(line), Some(file)) => write!(f, " ({}, line {line})", one_line(file))?,
            (Some(line), None) => write!(f, " (line {line})")?,
            (None, Some(file)) => write!(f, " ({})", one_line(file))?,
            (None, None) => {}
        }
        write!(f, ": {}", one_line(&self.problem))?;
        match &self.hint {
            Some(hint) => write!(f, "; {}", one_line(hint)),
            None => Ok(()),
        }
    }
}

/// Names in a file may hold anything; a finding stays one line of bounded length.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|letter| if letter.is_control() || letter == '\u{2028}' || letter == '\u{2029}' { ' ' } else { letter })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// Where findings gather while a file is read. Bounded: after [`Findings::MOST`] the rest is only counted.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    left_out: usize,
}

impl Findings {
    const MOST: usize = 1_000;

    pub(crate) fn push(&mut self, finding: Finding) {
        if self.list.len() < Self::MOST {
            self.list.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// All of them, by file and line; what has no line comes last.
    pub(crate) fn into_sorted(mut self) -> Vec<Finding> {
        self.list.sort_by(|one, other| {
            let place = |finding: &Finding| (finding.file.clone(), finding.line.unwrap_or(usize::MAX));
            place(one).cmp(&place(other))
        });
        if self.left_out > 0 {
            self.list.push(Finding {
                path: String::new(),
                line: None,
                file: None,
                // What was left out may have been an error.
                severity: Severity::Error,
                problem: format!("{} more findings are not shown", self.left_out),
                hint: Some("repair these first".to_owned()),
            });
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            path: "model_list[2].litellm_params.modle".to_owned(),
            line: Some(14),
            file: None,
            severity: Severity::Error,
            problem: "unknown key".to_owned(),
            hint: Some("did you mean `model`?".to_owned()),
        }
    }

    #[test]
    fn a_finding_is_one_line_with_place_and_advice() {
        assert_eq!(
            finding().to_string(),
            "error: model_list[2].litellm_params.modle (line 14): unknown key; did you mean `model`?"
        );
        let included = Finding { file: Some("models.yaml".to_owned()), hint: None, ..finding() };
        assert!(included.to_string().contains("(models.yaml, line 14): unknown key"));
    }

    #[test]
    fn names_with_line_breaks_and_endless_names_stay_on_one_bounded_line() {
        let odd = Finding { path: "a\nb\u{2028}c".to_owned(), problem: "x".repeat(10_000), ..finding() };
        let text = odd.to_string();
        assert!(!text.contains('\n') && !text.contains('\u{2028}'));
        assert!(text.len() < 1_000, "{}", text.len());
    }

    #[test]
    fn what_exceeds_the_bound_is_counted_and_stops_the_start() {
        let mut findings = Findings::default();
        for _ in 0..Findings::MOST + 5 {
            findings.push(Finding { severity: Severity::Note, ..finding() });
        }
        let all = findings.into_sorted();
        assert_eq!(all.len(), Findings::MOST + 1);
        let last = all.last().unwrap();
        assert_eq!((last.severity, last.problem.as_str()), (Severity::Error, "5 more findings are not shown"));
    }
}
