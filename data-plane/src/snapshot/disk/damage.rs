//! Random damage to the disk copy: never a panic, never wider rights than the newest durable state gives.
//!
//! Each case writes a history (bases, compactions, deltas that block and delete), damages files, and loads. What loads must be the
//! true state at some revision that is not before the last one said to be durable; else nothing loads, which is to wait.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::KeyHash;

use super::super::Standing;
use super::tests::{load, seal, version};
use super::*;

/// What happens to the snapshot, one after the other.
#[derive(Clone, Debug)]
enum Step {
    Whole,
    Compact,
    Put(u8),
    Block(u8),
    Delete(u8),
}

/// What happens to a file; positions are parts of its length.
#[derive(Clone, Debug)]
enum Damage {
    Flip { file: usize, at: f64, mask: u8 },
    Truncate { file: usize, at: f64 },
    Delete { file: usize },
    Swap { file: usize, with: usize },
    Replace { file: usize, by: usize },
    Append { file: usize, byte: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => Just(Step::Whole),
        2 => Just(Step::Compact),
        3 => (0_u8..6).prop_map(Step::Put),
        4 => (0_u8..6).prop_map(Step::Block),
        3 => (0_u8..6).prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..14)
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let file = 0_usize..8;
    let damage = prop_oneof![
        3 => (file.clone(), 0.0..1.0, 1_u8..).prop_map(|(file, at, mask)| Damage::Flip { file, at, mask }),
        3 => (file.clone(), 0.0..1.0).prop_map(|(file, at)| Damage::Truncate { file, at }),
        2 => file.clone().prop_map(|file| Damage::Delete { file }),
        2 => (file.clone(), file.clone()).prop_map(|(file, with)| Damage::Swap { file, with }),
        1 => (file.clone(), file.clone()).prop_map(|(file, by)| Damage::Replace { file, by }),
        1 => (file, any::<u8>()).prop_map(|(file, byte)| Damage::Append { file, byte }),
    ];
    prop::collection::vec(damage, 0..4)
}

fn resource(number: u8, blocked: bool) -> pb::Resource {
    let hash = hash(number).as_bytes().to_vec();
    let key = pb::Key { hash: hash.into(), blocked, ..pb::Key::default() };
    pb::Resource { required_features: Vec::new(), body: Some(pb::resource::Body::Key(key)) }
}

fn hash(number: u8) -> KeyHash {
    KeyHash::of(&format!("sk-{number}"))
}

/// Which keys there are, and whether they are blocked.
type State = BTreeMap<u8, bool>;

/// The true state at each revision, and the last revision that was said to be durable.
struct History {
    states: BTreeMap<u64, State>,
    durable: u64,
}

fn write(directory: &Path, steps: &[Step]) -> History {
    let mut disk = Disk::open(directory.to_owned(), seal(b"one")).unwrap();
    let mut state: State = (0..6).map(|number| (number, false)).collect();
    let all = |state: &State| state.iter().map(|(number, blocked)| resource(*number, *blocked)).collect::<Vec<_>>();
    let mut at = 1;
    disk.write_base(version(at), &all(&state)).unwrap();
    let mut history = History { states: BTreeMap::from([(at, state.clone())]), durable: at };
    for step in steps {
        let mut delta = pb::Delta { epoch: vec![9; 16].into(), from: at, to: at + 1, ..pb::Delta::default() };
        match step {
            Step::Compact => {
                disk.compact().unwrap();
                history.durable = at;
                continue;
            }
            Step::Whole => {
                // Something changed that never was in a log: the older generation does not lead here.
                state.insert(0, true);
            }
            Step::Put(number) => {
                state.insert(*number, false);
                delta.upserts.push(resource(*number, false));
            }
            Step::Block(number) => {
                state.insert(*number, true);
                delta.upserts.push(resource(*number, true));
            }
            Step::Delete(number) => {
                state.remove(number);
                delta.removals.push(pb::ResourceId { kind: pb::Kind::Key.into(), id: hash(*number).to_string() });
            }
        }
        at += 1;
        let durability = if matches!(step, Step::Put(_)) { Durability::Soon } else { Durability::Now };
        match step {
            Step::Whole => disk.write_base(version(at), &all(&state)).unwrap(),
            Step::Compact | Step::Put(_) | Step::Block(_) | Step::Delete(_) => disk.append(&delta, durability).unwrap(),
        }
        if durability == Durability::Now {
            history.durable = at;
        }
        history.states.insert(at, state.clone());
    }
    history
}

fn harm(directory: &Path, damage: &Damage) {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    if files.is_empty() {
        return;
    }
    let file = |index: usize| files[index % files.len()].clone();
    let bytes = |index| fs::read(file(index)).unwrap();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a small file"
    )]
    let place = |length: usize, at: f64| (length as f64 * at) as usize;
    match *damage {
        Damage::Flip { file: index, at, mask } => {
            let mut bytes = bytes(index);
            let at = place(bytes.len(), at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
            fs::write(file(index), bytes).unwrap();
        }
        Damage::Truncate { file: index, at } => {
            let bytes = bytes(index);
            fs::write(file(index), &bytes[..place(bytes.len(), at)]).unwrap();
        }
        Damage::Delete { file: index } => fs::remove_file(file(index)).unwrap(),
        Damage::Swap { file: index, with } => {
            let (one, other) = (bytes(index), bytes(with));
            fs::write(file(index), other).unwrap();
            fs::write(file(with), one).unwrap();
        }
        Damage::Replace { file: index, by } => fs::write(file(index), bytes(by)).unwrap(),
        Damage::Append { file: index, byte } => {
            let mut bytes = bytes(index);
            bytes.extend([byte; 7]);
            fs::write(file(index), bytes).unwrap();
        }
    }
}

fn state_of(snapshot: &Snapshot) -> State {
    let held = (0..6).filter_map(|number| {
        let key = snapshot.keys.get(&hash(number))?;
        Some((number, key.standing != Standing::Good))
    });
    held.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_the_files_no_revocation_is_undone(steps in steps(), damages in damages()) {
        let directory = tempfile::tempdir().unwrap();
        let history = write(directory.path(), &steps);
        damages.iter().for_each(|damage| harm(directory.path(), damage));
        // Twice: the first load puts files aside and cuts torn tails.
        for _ in 0..2 {
            let Some(snapshot) = load(directory.path()) else {
                prop_assert!(!damages.is_empty(), "an unharmed copy loads");
                continue;
            };
            let revision = snapshot.version.revision;
            prop_assert!(revision >= history.durable, "{revision} lies before {}", history.durable);
            prop_assert_eq!(Some(&state_of(&snapshot)), history.states.get(&revision));
        }
    }
}
