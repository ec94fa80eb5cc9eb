//! What usage costs.
//!
//! [`cost`] is the one formula: the data plane prices a call with it, and whoever checks the data plane must get the
//! same figure. Rates are whole femto-dollars (10⁻¹⁵ USD) per unit, the sum is exact, and it is rounded once, upwards,
//! to the nano-dollar. Where a price comes from is the control plane's business; discounts and the charges of hosted
//! tools are not part of it.

use crate::NanoUsd;
use crate::v1::{Price, PriceState, ServiceTier, Tokens, Unit};

/// What a call costs. Unknown is not nothing: a report shows it as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The price is known; the amount may still be zero, where nothing was used.
    Known(NanoUsd),
    /// The price says that nothing is charged.
    Free,
    /// Nobody has told us a price for all that was used.
    Unknown,
}

impl Cost {
    /// The amount to book. Zero where it is free or unknown: book [`Self::state`] beside it.
    pub const fn amount(self) -> NanoUsd {
        match self {
            Self::Known(amount) => amount,
            Self::Free | Self::Unknown => NanoUsd::ZERO,
        }
    }

    /// How the amount is to be read.
    pub const fn state(self) -> PriceState {
        match self {
            Self::Known(_) => PriceState::Known,
            Self::Free => PriceState::Free,
            Self::Unknown => PriceState::Unknown,
        }
    }
}

/// What is measured of a call beside its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Calls, for prices per request: 1 for one call.
    pub requests: u64,
    /// What prices per second are for: the time the answer took, or the length of the audio.
    pub duration_ms: u64,
}

impl Measure {
    /// One call that took `duration_ms`.
    pub const fn of_one_call(duration_ms: u64) -> Self {
        Self { requests: 1, duration_ms }
    }
}

/// What a call costs.
///
/// Of several rates for a unit, the one with the highest threshold that the prompt exceeds is taken, and among those
/// with the same threshold the one of `tier` before the standard one. A unit without a rate falls back: cached, written,
/// audio and image tokens to plain input, one-hour writes to plain writes, reasoning, audio and image output to plain
/// output. Units that were used and still have no rate make the cost unknown, except that a price without any rate per
/// token does not charge tokens. Never panics; amounts above [`NanoUsd`]'s range are its largest.
pub fn cost(tokens: &Tokens, measure: Measure, price: &Price, tier: ServiceTier) -> Cost {
    match price.state() {
        PriceState::Unknown => Cost::Unknown,
        PriceState::Free => Cost::Free,
        PriceState::Known => match Rates::choose(price, tokens.prompt, tier) {
            Some(rates) => rates.charge(tokens, measure).map_or(Cost::Unknown, Cost::Known),
            None => Cost::Unknown,
        },
    }
}

/// The tier that a `service_tier` field names. Names that have no prices of their own (`default`, `auto`, …) are the
/// standard tier.
pub fn tier_of(name: Option<&str>) -> ServiceTier {
    const NAMES: [(&str, ServiceTier); 5] = [
        ("priority", ServiceTier::Priority),
        ("fast", ServiceTier::Priority),
        ("flex", ServiceTier::Flex),
        ("batch", ServiceTier::Batch),
        ("batches", ServiceTier::Batch),
    ];
    let named = |name: &str| NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, tier)| *tier);
    name.and_then(named).unwrap_or(ServiceTier::Standard)
}

/// One more than the highest number of a [`Unit`].
const UNITS: usize = Unit::Request as usize + 1;

const FEMTOS_PER_NANO: u128 = 1_000_000;
const MILLIS_PER_SECOND: u128 = 1_000;

/// The rates that hold for one call, at most one for each unit.
struct Rates {
    by_unit: [Option<Candidate>; UNITS],
    per_token: Basis,
}

#[derive(Clone, Copy)]
struct Candidate {
    above_tokens: u64,
    place: Place,
    femto_usd: u64,
}

/// Whose rate it is. The tier's own goes before the standard one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Standard,
    OwnTier,
}

/// Whether a price has rates per token at all, in whatever tier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basis {
    Tokens,
    Other,
}

