//! Reads along: which events go on, which are edited, which stay here.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use wire::event_stream::{Boundary, EventTooLong, LIMIT_BYTES, View};

use super::chunk::{Choices, Chunk};
use super::outlet::Outlet;
use super::template::Template;
use super::{DONE, Ending, Options, StreamFault};
use crate::Usage;
use crate::json::{as_string, members, quoted, slice};
use crate::openai::fault::{self, UpstreamError};
use crate::openai::tokens::tokens_of;

/// Reads one upstream stream. Push reads in as they come, take what goes to the client out; then [`Reader::finish`].
#[derive(Debug)]
pub struct Reader {
    /// The name to stamp, as JSON.
    model: Option<Vec<u8>>,
    hide_usage: bool,
    boundary: Boundary,
    /// The beginning of an event whose end has not come yet.
    begun: BytesMut,
    template: Template,
    held: Option<Bytes>,
    is_done: bool,
    is_finished: bool,
    usage: Option<Usage>,
    answer_id: Option<String>,
    service_tier: Option<String>,
    error: Option<UpstreamError>,
    saw_chunk: bool,
    content_bytes: u64,
}

/// What becomes of one event.
enum Fate {
    Pass,
    Drop,
    /// Parts of the event to replace, in their order; at most the model and the usage.
    Edit([Option<(Range<usize>, With)>; 2]),
    /// The event anew.
    Rewrite(Vec<u8>),
    Done,
}

#[derive(Clone, Copy)]
enum With {
    Model,
    Nothing,
}

impl Reader {
    pub fn new(options: Options) -> Self {
        Self {
            model: options.model.map(|model| quoted(&model)),
            hide_usage: options.hide_usage,
            boundary: Boundary::new(),
            begun: BytesMut::new(),
            template: Template::default(),
            held: None,
            is_done: false,
            is_finished: false,
            usage: None,
            answer_id: None,
            service_tier: None,
            error: None,
            saw_chunk: false,
            content_bytes: 0,
        }
    }

    /// Takes a read and appends what goes to the client: not `[DONE]` (see [`Reader::held`]), nor an error of the
    /// upstream (see [`Reader::first_error`]), nor anything after either. On a fault, what came before it is appended.
    pub fn read(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        let mut outlet = Outlet::new(&chunk, out);
        let result = self.read_into(&chunk, &mut outlet);
        outlet.finish();
        result
    }

    fn read_into(&mut self, read: &Bytes, outlet: &mut Outlet<'_>) -> Result<(), StreamFault> {
        let mut at = 0;
        while !self.is_closed() {
            let rest = slice(read, &(at..read.len()));
            if rest.is_empty() {
                break;
            }
            let Some(length) = self.boundary.feed(rest) else {
                return self.begin(rest);
            };
            let event = at..at + length;
            at = event.end;
            if self.begun.is_empty() {
                check_length(event.len())?;
                let raw = slice(read, &event);
                let fate = self.look(raw)?;
                self.pass(fate, read, event, outlet);
            } else {
                self.begin(slice(read, &event))?;
                let whole = self.begun.split().freeze();
                let fate = self.look(&whole)?;
                self.pass_whole(fate, whole, outlet);
            }
        }
        Ok(())
    }

