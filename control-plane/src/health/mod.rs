//! Whether the control plane is well, and who is connected to it.

pub(crate) mod http;
