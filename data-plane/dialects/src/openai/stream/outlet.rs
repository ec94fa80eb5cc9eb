//! Where a read goes on to the client: as slices of itself while nothing changes, as one copy once something does.

use std::ops::Range;

use bytes::Bytes;

#[derive(Debug)]
pub(super) struct Outlet<'a> {
    read: &'a Bytes,
    out: &'a mut Vec<Bytes>,
    /// What is to go on next, not yet handed out, so that neighbours become one slice.
    kept: Range<usize>,
    /// Grows from the first edit on.
    copy: Vec<u8>,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(read: &'a Bytes, out: &'a mut Vec<Bytes>) -> Self {
        Self { read, out, kept: 0..0, copy: Vec::new() }
    }

    /// Passes a part of the read.
    #[inline]
    pub(super) fn keep(&mut self, range: Range<usize>) {
        if self.kept.end == range.start {
            self.kept.end = range.end;
        } else {
            self.flush();
            self.kept = range;
        }
    }

    /// Passes bytes that are not in the read, and copies from here on.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.copy_kept();
        self.copy.extend_from_slice(bytes);
    }

    /// Passes an event that was put together from several reads.
    pub(super) fn put_whole(&mut self, event: Bytes) {
        if self.copy.is_empty() {
            self.flush();
            self.out.push(event);
        } else {
            self.put(&event);
        }
    }

    /// Hands out what is left. To be called once, at the end of the read.
    pub(super) fn finish(mut self) {
        self.flush();
        if !self.copy.is_empty() {
            self.out.push(Bytes::from(self.copy));
        }
    }

    fn flush(&mut self) {
        if !self.copy.is_empty() {
            self.copy_kept();
        } else if !self.kept.is_empty() {
            self.out.push(self.read.slice(self.kept.clone()));
            self.kept = self.kept.end..self.kept.end;
        }
    }

    fn copy_kept(&mut self) {
        if self.copy.capacity() == 0 {
            // The names that are put in may be longer than those they replace.
            self.copy.reserve(self.read.len() + self.read.len() / 4 + 64);
        }
        self.copy.extend_from_slice(self.read.get(self.kept.clone()).unwrap_or_default());
        self.kept = self.kept.end..self.kept.end;
    }
}
