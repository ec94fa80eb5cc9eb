//! Cuts a byte stream into events, without copying those that lie in one read.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::{Boundary, Event};

/// How long an event may be, in bytes, where nothing else is said.
pub const LIMIT_BYTES: usize = 1 << 20;

/// An event grew past the limit before its blank line came. The stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct EventTooLong {
    pub limit: usize,
}

/// Takes reads, gives events. Push one read, take events until there is none, push the next.
#[derive(Debug)]
pub struct Events {
    boundary: Boundary,
    reads: VecDeque<Bytes>,
    /// The beginning of an event whose end has not come yet.
    begun: BytesMut,
    limit: usize,
    too_long: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    pub fn new() -> Self {
        Self::with_limit(LIMIT_BYTES)
    }

    /// Events of more than `limit` bytes, blank line included, are an error.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            boundary: Boundary::new(),
            reads: VecDeque::with_capacity(1),
            begun: BytesMut::new(),
            limit,
            too_long: false,
        }
    }

    /// Queues a read. Fails only after [`Events::next`] has failed.
    pub fn push(&mut self, read: Bytes) -> Result<(), EventTooLong> {
        self.check()?;
        if !read.is_empty() {
            self.reads.push_back(read);
        }
        Ok(())
    }

    /// The next whole event, or `None` until more is pushed.
    #[expect(clippy::should_implement_trait, reason = "an iterator that ends, grows and goes on would surprise")]
    pub fn next(&mut self) -> Result<Option<Event>, EventTooLong> {
        self.check()?;
        while let Some(read) = self.reads.front_mut() {
            let end = self.boundary.feed(read);
            let length = self.begun.len() + end.unwrap_or(read.len());
            if length > self.limit {
                self.too_long = true;
                return Err(EventTooLong { limit: self.limit });
            }
            match end {
                Some(end) => {
                    let event = take(&mut self.begun, read, end);
                    if !read.has_remaining() {
                        self.reads.pop_front();
                    }
                    return Ok(Some(event));
                }
                None => {
                    self.begun.extend_from_slice(read);
                    self.reads.pop_front();
                }
            }
        }
        Ok(None)
    }

    /// At the end of the body: what is left without a blank line.
    pub fn rest(&mut self) -> Option<Bytes> {
        self.boundary = Boundary::new();
        for read in self.reads.drain(..) {
            self.begun.extend_from_slice(&read);
        }
        (!self.begun.is_empty()).then(|| self.begun.split().freeze())
    }

    fn check(&self) -> Result<(), EventTooLong> {
        if self.too_long { Err(EventTooLong { limit: self.limit }) } else { Ok(()) }
    }
}

/// The event that is made of what had begun and the first `end` bytes of `read`.
fn take(begun: &mut BytesMut, read: &mut Bytes, end: usize) -> Event {
    let tail = read.split_to(end.min(read.len()));
    if begun.is_empty() {
        return Event::new(tail);
    }
    begun.extend_from_slice(&tail);
    Event::new(begun.split().freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(events: &mut Events) -> Vec<Bytes> {
        std::iter::from_fn(|| events.next().unwrap()).map(Event::into_raw).collect()
    }

    #[test]
    fn an_event_that_lies_in_one_read_is_not_copied() {
        let read = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let mut events = Events::new();
        events.push(read.clone()).unwrap();
        let cut = all(&mut events);
        assert_eq!(cut, [&b"data: a\n\n"[..], b"data: b\n\n"]);
        assert_eq!(cut[1].as_ptr(), read[9..].as_ptr());
    }

    #[test]
    fn what_has_no_blank_line_is_the_rest() {
        let mut events = Events::new();
        events.push(Bytes::from_static(b"data: a\n\ndata: b\n")).unwrap();
        assert_eq!(all(&mut events).len(), 1);
        assert_eq!(events.rest().as_deref(), Some(&b"data: b\n"[..]));
        assert_eq!(events.rest(), None);
    }

    #[test]
    fn an_event_past_the_limit_is_an_error_and_stays_one() {
        let mut events = Events::with_limit(10);
        events.push(Bytes::from_static(b"data: 5678")).unwrap();
        assert_eq!(events.next(), Ok(None));
        events.push(Bytes::from_static(b"90")).unwrap();
        assert_eq!(events.next(), Err(EventTooLong { limit: 10 }));
        assert_eq!(events.next(), Err(EventTooLong { limit: 10 }));
        assert_eq!(events.push(Bytes::new()), Err(EventTooLong { limit: 10 }));
    }

    #[test]
    fn an_event_of_exactly_the_limit_passes() {
        let mut events = Events::with_limit(9);
        events.push(Bytes::from_static(b"data: a\n\n")).unwrap();
        assert_eq!(all(&mut events).len(), 1);
    }
}
