//! The bare names that are OpenAI's, from LiteLLM's price map.

/// Lines of `name provider`, sorted by name; lines that begin with `#` are remarks.
const NAMES: &str = include_str!("openai_names.txt");

/// The id of the provider that `model` names without a prefix.
pub(super) fn provider(model: &str) -> Option<&'static str> {
    lines().find(|(name, _)| *name == model).map(|(_, provider)| provider)
}

/// Found by walking: a few hundred short lines, read when deployments are loaded and never on a call's way.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::lines;
    use crate::table::find;

    #[test]
    fn names_are_sorted_unique_and_of_providers_that_exist() {
        let entries: Vec<_> = lines().collect();
        assert!(entries.len() > 100, "{}", entries.len());
        for pair in entries.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{pair:?}");
        }
        for (name, provider) in entries {
            assert!(find(provider).is_some(), "{name} {provider}");
        }
    }
}
