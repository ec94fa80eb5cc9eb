//! What Redis is asked about a call, and what it answers: the arguments and answers of `take.lua`, whose head names them.

use redis::{Cmd, RedisError, Value};
use smallvec::SmallVec;

use super::super::account::{Edge, Large};
use super::super::budget::Counted;
use super::super::counts::{Granted, Staged};
use super::super::local::{Ask, Demand};
use super::super::{Ceilings, Kind, Owner};

/// Redis has to have counted for so long: a whole window, and the time it takes until all data planes have told it what they know.
const OLD_ENOUGH_MS: i64 = 65_000;

/// No call has more.
pub(super) const MOST_TOKENS: u64 = 1 << 40;

/// The keys and arguments, without the script's name.
pub(super) struct Question {
    keys: Vec<String>,
    plane: Box<str>,
    numbers: Vec<i64>,
    owners: usize,
    /// How many each owner has.
    budgets: SmallVec<[usize; 3]>,
}

/// What Redis says of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Of each owner.
    Granted(Vec<Granted>),
    /// Which budgets are in the way, as they were asked; what is spent and reserved of each.
    Budgets(Vec<(usize, i64, i64)>),
    Limit {
        owner: usize,
        kind: Kind,
        left: u64,
        wait_s: u64,
    },
    /// It does not know the last minute.
    TooYoung,
    None,
}

/// The names of the hashes of an owner. All lie in one slot of a cluster, as `prefix` names one.
pub(super) mod keys {
    use super::Owner;

    pub(in super::super) fn since(prefix: &str) -> String {
        format!("{prefix}:since")
    }

    pub(in super::super) fn lives(prefix: &str) -> String {
        format!("{prefix}:lives")
    }

    pub(in super::super) fn windows(prefix: &str, owner: Owner, id: &str) -> String {
        format!("{prefix}:w:{}:{id}", owner.descriptor())
    }

    pub(in super::super) fn planes(prefix: &str, owner: Owner, id: &str) -> String {
        format!("{prefix}:p:{}:{id}", owner.descriptor())
    }

    /// The length keeps an id with a colon from being another one's budget.
    pub(in super::super) fn budget(prefix: &str, owner: Owner, id: &str, scope: &str) -> String {
        format!("{prefix}:b:{}:{}:{id}:{scope}", owner.descriptor(), id.len())
    }
}

impl Question {
    pub(super) fn new(
        prefix: &str,
        plane: &str,
        demands: &[Demand<'_>],
        staged: &[Staged<'_>],
        ask: &Ask<'_>,
        sequence: u64,
    ) -> Self {
        let budgets = staged.iter().map(|staged| staged.budgets.len()).sum::<usize>();
        let mut keys = Vec::with_capacity(2 + 2 * demands.len() + budgets);
        let mut numbers = vec![
            whole(sequence),
            OLD_ENOUGH_MS,
            whole(ask.tokens.min(MOST_TOKENS)),
            size(demands.len()),
            size(budgets),
        ];
        keys.extend([keys::since(prefix), keys::lives(prefix)]);
        for (demand, staged) in demands.iter().zip(staged) {
            keys.push(keys::windows(prefix, demand.owner, &demand.id));
            keys.push(keys::planes(prefix, demand.owner, &demand.id));
            let Ceilings { requests_per_minute, tokens_per_minute, at_once } = demand.ceilings;
            numbers.extend([requests_per_minute, tokens_per_minute, at_once].map(|limit| limit.map_or(-1, whole)));
            numbers.extend([staged.under_way.calls, staged.under_way.reserving].map(whole));
        }
        for (demand, staged) in demands.iter().zip(staged) {
            for (budget, cost, said) in &staged.budgets {
                let Counted { scope, most_nano_usd, .. } = budget;
                keys.push(keys::budget(prefix, demand.owner, &demand.id, scope));
                let is_open = i64::from(demand.owner.edge() == Edge::Open);
                let alone = i64::from(ask.large == Large::Alone);
                numbers.extend([*most_nano_usd, cost.unwrap_or(-1), is_open, alone]);
                numbers.extend([whole(said.version), said.booked, said.ends_at_ms]);
                numbers.extend([said.spent, said.reserved, i64::from(said.reserving)]);
            }
        }
        let budgets = staged.iter().map(|staged| staged.budgets.len()).collect();
        Self { keys, plane: plane.into(), numbers, owners: demands.len(), budgets }
    }

    /// As a call of the script with this hash.
    pub(super) fn command(&self, script: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&*self.plane).arg(&self.numbers);
        command
    }

    /// Reads the answer to it.
    pub(super) fn read(&self, answer: Value) -> Result<Answer, RedisError> {
        let numbers: Vec<i64> = redis::from_redis_value(answer)?;
        self.understand(&numbers)
            .ok_or_else(|| (redis::ErrorKind::UnexpectedReturnType, "the script's answer is not understood").into())
    }

    fn understand(&self, numbers: &[i64]) -> Option<Answer> {
        let (kind, rest) = numbers.split_first()?;
        match (kind, rest) {
            (0, _) => Some(Answer::TooYoung),
            (1, rest) => {
                let (budgets, []) = rest.as_chunks() else { return None };
                let budgets =
                    budgets.iter().map(|[at, spent, reserved]| Some((usize::try_from(*at).ok()?, *spent, *reserved)));
                Some(Answer::Budgets(budgets.collect::<Option<_>>()?))
            }
            (2, [owner, kind, left, wait_s]) => {
                let kind = match kind {
                    0 => Kind::Requests,
                    1 => Kind::Tokens,
                    2 => Kind::AtOnce,
                    _ => return None,
                };
                let [left, wait_s] = [left, wait_s].map(|number| u64::try_from(*number).ok());
                Some(Answer::Limit { owner: usize::try_from(*owner).ok()?, kind, left: left?, wait_s: wait_s? })
            }
            (3, rest) => self.granted(rest).map(Answer::Granted),
            _ => None,
        }
    }

    /// The answer has an owner's numbers for each, then those of all budgets: which are whose is known from the question.
    fn granted(&self, numbers: &[i64]) -> Option<Vec<Granted>> {
        let (of_owners, of_budgets) = numbers.split_at_checked(4 * self.owners)?;
        let (of_owners, _) = of_owners.as_chunks();
        let (of_budgets, []) = of_budgets.as_chunks() else { return None };
        let mut of_budgets = of_budgets.iter();
        let limit = |number: i64| u64::try_from(number).ok();
        let granted =
            of_owners.iter().zip(&self.budgets).map(|([requests, tokens, at_once, reserved], budgets)| Granted {
                left: Ceilings {
                    requests_per_minute: limit(*requests),
                    tokens_per_minute: limit(*tokens),
                    at_once: limit(*at_once),
                },
                tokens: limit(*reserved),
                budgets: of_budgets
                    .by_ref()
                    .take(*budgets)
                    .map(|[granted, elsewhere]| (*granted, *elsewhere))
                    .collect(),
            });
        Some(granted.collect())
    }
}

/// As a number of Redis. None that counts here comes near the end of them.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Allowance;
    use crate::limits::budget::Quote;
    use crate::limits::local::Counters;
    use proto::v1 as pb;

