//! Edits of a JSON object that copy it once, or not at all.
//!
//! Edits are collected against one body and one [`Head`] of it; commas are set right at the end, when it is known which
//! members stay.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::json::{Head, key_is, push_quoted};

/// Changes to one body. Positions always mean the body as it was. All calls on one value take the same head and body.
#[derive(Clone, Debug, Default)]
pub struct Splices {
    edits: SmallVec<[Edit; 8]>,
    removals: SmallVec<[Removal; 8]>,
    /// New members, with commas between them.
    inserted: Vec<u8>,
    object: Option<ObjectEnd>,
    /// The text of all replacements, one behind the other.
    texts: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Edit {
    range: Range<usize>,
    text: Range<usize>,
}

/// A member that goes, and where its neighbours are.
#[derive(Clone, Debug)]
struct Removal {
    index: usize,
    whole: Range<usize>,
    previous_end: Option<usize>,
    next_start: Option<usize>,
}

/// Where new members go, and how many were there.
#[derive(Clone, Copy, Debug)]
struct ObjectEnd {
    at: usize,
    members: usize,
}

impl Splices {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the body stays as it is.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.removals.is_empty() && self.inserted.is_empty()
    }

    /// Puts `with` in the place of `range`. Ranges must not overlap; one inside a removed member is removed with it.
    pub fn replace(&mut self, range: Range<usize>, with: impl AsRef<[u8]>) {
        let start = self.texts.len();
        self.texts.extend_from_slice(with.as_ref());
        self.edits.push(Edit { range, text: start..self.texts.len() });
    }

    /// Takes out the member at `index` of `head.members()`, and the comma that is too many then.
    pub fn remove_member(&mut self, head: &Head, index: usize) {
        let Some(member) = head.members().get(index) else { return };
        if self.removals.iter().any(|removal| removal.index == index) {
            return;
        }
        let previous = index.checked_sub(1).and_then(|previous| head.members().get(previous));
        self.removals.push(Removal {
            index,
            whole: member.whole.clone(),
            previous_end: previous.map(|member| member.whole.end),
            next_start: head.members().get(index + 1).map(|member| member.whole.start),
        });
    }

    /// Takes out every member of that name, and says whether there was one.
    pub fn remove_named(&mut self, head: &Head, body: &[u8], name: &str) -> bool {
        let mut is_found = false;
        for (index, member) in head.members().iter().enumerate() {
            if key_is(body.get(member.key.clone()).unwrap_or_default(), name) {
                self.remove_member(head, index);
                is_found = true;
            }
        }
        is_found
    }

    /// Gives the member at `index` another name.
    pub fn rename_member(&mut self, head: &Head, index: usize, name: &str) {
        let Some(member) = head.members().get(index) else { return };
        let start = self.texts.len();
        push_quoted(&mut self.texts, name);
        // The quotes belong to the replacement.
        let range = member.whole.start..member.key.end + 1;
        self.edits.push(Edit { range, text: start..self.texts.len() });
    }

    /// Adds a member behind all others. `json` is its value and must be valid JSON.
    pub fn insert_member(&mut self, head: &Head, name: &str, json: &[u8]) {
        if !self.inserted.is_empty() {
            self.inserted.push(b',');
        }
        push_quoted(&mut self.inserted, name);
        self.inserted.push(b':');
        self.inserted.extend_from_slice(json);
        let at = head.members().last().map_or(head.open() + 1, |member| member.whole.end);
        self.object = Some(ObjectEnd { at, members: head.members().len() });
    }

    /// The edited body: the same `Bytes` if nothing changes, else one copy.
    pub fn apply(self, body: &Bytes) -> Bytes {
        if self.is_empty() {
            return body.clone();
        }
        let edits = self.resolve();
        let mut out = Vec::with_capacity(length(&edits, body.len()));
        let mut at = 0;
        for edit in &edits {
            out.extend_from_slice(body.get(at..edit.range.start).unwrap_or_default());
            out.extend_from_slice(edit.text);
            at = edit.range.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        Bytes::from(out)
    }

    /// The edited body in pieces. Of a long one the client's bytes are shared instead of copied.
    pub fn pieces(self, body: &Bytes) -> Pieces {
        /// Below this a copy costs less than another piece to write.
        const LONG: usize = 16 << 10;
        if body.len() < LONG || self.is_empty() {
            return smallvec::smallvec![self.apply(body)];
        }
        let mut pieces = Pieces::new();
        let mut at = 0;
        for edit in self.resolve() {
            pieces.push(body.slice(at..edit.range.start));
            pieces.push(Bytes::copy_from_slice(edit.text));
            at = edit.range.end;
        }
        pieces.push(body.slice(at..));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// How long a body of `body_len` bytes will be, for a `content-length` before there is one.
    pub fn len_after(&self, body_len: usize) -> usize {
        length(&self.resolve(), body_len)
    }

    /// All edits in their order, none overlapping another, commas included.
    fn resolve(&self) -> Resolved<'_> {
        let mut all: Resolved<'_> = SmallVec::new();
        all.extend(self.edits.iter().map(|edit| Splice {
            range: edit.range.clone(),
            text: self.texts.get(edit.text.clone()).unwrap_or_default(),
        }));
        all.extend(runs(&self.removals).map(|range| Splice { range, text: &[] }));
        if let Some(end) = self.object.filter(|_| !self.inserted.is_empty()) {
            if self.removals.len() < end.members {
                all.push(Splice { range: end.at..end.at, text: b"," });
            }
            all.push(Splice { range: end.at..end.at, text: &self.inserted });
        }
        // Stable: what was pushed first stays first where positions are equal.
        all.sort_by_key(|splice| (splice.range.start, splice.range.end));
        let mut at = 0;
        all.retain(|splice| {
            let is_free = splice.range.start >= at && splice.range.end >= splice.range.start;
            if is_free {
                at = splice.range.end;
            }
            is_free
        });
        all
    }
}

/// A body in one or several pieces, in their order. None is empty, but of an empty body.
pub type Pieces = SmallVec<[Bytes; 4]>;

type Resolved<'a> = SmallVec<[Splice<'a>; 16]>;

