//! Reading, writing and damaging the disk copy.

use proto::KeyHash;

use super::*;

fn seal(secret: &[u8]) -> Seal {
    Seal::from_secret(secret)
}

fn version(revision: u64) -> Version {
    Version { epoch: [9; 16], revision }
}

fn key(name: &str) -> pb::Resource {
    let hash = KeyHash::of(name).as_bytes().to_vec();
    let key = pb::Key { hash: hash.into(), alias: name.to_owned(), ..Default::default() };
    pb::Resource { required_features: Vec::new(), body: Some(pb::resource::Body::Key(key)) }
}

fn resources(names: &[&str]) -> Resources {
    let mut resources = Resources::default();
    names.iter().for_each(|name| resources.put(key(name)));
    resources
}

fn delta(from: u64, to: u64, upserts: &[&str], removals: &[&str]) -> pb::Delta {
    let removals =
        removals.iter().map(|name| pb::ResourceId { kind: pb::Kind::Key.into(), id: KeyHash::of(name).to_string() });
    pb::Delta {
        epoch: vec![9; 16].into(),
        from,
        to,
        upserts: upserts.iter().map(|name| key(name)).collect(),
        removals: removals.collect(),
        narrowing: false,
    }
}

fn holds(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.keys.get(&KeyHash::of(name)).is_some()
}

#[test]
fn a_base_and_its_log_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a", "sk-b"])).unwrap();
    disk.append(&delta(5, 6, &["sk-c"], &[]), Durability::Soon).unwrap();
    disk.append(&delta(6, 8, &[], &["sk-a"]), Durability::Now).unwrap();

    let snapshot = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load().unwrap();
    assert_eq!(snapshot.version, version(8));
    assert!(!holds(&snapshot, "sk-a") && holds(&snapshot, "sk-b") && holds(&snapshot, "sk-c"));
}

#[test]
fn compaction_changes_nothing_that_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a", "sk-b"])).unwrap();
    disk.append(&delta(5, 6, &["sk-c"], &["sk-a"]), Durability::Now).unwrap();
    disk.compact().unwrap();
    disk.append(&delta(6, 7, &["sk-d"], &["sk-b"]), Durability::Now).unwrap();

    let snapshot = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load().unwrap();
    assert_eq!((snapshot.version, snapshot.keys.len()), (version(7), 2));
    assert!(holds(&snapshot, "sk-c") && holds(&snapshot, "sk-d"));
}

#[test]
fn nothing_on_disk_is_readable_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-canary-value"])).unwrap();
    disk.append(&delta(5, 6, &["sk-canary-value"], &[]), Durability::Now).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"sk-canary"));
    }
}

#[test]
fn a_damaged_base_gives_way_to_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    disk.write_base(version(6), &resources(&["sk-a", "sk-b"])).unwrap();

    let current = directory.path().join("current.base");
    for cut in [0, 4, 9, 40] {
        let whole = fs::read(&current).unwrap();
        fs::write(&current, &whole[..cut]).unwrap();
        let snapshot = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load().unwrap();
        assert_eq!(snapshot.version, version(6), "the older base and its log");
        assert!(directory.path().join("current.damaged").exists());
        fs::write(&current, whole).unwrap();
    }
}

#[test]
fn a_block_after_a_compaction_outlives_the_damage_of_the_base() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    disk.compact().unwrap();
    disk.append(&delta(6, 7, &[], &["sk-a"]), Durability::Now).unwrap();
    fs::write(directory.path().join("current.base"), b"nonsense").unwrap();

    let snapshot = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load().unwrap();
    assert_eq!(snapshot.version, version(7));
    assert!(!holds(&snapshot, "sk-a"), "the removal stands in the log of the damaged base");
}

#[test]
fn a_log_damaged_before_its_tail_is_waited_for_rather_than_served() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    disk.append(&delta(6, 7, &[], &["sk-a"]), Durability::Now).unwrap();
    let log = directory.path().join(log_name(version(5)));
    let mut bytes = fs::read(&log).unwrap();
    bytes[20] ^= 1;
    fs::write(&log, bytes).unwrap();
    assert!(Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load().is_none());
}

#[test]
fn the_log_goes_on_after_a_restart_also_behind_a_torn_record() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    let log = directory.path().join(log_name(version(5)));
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(&[200, 0, 0, 0, 1, 2, 3]);
    fs::write(&log, bytes).unwrap();

    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    assert_eq!(disk.load().unwrap().version, version(6));
    disk.append(&delta(6, 7, &[], &["sk-a"]), Durability::Now).unwrap();
    let snapshot = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load().unwrap();
    assert_eq!(snapshot.version, version(7));
    assert!(!holds(&snapshot, "sk-a"));
}

#[test]
fn after_a_gap_nothing_is_appended_until_everything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    assert!(disk.append(&delta(6, 7, &["sk-b"], &[]), Durability::Now).is_err());
    assert!(disk.is_behind());
    assert!(disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).is_err());
    disk.write_base(version(7), &resources(&["sk-a", "sk-b"])).unwrap();
    disk.append(&delta(7, 8, &["sk-c"], &[]), Durability::Now).unwrap();
    assert!(!disk.is_behind());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    let current = directory.path().join("current.base");
    let whole = fs::read(&current).unwrap();
    for index in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[index] ^= 0x10;
        fs::write(&current, &flipped).unwrap();
        let loaded = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load();
        assert!(loaded.is_none(), "byte {index}");
    }
}

#[test]
fn another_key_opens_nothing_and_breaks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    assert!(Disk::open(directory.path().to_owned(), seal(b"two")).unwrap().load().is_none());
}

#[test]
fn a_torn_log_is_used_up_to_the_tear() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    disk.append(&delta(6, 7, &["sk-c"], &[]), Durability::Now).unwrap();
    let log = directory.path().join(log_name(version(5)));
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 3]).unwrap();

    let snapshot = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().load().unwrap();
    assert_eq!(snapshot.version, version(6));
    assert!(holds(&snapshot, "sk-b") && !holds(&snapshot, "sk-c"));
}
