//! What single calls cost, worked out by hand.

use proto::NanoUsd;
use proto::price::{Cost, Measure, cost, tier_of};
use proto::v1::{Price, PriceState, Rate, ServiceTier, Tokens, Unit};

/// gpt-4o's list price of 2025: 2.50 and 10.00 USD per million, cached input 1.25, priority 4.25 and 17.00.
fn gpt_4o() -> Price {
    known(&[
        (Unit::InputToken, 0, ServiceTier::Standard, 2_500_000_000),
        (Unit::OutputToken, 0, ServiceTier::Standard, 10_000_000_000),
        (Unit::CacheReadToken, 0, ServiceTier::Standard, 1_250_000_000),
        (Unit::InputToken, 0, ServiceTier::Priority, 4_250_000_000),
        (Unit::OutputToken, 0, ServiceTier::Priority, 17_000_000_000),
    ])
}

fn known(rates: &[(Unit, u64, ServiceTier, u64)]) -> Price {
    let rate = |&(unit, above_tokens, tier, femto_usd): &(Unit, u64, ServiceTier, u64)| Rate {
        unit: unit.into(),
        above_tokens,
        tier: tier.into(),
        femto_usd,
    };
    Price { state: PriceState::Known.into(), rates: rates.iter().map(rate).collect(), source: String::new() }
}

fn standard(tokens: Tokens, price: &Price) -> Cost {
    cost(&tokens, Measure::of_one_call(0), price, ServiceTier::Standard)
}

fn nanos(nanos: i64) -> Cost {
    Cost::Known(NanoUsd::from_nanos(nanos))
}

#[test]
fn cached_tokens_are_a_part_of_the_prompt() {
    let tokens = Tokens { prompt: 1_000, completion: 100, cache_read: 400, ..Tokens::default() };
    assert_eq!(standard(tokens, &gpt_4o()), nanos(600 * 2_500 + 400 * 1_250 + 100 * 10_000));
}

#[test]
fn a_tier_without_a_rate_of_its_own_pays_the_standard_one() {
    let tokens = Tokens { prompt: 10, completion: 1, cache_read: 4, ..Tokens::default() };
    let priority = cost(&tokens, Measure::default(), &gpt_4o(), ServiceTier::Priority);
    assert_eq!(priority, nanos(6 * 4_250 + 4 * 1_250 + 17_000));
    let flex = cost(&tokens, Measure::default(), &gpt_4o(), ServiceTier::Flex);
    assert_eq!(flex, standard(tokens, &gpt_4o()));
}

#[test]
fn a_prompt_above_the_threshold_reprices_the_whole_call() {
    let price = known(&[
        (Unit::InputToken, 0, ServiceTier::Standard, 1_000_000),
        (Unit::InputToken, 128_000, ServiceTier::Standard, 2_000_000),
        (Unit::InputToken, 200_000, ServiceTier::Standard, 3_000_000),
        (Unit::OutputToken, 128_000, ServiceTier::Standard, 7_000_000),
        (Unit::OutputToken, 0, ServiceTier::Standard, 5_000_000),
        (Unit::OutputToken, 0, ServiceTier::Flex, 1_000_000),
    ]);
    let call = |prompt| Tokens { prompt, completion: 10, ..Tokens::default() };
    assert_eq!(standard(call(128_000), &price), nanos(128_000 + 10 * 5));
    assert_eq!(standard(call(128_001), &price), nanos(128_001 * 2 + 10 * 7));
    // Output has no rate above 200k: its own highest threshold holds.
    assert_eq!(standard(call(200_001), &price), nanos(200_001 * 3 + 10 * 7));
    // The threshold goes before the tier.
    assert_eq!(cost(&call(128_001), Measure::default(), &price, ServiceTier::Flex), nanos(128_001 * 2 + 10 * 7));
}

