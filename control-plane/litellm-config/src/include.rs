//! The file and what it includes, as one tree.
//!
//! `include` names other files. As in LiteLLM their lists are appended to ours, and of other keys the included one
//! wins. Each file is read once, at any depth.

use crate::finding::Severity;
use crate::reader::{At, Reader};
use crate::yaml::{self, Entry, Kind, Node};

type Load<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// More files than this are a mistake.
const MOST_FILES: usize = 100;

/// The tree of `text` and of everything that it includes, or `None` where the text itself cannot be read.
pub(crate) fn load(text: &str, load: Load<'_>, reader: &mut Reader<'_>) -> Option<Node> {
    let mut root = parse(text, 0, reader)?;
    let mut names: Vec<String> = Vec::new();
    let mut pending = included(&root, reader);
    while let Some(name) = pending.pop() {
        if names.contains(&name.text) {
            continue;
        }
        let at = At { path: "include".to_owned(), name: "include", line: name.line, node: &root };
        if names.len() >= MOST_FILES {
            reader.error(&at, format!("more than {MOST_FILES} files are included"), "");
            break;
        }
        match load(&name.text) {
            Err(why) => reader.error(
                &at,
                format!("`{}` cannot be read: {why}", name.text),
                "paths are relative to the config file",
            ),
            Ok(text) => {
                let file = reader.add_file(&name.text);
                if let Some(node) = parse(&text, file, reader) {
                    // What an included file includes comes right after it.
                    pending.extend(included(&node, reader));
                    merge(&mut root, node, reader);
                }
            }
        }
        names.push(name.text);
    }
    Some(root)
}

/// The tree of one text, without the parts that are at fault. `None` where nothing is left of it.
fn parse(text: &str, file: usize, reader: &mut Reader<'_>) -> Option<Node> {
    let (node, faults) = yaml::parse(text, file);
    let unreadable = !faults.is_empty() && node.kind == Kind::Null;
    for fault in faults {
        reader.find_in(file, "", fault.line, Severity::Error, fault.problem, fault.hint);
    }
    (!unreadable).then_some(node)
}

struct Name {
    text: String,
    line: usize,
}

/// The names under `include`, last one first.
fn included(node: &Node, reader: &Reader<'_>) -> Vec<Name> {
    let Some(at) = At::root(node).member("include") else { return Vec::new() };
    let name = |line: usize, node: &Node| reader.text(node).map(|text| Name { text, line });
    let mut names: Vec<Name> = match &at.node.kind {
        Kind::List(items) => items.iter().filter_map(|item| name(item.line, item)).collect(),
        _ => name(at.line, at.node).into_iter().collect(),
    };
    names.reverse();
    names
}

fn merge(root: &mut Node, included: Node, reader: &mut Reader<'_>) {
    let entries = match included.kind {
        Kind::Map(entries) => entries,
        Kind::Null => return,
        _ => {
            reader.find_in(
                included.file,
                "",
                Some(included.line),
                Severity::Error,
                "an included file must be a mapping",
                None,
            );
            return;
        }
    };
    if root.kind == Kind::Null {
        root.kind = Kind::Map(Vec::new());
    }
    let Kind::Map(known) = &mut root.kind else { return };
    for entry in entries.into_iter().filter(|entry| entry.name != "include") {
        match known.iter_mut().find(|ours| ours.name == entry.name) {
            Some(ours) => join(ours, entry),
            None => known.push(entry),
        }
    }
}

fn join(ours: &mut Entry, theirs: Entry) {
    match (&mut ours.value.kind, theirs.value.kind) {
        (Kind::List(items), Kind::List(more)) => items.extend(more),
        (_, kind) => {
            ours.line = theirs.line;
            ours.value = Node { kind, ..theirs.value };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, files: &[(&str, &str)]) -> (serde_json::Value, Vec<String>) {
        let environment = |_: &str| None;
        let mut reader = Reader::new(&environment);
        let find = |name: &str| {
            let file = files.iter().find(|(known, _)| *known == name);
            file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
        };
        let json = load(text, &find, &mut reader).map(|root| root.json()).unwrap_or_default();
        (json, reader.into_findings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lists_are_appended_and_other_keys_overwritten() {
        let files = [("a.yaml", "list: [2]\nmap: {y: 2}\n"), ("b.yaml", "list: [3]\n")];
        let (json, findings) = read("include: [a.yaml, b.yaml]\nlist: [1]\nmap: {x: 1}\n", &files);
        assert_eq!(json["list"], serde_json::json!([1, 2, 3]));
        assert_eq!(json["map"], serde_json::json!({"y": 2}));
        assert!(findings.is_empty());
    }

    #[test]
    fn files_that_include_each_other_are_read_once() {
        let files = [("a.yaml", "include: [b.yaml]\nlist: [a]\n"), ("b.yaml", "include: [a.yaml]\nlist: [b]\n")];
        let (json, findings) = read("include: a.yaml\nlist: [x]\n", &files);
        assert_eq!(json["list"], serde_json::json!(["x", "a", "b"]));
        assert!(findings.is_empty());
    }

    #[test]
    fn a_missing_or_broken_file_is_named() {
        let (_, findings) =
            read("include:\n- gone.yaml\n- bad.yaml\n- list.yaml\n", &[("bad.yaml", "a: [\n"), ("list.yaml", "- 1\n")]);
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings[0].contains("include (line 2): `gone.yaml` cannot be read: no such file"), "{findings:?}");
        assert!(findings[1].contains("(bad.yaml, line "), "{findings:?}");
        assert!(findings[2].contains("(list.yaml, line 1)"), "{findings:?}");
    }
}