    /// A question about a key with a limit of requests, and a team with two budgets.
    fn asked(demands: impl FnOnce(&Question)) {
        let key = Allowance::of(Some(&pb::Ceilings { requests_per_minute: Some(9), ..pb::Ceilings::default() }), &[]);
        let budget = |scope: &str| pb::Budget { scope: scope.into(), most_nano_usd: 100, ..pb::Budget::default() };
        let team = Allowance::of(None, &[budget(""), budget("window:1d")]);
        let demands_of = [Demand::of(Owner::Key, "k", &key), Demand::of(Owner::Team, "a:b", &team)];
        let ask = Ask { tokens: 7, quote: Quote::Nanos(30), model: "m", large: Large::Alone, now_ms: 0, clock: || 0 };
        let counters = Counters::default();
        let (_taken, staged, sequence) = counters.stage(&demands_of, &ask, || 5);
        demands(&Question::new("{tp}", "dp", &demands_of, &staged, &ask, sequence));
    }

    #[test]
    fn a_question_names_windows_of_owners_and_then_budgets_and_says_what_this_data_plane_has() {
        asked(|question| {
            let names = [
                "{tp}:since",
                "{tp}:lives",
                "{tp}:w:api_key:k",
                "{tp}:p:api_key:k",
                "{tp}:w:team:a:b",
                "{tp}:p:team:a:b",
                "{tp}:b:team:3:a:b:",
                "{tp}:b:team:3:a:b:window:1d",
            ];
            assert_eq!(question.keys, names);
            let (head, rest) = question.numbers.split_at(5);
            assert_eq!(head, [5, OLD_ENOUGH_MS, 7, 2, 2]);
            let (owners, budgets) = rest.split_at(10);
            assert_eq!(owners, [9, -1, -1, 1, 0, -1, -1, -1, 1, 0], "its own call is under way already");
            // Most, cost, open, alone; version, booked, end; spent, reserved and by how many, without this call.
            let of_one = [100, 30, 1, 1, 0, 0, 0, 0, 0, 0];
            assert_eq!(budgets, [of_one, of_one].concat());
        });
    }

    #[test]
    fn answers_are_read_and_garbled_ones_are_none() {
        asked(|question| {
            let read = |numbers: &[i64]| question.understand(numbers);
            assert_eq!(read(&[0]), Some(Answer::TooYoung));
            assert_eq!(read(&[1, 1, 90, 20]), Some(Answer::Budgets(vec![(1, 90, 20)])));
            let full = Answer::Limit { owner: 0, kind: Kind::Requests, left: 0, wait_s: 12 };
            assert_eq!(read(&[2, 0, 0, 0, 12]), Some(full));
            let Some(Answer::Granted(granted)) = read(&[3, 8, -1, -1, -1, -1, -1, -1, -1, 30, 5, 30, 6]) else {
                panic!("a call goes through")
            };
            assert_eq!(granted[0].left.requests_per_minute, Some(8));
            assert_eq!(granted[1].budgets.as_slice(), [(30, 5), (30, 6)]);
            for garbled in [
                &[][..],
                &[4],
                &[1, 1],
                &[2, 0, 3, 0, 1],
                &[2, -1, 0, 0, 1],
                &[3, 8],
                &[3, 8, -1, -1, -1, -1, -1, -1, -1, 30],
            ] {
                assert_eq!(read(garbled), None, "{garbled:?}");
            }
        });
    }
}
