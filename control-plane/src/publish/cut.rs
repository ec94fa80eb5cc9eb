//! Why a subscription ended, in words for the log and as the status that the data plane reads.

use std::time::Duration;

use proto::channel::PROTOCOLS;
use tonic::Status;

use super::session::{HELLO_WITHIN, SEND_WITHIN, SILENT_FOR};

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    #[error("the data plane closed the stream")]
    Left,
    #[error("the stream broke: {0}")]
    Broken(Box<Status>),
    #[error("no Hello within {} s", HELLO_WITHIN.as_secs())]
    NoHello,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the data plane speaks protocols {min} to {max}, this control plane {} to {}: bring both to near releases",
        PROTOCOLS.start(), PROTOCOLS.end())]
    Protocol { min: u32, max: u32 },
    #[error("the data plane said its id is `{hello}` in Hello and `{header}` in its request header")]
    TwoIds { hello: String, header: String },
    #[error("no acknowledgement of revision {revision} within {within:?}")]
    NoAck { revision: u64, within: Duration },
    #[error("not a word for {} s", SILENT_FOR.as_secs())]
    Silent,
    #[error("a message could not be sent within {} s", SEND_WITHIN.as_secs())]
    Stuck,
    #[error("a newer connection of the same data plane took over")]
    Replaced,
    #[error("the control plane is stopping")]
    Stopping,
}

impl Cut {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Left | Self::Broken(_) => Status::cancelled(self.to_string()),
            Self::NoHello | Self::NoAck { .. } | Self::Silent | Self::Stuck => {
                Status::deadline_exceeded(self.to_string())
            }
            Self::Malformed(_) => Status::invalid_argument(self.to_string()),
            Self::Protocol { .. } => Status::failed_precondition(self.to_string()),
            Self::TwoIds { .. } => Status::permission_denied(self.to_string()),
            Self::Replaced => Status::aborted(self.to_string()),
            Self::Stopping => Status::unavailable(self.to_string()),
        }
    }
}
