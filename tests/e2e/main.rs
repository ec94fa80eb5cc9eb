//! The promises as stories: each file tells one, against the real programs.
//!
//! The programs must have been built (`make test` does). A story that fails shows the logs of its processes.

mod bad_input;
mod compose;
mod control_plane_away;
mod crash;
mod endings;
mod faults;
mod hang_ups;
mod keys;
mod routing;
mod sdk;
mod secrets;
mod shutdown;
mod spend;
mod standalone;
mod streaming;
mod world;
