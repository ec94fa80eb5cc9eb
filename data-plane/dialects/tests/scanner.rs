//! The scanner accepts what serde_json accepts, and finds the members that serde_json finds.
#![expect(clippy::unwrap_used, reason = "a text that serde_json cannot write is a failed test")]

use dialects::json::{self, scan, scan_event};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z \"\\\\{}\\[\\],:]{0,60}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-z\"\\n]{0,9}", inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[a-zé\"\\n]{0,9}", json_value()), 0..8).prop_map(|members| members.into_iter().collect())
}

/// Texts that are objects or nearly so.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        prop_oneof![prop::sample::select(&b"\"\\{}[],:0123456789-+.eEntfu \n/"[..]), any::<u8>()],
        0..3_u8,
    );
    (object(), any::<bool>(), prop::collection::vec(change, 0..4)).prop_map(|(object, pretty, changes)| {
        let mut text = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) }.unwrap();
        for (at, byte, kind) in changes {
            let at = at.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ if text.len() > 1 => drop(text.remove(at)),
                _ => {}
            }
        }
        text
    })
}

/// Whether serde_json, asked for the grammar only, takes this as an object.
fn is_object(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.trim_matches([' ', '\t', '\r', '\n']).starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_valid_is_agreed_upon(text in mutated()) {
        prop_assert_eq!(scan(&text).is_ok(), is_object(&text), "{}: {:?}", String::from_utf8_lossy(&text), scan(&text));
    }

    #[test]
    fn what_is_strictly_valid_scans_lightly_to_the_same_members(text in mutated()) {
        if let Ok(head) = scan(&text) {
            let light = scan_event(&text).unwrap();
            prop_assert_eq!(light.members(), head.members());
        }
    }

    #[test]
    fn members_are_those_that_serde_sees(object in object()) {
        let text = serde_json::to_vec_pretty(&object).unwrap();
        let head = scan(&text).unwrap();
        let expected = object.as_object().unwrap();
        prop_assert_eq!(head.members().len(), expected.len());
        for (name, value) in expected {
            let found = head.value(&text, name).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(found).unwrap(), serde_json::from_str::<Value>(&value.to_string()).unwrap());
        }
        prop_assert_eq!(json::members(&text).count(), expected.len());
    }
}
