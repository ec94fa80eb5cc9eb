//! Strings with many escapes (source code in prompts), and containers that are only passed, 64 bytes at a time.
//!
//! Each block becomes bit masks, one bit per byte, and what is escaped by what, and what is inside a string, is arithmetic
//! on the masks: the cost does not grow with the number of escapes or strings. Where the grammar counts, what is not plain
//! or well escaped is left to the careful way, which says what is wrong with it.

use wide::u8x16;

const BLOCK: usize = 64;
const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = !EVEN;

/// From `at`, inside a string and not inside an escape, to its closing quote, or to a place from which the careful way
/// has to go on: also inside the string, and not inside an escape.
pub(super) fn pass(text: &[u8], mut at: usize) -> usize {
    let mut carried = 0;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let masks = Masks::of(block);
        let escapes = Escapes::of(masks.backslashes, carried);
        let ends = masks.quotes & !escapes.escaped;
        let bad = (escapes.escaped & !masks.escapable) | masks.controls | (escapes.escaped & masks.unicode);
        let stop = ends | bad;
        if stop != 0 {
            let first = stop.trailing_zeros() as usize;
            if ends >> first & 1 == 1 {
                return at + first;
            }
            // What stopped us is escaped, mostly by the byte before it: the careful way begins at that backslash.
            let is_escaped = escapes.escaped >> first & 1;
            return at + first - usize::try_from(is_escaped).unwrap_or(0);
        }
        carried = escapes.carried;
        at += BLOCK;
    }
    at - usize::from(carried == 1)
}

/// From the bracket at `at` to behind the one that closes it, by counting those outside of strings; `None` if the text
/// ends first. Which kind of bracket closes which is not looked at.
pub(super) fn past_container(text: &[u8], mut at: usize) -> Option<usize> {
    let (mut depth, mut carried, mut in_string) = (0_usize, 0, 0);
    loop {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let brackets = match rest.first_chunk::<BLOCK>() {
            Some(block) => Brackets::of(block),
            None => {
                let mut padded = [0; BLOCK];
                for (to, from) in padded.iter_mut().zip(rest) {
                    *to = *from;
                }
                Brackets::of(&padded)
            }
        };
        let escapes = Escapes::of(brackets.backslashes, carried);
        carried = escapes.carried;
        // From each opening quote up to its closing one; what goes on into the next block is all ones.
        let inside = up_to_next(brackets.quotes & !escapes.escaped) ^ in_string;
        in_string = 0_u64.wrapping_sub(inside >> (BLOCK - 1));
        let (opening, closing) = (brackets.opening & !inside, brackets.closing & !inside);
        let closed = closing.count_ones() as usize;
        if closed < depth {
            depth = depth + opening.count_ones() as usize - closed;
        } else {
            let mut left = opening | closing;
            while left != 0 {
                let lowest = left & left.wrapping_neg();
                depth = if opening & lowest != 0 { depth + 1 } else { depth.saturating_sub(1) };
                if depth == 0 {
                    return Some(at + lowest.trailing_zeros() as usize + 1);
                }
                left ^= lowest;
            }
        }
        at += BLOCK;
    }
}

/// Each bit says whether the bits up to it, itself included, are odd in number.
#[inline]
fn up_to_next(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// One bit per byte of a block that is only passed.
struct Brackets {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Brackets {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut brackets = Self { quotes: 0, backslashes: 0, opening: 0, closing: 0 };
        for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
            let part = u8x16::from(*part);
            // '[' and '{', like ']' and '}', differ in the bit 0x20 only.
            let folded = part | u8x16::splat(0x20);
            let mask = |hits: u8x16| u64::from(hits.to_bitmask()) << (16 * index);
            brackets.quotes |= mask(part.simd_eq(u8x16::splat(b'"')));
            brackets.backslashes |= mask(part.simd_eq(u8x16::splat(b'\\')));
            brackets.opening |= mask(folded.simd_eq(u8x16::splat(b'{')));
            brackets.closing |= mask(folded.simd_eq(u8x16::splat(b'}')));
        }
        brackets
    }
}

/// Which bytes of a block are escaped, and whether the first of the next one is.
struct Escapes {
    escaped: u64,
    carried: u64,
}

