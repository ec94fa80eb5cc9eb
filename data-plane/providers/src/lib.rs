//! Providers: who speaks which dialect, at which address, with which credentials and quirks.
//!
//! [`PROVIDERS`] lists everybody, [`infer`] reads `provider/model` names, [`Provider::address`] says where a call
//! goes and what proves that we may call, and [`Provider::explain`] says what a refusal means. Most providers are
//! one constant under `openai_compatible/`. Bodies are written by `dialects`, after each provider's [`Quirks`];
//! sockets, time, retries and the environment belong to whoever uses this crate.

mod address;
mod azure;
mod description;
mod fault;
#[cfg(test)]
mod fixtures;
mod naming;
mod openai_compatible;
mod provider;
mod redact;
mod refusal;
mod table;
mod trial;

pub use address::{Address, AddressError, ModelIn};
pub use description::{Addition, Defaults, Field, HeaderDefault, Kind, Quirks};
pub use fault::{Fault, FaultClass, Retry};
pub use naming::{InferError, Named, infer, known_prefixes};
pub use provider::{Provider, Target};
pub use table::{PROVIDERS, find};
pub use trial::try_addresses;
