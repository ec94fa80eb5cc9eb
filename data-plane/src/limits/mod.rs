//! How many calls and tokens a minute, how many calls at once, and how much money: for keys, users, teams and everybody.
//!
//! A call takes from all of its owners or from none ([`local`]); what it takes of a rate is counted in sliding minutes
//! ([`window`]), what it may cost against [`budget`]s. Tokens and money are reserved by an estimate before the call and replaced
//! by the real ones after it. Where several data planes serve, they share through [`redis`], or each admits its part ([`fleet`]). What is spent elsewhere the
//! control plane tells; a restart remembers it ([`memory`]). Who the owners of a call are is [`crate::pipeline::admit`]'s business. The limits of the port itself are [`crate::door::limits`].

pub(crate) mod account;
pub(crate) mod budget;
mod counts;
pub(crate) mod fleet;
pub(crate) mod local;
pub(crate) mod memory;
pub(crate) mod redis;
pub(crate) mod taken;
mod window;

use std::num::NonZeroU32;

use proto::v1 as pb;

use self::account::{Edge, Spent};
use self::budget::{Budget, Budgets, Counted, Of};

/// What has limits of its own. The order is the one in which the first that is reached is reported (admin_api.md 4.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    Key,
    User,
    Team,
    /// A user in a team.
    Member,
    Customer,
    /// A key and a model: named by both, as the next.
    KeyModel,
    TeamModel,
    Organization,
    Tag,
    /// Everybody together.
    Proxy,
}

/// The id of the one owner that is everybody together.
pub(crate) const EVERYBODY: &str = "proxy";

impl Owner {
    /// LiteLLM's name of it, in messages and headers.
    pub(crate) fn descriptor(self) -> &'static str {
        match self {
            Self::Key => "api_key",
            Self::User => "user",
            Self::Team => "team",
            Self::Member => "team_member",
            Self::Customer => "end_user",
            Self::KeyModel => "model_per_key",
            Self::TeamModel => "model_per_team",
            Self::Organization => "organization",
            Self::Tag => "tag",
            Self::Proxy => "proxy",
        }
    }

    /// The owner in messages of the control plane; none where it is of a kind that has no budgets here.
    pub(crate) fn of(kind: pb::OwnerKind) -> Option<Self> {
        match kind {
            pb::OwnerKind::Key => Some(Self::Key),
            pb::OwnerKind::User => Some(Self::User),
            pb::OwnerKind::Team => Some(Self::Team),
            pb::OwnerKind::Member => Some(Self::Member),
            pb::OwnerKind::Customer => Some(Self::Customer),
            pb::OwnerKind::Organization => Some(Self::Organization),
            pb::OwnerKind::Tag => Some(Self::Tag),
            pb::OwnerKind::Proxy => Some(Self::Proxy),
            pb::OwnerKind::Unspecified => None,
        }
    }

    /// What has limits of rate alone is of no kind.
    pub(crate) fn kind(self) -> pb::OwnerKind {
        match self {
            Self::KeyModel | Self::TeamModel => pb::OwnerKind::Unspecified,
            Self::Member => pb::OwnerKind::Member,
            Self::Customer => pb::OwnerKind::Customer,
            Self::Organization => pb::OwnerKind::Organization,
            Self::Tag => pb::OwnerKind::Tag,
            Self::Key => pb::OwnerKind::Key,
            Self::User => pb::OwnerKind::User,
            Self::Team => pb::OwnerKind::Team,
            Self::Proxy => pb::OwnerKind::Proxy,
        }
    }

    /// Whether one more call goes through when just as much is spent as may be (admin_api.md 4.3.1).
    fn edge(self) -> Edge {
        match self {
            Self::Key | Self::User | Self::Member | Self::Organization | Self::KeyModel | Self::TeamModel => {
                Edge::Closed
            }
            Self::Team | Self::Customer | Self::Tag | Self::Proxy => Edge::Open,
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

/// What an owner may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Allowance {
    pub(crate) ceilings: Ceilings,
    of_all: Option<i64>,
    others: Box<[Budget]>,
    /// Limits of single models, by their public names.
    models: Box<[(Box<str>, Ceilings)]>,
}

impl Allowance {
    pub(crate) fn of(ceilings: Option<&pb::Ceilings>, budgets: &[pb::Budget]) -> Self {
        let (of_all, others) = Budget::all(budgets);
        Self { ceilings: Ceilings::of(ceilings), of_all, others, models: Box::default() }
    }

    /// With limits of single models.
    pub(crate) fn with_models(self, models: &[pb::ModelCeilings]) -> Self {
        let limits = |of: &pb::ModelCeilings| (of.model.as_str().into(), Ceilings::of(of.limits.as_ref()));
        Self { models: models.iter().map(limits).collect(), ..self }
    }

    /// The limits of one model: by its whole name, or by what follows its last `/`.
    pub(crate) fn of_model(&self, model: &str) -> Option<Ceilings> {
        let named = |name: &str| self.models.iter().find(|(known, _)| **known == *name);
        let counts = budget::counting(model, |name| named(name).is_some());
        named(counts).map(|(_, ceilings)| *ceilings)
    }

    pub(crate) fn budgets(&self) -> Budgets<'_> {
        Budgets { of_all: self.of_all, others: &self.others }
    }

    /// It may use all that there is.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The budget of everything, where that is all there is to say.
    pub(crate) fn only_budget(&self) -> Option<i64> {
        self.of_all.filter(|_| self.ceilings.is_none() && self.others.is_empty() && self.models.is_empty())
    }
}

/// What is in a call's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Limit(Reached),
    Budget(Box<Exceeded>),
    /// Redis does not answer, and nothing may go through without it.
    Away,
}

/// A budget that is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) owner: Owner,
    pub(crate) of: What,
    pub(crate) spent: Spent,
}

/// What a budget is about, as messages say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Everything,
    Window(String),
    Model,
}

impl Exceeded {
    fn new(owner: Owner, budget: Counted<'_>, spent: Spent) -> Self {
        let of = match budget.of {
            Of::Everything => What::Everything,
            Of::Window(window) => What::Window(window.to_owned()),
            Of::Model => What::Model,
        };
        Self { owner, of, spent }
    }

    /// Of several, the one with the lowest is reported (admin_api.md 4.3).
    fn rank(owner: Owner, of: Of<'_>) -> u8 {
        match (owner, of) {
            (Owner::Member, _) => 6,
            (Owner::Key | Owner::KeyModel | Owner::TeamModel, Of::Everything) => 8,
            (Owner::Key | Owner::KeyModel | Owner::TeamModel, Of::Model) => 10,
            (Owner::User | Owner::Customer, Of::Model) => 11,
            (Owner::Team, Of::Everything) => 23,
            (Owner::Team, Of::Window(_)) => 24,
            (Owner::Key | Owner::KeyModel | Owner::TeamModel, Of::Window(_)) => 25,
            (Owner::Organization, _) => 27,
            (Owner::Tag, _) => 28,
            (Owner::User, Of::Everything | Of::Window(_)) => 30,
            (Owner::Customer, Of::Everything | Of::Window(_)) => 32,
            (Owner::Proxy, _) => 34,
            (Owner::Team, Of::Model) => 39,
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
