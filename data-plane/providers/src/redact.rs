//! Taking credentials out of texts that providers wrote: some quote the key that they refuse.
//!
//! Only what looks like a credential by its form is found here; the one that was really sent is known to the engine,
//! which hides it with `Fault::hiding`.

use std::borrow::Cow;

/// What stands where a credential was.
pub(crate) const HIDDEN: &str = "[hidden]";

/// How the keys of well-known providers begin.
const KEY_BEGINNINGS: &[&str] = &[
    "sk-",
    "sk_",
    "pk-",
    "gsk_",
    "xai-",
    "pplx-",
    "hf_",
    "fw_",
    "fpk_",
    "nvapi-",
    "csk-",
    "r8_",
    "tgp_",
    "AIza",
    "AKIA",
    "ghp_",
    "github_pat_",
    "eyJ",
];

/// No key is shorter than this, in bytes; ordinary words with the same beginning are.
const SHORTEST_BYTES: usize = 12;

/// `text` without what looks like a provider key or follows `Bearer`.
pub(crate) fn credentials(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut after_bearer = false;
    for (start, end) in words(text) {
        let word = text.get(start..end).unwrap_or_default();
        let hide = word.len() >= SHORTEST_BYTES
            && ((after_bearer && word.bytes().any(|byte| byte.is_ascii_digit()))
                || KEY_BEGINNINGS.iter().any(|beginning| word.starts_with(beginning)));
        if hide {
            out.push_str(text.get(copied..start).unwrap_or_default());
            out.push_str(HIDDEN);
            copied = end;
        }
        after_bearer = word.eq_ignore_ascii_case("bearer");
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// Where the words of `text` begin and end; a word is a run of characters that keys are made of.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| !in_key(c));
        if rest.is_empty() {
            return None;
        }
        let start = text.len() - rest.len();
        rest = rest.trim_start_matches(in_key);
        Some((start, text.len() - rest.len()))
    })
}

fn in_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.' | '+' | '/' | '~')
}

#[cfg(test)]
mod tests {
    use super::credentials;

    #[test]
    fn keys_are_taken_out_wherever_they_stand() {
        for (text, without) in [
            ("Incorrect API key provided: sk-proj-abcdefghijkl.", "Incorrect API key provided: [hidden]"),
            (
                "Incorrect API key provided: sk-abcd****wxyz, find it at https://x.example",
                "Incorrect API key provided: [hidden], find it at https://x.example",
            ),
            (r#"denied for "Bearer 0123456789abcdef""#, r#"denied for "Bearer [hidden]""#),
            ("a gsk_0123456789 b hf_0123456789", "a [hidden] b [hidden]"),
        ] {
            assert_eq!(credentials(text), without);
        }
    }

    #[test]
    fn other_words_stay() {
        for text in [
            "",
            "Bearer authentication is needed",
            "the sk-learn library",
            "model gpt-4o-2024-08-06 for req_0123456789abcdef",
            "Überlänge → 12",
        ] {
            assert_eq!(credentials(text), text);
        }
    }
}
