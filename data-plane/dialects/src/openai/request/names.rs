//! A sorted list of names that says quickly that a name is not in it, which is what most questions get for an answer.

#[derive(Debug)]
pub(super) struct Names {
    sorted: &'static [&'static str],
    /// For each first byte, one bit per length that a name with it has.
    lengths: [u64; 128],
}

impl Names {
    /// `sorted` is a list of ASCII names of fewer than 64 bytes; others are not found.
    pub(super) const fn new(sorted: &'static [&'static str]) -> Self {
        let mut lengths = [0; 128];
        let mut rest = sorted;
        while let [name, tail @ ..] = rest {
            let bytes = name.as_bytes();
            if !bytes.is_empty() && bytes[0] < 128 && bytes.len() < 64 {
                lengths[bytes[0] as usize] |= 1 << bytes.len();
            }
            rest = tail;
        }
        Self { sorted, lengths }
    }

    #[inline]
    pub(super) fn contains(&self, name: &str) -> bool {
        let lengths = name.bytes().next().and_then(|first| self.lengths.get(usize::from(first)));
        let is_likely = name.len() < 64 && lengths.is_some_and(|lengths| (lengths >> name.len()) & 1 == 1);
        is_likely && self.sorted.binary_search(&name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_names_of_the_list_are_in_it() {
        static NAMES: Names = Names::new(&["alpha", "beta", "beth"]);
        for name in ["alpha", "beta", "beth"] {
            assert!(NAMES.contains(name), "{name}");
        }
        for name in ["", "alphb", "bets", "é", "a", &"a".repeat(69)] {
            assert!(!NAMES.contains(name), "{name}");
        }
    }
}