    /// To be called at the end of the upstream's body: an event without its blank line still counts.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let rest = self.begun.split().freeze();
        if !self.is_closed() && !rest.is_empty() {
            self.finish_rest(&rest, out);
        }
        if self.error.is_none() && (self.is_done || self.is_finished) {
            self.held.get_or_insert(Bytes::from_static(DONE));
            Ending::Done
        } else {
            Ending::Cut
        }
    }

    fn finish_rest(&mut self, rest: &Bytes, out: &mut Vec<Bytes>) {
        if rest.starts_with(b"{") {
            // Not a stream at all, but an error in one piece.
            self.error = members(rest).any(|(key, _)| key == b"error").then(|| fault::read_upstream(rest));
            return;
        }
        let mut whole = BytesMut::from(rest.as_ref());
        whole.extend_from_slice(if rest.ends_with(b"\n") || rest.ends_with(b"\r") { b"\n" } else { b"\n\n" });
        let whole = whole.freeze();
        if View::new(&whole).data().is_empty() {
            return;
        }
        if let Ok(fate) = self.look(&whole) {
            let nothing = Bytes::new();
            let mut outlet = Outlet::new(&nothing, out);
            self.pass_whole(fate, whole, &mut outlet);
            outlet.finish();
        }
    }

    /// Whether `[DONE]` has come.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The `[DONE]` event, to be sent when the call is booked: there once it came, or after [`Reader::finish`] found
    /// that the answer is complete without it. Taken once.
    pub fn held(&mut self) -> Option<Bytes> {
        self.held.take()
    }

    /// The last usage that was reported.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// The id of the answer, from its first chunk.
    pub fn answer_id(&self) -> Option<&str> {
        self.answer_id.as_deref()
    }

    /// The tier that served the call, where the upstream says so.
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// How many bytes of text the model has said, reasoning and tool calls included.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The same in tokens, for streams that nobody counted.
    pub fn estimate_completion_tokens(&self) -> u64 {
        tokens_of(self.content_bytes)
    }

    /// Whether the model has said anything yet. Until then, another deployment may be tried.
    pub fn saw_content(&self) -> bool {
        self.content_bytes > 0
    }

    /// Whether a chunk has come. Comments, which some send to keep a connection busy, are none.
    pub fn saw_chunk(&self) -> bool {
        self.saw_chunk
    }

    /// The error that the upstream sent as an event. Nothing is passed on after it.
    pub fn first_error(&self) -> Option<&UpstreamError> {
        self.error.as_ref()
    }

    fn is_closed(&self) -> bool {
        self.is_done || self.error.is_some()
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<(), StreamFault> {
        check_length(self.begun.len() + bytes.len())?;
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn look(&mut self, raw: &[u8]) -> Result<Fate, StreamFault> {
        match self.template.recognise(raw) {
            Some(found) => {
                self.content_bytes += found.content_bytes;
                let stamp = found.stamp.map(|stamp| Fate::Edit([Some((stamp.clone(), With::Model)), None]));
                Ok(stamp.unwrap_or(Fate::Pass))
            }
            None => self.look_inside(raw),
        }
    }

    fn look_inside(&mut self, raw: &[u8]) -> Result<Fate, StreamFault> {
        let view = View::new(raw);
        let Some(range) = view.data_range() else { return self.look_closer(view) };
        let data = slice(raw, &range);
        match data.first() {
            None => Ok(Fate::Pass),
            Some(b'[') if view.is_done() => Ok(Fate::Done),
            Some(_) => {
                let chunk = Chunk::read(data)?;
                let fate = self.judge(&chunk, data, range.start, view);
                match &fate {
                    Fate::Pass => self.template.learn(raw, range.start, &chunk, None),
                    Fate::Edit([Some((stamp, With::Model)), None]) => {
                        self.template.learn(raw, range.start, &chunk, Some(stamp));
                    }
                    Fate::Edit(_) | Fate::Drop | Fate::Rewrite(_) | Fate::Done => {}
                }
                Ok(fate)
            }
        }
    }

    /// Events that have no data line, or several.
    fn look_closer(&mut self, view: View<'_>) -> Result<Fate, StreamFault> {
        let data = view.data();
        if data.is_empty() {
            return if view.is_blank() || view.is_known() { Ok(Fate::Pass) } else { Err(StreamFault::NotEvents) };
        }
        // A line break in JSON stands between tokens, where a space does as well.
        let line: Vec<u8> = data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
        let chunk = Chunk::read(&line)?;
        match self.judge(&chunk, &line, 0, view) {
            Fate::Edit(edits) => Ok(Fate::Rewrite(super::event(&self.edited(&line, edits)).to_vec())),
            fate => Ok(fate),
        }
    }

    /// Takes note of what the chunk says and decides about it. `offset` is where its text begins in the event.
    fn judge(&mut self, chunk: &Chunk, text: &[u8], offset: usize, view: View<'_>) -> Fate {
        self.note(chunk, text);
        let error = chunk.error.as_ref().map(|error| slice(text, error));
        if let Some(error) = error.or_else(|| (view.name() == Some(b"error")).then_some(text)) {
            self.error = Some(fault::read_error(error));
            return Fate::Drop;
        }
        self.saw_chunk = true;
        let hidden = chunk.usage.as_ref().filter(|_| self.hide_usage);
        match chunk.choices {
            Choices::Empty if chunk.usage.is_none() || hidden.is_some() => return Fate::Drop,
            Choices::Absent if hidden.is_some() => return Fate::Drop,
            Choices::Empty | Choices::Absent | Choices::Some => {}
        }
        let model = chunk.model.as_ref().filter(|model| {
            let stamp = self.model.as_deref();
            stamp.is_some_and(|stamp| stamp != slice(text, model))
        });
        let at = |span: &Range<usize>| span.start + offset..span.end + offset;
        let stamp = model.map(|span| (at(span), With::Model));
        let cut = hidden.map(|usage| (at(&usage.cut), With::Nothing));
        match (stamp, cut) {
            (None, None) => Fate::Pass,
            (Some(stamp), Some(cut)) if cut.0.start < stamp.0.start => Fate::Edit([Some(cut), Some(stamp)]),
            (stamp, cut) => Fate::Edit([stamp, cut]),
        }
    }

    fn note(&mut self, chunk: &Chunk, text: &[u8]) {
        self.content_bytes += chunk.content_bytes;
        self.is_finished |= chunk.is_finished;
        if self.answer_id.is_none() {
            self.answer_id = string(chunk.id.as_ref(), text).filter(|id| !id.is_empty());
        }
        if self.service_tier.is_none() {
            self.service_tier = string(chunk.service_tier.as_ref(), text);
        }
        let groq = || {
            let inside = chunk.groq.as_ref().map(|groq| slice(text, groq))?;
            members(inside).find(|(key, _)| *key == b"usage").and_then(|(_, usage)| Usage::read(usage))
        };
        let reported = chunk.usage.as_ref().and_then(|usage| Usage::read(slice(text, &usage.value)));
        if let Some(usage) = reported.or_else(groq) {
            self.usage = Some(usage);
        }
    }

    /// Acts on the fate of an event that lies in `read`.
    fn pass(&mut self, fate: Fate, read: &Bytes, event: Range<usize>, outlet: &mut Outlet<'_>) {
        match fate {
            Fate::Pass => outlet.keep(event),
            Fate::Drop => {}
            Fate::Edit(edits) => {
                let mut at = event.start;
                for (range, with) in edits.into_iter().flatten() {
                    outlet.keep(at..event.start + range.start);
                    outlet.put(self.replacement(with));
                    at = event.start + range.end;
                }
                outlet.keep(at..event.end);
            }
            Fate::Rewrite(bytes) => outlet.put(&bytes),
            Fate::Done => self.hold(read.slice(event)),
        }
    }

    /// The same for an event that was put together from several reads.
    fn pass_whole(&mut self, fate: Fate, event: Bytes, outlet: &mut Outlet<'_>) {
        match fate {
            Fate::Pass => outlet.put_whole(event),
            Fate::Drop => {}
            Fate::Edit(edits) => outlet.put(&self.edited(&event, edits)),
            Fate::Rewrite(bytes) => outlet.put(&bytes),
            Fate::Done => self.hold(event),
        }
    }

    fn hold(&mut self, done: Bytes) {
        self.is_done = true;
        self.held = Some(done);
    }

    fn edited(&self, bytes: &[u8], edits: [Option<(Range<usize>, With)>; 2]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + self.model.as_ref().map_or(0, Vec::len));
        let mut at = 0;
        for (range, with) in edits.into_iter().flatten() {
            out.extend_from_slice(slice(bytes, &(at..range.start)));
            out.extend_from_slice(self.replacement(with));
            at = range.end;
        }
        out.extend_from_slice(slice(bytes, &(at..bytes.len())));
        out
    }

    fn replacement(&self, with: With) -> &[u8] {
        match with {
            With::Model => self.model.as_deref().unwrap_or_default(),
            With::Nothing => &[],
        }
    }
}

fn string(span: Option<&Range<usize>>, text: &[u8]) -> Option<String> {
    as_string(slice(text, span?)).map(|text| text.into_owned())
}

fn check_length(length: usize) -> Result<(), StreamFault> {
    if length > LIMIT_BYTES { Err(EventTooLong { limit: LIMIT_BYTES }.into()) } else { Ok(()) }
}