#[test]
fn one_hour_writes_are_counted_once() {
    let price = known(&[
        (Unit::InputToken, 0, ServiceTier::Standard, 3_000_000_000),
        (Unit::OutputToken, 0, ServiceTier::Standard, 15_000_000_000),
        (Unit::CacheWriteToken, 0, ServiceTier::Standard, 3_750_000_000),
        (Unit::CacheWrite1hToken, 0, ServiceTier::Standard, 6_000_000_000),
    ]);
    let tokens = Tokens { prompt: 100, cache_write: 60, cache_write_1h: 20, ..Tokens::default() };
    assert_eq!(standard(tokens, &price), nanos(40 * 3_000 + 40 * 3_750 + 20 * 6_000));
    // Only the hour's figure was reported.
    let tokens = Tokens { prompt: 100, cache_write_1h: 20, ..Tokens::default() };
    assert_eq!(standard(tokens, &price), nanos(80 * 3_000 + 20 * 6_000));
}

#[test]
fn details_without_rates_fall_back_to_plain_input_and_output() {
    let price = known(&[
        (Unit::InputToken, 0, ServiceTier::Standard, 1_000_000),
        (Unit::OutputToken, 0, ServiceTier::Standard, 2_000_000),
    ]);
    let tokens = Tokens {
        prompt: 100,
        completion: 50,
        cache_read: 10,
        cache_write: 20,
        cache_write_1h: 5,
        input_audio: 7,
        input_image: 3,
        reasoning: 9,
        output_audio: 8,
        output_image: 1,
        total: 150,
    };
    assert_eq!(standard(tokens, &price), nanos(100 + 2 * 50));
}

#[test]
fn the_sum_is_rounded_once_and_upwards() {
    let price = known(&[
        (Unit::InputToken, 0, ServiceTier::Standard, 400_001),
        (Unit::OutputToken, 0, ServiceTier::Standard, 600_000),
    ]);
    let one_of_each = Tokens { prompt: 1, completion: 1, ..Tokens::default() };
    assert_eq!(standard(one_of_each, &price), nanos(2));
}

#[test]
fn what_nobody_priced_is_unknown() {
    let tokens = Tokens { prompt: 1, completion: 1, ..Tokens::default() };
    let only_input = known(&[(Unit::InputToken, 0, ServiceTier::Standard, 1_000_000)]);
    assert_eq!(standard(tokens, &only_input), Cost::Unknown);
    assert_eq!(standard(Tokens { prompt: 1, ..Tokens::default() }, &only_input), nanos(1));
    assert_eq!(standard(tokens, &known(&[])), Cost::Unknown);
    assert_eq!(standard(tokens, &Price::default()), Cost::Unknown);
    // Rates of another tier only: a standard call has none.
    let only_priority = known(&[
        (Unit::InputToken, 0, ServiceTier::Priority, 1),
        (Unit::OutputToken, 0, ServiceTier::Priority, 1),
        (Unit::Request, 0, ServiceTier::Standard, 1),
    ]);
    assert_eq!(standard(tokens, &only_priority), Cost::Unknown);
    assert_eq!(Cost::Unknown.amount(), NanoUsd::ZERO);
    assert_eq!(Cost::Unknown.state(), PriceState::Unknown);
}

#[test]
fn free_stays_free_whatever_was_used() {
    let free = Price { state: PriceState::Free.into(), ..Price::default() };
    assert_eq!(standard(Tokens { prompt: u64::MAX, ..Tokens::default() }, &free), Cost::Free);
}

#[test]
fn prices_per_second_and_per_request_do_not_need_prices_per_token() {
    let price = known(&[
        (Unit::OutputSecond, 0, ServiceTier::Standard, 1_902_000_000_000),
        (Unit::Request, 0, ServiceTier::Standard, 5_000_000_000_000),
    ]);
    let tokens = Tokens { prompt: 10, completion: 10, ..Tokens::default() };
    let call = cost(&tokens, Measure::of_one_call(1_500), &price, ServiceTier::Standard);
    assert_eq!(call, nanos(2_853_000 + 5_000_000));
}

#[test]
fn tiers_are_known_by_all_their_names() {
    assert_eq!(tier_of(Some("priority")), ServiceTier::Priority);
    assert_eq!(tier_of(Some("Fast")), ServiceTier::Priority);
    assert_eq!(tier_of(Some("flex")), ServiceTier::Flex);
    assert_eq!(tier_of(Some("batch")), ServiceTier::Batch);
    assert_eq!(tier_of(Some("default")), ServiceTier::Standard);
    assert_eq!(tier_of(None), ServiceTier::Standard);
}
