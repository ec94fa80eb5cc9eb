//! What is counted for one owner.

use smallvec::SmallVec;

use super::account::{Account, Said, Spent, Terms};
use super::budget::{Counted, Quote, counting};
use super::local::{Ask, Demand};
use super::window::{Second, Window};
use super::{Ceilings, Kind, Reached};

/// Windows are made when something is first counted in them: there may be many owners, and few have both limits.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: Option<Box<Window>>,
    tokens: Option<Box<Window>>,
    pub(super) at_once: u64,
    /// Calls that have reserved tokens and not settled yet.
    reserving: u64,
    /// Others said that no request fits before this second.
    full_until: Second,
    /// What is spent of each budget. Once there, an account keeps its place.
    accounts: Vec<Account>,
}

/// Tokens that are counted before they are used.
#[derive(Clone, Copy)]
pub(super) struct Reserved {
    pub(super) tokens: u64,
    /// The second that they count in.
    pub(super) at: Second,
}

/// Money that a call may spend, by account.
pub(super) type Money = SmallVec<[Stake; 1]>;

/// What a call may spend of one account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stake {
    place: usize,
    /// How much of it is still reserved.
    reserved: i64,
    /// The budget when the call was admitted; none where it only counts.
    most: Option<i64>,
}

/// Calls that have begun and not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub(super) calls: u64,
    /// Those of them that have reserved tokens.
    pub(super) reserving: u64,
}

impl UnderWay {
    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// What a call took of one owner, before others have let it through.
pub(super) struct Staged<'a> {
    /// Each budget that it counts against, what it may cost (none where it only counts), and what to say of it.
    pub(super) budgets: SmallVec<[(Counted<'a>, Option<i64>, Said); 1]>,
    pub(super) money: Money,
    pub(super) reserved: Option<Reserved>,
    pub(super) under_way: UnderWay,
}

/// What others let a call have of one owner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) left: Ceilings,
    pub(super) tokens: Option<u64>,
    /// Of each budget: what it reserves, and what others have spent and reserved.
    pub(super) budgets: SmallVec<[(i64, i64); 1]>,
}

/// A limit that is reached, before it is said whose.
pub(super) struct Refused {
    pub(super) kind: Kind,
    pub(super) left: u64,
    pub(super) wait_s: u64,
}

impl Refused {
    pub(super) fn told(self, demand: &Demand<'_>) -> Reached {
        let Self { kind, left, wait_s } = self;
        let limit = match kind {
            Kind::Requests => demand.ceilings.requests_per_minute,
            Kind::Tokens => demand.ceilings.tokens_per_minute,
            Kind::AtOnce => demand.ceilings.at_once,
        };
        Reached { owner: demand.owner, kind, limit: limit.unwrap_or(0), left, wait_s }
    }
}

impl Counts {
    /// How many tokens the call reserves, if tokens are limited; or what is in its way.
    pub(super) fn admits(&mut self, share: Ceilings, tokens: u64, now: Second) -> Result<Option<u64>, Refused> {
        if let Some(limit) = share.requests_per_minute {
            let requests = window(&mut self.requests, now);
            let left = limit.saturating_sub(requests.sum(now));
            if now < self.full_until {
                return Err(Refused { kind: Kind::Requests, left: 0, wait_s: self.full_until - now });
            }
            if left == 0 {
                return Err(Refused { kind: Kind::Requests, left, wait_s: requests.wait(now, 1, limit) });
            }
        }
        if let Some(limit) = share.at_once
            && self.at_once >= limit
        {
            // A place is free when a call ends, and nobody knows when that is.
            return Err(Refused { kind: Kind::AtOnce, left: 0, wait_s: 1 });
        }
        let Some(limit) = share.tokens_per_minute else { return Ok(None) };
        let counted = window(&mut self.tokens, now);
        let left = limit.saturating_sub(counted.sum(now));
        if tokens <= left {
            return Ok(Some(tokens));
        }
        // A call that wants more than there ever is would never be served: alone, it takes what is left.
        if tokens > limit && left > 0 && self.reserving == 0 {
            return Ok(Some(left));
        }
        Err(Refused { kind: Kind::Tokens, left, wait_s: counted.wait(now, tokens.min(limit), limit) })
    }

