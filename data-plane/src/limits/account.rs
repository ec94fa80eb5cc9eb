//! What is spent of a budget: booked by the control plane, ours and not booked yet, and reserved by calls under way.
//!
//! Where several data planes serve, each may spend its part of what was left when all of them heard the same. So what is
//! booked of our own spend changes nothing between two rounds of news; and what a round gives more than the last one is
//! used only when the others have heard it too. Beyond the budget goes what one of them spends in the moment before it hears.

use std::num::NonZeroU32;

use proto::v1 as pb;
use smallvec::SmallVec;

/// How a budget treats spend that has just reached it (admin_api.md 4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// All is spent when as much is spent as may be.
    Closed,
    /// One more call goes through.
    Open,
}

/// What becomes of a call that may cost more than what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Large {
    #[default]
    /// It goes through if it is alone, and reserves all that is left.
    Alone,
    Refused,
}

/// Under which circumstances a call asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) planes: NonZeroU32,
    pub(crate) now_ms: i64,
    pub(crate) edge: Edge,
    pub(crate) large: Large,
    /// The call was admitted where all data planes ask: what was heard there counts, and no part.
    pub(crate) is_shared: bool,
}

/// What a data plane says of an account to others, in billionths of a US dollar: what it heard of the control plane, and what
/// it has spent and reserved beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) version: u64,
    pub(super) booked: i64,
    pub(super) ends_at_ms: i64,
    pub(super) spent: i64,
    pub(super) reserved: i64,
    pub(super) reserving: u32,
}

/// Nothing is left, or not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) spent_nano_usd: i64,
    pub(crate) reserved_nano_usd: i64,
    pub(crate) most_nano_usd: i64,
}

/// What is spent of one budget, in billionths of a US dollar.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) scope: Box<str>,
    /// What the control plane has booked in the window, of all data planes.
    booked: i64,
    /// Of which state that is.
    version: u64,
    /// What was in force before, while others may not have heard the news.
    before: Option<Before>,
    /// Receipts of our own spend that are newer than `booked`. It still counts as not booked.
    receipts: SmallVec<[Receipt; 2]>,
    /// 0: never.
    ends_at_ms: i64,
    /// When the last window ended, as far as it is known.
    ended_at_ms: i64,
    /// Spent through this data plane in the window, and not among what is booked.
    unbooked: i64,
    /// Spent through an earlier process, which could not deliver it.
    owed: i64,
    /// The same, of windows that are over: it is booked later, and concerns nobody.
    overdue: i64,
    /// Booked as ours without having been counted here.
    uncounted: i64,
    reserved: i64,
    /// Calls that have reserved.
    reserving: u32,
    /// What others had spent and reserved when they were last asked, with what was booked then. None where nobody is asked.
    elsewhere: Option<i64>,
}

/// What was booked by the last round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    booked: i64,
    /// What we had spent by then and is booked now.
    ours: i64,
    until_ms: i64,
}

/// What the control plane had booked after a batch of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Receipt {
    version: u64,
    booked: i64,
    ours: i64,
}

/// How we heard of what is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// We sent usage.
    Receipt,
    /// All data planes are told the same.
    Round,
}

/// The others have heard a round so much later at most.
const HEARD_WITHIN_MS: i64 = 500;

/// More receipts than come between two rounds.
const MOST_RECEIPTS: usize = 64;

impl Account {
    pub(crate) fn new(scope: &str) -> Self {
        Self { scope: scope.into(), ..Self::default() }
    }

    /// The model that it is about.
    pub(super) fn model(&self) -> Option<&str> {
        self.scope.strip_prefix("model:")
    }

    /// What a call reserves that may cost so much, or why it has to be refused.
    pub(crate) fn admit(&mut self, most: i64, cost: i64, terms: Terms) -> Result<i64, Spent> {
        self.go_to(terms.now_ms);
        let left = self.left(most, terms);
        let is_open = match terms.edge {
            Edge::Closed => left > 0,
            Edge::Open => left >= 0,
        };
        match terms.large {
            _ if !is_open => Err(self.spent(most)),
            _ if cost <= left => Ok(cost),
            Large::Alone if self.reserving == 0 => Ok(left.max(0)),
            Large::Alone | Large::Refused => Err(self.spent(most)),
        }
    }

    /// This data plane's part of what is booked as left, without what it spent or reserved itself since.
    fn left(&self, most: i64, terms: Terms) -> i64 {
        let part = |booked: i64, ours: i64| {
            let left = most.saturating_sub(booked);
            let part = if left > 0 { left / i64::from(terms.planes.get()) } else { left };
            part.saturating_sub(self.undelivered()).saturating_sub(ours).saturating_sub(self.reserved)
        };
        if let Some(elsewhere) = self.elsewhere.filter(|_| terms.is_shared) {
            let gone = self.booked.max(elsewhere).saturating_add(self.undelivered()).saturating_add(self.reserved);
            return most.saturating_sub(gone);
        }
        let before = self.before.filter(|before| terms.planes.get() > 1 && terms.now_ms < before.until_ms);
        let left = part(self.booked, 0);
        before.map_or(left, |before| left.min(part(before.booked, before.ours)))
    }

