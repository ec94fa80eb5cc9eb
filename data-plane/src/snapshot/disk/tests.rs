//! Reading, writing and damaging the disk copy.

use proto::KeyHash;

use super::*;

pub(super) fn seal(secret: &[u8]) -> Seal {
    Seal::from_secret(secret)
}

pub(super) fn version(revision: u64) -> Version {
    Version { epoch: [9; 16], revision }
}

pub(super) fn key(name: &str) -> pb::Resource {
    let hash = KeyHash::of(name).as_bytes().to_vec();
    let key = pb::Key { hash: hash.into(), alias: name.to_owned(), ..Default::default() };
    pb::Resource { required_features: Vec::new(), body: Some(pb::resource::Body::Key(key)) }
}

pub(super) fn resources(names: &[&str]) -> Vec<pb::Resource> {
    names.iter().map(|name| key(name)).collect()
}

pub(super) fn load(directory: &Path) -> Option<Snapshot> {
    snapshot(Disk::open(directory.to_owned(), seal(b"one")).unwrap().load())
}

pub(super) fn snapshot(loaded: Loaded) -> Option<Snapshot> {
    match loaded {
        Loaded::Snapshot(snapshot) => Some(*snapshot),
        Loaded::Nothing | Loaded::KeptBack => None,
    }
}

pub(super) fn delta(from: u64, to: u64, upserts: &[&str], removals: &[&str]) -> pb::Delta {
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

pub(super) fn holds(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.keys.get(&KeyHash::of(name)).is_some()
}

#[test]
fn a_base_and_its_log_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a", "sk-b"])).unwrap();
    disk.append(&delta(5, 6, &["sk-c"], &[]), Durability::Soon).unwrap();
    disk.append(&delta(6, 8, &[], &["sk-a"]), Durability::Now).unwrap();

    let snapshot = load(directory.path()).unwrap();
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

    let snapshot = load(directory.path()).unwrap();
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
        let snapshot = load(directory.path()).unwrap();
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

    let snapshot = load(directory.path()).unwrap();
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
    let log = directory.path().join(log::name(version(5)));
    let mut bytes = fs::read(&log).unwrap();
    bytes[20] ^= 1;
    fs::write(&log, bytes).unwrap();
    assert!(load(directory.path()).is_none());
}

#[test]
fn the_log_goes_on_after_a_restart_also_behind_a_torn_record() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    let log = directory.path().join(log::name(version(5)));
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(&[200, 0, 0, 0, 1, 2, 3]);
    fs::write(&log, bytes).unwrap();

    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    assert_eq!(snapshot(disk.load()).unwrap().version, version(6));
    disk.append(&delta(6, 7, &[], &["sk-a"]), Durability::Now).unwrap();
    let snapshot = load(directory.path()).unwrap();
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
        let loaded = load(directory.path());
        assert!(loaded.is_none(), "byte {index}");
    }
}

#[test]
fn another_key_opens_nothing_and_breaks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    let foreign = Disk::open(directory.path().to_owned(), seal(b"two")).unwrap().load();
    assert!(snapshot(foreign).is_none());
}

#[test]
fn a_log_torn_in_what_was_not_said_to_be_durable_is_used_up_to_the_tear() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    disk.append(&delta(6, 7, &["sk-c"], &[]), Durability::Soon).unwrap();
    let log = directory.path().join(log::name(version(5)));
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 3]).unwrap();

    let snapshot = load(directory.path()).unwrap();
    assert_eq!(snapshot.version, version(6));
    assert!(holds(&snapshot, "sk-b") && !holds(&snapshot, "sk-c"));
}

#[test]
fn a_copy_that_lacks_what_was_durable_is_not_served_from_also_where_it_looks_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.append(&delta(5, 6, &["sk-b"], &[]), Durability::Now).unwrap();
    let log = directory.path().join(log::name(version(5)));
    let before = fs::read(&log).unwrap();
    disk.append(&delta(6, 7, &[], &["sk-a"]), Durability::Now).unwrap();
    let after = fs::read(&log).unwrap();

    fs::write(&log, before).unwrap();
    assert!(load(directory.path()).is_none(), "cut off between two records");
    fs::remove_file(&log).unwrap();
    assert!(load(directory.path()).is_none(), "gone");
    fs::write(&log, after).unwrap();
    assert!(!holds(&load(directory.path()).unwrap(), "sk-a"), "nothing else was put aside");
    fs::remove_file(directory.path().join("mark")).unwrap();
    assert!(load(directory.path()).is_none(), "without the mark nobody knows");
}

