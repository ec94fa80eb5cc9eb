//! How many calls and tokens a minute, and how many calls at once: for keys, users and teams.
//!
//! A call takes from all of its owners or from none ([`local`]); what it takes is counted in sliding minutes ([`window`]).
//! Tokens are reserved by an estimate before the call and replaced by the real ones after it. Where several
//! data planes serve, each admits its part ([`fleet`]). Who the owners of a call are
//! is [`crate::pipeline::admit`]'s business. The limits of the port itself are [`crate::door::limits`].

pub(crate) mod fleet;
pub(crate) mod local;
mod window;

use std::num::NonZeroU32;

use proto::v1 as pb;

/// What has limits of its own. The order is the one in which the first that is reached is reported (admin_api.md 4.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    Key,
    User,
    Team,
}

impl Owner {
    /// LiteLLM's name of it, in messages and headers.
    pub(crate) fn descriptor(self) -> &'static str {
        match self {
            Self::Key => "api_key",
            Self::User => "user",
            Self::Team => "team",
        }
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Requests,
    Tokens,
    AtOnce,
}

impl Kind {
    /// LiteLLM's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::AtOnce => "max_parallel_requests",
        }
    }
}

/// The limits of one owner. A limit of 0 refuses everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ceilings {
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) tokens_per_minute: Option<u64>,
    pub(crate) at_once: Option<u64>,
}

impl Ceilings {
    pub(crate) fn of(message: Option<&pb::Ceilings>) -> Self {
        let Some(message) = message else { return Self::default() };
        Self {
            requests_per_minute: message.requests_per_minute,
            tokens_per_minute: message.tokens_per_minute,
            at_once: message.at_once,
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What one of `planes` data planes may admit by itself: its part, but never nothing of something.
    fn share(self, planes: NonZeroU32) -> Self {
        let part = |limit: u64| if limit == 0 { 0 } else { (limit / u64::from(planes.get())).max(1) };
        Self {
            requests_per_minute: self.requests_per_minute.map(part),
            tokens_per_minute: self.tokens_per_minute.map(part),
            at_once: self.at_once.map(part),
        }
    }
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) owner: Owner,
    pub(crate) kind: Kind,
    /// The limit as it was set, for all data planes together.
    pub(crate) limit: u64,
    /// What is left of it here.
    pub(crate) left: u64,
    /// In so many seconds a call like this one fits, if no other comes.
    pub(crate) wait_s: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_of_a_limit_and_never_nothing_of_something() {
        let all = Ceilings { requests_per_minute: Some(10), tokens_per_minute: Some(2), at_once: Some(0) };
        let share = all.share(NonZeroU32::new(3).unwrap());
        assert_eq!((share.requests_per_minute, share.tokens_per_minute, share.at_once), (Some(3), Some(1), Some(0)));
        assert_eq!(all.share(NonZeroU32::MIN), all);
        assert_eq!(Ceilings::default().share(NonZeroU32::MAX), Ceilings::default());
    }
}