impl Rates {
    /// `None` if no rate holds. Units and tiers that this build does not know are passed over: a control plane that needs them
    /// understood says so in `required_features`.
    fn choose(price: &Price, prompt: u64, tier: ServiceTier) -> Option<Self> {
        let mut chosen = Self { by_unit: [None; UNITS], per_token: Basis::Other };
        let mut holds_any = false;
        for rate in &price.rates {
            let Ok(unit) = Unit::try_from(rate.unit) else { continue };
            if is_token(unit) {
                chosen.per_token = Basis::Tokens;
            }
            let place = match ServiceTier::try_from(rate.tier) {
                Ok(of_rate) if of_rate == tier => Place::OwnTier,
                Ok(ServiceTier::Standard) => Place::Standard,
                Ok(ServiceTier::Priority | ServiceTier::Flex | ServiceTier::Batch) | Err(_) => continue,
            };
            if rate.above_tokens > 0 && prompt <= rate.above_tokens {
                continue;
            }
            let candidate = Candidate { above_tokens: rate.above_tokens, place, femto_usd: rate.femto_usd };
            if let Some(best) = chosen.by_unit.get_mut(unit as usize) {
                holds_any = true;
                if best.is_none_or(|best| (best.above_tokens, best.place) <= (rate.above_tokens, place)) {
                    *best = Some(candidate);
                }
            }
        }
        holds_any.then_some(chosen)
    }

    /// The amount, or `None` where something used has no rate.
    fn charge(&self, tokens: &Tokens, measure: Measure) -> Option<NanoUsd> {
        let tokens = match self.per_token {
            Basis::Tokens => self.femto_for_tokens(tokens)?,
            Basis::Other => 0,
        };
        let requests = times(measure.requests, self.of(Unit::Request).unwrap_or(0));
        let a_second = [Unit::InputSecond, Unit::OutputSecond].map(|unit| u128::from(self.of(unit).unwrap_or(0)));
        // At most 2⁶⁵ · 2⁶⁴: saturation is far above what an amount can hold.
        let seconds_in_millis = a_second.iter().sum::<u128>().saturating_mul(u128::from(measure.duration_ms));
        let whole = tokens.saturating_add(requests).saturating_mul(MILLIS_PER_SECOND);
        let nanos = whole.saturating_add(seconds_in_millis).div_ceil(FEMTOS_PER_NANO * MILLIS_PER_SECOND);
        Some(NanoUsd::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)))
    }

    fn femto_for_tokens(&self, tokens: &Tokens) -> Option<u128> {
        // `cache_write` counts the writes of all lifetimes, `cache_write_1h` those of an hour among them.
        let written = tokens.cache_write.max(tokens.cache_write_1h);
        let text_in = [tokens.cache_read, written, tokens.input_audio, tokens.input_image]
            .iter()
            .fold(tokens.prompt, |left, part| left.saturating_sub(*part));
        let text_out = [tokens.reasoning, tokens.output_audio, tokens.output_image]
            .iter()
            .fold(tokens.completion, |left, part| left.saturating_sub(*part));

        let input = self.of(Unit::InputToken);
        let output = self.of(Unit::OutputToken);
        let write = self.of(Unit::CacheWriteToken).or(input);
        let parts = [
            (text_in, input),
            (tokens.cache_read, self.of(Unit::CacheReadToken).or(input)),
            (written - tokens.cache_write_1h, write),
            (tokens.cache_write_1h, self.of(Unit::CacheWrite1hToken).or(write)),
            (tokens.input_audio, self.of(Unit::InputAudioToken).or(input)),
            (tokens.input_image, self.of(Unit::InputImageToken).or(input)),
            (text_out, output),
            (tokens.reasoning, self.of(Unit::ReasoningToken).or(output)),
            (tokens.output_audio, self.of(Unit::OutputAudioToken).or(output)),
            (tokens.output_image, self.of(Unit::OutputImageToken).or(output)),
        ];
        parts.iter().try_fold(0_u128, |sum, &(count, rate)| match (count, rate) {
            (0, _) => Some(sum),
            (count, Some(rate)) => Some(sum.saturating_add(times(count, rate))),
            (_, None) => None,
        })
    }

    fn of(&self, unit: Unit) -> Option<u64> {
        self.by_unit.get(unit as usize).copied().flatten().map(|candidate| candidate.femto_usd)
    }
}

fn times(count: u64, rate: u64) -> u128 {
    u128::from(count) * u128::from(rate)
}

fn is_token(unit: Unit) -> bool {
    match unit {
        Unit::InputToken
        | Unit::OutputToken
        | Unit::CacheReadToken
        | Unit::CacheWriteToken
        | Unit::CacheWrite1hToken
        | Unit::InputAudioToken
        | Unit::OutputAudioToken
        | Unit::ReasoningToken
        | Unit::InputImageToken
        | Unit::OutputImageToken => true,
        Unit::Unspecified | Unit::InputSecond | Unit::OutputSecond | Unit::Request => false,
    }
}
