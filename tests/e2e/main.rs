//! The promises as stories: each file tells one, against the real programs.
//!
//! The programs must have been built (`make test` does). A story that fails shows the logs of its processes.

mod bad_input;
mod budgets;
mod chaos;
mod compose;
mod control_plane_away;
mod crash;
mod customers;
mod damaged_copy;
mod endings;
mod faults;
mod gate;
mod hang_ups;
mod herd;
mod hostile;
mod import;
mod keys;
mod limits;
mod models;
mod organizations;
mod quiet;
mod redis;
mod revocation;
mod rolling;
mod routing;
mod sdk;
mod secrets;
mod secrets_everywhere;
mod several_control_planes;
mod shutdown;
mod spend;
mod spool;
mod ssrf;
mod standalone;
mod static_stability;
mod streaming;
mod world;
