//! What the two planes agree on.
//!
//! [`v1`] holds the messages and services, generated from `proto/gateway/v1/*.proto` and committed
//! (`tests/generated.rs` keeps them fresh). The other modules are the words that both planes must
//! read alike: how a presented key becomes a look-up, what an amount of money is, what usage costs.
//! Policy and I/O stay in the planes.

pub mod address;
pub mod channel;
pub mod key;
pub mod money;
pub mod owner;
pub mod price;
pub mod routes;

#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]
#[path = "gen/gateway.v1.rs"]
#[rustfmt::skip]
pub mod v1;

pub use key::KeyHash;
pub use money::NanoUsd;