#[derive(Debug, Default)]
struct Splice<'a> {
    range: Range<usize>,
    text: &'a [u8],
}

fn length(edits: &Resolved<'_>, body_len: usize) -> usize {
    edits.iter().fold(body_len, |length, edit| length.saturating_sub(edit.range.len()) + edit.text.len())
}

/// What to cut so that runs of neighbouring members disappear, each with exactly one comma: the one before it if a
/// member stays before, else the one behind it, if any.
fn runs(removals: &[Removal]) -> impl Iterator<Item = Range<usize>> {
    let mut sorted: SmallVec<[&Removal; 8]> = removals.iter().collect();
    sorted.sort_by_key(|removal| removal.index);
    let mut runs: SmallVec<[(Removal, usize); 4]> = SmallVec::new();
    for removal in sorted {
        match runs.last_mut() {
            Some((run, last)) if *last + 1 == removal.index => {
                run.whole.end = removal.whole.end;
                run.next_start = removal.next_start;
                *last = removal.index;
            }
            _ => runs.push((removal.clone(), removal.index)),
        }
    }
    runs.into_iter().map(|(run, _)| match (run.previous_end, run.next_start) {
        (Some(previous_end), _) => previous_end..run.whole.end,
        (None, Some(next_start)) => run.whole.start..next_start,
        (None, None) => run.whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::scan;

    #[track_caller]
    fn check(body: &'static str, edit: impl FnOnce(&mut Splices, &Head, &[u8]), expected: &str) {
        let body = Bytes::from_static(body.as_bytes());
        let head = scan(&body).unwrap();
        let mut splices = Splices::new();
        edit(&mut splices, &head, &body);
        let length = splices.len_after(body.len());
        let long = Bytes::from([&body[..body.len() - 1], &[b' '; 20_000], &body[body.len() - 1..]].concat());
        let pieces = splices.clone().pieces(&long).concat();
        assert_eq!(String::from_utf8(pieces).unwrap().replace(&" ".repeat(20_000), ""), expected);
        let edited = splices.apply(&body);
        assert_eq!(std::str::from_utf8(&edited).unwrap(), expected);
        assert_eq!(edited.len(), length);
    }

    #[test]
    fn no_edit_is_no_copy() {
        let body = Bytes::from_static(b"{}");
        assert_eq!(Splices::new().apply(&body).as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_removed_member_takes_one_comma_along() {
        let body = r#"{ "a":1 , "b":2, "c":3 }"#;
        check(body, |s, h, b| assert!(s.remove_named(h, b, "a")), r#"{ "b":2, "c":3 }"#);
        check(body, |s, h, b| assert!(s.remove_named(h, b, "b")), r#"{ "a":1, "c":3 }"#);
        check(body, |s, h, b| assert!(s.remove_named(h, b, "c")), r#"{ "a":1 , "b":2 }"#);
    }

    #[test]
    fn an_emptied_object_takes_new_members_without_a_comma() {
        let refill = |s: &mut Splices, h: &Head, _: &[u8]| {
            s.remove_member(h, 1);
            s.remove_member(h, 0);
            s.insert_member(h, "x", b"[1]");
            s.insert_member(h, "y", b"2");
        };
        check(r#"{"a":1,"b":2}"#, refill, r#"{"x":[1],"y":2}"#);
        check("{}", |s, h, _| s.insert_member(h, "x", b"1"), r#"{"x":1}"#);
        check(" {\n} ", |s, h, _| s.insert_member(h, "x", b"1"), " {\"x\":1\n} ");
    }

    #[test]
    fn replacing_and_renaming_leave_the_rest_as_it_was() {
        let edit = |s: &mut Splices, h: &Head, b: &[u8]| {
            s.rename_member(h, 1, "max_tokens");
            s.replace(h.member(b, "model").unwrap().value.clone(), "\"gpt-5\"");
            s.remove_member(h, 2);
            s.insert_member(h, "new", b"{}");
        };
        check(r#"{"model": "x","max":5,"z":0}"#, edit, r#"{"model": "gpt-5","max_tokens":5,"new":{}}"#);
    }

    #[test]
    fn an_edit_inside_a_removed_member_goes_with_it() {
        let edit = |s: &mut Splices, h: &Head, b: &[u8]| {
            s.replace(h.member(b, "b").unwrap().value.clone(), "9");
            s.remove_member(h, 1);
            s.remove_member(h, 1);
        };
        check(r#"{"a":1,"b":2}"#, edit, r#"{"a":1}"#);
    }
}
