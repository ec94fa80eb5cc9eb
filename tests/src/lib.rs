//! The harness of the stories in `e2e/`: planes as child processes, a private Postgres, providers that keep their own books.
//!
//! It knows the planes only as their users do: by command line, environment, HTTP and the rows in Postgres. What must hold is
//! said in the stories; what the repository must look like is said in `tidy/`.

pub mod binaries;
pub mod canary;
pub mod client;
pub mod config;
pub mod database;
pub mod metrics;
pub mod planes;
pub mod ports;
pub mod price;
pub mod process;
pub mod provider;
pub mod raw;
pub mod story;
pub mod wait;
