//! What an owner may spend: of everything, in a window, on a model. What is spent of it is [`super::account`]'s.

use proto::v1 as pb;

use super::account::Spent;

/// How much an owner may spend. Most have one budget of everything, or none: that is kept small, as there may be a million.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Budgets<'a> {
    /// Of everything, in billionths of a US dollar.
    pub(crate) of_all: Option<i64>,
    pub(crate) others: &'a [Budget],
}

/// A budget of a window or of a model, or one that is larger for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    scope: Box<str>,
    /// Only calls of this model count.
    model: Option<Box<str>>,
    most_nano_usd: i64,
    extra: Extra,
    /// As the admin wrote it.
    window: Box<str>,
}

/// May be spent beside, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extra {
    nano_usd: i64,
    until_ms: i64,
}

/// A budget that a call counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted<'a> {
    pub(crate) scope: &'a str,
    pub(crate) most_nano_usd: i64,
    pub(crate) of: Of<'a>,
}

/// What a budget is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of<'a> {
    Everything,
    Window(&'a str),
    Model,
}

impl Budget {
    /// The budgets of an owner: the one of everything, if that is all there is to say of it, and the others.
    pub(crate) fn all(messages: &[pb::Budget]) -> (Option<i64>, Box<[Self]>) {
        let is_plain = |message: &&pb::Budget| message.scope.is_empty() && message.extra_nano_usd == 0;
        let of_all = messages.iter().find(is_plain).map(|message| message.most_nano_usd);
        (of_all, messages.iter().filter(|message| !is_plain(message)).map(Self::of).collect())
    }

    fn of(message: &pb::Budget) -> Self {
        Self {
            scope: message.scope.as_str().into(),
            model: (!message.model.is_empty()).then(|| message.model.as_str().into()),
            most_nano_usd: message.most_nano_usd,
            extra: Extra { nano_usd: message.extra_nano_usd, until_ms: message.extra_until_ms },
            window: message.window.as_str().into(),
        }
    }

    fn counted(&self, now_ms: i64) -> Counted<'_> {
        let extra = if now_ms < self.extra.until_ms { self.extra.nano_usd } else { 0 };
        let of = match (&self.model, &*self.scope) {
            (Some(_), _) => Of::Model,
            (None, "") => Of::Everything,
            (None, _) => Of::Window(&self.window),
        };
        Counted { scope: &self.scope, most_nano_usd: self.most_nano_usd.saturating_add(extra), of }
    }
}

impl Counted<'_> {
    /// What is said of it when it is in the way.
    pub(super) fn spent(&self, spent_nano_usd: i64, reserved_nano_usd: i64) -> Spent {
        Spent { spent_nano_usd, reserved_nano_usd, most_nano_usd: self.most_nano_usd }
    }
}

impl<'a> Budgets<'a> {
    pub(crate) fn is_none(self) -> bool {
        self.of_all.is_none() && self.others.is_empty()
    }

    /// Those that a call of this model counts against.
    pub(crate) fn of_call(self, model: &'a str, now_ms: i64) -> impl Iterator<Item = Counted<'a>> {
        let counts = counting(model, |name| self.others.iter().any(|budget| budget.model.as_deref() == Some(name)));
        let of_all = |most| Counted { scope: "", most_nano_usd: most, of: Of::Everything };
        let others = self.others.iter().filter(move |budget| budget.model.as_deref().is_none_or(|name| name == counts));
        self.of_all.map(of_all).into_iter().chain(others.map(move |budget| budget.counted(now_ms)))
    }
}

/// Of the budgets of models, the one with the whole name counts; where there is none, that of what follows the last `/`.
pub(super) fn counting(model: &str, has: impl Fn(&str) -> bool) -> &str {
    if has(model) { model } else { model.rsplit('/').next().unwrap_or(model) }
}

/// What a call may cost at most, as far as that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quote {
    /// No budget is asked: it costs nothing.
    Free,
    /// Zero where the price is not known.
    Nanos(i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_money_for_a_while_is_for_a_while() {
        let message = pb::Budget { most_nano_usd: 10, extra_nano_usd: 5, extra_until_ms: 100, ..pb::Budget::default() };
        let (of_all, others) = Budget::all(&[message]);
        let most = |now_ms| Budgets { of_all, others: &others }.of_call("m", now_ms).next().unwrap().most_nano_usd;
        assert_eq!((most(99), most(100)), (15, 10));
    }

    #[test]
    fn a_model_counts_by_its_whole_name_or_by_its_last_part() {
        let of = |model: &str| pb::Budget { model: model.into(), scope: model.into(), ..pb::Budget::default() };
        let (of_all, others) = Budget::all(&[of(""), of("gpt-4o"), of("openai/gpt-4o")]);
        let budgets = Budgets { of_all, others: &others };
        let scopes = |model| budgets.of_call(model, 0).map(|counted| counted.scope.to_owned()).collect::<Vec<_>>();
        assert_eq!(scopes("gpt-4o"), ["", "gpt-4o"]);
        assert_eq!(scopes("openai/gpt-4o"), ["", "openai/gpt-4o"]);
        assert_eq!(scopes("azure/gpt-4o"), ["", "gpt-4o"]);
        assert_eq!(scopes("claude"), [""]);
    }
}