    fn spent(&self, most: i64) -> Spent {
        Spent { spent_nano_usd: self.spent_so_far(), reserved_nano_usd: self.reserved, most_nano_usd: most }
    }

    /// What is spent in the window, whoever spent it, as far as this data plane knows.
    pub(super) fn spent_so_far(&self) -> i64 {
        self.booked.saturating_add(self.undelivered())
    }

    pub(crate) fn reserve(&mut self, nanos: i64) {
        self.reserved = self.reserved.saturating_add(nanos);
        self.reserving += 1;
    }

    /// A call that has reserved wants so much more, without asking whether it is alone.
    pub(crate) fn reserve_more(&mut self, most: i64, more: i64, terms: Terms) -> bool {
        self.go_to(terms.now_ms);
        let is_there = more <= self.left(most, terms);
        if is_there {
            self.reserved = self.reserved.saturating_add(more);
        }
        is_there
    }

    /// A call with this much of its reservation left used some of it, or more. Gives what it still has reserved.
    pub(crate) fn spend(&mut self, reserved: i64, cost: i64) -> i64 {
        let used = reserved.min(cost);
        self.reserved = self.reserved.saturating_sub(used);
        self.unbooked = self.unbooked.saturating_add(cost);
        reserved - used
    }

    /// A call ended that has so much left of its reservation.
    pub(crate) fn release(&mut self, reserved: i64) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.reserving = self.reserving.saturating_sub(1);
    }

    /// Notes what an earlier process spent and could not deliver.
    pub(crate) fn owe(&mut self, cost: i64) {
        self.owed = self.owed.saturating_add(cost);
    }

    /// What is spent and not booked, whoever spent it.
    fn undelivered(&self) -> i64 {
        self.unbooked.saturating_add(self.owed)
    }

    /// Takes in what the control plane says: so much is booked, and so much of it is what we sent.
    pub(crate) fn is_booked(&mut self, total: &pb::Total, news: News, planes: NonZeroU32, now_ms: i64) {
        let mut ours = total.of_batch_nano_usd;
        let overdue = self.overdue.min(ours);
        self.overdue -= overdue;
        ours -= overdue;
        // What the last round told already is told no second time.
        if news == News::Receipt && planes.get() > 1 && total.version > self.version {
            self.note(Receipt { version: total.version, booked: total.spent_nano_usd, ours });
            return;
        }
        let included = |receipt: &Receipt| receipt.version <= total.version;
        ours += self.receipts.iter().filter(|receipt| included(receipt)).map(|receipt| receipt.ours).sum::<i64>();
        self.receipts.retain(|receipt| !included(receipt));
        // A budget that is younger than the call is booked without having been counted here.
        self.uncounted = self.uncounted.saturating_add(ours.saturating_sub(self.undelivered()).max(0));
        let owed = self.owed.min(ours);
        self.owed -= owed;
        self.unbooked = self.unbooked.saturating_sub(ours - owed).max(0);
        if total.version > self.version {
            if self.version == 0 {
                // Whatever was owed when nobody had told of a budget: its receipts did not come here.
                self.owed = 0;
            }
            // What the control plane booked just before it ended the window comes after we did.
            let is_over = total.window_ends_at_ms != 0 && total.window_ends_at_ms <= self.ended_at_ms;
            let (booked, ends_at_ms) = if is_over { (0, 0) } else { (total.spent_nano_usd, total.window_ends_at_ms) };
            let has_begun_anew = self.ends_at_ms != 0 && ends_at_ms != self.ends_at_ms;
            self.before =
                (!has_begun_anew).then(|| Before { booked: self.booked, ours, until_ms: now_ms + HEARD_WITHIN_MS });
            if has_begun_anew {
                self.elsewhere = None;
            }
            (self.version, self.booked, self.ends_at_ms) = (total.version, booked, ends_at_ms);
        }
    }

    /// Goes on in the place of another, of which no call is under way: what was said of that one holds.
    pub(super) fn take_over(&mut self, other: &Self, planes: NonZeroU32, now_ms: i64) {
        other.kept().into_iter().for_each(|told| self.is_booked(&told, News::Round, planes, now_ms));
        other.receipts.iter().for_each(|receipt| self.note(*receipt));
        let unbooked = self.unbooked.saturating_sub(other.uncounted).max(0);
        self.unbooked = unbooked.saturating_add(other.unbooked);
        self.owed = self.owed.saturating_add(other.owed);
        self.overdue = self.overdue.saturating_add(other.overdue);
    }

    fn note(&mut self, receipt: Receipt) {
        let are_many = self.receipts.len() >= MOST_RECEIPTS;
        match self.receipts.last_mut().filter(|_| are_many) {
            Some(last) => *last = Receipt { ours: last.ours + receipt.ours, ..receipt },
            None => self.receipts.push(receipt),
        }
    }

    /// Begins the next window if the last one is over. When that ends is the control plane's to say.
    fn go_to(&mut self, now_ms: i64) {
        if self.ends_at_ms != 0 && now_ms >= self.ends_at_ms {
            self.ended_at_ms = std::mem::take(&mut self.ends_at_ms);
            (self.booked, self.before, self.elsewhere) = (0, None, None);
            let undelivered = std::mem::take(&mut self.unbooked).saturating_add(std::mem::take(&mut self.owed));
            // What there are receipts for is booked already, and will not be told again.
            let told: i64 = self.receipts.drain(..).map(|receipt| receipt.ours).sum();
            self.overdue = self.overdue.saturating_add(undelivered.saturating_sub(told).max(0));
        }
    }

    /// What others are told of it.
    pub(super) fn said(&mut self, now_ms: i64) -> Said {
        self.go_to(now_ms);
        Said {
            version: self.version,
            booked: self.booked,
            ends_at_ms: self.ends_at_ms,
            spent: self.undelivered(),
            reserved: self.reserved,
            reserving: self.reserving,
        }
    }

    /// Others were asked: of what a call had reserved, so much may be. `elsewhere` is what they have spent and reserved.
    pub(super) fn is_granted(&mut self, reserved: i64, granted: i64, elsewhere: i64) {
        self.reserved = self.reserved.saturating_sub(reserved.saturating_sub(granted));
        self.elsewhere = Some(elsewhere);
    }

    /// What a restart has to know of it: nothing where nothing was heard and nothing is spent.
    pub(crate) fn kept(&self) -> Option<pb::Total> {
        let is_known = self.version > 0 || self.undelivered() > 0 || self.overdue > 0;
        // What was acknowledged is not in the spool any more: the newest that was heard counts.
        let newest = self.receipts.last().filter(|receipt| receipt.version > self.version);
        let (booked, version) = newest.map_or((self.booked, self.version), |receipt| (receipt.booked, receipt.version));
        is_known.then(|| pb::Total {
            scope: self.scope.clone().into(),
            spent_nano_usd: booked,
            version,
            window_ends_at_ms: self.ends_at_ms,
            ..pb::Total::default()
        })
    }

    /// Nobody has to remember it.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.kept().is_none() && self.reserving == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn terms() -> Terms {
        Terms { planes: ONE, now_ms: 1_000, edge: Edge::Closed, large: Large::Alone, is_shared: false }
    }

    /// As the only data plane hears it.
    fn hear(account: &mut Account, total: &pb::Total) {
        account.is_booked(total, News::Receipt, ONE, 0);
    }

    fn booked(spent: i64, version: u64, of_batch: i64) -> pb::Total {
        pb::Total { spent_nano_usd: spent, version, of_batch_nano_usd: of_batch, ..pb::Total::default() }
    }

    #[test]
    fn what_is_booked_spent_and_reserved_is_gone() {
        let mut account = Account::new("");
        hear(&mut account, &booked(40, 1, 0));
        assert_eq!(account.admit(100, 30, terms()), Ok(30));
        account.reserve(30);
        assert_eq!(account.spend(30, 20), 10);
        account.release(10);
        assert_eq!(account.admit(100, 40, terms()), Ok(40));
        account.reserve(40);
        let refused = account.admit(100, 1, terms());
        assert_eq!(refused, Err(Spent { spent_nano_usd: 60, reserved_nano_usd: 40, most_nano_usd: 100 }));
        // Booked by the control plane: nothing changes but who counts it.
        hear(&mut account, &booked(60, 2, 20));
        assert_eq!((account.booked, account.undelivered()), (60, 0));
        hear(&mut account, &booked(40, 1, 0));
        assert_eq!(account.booked, 60, "older news are none");
    }

    #[test]
    fn a_call_larger_than_what_is_left_goes_alone_or_not_at_all() {
        let mut account = Account::new("");
        hear(&mut account, &booked(90, 1, 0));
        assert_eq!(account.admit(100, 50, terms()), Ok(10));
        assert!(account.admit(100, 50, Terms { large: Large::Refused, ..terms() }).is_err());
        account.reserve(10);
        assert!(account.admit(100, 50, terms()).is_err(), "another call is under way");
        account.spend(10, 50);
        account.release(0);
        assert!(account.admit(100, 0, terms()).is_err(), "all is spent");
    }

    #[test]
    fn the_edge_is_where_litellm_has_it() {
        let mut account = Account::new("");
        assert!(account.admit(0, 5, terms()).is_err());
        let open = Terms { edge: Edge::Open, ..terms() };
        assert_eq!(account.admit(0, 5, open), Ok(0));
        account.owe(1);
        assert!(account.admit(0, 5, open).is_err());
    }

    #[test]
    fn several_data_planes_spend_their_part_of_what_was_left_when_all_heard_the_same() {
        let two = NonZeroU32::new(2).unwrap();
        let at = |now_ms| Terms { planes: two, now_ms, ..terms() };
        let mut account = Account::new("");
        account.is_booked(&booked(40, 1, 0), News::Round, two, 0);
        assert_eq!(account.admit(100, 30, at(1_000)), Ok(30));
        account.reserve(30);
        account.spend(30, 30);
        account.release(0);
        assert!(account.admit(100, 1, at(1_000)).is_err());
        // A receipt says that it is booked. It is no reason to spend half of the rest: the other may do so at this moment.
        account.is_booked(&booked(75, 2, 30), News::Receipt, two, 1_000);
        assert!(account.admit(100, 1, at(1_000)).is_err());
        assert_eq!((account.kept().unwrap().spent_nano_usd, account.undelivered()), (75, 30));
        // A round says it to both, and half of the rest is ours as soon as the other has heard it too.
        account.is_booked(&booked(80, 3, 0), News::Round, two, 2_000);
        assert_eq!(account.undelivered(), 0);
        assert!(account.admit(100, 1, at(2_400)).is_err());
        assert_eq!(account.admit(100, 10, at(2_500)), Ok(10));
        assert!(account.admit(100, 11, Terms { large: Large::Refused, ..at(2_500) }).is_err());
        // Less than before is in force at once.
        account.is_booked(&booked(100, 4, 0), News::Round, two, 3_000);
        assert!(account.admit(100, 1, at(3_000)).is_err());
        // A round may come before the receipt of what it tells.
        account.owe(7);
        account.is_booked(&booked(107, 5, 0), News::Round, two, 4_000);
        account.is_booked(&booked(107, 5, 7), News::Receipt, two, 4_000);
        assert_eq!((account.booked, account.undelivered()), (107, 0));
    }

    #[test]
    fn a_window_ends_by_itself_and_what_was_spent_in_it_is_over() {
        let mut account = Account::new("");
        hear(&mut account, &pb::Total { window_ends_at_ms: 2_000, ..booked(90, 1, 0) });
        account.owe(10);
        assert!(account.admit(100, 1, terms()).is_err());
        assert_eq!(account.admit(100, 60, Terms { now_ms: 2_000, ..terms() }), Ok(60));
        account.owe(60);
        hear(&mut account, &pb::Total { window_ends_at_ms: 2_000, ..booked(95, 2, 5) });
        assert_eq!(
            (account.booked, account.undelivered(), account.overdue),
            (0, 60, 5),
            "booked before the window ended"
        );
        // The last window's spend is booked now; it is not this window's.
        hear(&mut account, &pb::Total { window_ends_at_ms: 3_000, ..booked(5, 3, 5) });
        assert_eq!((account.booked, account.undelivered(), account.overdue), (5, 60, 0));
    }

    #[test]
    fn what_an_earlier_process_owed_is_forgotten_when_a_budget_comes_that_nobody_had_told_of() {
        let mut account = Account::new("");
        account.owe(50);
        account.reserve(0);
        account.spend(0, 7);
        hear(&mut account, &booked(50, 9, 0));
        assert_eq!(
            (account.booked, account.undelivered()),
            (50, 7),
            "it was booked long ago, when there was no budget"
        );
    }

    proptest! {
        /// Calls that cost no more than they were quoted never spend more than there is, whatever is booked when.
        #[test]
        fn no_more_is_spent_than_there_is(most in 1_i64..1_000, steps in prop::collection::vec((0_u8..4, 1_i64..80), 1..200)) {
            let mut account = Account::new("");
            let (mut under_way, mut sent, mut all, mut version) = (Vec::new(), 0, 0, 0);
            let strict = Terms { large: Large::Refused, ..terms() };
            for (step, cost) in steps {
                match step {
                    0 | 1 => if let Ok(reserved) = account.admit(most, cost, strict) {
                        account.reserve(reserved);
                        under_way.push(reserved);
                    },
                    2 => if let Some(reserved) = under_way.pop() {
                        let cost = reserved.min(cost);
                        let left = account.spend(reserved, cost);
                        account.release(left);
                        sent += cost;
                        all += cost;
                    },
                    _ => {
                        version += 1;
                        hear(&mut account, &booked(all, version, std::mem::take(&mut sent)));
                    }
                }
                prop_assert!(all + under_way.iter().sum::<i64>() <= most);
                prop_assert_eq!(account.booked + account.undelivered(), all);
            }
        }
    }
}
