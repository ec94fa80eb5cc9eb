//! Reading YAML: values and lines, merge keys, and everything that is refused.

use super::*;

fn clean(text: &str) -> Node {
    let (node, faults) = parse(text, 0);
    assert_eq!(faults, [], "in {text:?}");
    node
}

fn faults(text: &str) -> Vec<(Option<usize>, String)> {
    parse(text, 0).1.into_iter().map(|fault| (fault.line, fault.problem)).collect()
}

#[test]
fn scalars_have_the_types_of_yaml() {
    let json = clean("a: 1\nb: 1.5\nc: 1e-06\nd: true\ne: ~\nf: '7'\ng:\nh: 2023-07-01\ni: yes\n").json();
    let expected = serde_json::json!({
        "a": 1, "b": 1.5, "c": 1e-6, "d": true, "e": null, "f": "7", "g": null, "h": "2023-07-01", "i": "yes",
    });
    assert_eq!(json, expected);
}

#[test]
fn nodes_know_their_lines() {
    let node = clean("# first\na:\n  - x\n  -\n    b: 1\n");
    let Kind::Map(entries) = &node.kind else { panic!("{node:?}") };
    assert_eq!(entries[0].line, 2);
    let Kind::List(items) = &entries[0].value.kind else { panic!("{node:?}") };
    assert_eq!((items[0].line, items[1].line), (3, 5));
}

#[test]
fn an_empty_text_is_an_empty_node() {
    for text in ["", "\n\n", "# only a comment\n", "\u{feff}", "---\n"] {
        assert_eq!(clean(text).kind, Kind::Null, "{text:?}");
    }
}

#[test]
fn merge_keys_add_what_is_not_written() {
    let json = clean("base: &base {x: 1, y: 2}\nmore: &more {y: 3, z: 4}\nall:\n  <<: [*base, *more]\n  x: 9\n").json();
    assert_eq!(json["all"], serde_json::json!({"x": 9, "y": 2, "z": 4}));
}

#[test]
fn a_key_given_twice_is_named_with_its_line() {
    let problem = "the key `rpm` stands twice in the same mapping".to_owned();
    assert_eq!(faults("a:\n  rpm: 1\n  tpm: 2\n  rpm: 3\n"), [(Some(4), problem)]);
}

#[test]
fn every_tab_in_the_indentation_is_named() {
    let problem = "a tab in the indentation".to_owned();
    assert_eq!(faults("a:\n\tb: 1\n\tc: 2\n"), [(Some(2), problem.clone()), (Some(3), problem)]);
}

#[test]
fn broken_yaml_names_the_line() {
    for (text, line) in [("a: [1, 2\nb: 3\n", 2), ("a: 'x\n", 1), ("a: b: c\n", 1)] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text:?}");
        assert_eq!(found[0].0, Some(line), "{text:?} {found:?}");
    }
}

#[test]
fn a_second_document_foreign_tags_and_infinities_are_refused() {
    assert_eq!(faults("a: 1\n---\nb: 2\n").len(), 1);
    assert_eq!(faults("a: !ENV x\n"), [(Some(1), "the YAML tag `!ENV` is not understood".to_owned())]);
    assert_eq!(faults("a: .inf\nb: .nan\n").len(), 2);
    assert_eq!(faults("[1, 2]: x\n").len(), 1);
}

#[test]
fn deep_nesting_is_refused_however_it_is_written() {
    let indented: String = (0..3_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let texts = [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        ": ".repeat(100_000),
        "- ? : ".repeat(30_000),
        indented,
        format!("{}1{}", "[".repeat(100), "]".repeat(100)),
    ];
    for text in texts {
        assert!(!parse(&text, 0).1.is_empty(), "{:.20}", text);
    }
}

#[test]
fn aliases_that_expand_without_end_are_refused() {
    let mut wide = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut deep = "a0: &a0 x\n".to_owned();
    for step in 1..40 {
        let before = step - 1;
        wide += &format!("a{step}: &a{step} [{}]\n", vec![format!("*a{before}"); 9].join(", "));
        deep += &format!("a{step}: &a{step} {}*a{before}{}\n", "[".repeat(240), "]".repeat(240));
    }
    assert!(!parse(&wide, 0).1.is_empty());
    assert!(!parse(&deep, 0).1.is_empty());
}

#[test]
fn a_long_line_of_text_is_no_nesting() {
    clean(&format!("prompt: \"{}\"\n", "one - two ? three : ".repeat(5_000)));
    clean(&format!("{}# far out\na: 1\n", " ".repeat(500)));
}
