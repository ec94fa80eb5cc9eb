//! Properties of the price formula, and its agreement with a slow one that looks nothing like it.

use proptest::prelude::*;
use proto::price::{Cost, Measure, cost};
use proto::v1::{Price, PriceState, Rate, ServiceTier, Tokens, Unit};

const TIERS: [ServiceTier; 4] = [ServiceTier::Standard, ServiceTier::Priority, ServiceTier::Flex, ServiceTier::Batch];

proptest! {
    #[test]
    fn no_price_and_no_usage_makes_it_panic(price in any_price(), tokens in any_tokens(), measure in any_measure(), tier in tier()) {
        if let Cost::Known(amount) = cost(&tokens, measure, &price, tier) {
            prop_assert!(amount.nanos() >= 0);
        }
    }

    #[test]
    fn it_equals_the_slow_formula_to_the_nano(price in real_price(), tokens in real_tokens(), tier in tier()) {
        let measure = Measure::of_one_call(1_234);
        let fast = cost(&tokens, measure, &price, tier);
        match (fast, slow_usd(&tokens, measure, &price, tier)) {
            (Cost::Known(fast), Some(slow)) => {
                let nanos = fast.nanos() as f64;
                prop_assert!((nanos - slow * 1e9).abs() <= 1.0 + nanos * 1e-12, "{nanos} against {}", slow * 1e9);
            }
            (Cost::Unknown, None) => {}
            (fast, slow) => prop_assert!(false, "{fast:?} against {slow:?}"),
        }
    }

    #[test]
    fn more_tokens_never_cost_less(price in flat_price(), tokens in real_tokens(), more in 1_u64..1_000_000) {
        let before = known(&tokens, &price);
        let longer_prompt = known(&Tokens { prompt: tokens.prompt + more, ..tokens }, &price);
        let longer_answer = known(&Tokens { completion: tokens.completion + more, ..tokens }, &price);
        prop_assert!(longer_prompt >= before && longer_answer >= before);
    }

    #[test]
    fn a_call_costs_at_most_its_halves_and_at_least_a_nano_less(price in flat_price(), a in real_tokens(), b in real_tokens()) {
        let whole = known(&sum(a, b), &price);
        let halves = known(&a, &price) + known(&b, &price);
        prop_assert!(whole <= halves && halves <= whole + 1, "{whole} against {halves}");
    }
}

/// The nano-dollars of a price that has rates for plain input and output.
fn known(tokens: &Tokens, price: &Price) -> i64 {
    let cost = cost(tokens, Measure::default(), price, ServiceTier::Standard);
    assert_eq!(cost.state(), PriceState::Known);
    cost.amount().nanos()
}

/// In floating dollars, by searching the list of rates anew for each unit.
fn slow_usd(tokens: &Tokens, measure: Measure, price: &Price, tier: ServiceTier) -> Option<f64> {
    let usd = |unit: Unit| {
        let mut rates: Vec<&Rate> = price.rates.iter().filter(|rate| rate.unit() == unit).collect();
        rates.retain(|rate| rate.tier() == tier || rate.tier() == ServiceTier::Standard);
        rates.retain(|rate| rate.above_tokens == 0 || tokens.prompt > rate.above_tokens);
        rates.sort_by_key(|rate| (rate.above_tokens, rate.tier() == tier));
        rates.last().map(|rate| rate.femto_usd as f64 / 1e15)
    };
    let details = tokens.cache_read + tokens.cache_write + tokens.input_audio + tokens.input_image;
    let input = (tokens.prompt - details, vec![Unit::InputToken]);
    let output_details = tokens.reasoning + tokens.output_audio + tokens.output_image;
    let parts = [
        input,
        (tokens.cache_read, vec![Unit::CacheReadToken, Unit::InputToken]),
        (tokens.cache_write - tokens.cache_write_1h, vec![Unit::CacheWriteToken, Unit::InputToken]),
        (tokens.cache_write_1h, vec![Unit::CacheWrite1hToken, Unit::CacheWriteToken, Unit::InputToken]),
        (tokens.input_audio, vec![Unit::InputAudioToken, Unit::InputToken]),
        (tokens.input_image, vec![Unit::InputImageToken, Unit::InputToken]),
        (tokens.completion - output_details, vec![Unit::OutputToken]),
        (tokens.reasoning, vec![Unit::ReasoningToken, Unit::OutputToken]),
        (tokens.output_audio, vec![Unit::OutputAudioToken, Unit::OutputToken]),
        (tokens.output_image, vec![Unit::OutputImageToken, Unit::OutputToken]),
    ];
    let mut total = usd(Unit::Request).unwrap_or(0.0) * measure.requests as f64;
    let a_second = usd(Unit::InputSecond).unwrap_or(0.0) + usd(Unit::OutputSecond).unwrap_or(0.0);
    total += a_second * measure.duration_ms as f64 / 1e3;
    for (count, units) in parts {
        if count > 0 {
            total += units.into_iter().find_map(usd)? * count as f64;
        }
    }
    Some(total)
}

