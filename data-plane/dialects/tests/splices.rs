//! Whatever is removed, renamed, replaced or inserted: the result is the JSON object that it should be.

use bytes::Bytes;
use dialects::json::scan;
use dialects::splice::Splices;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

#[derive(Clone, Debug)]
enum Change {
    Keep,
    Remove,
    Replace,
    Rename,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![Just(Change::Keep), Just(Change::Remove), Just(Change::Replace), Just(Change::Rename)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn edits_give_the_object_they_say(
        changes in prop::collection::vec(change(), 0..9),
        inserts in 0..3_usize,
        pretty in any::<bool>(),
        backwards in any::<bool>(),
    ) {
        let before: Map<String, Value> =
            (0..changes.len()).map(|n| (format!("k\"{n}"), json!({ "n": [n, "}"] }))).collect();
        let text = if pretty { serde_json::to_vec_pretty(&before) } else { serde_json::to_vec(&before) }.unwrap();
        let body = Bytes::from(text);
        let head = scan(&body).unwrap();

        let mut splices = Splices::new();
        let mut expected = Map::new();
        let mut order: Vec<usize> = (0..changes.len()).collect();
        if backwards {
            order.reverse();
        }
        for index in order {
            match changes[index] {
                Change::Keep => {}
                Change::Remove => splices.remove_member(&head, index),
                Change::Replace => splices.replace(head.members()[index].value.clone(), b"\"new\""),
                Change::Rename => splices.rename_member(&head, index, &format!("r\n{index}")),
            }
        }
        for (index, (key, value)) in before.into_iter().enumerate() {
            match changes[index] {
                Change::Keep => drop(expected.insert(key, value)),
                Change::Remove => {}
                Change::Replace => drop(expected.insert(key, json!("new"))),
                Change::Rename => drop(expected.insert(format!("r\n{index}"), value)),
            }
        }
        for index in 0..inserts {
            splices.insert_member(&head, &format!("i{index}"), b"[true]");
            expected.insert(format!("i{index}"), json!([true]));
        }

        let length = splices.len_after(body.len());
        let edited = splices.apply(&body);
        prop_assert_eq!(edited.len(), length);
        let found: Map<String, Value> = serde_json::from_slice(&edited).unwrap();
        prop_assert_eq!(found.into_iter().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }
}
