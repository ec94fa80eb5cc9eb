//! What every call pays whatever it asks: the hash of its key, and its price.
//!
//! `cargo bench -p proto --bench calls`

use divan::{Bencher, black_box};
use proto::KeyHash;
use proto::price::{Measure, cost, tier_of};
use proto::v1::{Price, PriceState, Rate, ServiceTier, Tokens, Unit};

fn main() {
    divan::main();
}

#[divan::bench]
fn hash_of_a_key() -> KeyHash {
    KeyHash::of(black_box("sk-1234567890abcdefghijklmnopqrstuvwxyzABCDEFGH"))
}

/// Rates as a price table has them: two tiers, and a threshold of length.
#[divan::bench(args = [1_000, 200_000])]
fn cost_of_a_call(bencher: Bencher<'_, '_>, prompt: u64) {
    let rate = |unit: Unit, above_tokens, tier: ServiceTier, femto_usd| Rate {
        unit: unit.into(),
        above_tokens,
        tier: tier.into(),
        femto_usd,
    };
    let (standard, priority) = (ServiceTier::Standard, ServiceTier::Priority);
    let price = Price {
        state: PriceState::Known.into(),
        rates: vec![
            rate(Unit::InputToken, 0, standard, 2_500_000_000),
            rate(Unit::OutputToken, 0, standard, 10_000_000_000),
            rate(Unit::CacheReadToken, 0, standard, 1_250_000_000),
            rate(Unit::InputToken, 128_000, standard, 5_000_000_000),
            rate(Unit::OutputToken, 128_000, standard, 15_000_000_000),
            rate(Unit::InputToken, 0, priority, 4_250_000_000),
            rate(Unit::OutputToken, 0, priority, 17_000_000_000),
        ],
        source: String::new(),
    };
    let tokens = Tokens { prompt, completion: 500, cache_read: prompt / 2, reasoning: 100, ..Tokens::default() };
    bencher.bench_local(|| cost(black_box(&tokens), Measure::of_one_call(1_200), &price, tier_of(None)));
}