#[test]
fn a_base_of_another_epoch_that_is_damaged_does_not_bring_the_old_epoch_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    disk.write_base(Version { epoch: [10; 16], revision: 1 }, &resources(&["sk-b"])).unwrap();
    assert!(holds(&load(directory.path()).unwrap(), "sk-b"));
    fs::write(directory.path().join(CURRENT), b"nonsense").unwrap();
    assert!(load(directory.path()).is_none());
}

#[test]
fn compaction_goes_over_many_chunks_and_keeps_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    let names: Vec<String> = (0..3_500).map(|number| format!("sk-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    disk.write_base(version(5), &resources(&names)).unwrap();
    disk.append(&delta(5, 6, &["sk-new", "sk-17"], &["sk-3000"]), Durability::Soon).unwrap();
    disk.append(&delta(6, 7, &["sk-3000", "sk-other"], &["sk-new", "sk-1"]), Durability::Soon).unwrap();
    disk.compact().unwrap();
    let compacted = load(directory.path()).unwrap();
    assert_eq!((compacted.version, compacted.keys.len()), (version(7), 3_500));
    assert!(holds(&compacted, "sk-3000") && holds(&compacted, "sk-17") && holds(&compacted, "sk-other"));
    assert!(!holds(&compacted, "sk-new") && !holds(&compacted, "sk-1"));
}

#[test]
fn a_compaction_cut_short_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a", "sk-b"])).unwrap();
    disk.append(&delta(5, 6, &[], &["sk-a"]), Durability::Now).unwrap();
    let written = disk.compacted(&disk.path(CURRENT), version(6)).unwrap().unwrap();
    drop(written);
    let loaded = load(directory.path()).unwrap();
    assert!(loaded.version == version(6) && !holds(&loaded, "sk-a"));
    assert!(!directory.path().join(COMPACTED).exists());
}

/// A boot that dies: what it loaded, and nobody said that it was healthy.
fn boot(directory: &Path) -> Loaded {
    Disk::open(directory.to_owned(), seal(b"one")).unwrap().boot().1
}

#[test]
fn a_copy_with_which_three_boots_died_gives_way_to_the_older_one_and_the_logs() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a", "sk-b"])).unwrap();
    disk.append(&delta(5, 6, &["sk-c"], &[]), Durability::Soon).unwrap();
    disk.compact().unwrap();
    disk.append(&delta(6, 7, &[], &["sk-a"]), Durability::Now).unwrap();

    for _ in 0..3 {
        assert!(snapshot(boot(directory.path())).is_some());
        assert!(directory.path().join(CURRENT).exists());
    }
    let older = snapshot(boot(directory.path())).unwrap();
    assert!(directory.path().join("current.crashed").exists() && !directory.path().join(CURRENT).exists());
    assert!(older.version == version(7) && holds(&older, "sk-c") && !holds(&older, "sk-a"), "both logs are applied");
    // The older one has three boots of its own, then the control plane has the first word.
    for _ in 0..2 {
        assert!(snapshot(boot(directory.path())).is_some());
    }
    assert!(matches!(boot(directory.path()), Loaded::KeptBack));
    assert!(directory.path().join(PREVIOUS).exists(), "the last copy is kept");
}

#[test]
fn a_healthy_boot_makes_the_deaths_before_it_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap();
    disk.write_base(version(5), &resources(&["sk-a"])).unwrap();
    for _ in 0..4 {
        for _ in 0..2 {
            assert!(snapshot(boot(directory.path())).is_some());
        }
        let (boots, loaded) = Disk::open(directory.path().to_owned(), seal(b"one")).unwrap().boot();
        assert!(snapshot(loaded).is_some());
        boots.healthy();
    }
    fs::write(directory.path().join("booting"), "nonsense").unwrap();
    assert!(snapshot(boot(directory.path())).is_some());
}
