//! The nearest known name to one that nobody knows.

use strsim::damerau_levenshtein;

use crate::finding::DID_YOU_MEAN;

/// The name among `known` that `name` was probably meant to be: equal but for case and separators, else at most a
/// quarter of its letters away.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A long name is no slip of the finger, and the distance costs its square.
    const LONGEST: usize = 80;
    let wanted = plain(name);
    if wanted.is_empty() || wanted.chars().count() > LONGEST {
        return None;
    }
    let allowed = match wanted.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=10 => 2,
        _ => 3,
    };
    known
        .map(|candidate| (damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// `apiKey`, `API-KEY` and `api_key` are one name.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The hint for an unknown name.
pub(crate) fn did_you_mean(name: &str) -> String {
    format!("{DID_YOU_MEAN} `{name}`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = ["model", "api_key", "api_base", "rpm", "tpm", "litellm_key_header_name"];

    #[test]
    fn slips_find_their_name() {
        for (slip, meant) in [
            ("modle", "model"),
            ("apiKey", "api_key"),
            ("API-BASE", "api_base"),
            ("rmp", "rpm"),
            ("litelm_key_headr_name", "litellm_key_header_name"),
        ] {
            assert_eq!(nearest(slip, KNOWN.into_iter()), Some(meant), "{slip}");
        }
    }

    #[test]
    fn strangers_find_none() {
        for stranger in ["", "x", "rp", "temperature", "modality", "日本語", &"m".repeat(10_000)] {
            assert_eq!(nearest(stranger, KNOWN.into_iter()), None, "{stranger:.20}");
        }
    }
}
