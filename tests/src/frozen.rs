//! A process that stands still without being gone: its sockets are open, and it says nothing.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process stopped by SIGSTOP. Dropped, it goes on.
pub struct Frozen(Pid);

impl Frozen {
    /// Stops the process of this id.
    pub fn process(id: u32) -> anyhow::Result<Self> {
        let id = Pid::from_raw(i32::try_from(id)?);
        kill(id, Signal::SIGSTOP)?;
        Ok(Self(id))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT); // it may have been killed meanwhile
    }
}