impl Escapes {
    /// Of a run of backslashes every second byte from its second on is escaped, the byte after it included.
    fn of(backslashes: u64, carried: u64) -> Self {
        let backslashes = backslashes & !carried;
        let starts = backslashes & !(backslashes << 1);
        // Adding a run's first bit to it clears the run, whatever its length.
        let even_runs = backslashes & !backslashes.wrapping_add(starts & EVEN);
        let odd_runs = backslashes & !even_runs;
        let reached = |runs: u64| runs | runs << 1;
        let escaped = (reached(even_runs) & ODD) | (reached(odd_runs) & EVEN) | carried;
        Self { escaped, carried: odd_runs >> (BLOCK - 1) }
    }
}

/// One bit per byte of a block.
struct Masks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    /// What may follow a backslash, `u` included.
    escapable: u64,
    unicode: u64,
}

impl Masks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut masks = Self { quotes: 0, backslashes: 0, controls: 0, escapable: 0, unicode: 0 };
        for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
            let part = u8x16::from(*part);
            let mask = |hits: u8x16| u64::from(hits.to_bitmask()) << (16 * index);
            let is = |wanted: u8| part.simd_eq(u8x16::splat(wanted));
            let (quotes, backslashes, unicode) = (is(b'"'), is(b'\\'), is(b'u'));
            let letters = is(b'n') | is(b't') | is(b'r') | is(b'b') | is(b'f') | is(b'/');
            masks.quotes |= mask(quotes);
            masks.backslashes |= mask(backslashes);
            masks.unicode |= mask(unicode);
            masks.controls |= mask(part.min(u8x16::splat(0x1f)).simd_eq(part));
            masks.escapable |= mask(quotes | backslashes | unicode | letters);
        }
        masks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How far a plain loop goes: to the quote that closes, or the first escape or byte that is not plain.
    fn plain(text: &[u8]) -> (usize, Option<usize>) {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => return (at, Some(at)),
                b'\\' => match text.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    _ => return (at, None),
                },
                0..0x20 => return (at, None),
                _ => at += 1,
            }
        }
        (at, None)
    }

    proptest! {
        #[test]
        fn it_stops_at_the_quote_that_closes_or_where_care_is_needed_and_never_inside_an_escape(
            text in prop::collection::vec(
                prop_oneof![10 => Just(b'a'), 10 => Just(b'\\'), 4 => Just(b'n'), 2 => Just(b'"'), 1 => Just(b'u'), 1 => any::<u8>()],
                0..300,
            ),
        ) {
            let (careful, end) = plain(&text);
            let at = pass(&text, 0);
            prop_assert!(at <= careful);
            // It may stop early only where no whole block is left.
            prop_assert!(at == careful || text.len() - at <= BLOCK, "{at} of {careful}");
            prop_assert_eq!(plain(&text[at..]), (careful - at, end.map(|end| end - at)));
        }

        #[test]
        fn the_end_of_a_container_is_where_a_plain_loop_finds_it(
            text in prop::collection::vec(
                prop_oneof![
                    20 => Just(b'a'), 4 => Just(b'\\'), 4 => Just(b'"'), 6 => Just(b'['), 2 => Just(b'{'), 5 => Just(b']'),
                    2 => Just(b'}'), 1 => any::<u8>(),
                ],
                0..400,
            ),
            from in 0usize..80,
        ) {
            let text = [vec![b' '; from], b"[".to_vec(), text].concat();
            let (mut depth, mut in_string, mut end) = (0, false, None);
            let mut at = from;
            while at < text.len() && end.is_none() {
                match text[at] {
                    // What else it escapes means nothing.
                    b'\\' if matches!(text.get(at + 1), Some(b'"' | b'\\')) => at += 1,
                    b'"' => in_string = !in_string,
                    b'[' | b'{' if !in_string => depth += 1,
                    b']' | b'}' if !in_string => {
                        depth -= 1;
                        end = (depth == 0).then_some(at + 1);
                    }
                    _ => {}
                }
                at += 1;
            }
            prop_assert_eq!(past_container(&text, from), end);
        }
    }
}
