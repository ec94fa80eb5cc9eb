//! What becomes of a call whose client leaves.
//!
//! While nothing was sent upstream it is dropped. Once something was, the provider is read on without the
//! client, for at most a minute and a hundred calls at a time, so that the usage is known and not guessed.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::gateway::Core;

/// How long a provider is read on for a client that left.
pub(crate) const READ_ON: Duration = Duration::from_secs(60);

/// Whether the client is still there, and whether a provider is at work for them.
#[derive(Clone, Default)]
pub(crate) struct Presence(Rc<State>);

#[derive(Default)]
struct State {
    gone: Cell<bool>,
    at_work: Cell<bool>,
}

impl Presence {
    /// The client left.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.gone.get()
    }

    pub(crate) fn leave(&self) {
        self.0.gone.set(true);
    }

    /// From here on, dropping the call would lose what a provider does for it.
    pub(crate) fn at_work(&self) {
        self.0.at_work.set(true);
    }
}

/// A call's future that goes on by itself when its connection drops it.
pub(crate) struct Detachable<T: 'static> {
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
    core: Rc<Core>,
    presence: Presence,
}

impl<T: 'static> Detachable<T> {
    pub(crate) fn new(core: Rc<Core>, presence: Presence, future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Some(Box::pin(future)), core, presence }
    }
}

impl<T: 'static> Future for Detachable<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = self.future.as_mut() else { return Poll::Pending };
        let polled = future.as_mut().poll(cx);
        if polled.is_ready() {
            self.future = None;
        }
        polled
    }
}

impl<T: 'static> Drop for Detachable<T> {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        self.presence.leave();
        if self.presence.0.at_work.get() {
            read_on(&self.core, async move { drop(future.await) });
        }
    }
}

/// Lets `work` go on without a client, where there is room for it and the process is not stopping.
pub(crate) fn read_on(core: &Rc<Core>, work: impl Future<Output = ()> + 'static) {
    if core.cut.is_raised() {
        return;
    }
    let Some(place) = core.gateway.detach() else { return };
    let cut = Rc::clone(&core.cut);
    tokio::task::spawn_local(async move {
        tokio::select! {
            ended = tokio::time::timeout(READ_ON, work) => drop(ended),
            () = cut.raised() => {}
        }
        drop(place);
    });
}
