//! Runs over bytes that mean nothing to the scanner, many at a time.
//!
//! Words of eight bytes catch the short runs (keys, small strings); blocks of 32, in a shape that the compiler turns into
//! vector instructions, carry the long ones (prompts, base64). What has structure to look at is for [`super::blocks`].

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How far words are tried before blocks are.
const WORDS_FIRST: usize = 3;

/// Where the plain run of a string ends: at a quote, a backslash or a control character, or at the end of the text.
#[inline]
pub(super) fn plain_end(text: &[u8], from: usize) -> usize {
    let is_hit = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
    let mut rest = text.get(from..).unwrap_or_default();
    for _ in 0..WORDS_FIRST {
        let Some((word, tail)) = rest.split_first_chunk() else { break };
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return text.len() - rest.len() + first(marks);
        }
        rest = tail;
    }
    while let Some((block, tail)) = rest.split_first_chunk::<32>() {
        if block.iter().fold(false, |hit, byte| hit | is_hit(*byte)) {
            break;
        }
        rest = tail;
    }
    while let Some((word, tail)) = rest.split_first_chunk() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return text.len() - rest.len() + first(marks);
        }
        rest = tail;
    }
    text.len() - rest.len() + rest.iter().position(|byte| is_hit(*byte)).unwrap_or(rest.len())
}

/// Marks the bytes of `word` that end a plain run. Marks above the lowest one may be false, the lowest never is.
#[inline]
fn marks(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    (zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c)) | (word.wrapping_sub(ONES * 0x20) & !word)) & TOPS
}

/// Which byte of a little-endian word the lowest mark belongs to.
#[inline]
fn first(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fast_way_finds_what_a_plain_loop_finds(
            text in prop::collection::vec(prop_oneof![30 => 0x20u8..=0xff, 1 => any::<u8>()], 0..200),
            from in 0usize..210,
        ) {
            let plain = |is_hit: fn(u8) -> bool| (from..text.len()).find(|at| is_hit(text[*at])).unwrap_or(text.len());
            prop_assert_eq!(plain_end(&text, from), plain(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)));
        }
    }
}
