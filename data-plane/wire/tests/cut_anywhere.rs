//! Cutting a stream at any byte changes neither its events nor what is left at its end.
#![expect(clippy::unwrap_used, reason = "a stream that cannot be read is a failed test")]

use bytes::Bytes;
use proptest::prelude::*;
use wire::event_stream::Events;

fn events_of(reads: impl Iterator<Item = Bytes>) -> (Vec<Bytes>, Option<Bytes>) {
    let mut events = Events::new();
    let mut found = Vec::new();
    for read in reads {
        events.push(read).unwrap();
        while let Some(event) = events.next().unwrap() {
            found.push(event.into_raw());
        }
    }
    (found, events.rest())
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: {\"a\":1}".to_owned()),
        Just(": ping".to_owned()),
        Just("event: x".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        "[a-z:\\r\\n ]{0,6}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn cutting_a_stream_anywhere_changes_nothing(stream in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let whole = Bytes::from(stream);
        let expected = events_of(std::iter::once(whole.clone()));

        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        at.extend([0, whole.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| whole.slice(pair[0]..pair[1]));
        prop_assert_eq!(events_of(pieces), expected.clone());

        let bytes = (0..whole.len()).map(|byte| whole.slice(byte..byte + 1));
        prop_assert_eq!(events_of(bytes), expected.clone());

        let mut together: Vec<u8> = expected.0.concat();
        together.extend_from_slice(expected.1.as_deref().unwrap_or_default());
        prop_assert_eq!(together, whole);
    }
}
