//! YAML text to a tree of nodes that know their lines.
//!
//! The parsing is `saphyr`'s. This module adds what a file from anywhere needs: bounds on size and depth, merge keys
//! (`<<`), and words for what went wrong. What the nodes mean is the concern of the sections.

mod guard;
mod node;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

pub(crate) use node::{Entry, Kind, Node, object};

/// The deepest nesting of lists and mappings that is read.
const DEEPEST: usize = 64;
/// Room for the parser, whose recursion follows the nesting of the text and of what aliases stand for. The guard
/// bounds the former, `saphyr`'s budget of alias nodes the latter; together they stay far below this.
const STACK_BYTES: usize = 64 << 20;

/// Something that keeps a text from being read, or a part of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: Option<usize>,
    pub(crate) problem: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    fn at(line: usize, problem: impl Into<String>) -> Self {
        Self { line: Some(line), problem: problem.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The tree of `text`, with `file` noted in each node, and what could not be read of it. An unreadable text gives
/// an empty node; an empty text as well, without a fault.
pub(crate) fn parse(text: &str, file: usize) -> (Node, Vec<Fault>) {
    // Editors on Windows put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Err(fault) = guard::check(text) {
        return (Node::null(1, file), vec![fault]);
    }
    // A thread of its own for its stack; and should the parser ever panic, that ends here.
    let outcome = std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().name("yaml".to_owned()).stack_size(STACK_BYTES);
        parser.spawn_scoped(scope, || load(text, file)).map(std::thread::ScopedJoinHandle::join)
    });
    match outcome {
        Ok(Ok(read)) => read,
        Ok(Err(_)) | Err(_) => {
            let problem = "the YAML parser gave up on this text".to_owned();
            (Node::null(1, file), vec![Fault { line: None, problem, hint: None }])
        }
    }
}

fn load(text: &str, file: usize) -> (Node, Vec<Fault>) {
    let mut documents = match MarkedYaml::load_from_str(text) {
        Ok(documents) => documents,
        Err(error) => return (Node::null(1, file), guard::explain(text, &error)),
    };
    if documents.len() > 1 {
        let line = documents.get(1).map_or(1, |second| second.span.start.line());
        let fault =
            Fault::at(line, "a second YAML document begins here").hint("keep one document per file, remove `---`");
        return (Node::null(1, file), vec![fault]);
    }
    let Some(document) = documents.pop() else {
        return (Node::null(1, file), Vec::new());
    };
    // A text of comments only is a document without content.
    if matches!(document.data, YamlData::BadValue) {
        return (Node::null(1, file), Vec::new());
    }
    let mut builder = Builder { file, faults: Vec::new() };
    let node = builder.node(&document, 0);
    (node, builder.faults)
}

struct Builder {
    file: usize,
    faults: Vec<Fault>,
}

impl Builder {
    fn node(&mut self, yaml: &MarkedYaml<'_>, depth: usize) -> Node {
        let line = yaml.span.start.line();
        let kind = match &yaml.data {
            YamlData::Value(scalar) => self.scalar(scalar, line),
            YamlData::Representation(text, ..) => Kind::Text(text.to_string()),
            YamlData::Sequence(_) | YamlData::Mapping(_) | YamlData::Tagged(..) if depth >= DEEPEST => {
                self.faults.push(Fault::at(line, format!("nested deeper than {DEEPEST} levels")));
                Kind::Null
            }
            YamlData::Sequence(items) => Kind::List(items.iter().map(|item| self.node(item, depth + 1)).collect()),
            YamlData::Mapping(entries) => Kind::Map(self.entries(entries.iter(), depth)),
            YamlData::Tagged(tag, inner) => {
                let problem = format!("the YAML tag `{}{}` is not understood", tag.handle, tag.suffix);
                self.faults.push(Fault::at(line, problem).hint("remove it, and quote the value if it is text"));
                return self.node(inner, depth + 1);
            }
            YamlData::Alias(_) | YamlData::BadValue => {
                self.faults.push(Fault::at(line, "the value does not fit its YAML tag"));
                Kind::Null
            }
        };
        Node { line, file: self.file, kind }
    }

    fn scalar(&mut self, scalar: &Scalar<'_>, line: usize) -> Kind {
        match scalar {
            Scalar::Null => Kind::Null,
            Scalar::Boolean(flag) => Kind::Flag(*flag),
            Scalar::Integer(whole) => Kind::Whole(*whole),
            Scalar::FloatingPoint(real) if real.is_finite() => Kind::Real(real.into_inner()),
            Scalar::FloatingPoint(_) => {
                self.faults.push(Fault::at(line, "infinite and undefined numbers mean nothing here"));
                Kind::Null
            }
            Scalar::String(text) => Kind::Text(text.to_string()),
        }
    }

    fn entries<'a, 'input: 'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a MarkedYaml<'input>, &'a MarkedYaml<'input>)>,
        depth: usize,
    ) -> Vec<Entry> {
        let mut own: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        for (key, value) in entries {
            let line = key.span.start.line();
            let name = match &key.data {
                YamlData::Value(scalar) => name_of(scalar),
                _ => {
                    self.faults.push(Fault::at(line, "a key must be a plain word"));
                    continue;
                }
            };
            let value = self.node(value, depth + 1);
            if name == "<<" {
                self.merge(value, &mut merged);
            } else {
                own.push(Entry { name, line, value });
            }
        }
        merged.retain(|entry| own.iter().all(|written| written.name != entry.name));
        own.extend(merged);
        own
    }

    /// YAML's merge key: the mapping's entries are added, and what stands in the mapping itself, or was merged
    /// before, wins.
    fn merge(&mut self, value: Node, merged: &mut Vec<Entry>) {
        let maps = match value.kind {
            Kind::Map(_) => vec![value],
            Kind::List(items) => items,
            _ => {
                self.faults.push(Fault::at(value.line, "`<<` merges mappings, and this is none"));
                return;
            }
        };
        for map in maps {
            let Kind::Map(entries) = map.kind else {
                self.faults.push(Fault::at(map.line, "`<<` merges mappings, and this is none"));
                continue;
            };
            for entry in entries {
                if merged.iter().all(|known| known.name != entry.name) {
                    merged.push(entry);
                }
            }
        }
    }
}

fn name_of(scalar: &Scalar<'_>) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Boolean(flag) => flag.to_string(),
        Scalar::Integer(whole) => whole.to_string(),
        Scalar::FloatingPoint(real) => real.to_string(),
        Scalar::String(text) => text.to_string(),
    }
}

#[cfg(test)]
mod tests;
