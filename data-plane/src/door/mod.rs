//! What stands between a client's socket and HTTP: what may pass, and how long it may take.
//!
//! [`framing`] follows the bytes and refuses what has two readings; [`socket`] lets pass what is well, answers the rest
//! itself and gives up clients that take nothing; [`clock`] ends connections that wait too long or get too old; [`crowd`]
//! counts them. All limits are in [`limits`]; what is refused is counted.

pub(crate) mod clock;
pub(crate) mod crowd;
mod framing;
mod head;
pub(crate) mod limits;
pub(crate) mod refusal;
pub(crate) mod socket;

use std::cell::Cell;
use std::rc::Rc;
use std::task::Waker;

use refusal::Refusal;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between calls.
    Idle,
    /// A head has begun.
    Head,
    /// A call is being served.
    Call,
    /// It was told why it ends.
    Refused,
}

/// What the parts of one connection know of each other.
pub(crate) struct Watch {
    phase: Cell<Phase>,
    /// Counts the calls, so that two idle times are told apart.
    turn: Cell<u32>,
    refusal: Cell<Option<Refusal>>,
    /// Who waits for the end of the call.
    waiting: Cell<Option<Waker>>,
}

impl Watch {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Idle),
            turn: Cell::new(0),
            refusal: Cell::new(None),
            waiting: Cell::new(None),
        })
    }

    /// A head is whole: a call is served until what this gives is dropped, which is when its answer has gone out.
    pub(crate) fn call(self: &Rc<Self>) -> Turn {
        self.phase.set(Phase::Call);
        Turn(Rc::clone(self))
    }

    /// Has the connection say `refusal` and end, once no call is being served.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refusal.set(Some(refusal));
    }

    fn state(&self) -> (Phase, u32) {
        (self.phase.get(), self.turn.get())
    }
}

/// A call that is being served on a connection.
pub(crate) struct Turn(Rc<Watch>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Idle);
        self.0.turn.set(self.0.turn.get().wrapping_add(1));
        if let Some(waiting) = self.0.waiting.take() {
            waiting.wake();
        }
    }
}
