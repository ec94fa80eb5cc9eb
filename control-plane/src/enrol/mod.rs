//! Enrolment: how data planes and control planes come to trust each other.
//!
//! [`init`] writes what an installation needs: an authority, a server certificate, a join token. The server shows the
//! certificate ([`identity`]); the door lets in who shows the token ([`door`]). Reading tokens and checking the
//! server belongs to both planes and is in [`proto::channel`].

mod authority;
mod door;
mod identity;
#[cfg(test)]
mod tests;

pub use authority::{InitError, Written, init};
pub use door::{Admission, NotAdmitted};
pub(crate) use door::{grpc_router, guarded};
pub use identity::{IdentityError, ServerIdentity};
