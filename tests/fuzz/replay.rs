//! Replays a fuzz target's corpus on stable Rust, and seeded mutations of it.
//!
//! The crates whose targets these are include this file into their tests. `make fuzz` searches; this keeps what it found.

use std::path::{Path, PathBuf};

/// Mutations per target where `TURNPIKE_FUZZ_MUTATIONS` does not say otherwise: a few seconds in a debug build.
const MUTATIONS: usize = 2_000;
/// Longer inputs find nothing new and cost time.
const LONGEST: usize = 8 << 10;

/// Runs `body` on every file of the target's corpus, and on mutations of them that are the same in every run.
pub(crate) fn replay(target: &str, body: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "tests/fuzz/corpus/{target} is empty: `make fuzz` fills it");
    for (name, input) in &corpus {
        run(name, input, body);
    }
    let mutations = std::env::var("TURNPIKE_FUZZ_MUTATIONS").ok().and_then(|count| count.parse().ok());
    let mut random = Random(0x5eed);
    for number in 0..mutations.unwrap_or(MUTATIONS) {
        let mut input = random.pick(&corpus).1.clone();
        for _ in 0..1 + random.below(4) {
            mutate(&mut input, &corpus, &mut random);
        }
        input.truncate(LONGEST);
        run(&format!("mutation {number}"), &input, body);
    }
}

/// Says which input it was when `body` panics.
fn run(name: &str, input: &[u8], body: fn(&[u8])) {
    let told = Told { name, input };
    body(input);
    drop(told);
}

struct Told<'a> {
    name: &'a str,
    input: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: \"{}\"", self.name, self.input.escape_ascii());
        }
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(7) {
        0 => input.insert(at, random.byte()),
        1 if at < input.len() => drop(input.remove(at)),
        2 if at < input.len() => input[at] ^= 1 << random.below(8),
        3 if at < input.len() => input[at] = *random.pick(b"\"\\{}[],:0123456789-+.eE \n\r\x00\xff"),
        4 => input.truncate(at),
        5 => {
            // A stretch of this one again, elsewhere.
            let until = (at + random.below(64)).min(input.len());
            let stretch = input[at..until].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, stretch);
        }
        _ => {
            // The end of another one.
            let other = &random.pick(corpus).1;
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new("tests/fuzz/corpus").join(target);
    let above = crate_folder.ancestors().map(|above| above.join(&folder)).find(|folder| folder.is_dir());
    let folder = above.unwrap_or_else(|| panic!("{} is in no folder above the crate", folder.display()));
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.display().to_string(), std::fs::read(&file).unwrap())).collect()
}

/// SplitMix64: the same numbers in every run and on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