    /// What the call reserves of each budget that it counts against, or the budgets that are in its way.
    pub(super) fn affords<'a>(
        &mut self,
        demand: &Demand<'a>,
        ask: &Ask<'a>,
        terms: Terms,
        exceeded: &mut impl FnMut(Counted<'a>, Spent),
    ) -> Money {
        let mut money = Money::new();
        for budget in demand.budgets.of_call(ask.model, ask.now_ms) {
            let place = self.place(budget.scope);
            let Some(account) = self.accounts.get_mut(place) else { continue };
            match (demand.is_held, ask.quote) {
                (true, Quote::Nanos(cost)) => match account.admit(budget.most_nano_usd, cost, terms) {
                    Ok(reserved) => money.push(Stake { place, reserved, most: Some(budget.most_nano_usd) }),
                    Err(spent) => exceeded(budget, spent),
                },
                // It is counted, so that what is booked of it is known to be ours.
                (false, _) | (_, Quote::Free) => money.push(Stake { place, reserved: 0, most: None }),
            }
        }
        money
    }

    /// Takes the call's place without looking, because others are asked. Says what they have to know.
    pub(super) fn stage<'a>(&mut self, demand: &Demand<'a>, ask: &Ask<'a>, now: Second) -> Staged<'a> {
        let mut staged =
            Staged { budgets: SmallVec::new(), money: Money::new(), reserved: None, under_way: UnderWay::default() };
        for budget in demand.budgets.of_call(ask.model, ask.now_ms) {
            let place = self.place(budget.scope);
            let Some(account) = self.accounts.get_mut(place) else { continue };
            let cost = match ask.quote {
                Quote::Nanos(cost) if demand.is_held => Some(cost),
                Quote::Nanos(_) | Quote::Free => None,
            };
            staged.budgets.push((budget, cost, account.said(ask.now_ms)));
            staged.money.push(Stake { place, reserved: cost.unwrap_or(0), most: cost.map(|_| budget.most_nano_usd) });
        }
        if demand.ceilings.requests_per_minute.is_some() {
            window(&mut self.requests, now);
        }
        let tokens = demand.ceilings.tokens_per_minute.map(|_| ask.tokens);
        staged.reserved = self.take(tokens, &staged.money, now);
        staged.under_way = self.under_way();
        staged
    }

    /// Others were asked about a staged call, and let it through: with so many of the tokens and so much of the money.
    pub(super) fn is_granted(
        &mut self,
        reserved: &mut Option<Reserved>,
        money: &mut Money,
        granted: &Granted,
        now: Second,
    ) {
        if let Some((reserved, tokens)) = reserved.as_mut().zip(granted.tokens) {
            let surplus = reserved.tokens.saturating_sub(tokens);
            window(&mut self.tokens, now).take_back(now, reserved.at, surplus);
            reserved.tokens -= surplus;
        }
        for (stake, (nanos, elsewhere)) in money.iter_mut().zip(&granted.budgets) {
            if let Some(account) = self.accounts.get_mut(stake.place) {
                account.is_granted(stake.reserved, *nanos, *elsewhere);
                stake.reserved = *nanos;
            }
        }
    }

    /// A staged call was not let through: it was no request.
    pub(super) fn unstage(&mut self, at: Second, now: Second) {
        if let Some(requests) = &mut self.requests {
            requests.take_back(now, at, 1);
        }
    }

    /// Others were asked, and said that no request fits for so many seconds.
    pub(super) fn is_full_for(&mut self, wait_s: u64, now: Second) {
        self.full_until = now.saturating_add(wait_s);
    }

    pub(super) fn under_way(&self) -> UnderWay {
        UnderWay { calls: self.at_once, reserving: self.reserving }
    }

    pub(super) fn take(&mut self, tokens: Option<u64>, money: &Money, now: Second) -> Option<Reserved> {
        if let Some(requests) = &mut self.requests {
            requests.add(now, 1);
        }
        self.at_once += 1;
        for stake in money.iter().filter(|stake| stake.most.is_some()) {
            self.accounts.get_mut(stake.place).into_iter().for_each(|account| account.reserve(stake.reserved));
        }
        let tokens = tokens?;
        self.reserving += 1;
        let at = window(&mut self.tokens, now).add(now, tokens);
        Some(Reserved { tokens, at })
    }

    /// A call that took its place spent so much.
    pub(super) fn spend(&mut self, money: &mut Money, cost: i64) {
        for stake in money {
            if let Some(account) = self.accounts.get_mut(stake.place) {
                stake.reserved = account.spend(stake.reserved, cost);
            }
        }
    }

