//! Lists of names, wherever they lie: boxed one by one, or packed into the bytes of the key that they belong to.
//!
//! A million keys are held at once. A box for each text costs more than the texts do; a key therefore keeps all of its
//! texts in one run of bytes, each behind its length.

use smallvec::SmallVec;

/// A list of names to look through. Cheap to copy.
#[derive(Clone, Copy)]
pub(crate) enum Names<'a> {
    Boxed(&'a [Box<str>]),
    Packed(Packed<'a>),
}

impl<'a> Names<'a> {
    pub(crate) fn is_empty(self) -> bool {
        match self {
            Self::Boxed(names) => names.is_empty(),
            Self::Packed(packed) => packed.0.is_empty(),
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> {
        let (boxed, packed) = match self {
            Self::Boxed(names) => (names, Packed::default()),
            Self::Packed(packed) => (&[][..], packed),
        };
        boxed.iter().map(AsRef::as_ref).chain(packed)
    }
}

impl<'a> From<&'a [Box<str>]> for Names<'a> {
    fn from(names: &'a [Box<str>]) -> Self {
        Self::Boxed(names)
    }
}

/// Packed texts that are still to be read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Packed<'a>(&'a [u8]);

impl<'a> Packed<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next run of bytes: a text, or a list of them.
    fn run(&mut self) -> &'a [u8] {
        let (mut length, mut shift) = (0_usize, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 56 {
                break;
            }
        }
        let (run, rest) = self.0.split_at_checked(length).unwrap_or((self.0, &[]));
        self.0 = rest;
        run
    }

    /// The next text.
    pub(super) fn text(&mut self) -> &'a str {
        // It was text when it was packed: looking again is what safe code costs.
        std::str::from_utf8(self.run()).unwrap_or_default()
    }

    /// The next list.
    pub(super) fn list(&mut self) -> Self {
        Self(self.run())
    }

    /// Passes over a text or a list.
    pub(super) fn skip(mut self, runs: usize) -> Self {
        for _ in 0..runs {
            self.run();
        }
        self
    }
}

/// A list, text by text.
impl<'a> Iterator for Packed<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        (!self.0.is_empty()).then(|| self.text())
    }
}

/// Texts being packed.
///
/// On the stack as long as they are few: keys are packed by the million.
#[derive(Default)]
pub(super) struct Packing(SmallVec<[u8; 256]>);

impl Packing {
    pub(super) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn list<'t>(&mut self, texts: impl Iterator<Item = &'t String> + Clone) {
        self.length(texts.clone().map(|text| text.len() + bytes_of_length(text.len())).sum());
        texts.for_each(|text| self.text(text));
    }

    pub(super) fn packed(self) -> Box<[u8]> {
        Box::from(self.0.as_slice())
    }

    fn length(&mut self, mut length: usize) {
        loop {
            let low = u8::try_from(length & 0x7f).unwrap_or(0);
            length >>= 7;
            match length {
                0 => break self.0.push(low),
                _ => self.0.push(low | 0x80),
            }
        }
    }
}

/// How many bytes a length takes, seven bits in each.
fn bytes_of_length(length: usize) -> usize {
    let bits = usize::BITS - (length | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_reads_back(
            before in ".{0,20}",
            lists in prop::collection::vec(prop::collection::vec(".{0,200}", 0..5), 0..4),
            after in ".{0,300}",
        ) {
            let mut packing = Packing::default();
            packing.text(&before);
            lists.iter().for_each(|list| packing.list(list.iter()));
            packing.text(&after);
            let bytes = packing.packed();

            let mut packed = Packed::new(&bytes);
            prop_assert_eq!(packed.text(), before);
            for list in &lists {
                let names = Names::Packed(packed.list());
                prop_assert_eq!(names.is_empty(), list.is_empty());
                prop_assert_eq!(names.iter().collect::<Vec<_>>(), list.iter().map(String::as_str).collect::<Vec<_>>());
            }
            prop_assert_eq!(packed.text(), after.as_str());
            prop_assert_eq!(Packed::new(&bytes).skip(1 + lists.len()).text(), after);
        }

        #[test]
        fn no_bytes_make_reading_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Packed::new(&bytes).count() <= bytes.len());
            let _ = Packed::new(&bytes).skip(100).list().text();
        }
    }
}
