//! The harness of the stories in `e2e/`: planes as child processes, a private Postgres, providers that keep their own books.
//!
//! It knows the planes only as their users do: by command line, environment, HTTP and the rows in Postgres; [`light`] alone
//! speaks gRPC, as a data plane does. What must hold is
//! said in the stories; what the repository must look like is said in `tidy/`.

pub mod background;
pub mod binaries;
pub mod books;
pub mod cable;
pub mod canary;
pub mod client;
pub mod config;
pub mod crowd;
pub mod database;
pub mod frozen;
pub mod light;
pub mod metrics;
pub mod planes;
pub mod ports;
pub mod price;
pub mod process;
pub mod provider;
pub mod raw;
pub mod redis;
pub mod restartable_server;
pub mod story;
pub mod wait;
