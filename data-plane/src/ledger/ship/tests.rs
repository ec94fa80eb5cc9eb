//! Delivery without a control plane: what is read, what receipts set free.

use std::path::Path;

use super::super::recover::leftovers;
use super::super::segment::{RecordKind, frame};
use super::super::{CoreLedger, Opened, Room};
use super::segments::event_id_of;
use super::*;
use proto::v1::UsageEvent;

use crate::control::ControlAddresses;
use crate::settings::SpoolFull;

fn open(directory: &Path, max_bytes: u64, when_full: SpoolFull) -> (Shipper, CoreLedger, Arc<Ledger>) {
    let ledger = Ledger::open(directory.to_owned(), Room { max_bytes, when_full }, 9).unwrap();
    let control = ControlAddresses::parse("unix:/nowhere/control.sock", None).unwrap();
    let control = ControlPlane::new(control, "dp").unwrap();
    let (spent, _) = Memory::open(directory.join("spent"), Arc::default());
    let shipper = Shipper::new(Arc::clone(&ledger), control, Arc::new(spent), leftovers(directory).unwrap());
    (shipper, CoreLedger::new(Arc::clone(&ledger), 0), ledger)
}

fn event(id: u8) -> UsageEvent {
    UsageEvent { event_id: vec![id; 16].into(), cost_nano_usd: 5, model: "m".repeat(50), ..Default::default() }
}

/// Sends everything that waits, and takes the receipts in.
async fn deliver(shipper: &mut Shipper) -> Vec<u8> {
    shipper.read().await;
    let mut ids = Vec::new();
    while !shipper.pending.is_empty() {
        let batch = shipper.next_batch();
        ids.extend(batch.events.iter().filter_map(|event| Some(event_id_of(event)?[0])));
        let receipt = pb::UsageReceipt { sequence: batch.sequence, committed: true, ..Default::default() };
        shipper.settle(&receipt).await.unwrap();
    }
    ids
}

#[tokio::test]
async fn a_record_that_says_nothing_to_us_keeps_its_file_aside_and_nothing_else_back() {
    let directory = tempfile::tempdir().unwrap();
    let segment = Segment::create(directory.path().join("0.seg")).unwrap();
    let mut buffer = Vec::new();
    for payload in [event(1).encode_to_vec(), vec![0xff; 40], event(2).encode_to_vec()] {
        frame(&mut buffer, RecordKind::Closing, |buffer| buffer.extend_from_slice(&payload));
        segment.append(&buffer).unwrap();
    }
    drop(segment);
    let (mut shipper, ..) = open(directory.path(), 1 << 30, SpoolFull::Refuse);
    assert_eq!(deliver(&mut shipper).await, [1, 2]);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["0.damaged"]);
}

#[tokio::test]
async fn what_is_delivered_makes_room_although_its_file_goes_later() {
    let directory = tempfile::tempdir().unwrap();
    let (mut shipper, core, ledger) = open(directory.path(), 400, SpoolFull::Refuse);
    let mut opened = 0;
    let refused = loop {
        match core.open(&event(opened)) {
            Ok(how) => core.close(&event(opened), how),
            Err(error) => break error,
        }
        opened += 1;
        ledger.weigh();
    };
    assert!(refused.to_string().contains("the spool holds"), "{refused}");
    assert!((2..9).contains(&opened), "{opened}");
    assert_eq!(deliver(&mut shipper).await.len(), usize::from(opened));
    assert_eq!((ledger.bytes(), ledger.waiting()), (0, 0));
    assert_eq!(core.open(&event(100)).unwrap(), Opened::OnDisk);
}

#[tokio::test]
async fn a_full_spool_that_is_to_serve_counts_a_call_unless_there_is_room_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (mut shipper, core, ledger) = open(directory.path(), 100, SpoolFull::ServeAndCount);
    let how = core.open(&event(1)).unwrap();
    core.close(&event(1), how);
    ledger.weigh();
    let (one, other) = (core.open(&event(2)).unwrap(), core.open(&event(3)).unwrap());
    assert_eq!((one, other), (Opened::Nowhere, Opened::Nowhere));
    core.close(&event(2), one);
    let unbooked = ledger.unbooked();
    assert_eq!((unbooked.calls, unbooked.nano_usd), (1, 5));
    assert_eq!(deliver(&mut shipper).await, [1]);
    core.close(&event(3), other);
    assert_eq!(deliver(&mut shipper).await, [3]);
    assert_eq!(ledger.unbooked(), unbooked);
}
