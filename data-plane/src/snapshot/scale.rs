//! How much a million keys take, in memory and time. Run by hand: it takes a while, and counts on being alone.
//!
//! `cargo test --release -p data-plane a_million_keys -- --ignored --nocapture`

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use proto::{KeyHash, v1 as pb};

use super::build::Build;
use super::decode::Changes;
use super::disk::{Disk, Durability, Loaded};
use super::key::tests::twelve_fields;
use super::{Snapshot, Version};
use crate::seal::Seal;

const KEYS: u64 = 1_000_000;
const CHUNK: u64 = 10_000;

fn version(revision: u64) -> Version {
    Version { epoch: [3; 16], revision }
}

fn resource(body: pb::resource::Body) -> pb::Resource {
    pb::Resource { required_features: Vec::new(), body: Some(body) }
}

/// The chunks of so many keys, as they come from the control plane.
fn chunks(keys: u64) -> Vec<Vec<u8>> {
    let chunk = |from: u64| {
        let numbers = from..keys.min(from + CHUNK);
        let resources = numbers.map(|number| resource(pb::resource::Body::Key(twelve_fields(number))));
        zstd::bulk::compress(&pb::ResourceBatch { resources: resources.collect() }.encode_to_vec(), 1).unwrap()
    };
    (0..keys).step_by(usize::try_from(CHUNK).unwrap()).map(chunk).collect()
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn open(directory: &Path) -> Disk {
    Disk::open(directory.to_owned(), Seal::from_secret(b"0123456789abcdef")).unwrap()
}

fn build(chunks: &[Vec<u8>], before: Option<Arc<Snapshot>>) -> Snapshot {
    let mut build = Build::new(version(5), before);
    for chunk in chunks {
        build.put(super::disk::unpack(chunk).unwrap()).unwrap();
    }
    build.finish().0
}

fn write(directory: &Path, chunks: &[Vec<u8>]) -> Disk {
    let mut disk = open(directory);
    let mut written = disk.begin(version(5)).unwrap();
    for chunk in chunks {
        written.chunk(chunk, CHUNK).unwrap();
    }
    disk.put(written).unwrap();
    disk
}

fn said(what: &str, took: Duration) {
    println!("{what:<44} {:>10.3} ms", took.as_secs_f64() * 1e3);
}

#[test]
#[ignore = "minutes long and of figures: see the opening of this file"]
fn a_million_keys_in_memory_and_on_disk() {
    let chunks = chunks(KEYS);
    println!("{:<44} {:>10} bytes", "compressed", chunks.iter().map(Vec::len).sum::<usize>());
    let before = resident_bytes();
    let began = Instant::now();
    let snapshot = Arc::new(build(&chunks, None));
    said("unpacked, decoded, built", began.elapsed());
    let bytes_per_key = (resident_bytes() - before) as u64 / KEYS;
    println!("{:<44} {bytes_per_key:>10} bytes", "resident per key");

    let hashes: Vec<KeyHash> = (0..KEYS).step_by(7).map(|number| KeyHash::of(&format!("sk-{number}"))).collect();
    let began = Instant::now();
    for hash in &hashes {
        black_box(snapshot.keys.get(hash).unwrap().standing);
    }
    let look_up = began.elapsed() / u32::try_from(hashes.len()).unwrap();
    println!("{:<44} {:>10} ns", "look-up and one field", look_up.as_nanos());

    let began = Instant::now();
    const DELTAS: u32 = 200;
    let mut current = (*snapshot).clone();
    for number in 0..DELTAS {
        let mut changes = Changes::new();
        let key = pb::Key { blocked: true, ..twelve_fields(u64::from(number) * 4_099) };
        changes.put(resource(pb::resource::Body::Key(key)));
        current = changes.apply(&current, version(6 + u64::from(number)));
    }
    let delta = began.elapsed() / DELTAS;
    said("one-key delta", delta);
    drop(current);

    let (held, began) = (resident_bytes(), Instant::now());
    let again = build(&chunks, Some(Arc::clone(&snapshot)));
    said("built again beside what is in force", began.elapsed());
    let grown = resident_bytes().saturating_sub(held) as u64 / KEYS;
    println!("{:<44} {grown:>10} bytes", "grown per key");
    drop((again, snapshot));

    let directory = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut disk = write(directory.path(), &chunks);
    said("disk copy written and synced", began.elapsed());
    let began = Instant::now();
    for number in 0..100 {
        let key = resource(pb::resource::Body::Key(pb::Key { blocked: true, ..twelve_fields(number) }));
        let epoch = vec![3; 16].into();
        let delta = pb::Delta { epoch, from: 5 + number, to: 6 + number, upserts: vec![key], ..pb::Delta::default() };
        disk.append(&delta, Durability::Now).unwrap();
    }
    said("narrowing delta synced", began.elapsed() / 100);
    let (held, began) = (resident_bytes(), Instant::now());
    disk.compact().unwrap();
    said("compacted", began.elapsed());
    println!("{:<44} {:>10} bytes", "grown by it", resident_bytes().saturating_sub(held));
    let began = Instant::now();
    let loaded = open(directory.path()).load();
    said("ready from the disk copy, 1,000,000 keys", began.elapsed());
    assert!(matches!(loaded, Loaded::Snapshot(snapshot) if snapshot.keys.len() as u64 == KEYS));

    for keys in [50_000, 10_000] {
        let directory = tempfile::tempdir().unwrap();
        drop(write(directory.path(), &chunks[..usize::try_from(keys / CHUNK).unwrap()]));
        let began = Instant::now();
        let loaded = open(directory.path()).load();
        said(&format!("ready from the disk copy, {keys} keys"), began.elapsed());
        assert!(matches!(loaded, Loaded::Snapshot(_)));
    }
    assert!(bytes_per_key <= 300, "{bytes_per_key} bytes per key");
    assert!(delta <= Duration::from_millis(1), "{delta:?} per delta");
}

#[test]
fn twenty_thousand_keys_come_back_from_the_disk_as_they_were_built() {
    let chunks = chunks(20_000);
    let built = build(&chunks, None);
    let directory = tempfile::tempdir().unwrap();
    drop(write(directory.path(), &chunks));
    let Loaded::Snapshot(loaded) = open(directory.path()).load() else { panic!("nothing loads") };
    assert_eq!((built.keys.len(), loaded.keys.len()), (20_000, 20_000));
    for number in (0..20_000).step_by(371) {
        let hash = KeyHash::of(&format!("sk-{number}"));
        assert!(built.keys.get(&hash).is_some_and(|key| loaded.keys.get(&hash) == Some(key)));
    }
}