    /// A call that took its place costs more than it has reserved: it reserves the rest, if there is so much.
    pub(super) fn reserve_up_to(&mut self, money: &mut Money, cost: i64, terms: Terms) -> bool {
        money.iter_mut().all(|stake| {
            let more = cost.saturating_sub(stake.reserved);
            let (Some(most), Some(account)) = (stake.most, self.accounts.get_mut(stake.place)) else { return true };
            let is_there = more <= 0 || account.reserve_more(most, more, terms);
            if is_there {
                stake.reserved = stake.reserved.max(cost);
            }
            is_there
        })
    }

    /// A call ends that took its place, and used so many tokens.
    pub(super) fn give_back(&mut self, reserved: Option<Reserved>, money: &Money, used: u64, now: Second) {
        self.at_once = self.at_once.saturating_sub(1);
        for stake in money.iter().filter(|stake| stake.most.is_some()) {
            self.accounts.get_mut(stake.place).into_iter().for_each(|account| account.release(stake.reserved));
        }
        if let Some(Reserved { tokens, at }) = reserved {
            self.reserving = self.reserving.saturating_sub(1);
            let counted = window(&mut self.tokens, now);
            counted.take_back(now, at, tokens);
            counted.add(now, used);
        }
    }

    /// What is spent of the budget of everything, where the call counts against it.
    pub(super) fn spent_of_all(&self, money: &Money) -> Option<i64> {
        let accounts = money.iter().filter_map(|stake| self.accounts.get(stake.place));
        accounts.filter(|account| account.scope.is_empty()).map(Account::spent_so_far).next()
    }

    pub(super) fn left(&mut self, share: Ceilings, now: Second) -> Ceilings {
        let (requests, tokens) = (sum(&mut self.requests, now), sum(&mut self.tokens, now));
        Ceilings {
            requests_per_minute: share.requests_per_minute.map(|limit| limit.saturating_sub(requests)),
            tokens_per_minute: share.tokens_per_minute.map(|limit| limit.saturating_sub(tokens)),
            at_once: share.at_once.map(|limit| limit.saturating_sub(self.at_once)),
        }
    }

    /// The account with this scope.
    pub(super) fn account(&mut self, scope: &str) -> Option<&mut Account> {
        let place = self.place(scope);
        self.accounts.get_mut(place)
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(super) fn accounts_mut(&mut self) -> &mut [Account] {
        &mut self.accounts
    }

    /// Notes what an earlier process spent on a model and could not deliver.
    pub(super) fn owe(&mut self, model: &str, cost: i64) {
        self.place("");
        let counted = counting(model, |name| self.accounts.iter().any(|account| account.model() == Some(name)));
        for account in &mut self.accounts {
            if account.model().is_none_or(|name| name == counted) {
                account.owe(cost);
            }
        }
    }

    fn place(&mut self, scope: &str) -> usize {
        let found = self.accounts.iter().position(|account| &*account.scope == scope);
        found.unwrap_or_else(|| {
            self.accounts.push(Account::new(scope));
            self.accounts.len() - 1
        })
    }

    /// No call is under way, and none was counted against a limit: there is nothing here but accounts.
    pub(super) fn is_unused(&self) -> bool {
        self.at_once == 0 && self.requests.is_none() && self.tokens.is_none()
    }

    /// Others who knew nothing would let too much through.
    pub(super) fn is_worth_telling(&mut self, now_ms: i64) -> bool {
        let is_spent = |account: &mut Account| {
            let said = account.said(now_ms);
            said.spent > 0 || said.reserving > 0
        };
        !self.under_way().is_none() || self.accounts.iter_mut().any(is_spent)
    }

    pub(super) fn is_at_rest(&mut self, now: Second) -> bool {
        self.at_once == 0
            && self.accounts.iter().all(Account::is_at_rest)
            && sum(&mut self.requests, now) == 0
            && sum(&mut self.tokens, now) == 0
    }
}

fn window(slot: &mut Option<Box<Window>>, now: Second) -> &mut Window {
    slot.get_or_insert_with(|| Box::new(Window::new(now)))
}

fn sum(slot: &mut Option<Box<Window>>, now: Second) -> u64 {
    slot.as_mut().map_or(0, |window| window.sum(now))
}
