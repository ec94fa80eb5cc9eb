//! A signal within one core: raised once, seen by all that run there.
//!
//! Looking at it reads one cell, and waiting for it locks nothing: every connection and every stream waits for the end
//! of its core all its life, and looks at each turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// Something that happens once to a core: it stops accepting, or it is cut.
#[derive(Default)]
pub(crate) struct Signal {
    raised: Cell<bool>,
    waiting: RefCell<Slab<Waker>>,
}

impl Signal {
    /// Whether it was raised.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// Raises it for good, and wakes all that wait.
    pub(crate) fn raise(&self) {
        self.raised.set(true);
        for waker in self.waiting.borrow_mut().drain() {
            waker.wake();
        }
    }

    /// Waits until it is raised.
    pub(crate) async fn raised(self: &Rc<Self>) {
        let mut watch = Watch::new(self);
        std::future::poll_fn(|cx| watch.poll(cx)).await;
    }
}

/// One that waits for a signal. Dropped, it waits no longer.
pub(crate) struct Watch {
    signal: Rc<Signal>,
    place: Option<usize>,
}

impl Watch {
    pub(crate) fn new(signal: &Rc<Signal>) -> Self {
        Self { signal: Rc::clone(signal), place: None }
    }

    /// Ready once the signal is raised.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.signal.is_raised() {
            return Poll::Ready(());
        }
        let mut waiting = self.signal.waiting.borrow_mut();
        match self.place.and_then(|place| waiting.get_mut(place)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.place = Some(waiting.insert(cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // A raised signal has let go of all places.
            self.signal.waiting.borrow_mut().try_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn all_that_wait_are_woken_once_it_is_raised_and_who_comes_later_does_not_wait() {
        let signal = Rc::new(Signal::default());
        let (mut first, mut second) = (Box::pin(signal.raised()), Box::pin(signal.raised()));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        signal.raise();
        assert!(first.now_or_never().is_some() && second.now_or_never().is_some());
        assert!(signal.raised().now_or_never().is_some());
    }

    #[test]
    fn who_waits_takes_one_place_however_often_it_looks_and_gives_it_back() {
        let signal = Rc::new(Signal::default());
        let mut watch = Watch::new(&signal);
        for _ in 0..3 {
            assert!(std::future::poll_fn(|cx| watch.poll(cx)).now_or_never().is_none());
        }
        assert_eq!(signal.waiting.borrow().len(), 1);
        drop(watch);
        assert!(signal.waiting.borrow().is_empty());
    }
}