fn sum(a: Tokens, b: Tokens) -> Tokens {
    Tokens {
        prompt: a.prompt + b.prompt,
        completion: a.completion + b.completion,
        total: a.total + b.total,
        cache_read: a.cache_read + b.cache_read,
        cache_write: a.cache_write + b.cache_write,
        cache_write_1h: a.cache_write_1h + b.cache_write_1h,
        input_audio: a.input_audio + b.input_audio,
        output_audio: a.output_audio + b.output_audio,
        reasoning: a.reasoning + b.reasoning,
        input_image: a.input_image + b.input_image,
        output_image: a.output_image + b.output_image,
    }
}

fn tier() -> impl Strategy<Value = ServiceTier> {
    prop::sample::select(&TIERS[..])
}

fn rate(
    units: std::ops::Range<i32>,
    above: impl Strategy<Value = u64>,
    tier: std::ops::Range<i32>,
) -> impl Strategy<Value = Rate> {
    (units, above, tier, 0..1_000_000_000_000_u64).prop_map(|(unit, above_tokens, tier, femto_usd)| Rate {
        unit,
        above_tokens,
        tier,
        femto_usd,
    })
}

fn priced(rates: Vec<Rate>) -> Price {
    Price { state: PriceState::Known.into(), rates, source: String::new() }
}

/// At least one rate per token, at most one for each unit, threshold and tier, in any order.
fn real_price() -> impl Strategy<Value = Price> {
    let above = prop::sample::select(&[0, 0, 128_000, 200_000][..]);
    let rates = prop::collection::vec(rate(1..14, above, 0..4), 0..60);
    (rates, 0..1_000_000_000_000_u64).prop_map(|(mut rates, femto_usd)| {
        rates.push(Rate { unit: Unit::InputToken.into(), femto_usd, ..Rate::default() });
        let mut seen = std::collections::HashSet::new();
        rates.retain(|rate| seen.insert((rate.unit, rate.above_tokens, rate.tier)));
        priced(rates)
    })
}

/// One rate for plain input and output each, and perhaps some for details; no thresholds.
fn flat_price() -> impl Strategy<Value = Price> {
    (prop::collection::vec(rate(1..11, Just(0), 0..1), 0..12), 0..1_000_000_000_u64, 0..1_000_000_000_u64).prop_map(
        |(mut rates, input, output)| {
            rates.push(Rate { unit: Unit::InputToken.into(), femto_usd: input, ..Rate::default() });
            rates.push(Rate { unit: Unit::OutputToken.into(), femto_usd: output, ..Rate::default() });
            priced(rates)
        },
    )
}

/// Counts whose details add up.
fn real_tokens() -> impl Strategy<Value = Tokens> {
    let count = || prop_oneof![Just(0), 1_u64..1_000, 1_u64..300_000];
    (prop::array::uniform6(count()), prop::array::uniform4(count())).prop_map(
        |(
            [text, cache_read, write_5m, cache_write_1h, input_audio, input_image],
            [answer, reasoning, output_audio, output_image],
        )| {
            let cache_write = write_5m + cache_write_1h;
            let prompt = text + cache_read + cache_write + input_audio + input_image;
            let completion = answer + reasoning + output_audio + output_image;
            Tokens {
                prompt,
                completion,
                total: prompt + completion,
                cache_read,
                cache_write,
                cache_write_1h,
                input_audio,
                output_audio,
                reasoning,
                input_image,
                output_image,
            }
        },
    )
}

fn any_measure() -> impl Strategy<Value = Measure> {
    (any::<u64>(), any::<u64>()).prop_map(|(requests, duration_ms)| Measure { requests, duration_ms })
}

/// Whatever a message can hold, sensible or not.
fn any_tokens() -> impl Strategy<Value = Tokens> {
    let count = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    (prop::array::uniform6(count()), prop::array::uniform5(count())).prop_map(
        |([prompt, completion, total, cache_read, cache_write, cache_write_1h], rest)| {
            let [input_audio, output_audio, reasoning, input_image, output_image] = rest;
            Tokens {
                prompt,
                completion,
                total,
                cache_read,
                cache_write,
                cache_write_1h,
                input_audio,
                output_audio,
                reasoning,
                input_image,
                output_image,
            }
        },
    )
}

/// Whatever a message can hold: units and tiers nobody knows, rates that overflow.
fn any_price() -> impl Strategy<Value = Price> {
    let number = || prop_oneof![-2..16_i32, any::<i32>()];
    let rates = (number(), any::<u64>(), number(), prop_oneof![Just(u64::MAX), any::<u64>()])
        .prop_map(|(unit, above_tokens, tier, femto_usd)| Rate { unit, above_tokens, tier, femto_usd });
    (number(), prop::collection::vec(rates, 0..20)).prop_map(|(state, rates)| Price {
        state,
        rates,
        source: String::new(),
    })
}
