//! Bounds on what the YAML parser is given, and its complaints in plain words.

use saphyr::ScanError;

use super::Fault;

/// The longest text that is read, in bytes.
const LONGEST: usize = 8 << 20;
/// The widest run of indentation and list or mapping markers at the start of a line. Each level of block nesting
/// takes at least half a column of it, so it bounds the parser's recursion; it bounds flow nesting itself.
const WIDEST: usize = 200;

/// Refuses what would be too large or too deep to parse.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    if text.len() > LONGEST {
        let problem = format!("the text is longer than {} MiB", LONGEST >> 20);
        return Err(Fault { line: None, problem, hint: None });
    }
    for (number, line) in text.lines().enumerate() {
        if leading_width(line) > WIDEST {
            let problem = format!("indented by more than {WIDEST} columns");
            return Err(Fault::at(number + 1, problem));
        }
    }
    Ok(())
}

/// How many columns of `line` are indentation and markers (`- `, `? `, `: `) that may open a nested collection.
fn leading_width(line: &str) -> usize {
    let bytes = line.as_bytes();
    let mut width = 0;
    while let Some(byte) = bytes.get(width) {
        let opens = match byte {
            b' ' | b'\t' => true,
            b'-' | b'?' | b':' => matches!(bytes.get(width + 1), None | Some(b' ' | b'\t')),
            _ => false,
        };
        if !opens {
            break;
        }
        width += 1;
    }
    // A line of blanks or a comment opens nothing.
    match bytes.get(width) {
        Some(b'#') => 0,
        None if line.trim().is_empty() => 0,
        _ => width,
    }
}

/// The parser's error, and what probably caused it.
pub(super) fn explain(text: &str, error: &ScanError) -> Vec<Fault> {
    let line = error.marker().line();
    let info = error.info();
    if info.contains("duplicated key") {
        let name = key_at(text, line, error.marker().col());
        let fault = match name {
            Some(name) => Fault::at(line, format!("the key `{name}` stands twice in the same mapping")),
            None => Fault::at(line, "a key stands twice in the same mapping"),
        };
        return vec![fault.hint("keep one of the two")];
    }
    let tabs: Vec<Fault> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.chars().take_while(|letter| letter.is_whitespace()).any(|letter| letter == '\t'))
        .filter(|(_, line)| !line.trim().is_empty())
        .take(20)
        .map(|(number, _)| Fault::at(number + 1, "a tab in the indentation").hint("YAML is indented with spaces only"))
        .collect();
    if !tabs.is_empty() {
        return tabs;
    }
    if info.contains("maximum node budget") {
        return vec![Fault::at(line, "the aliases (`*name`) expand to too much").hint("write the values out")];
    }
    if info.contains("recursion limit") {
        return vec![Fault::at(line, "nested too deeply")];
    }
    let fault = Fault::at(line, format!("this is not valid YAML: {info}"));
    vec![fault.hint("look at the indentation and the quotes here and on the line before")]
}

fn key_at(text: &str, line: usize, column: usize) -> Option<String> {
    let line = text.lines().nth(line.checked_sub(1)?)?;
    let rest: String = line.chars().skip(column).collect();
    let name = rest.split(':').next()?.trim().trim_matches(['"', '\'']);
    (!name.is_empty() && name.chars().count() <= 80).then(|| name.to_owned())
}
