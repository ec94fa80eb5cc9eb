//! LiteLLM's `simple-shuffle`: at random, in proportion to the first of weight, rpm and tpm that any candidate has.
//!
//! A candidate without the measure that others have gets nothing (llm_path.md 4.7); without any measure all
//! are alike.

use std::sync::Arc;

use rand::{Rng, RngExt as _};

use crate::snapshot::Deployment;
use crate::snapshot::models::Share;

/// Draws one of `candidates`, or none where there are none.
pub(crate) fn pick<'c>(candidates: &[&'c Arc<Deployment>], random: &mut impl Rng) -> Option<&'c Arc<Deployment>> {
    let shares: Vec<Share> = candidates.iter().map(|deployment| deployment.share).collect();
    candidates.get(draw(&shares, random)?).copied()
}

#[allow(clippy::cast_precision_loss, reason = "shares are compared, not counted")]
fn draw(shares: &[Share], random: &mut impl Rng) -> Option<usize> {
    let measures: [fn(&Share) -> f64; 3] = [|share| share.weight, |share| share.rpm as f64, |share| share.tpm as f64];
    for measure in measures {
        let total: f64 = shares.iter().map(measure).sum();
        if total > 0.0 {
            let mut left = random.random::<f64>() * total;
            let drawn = shares.iter().position(|share| {
                left -= measure(share);
                left < 0.0
            });
            return drawn.or_else(|| shares.iter().rposition(|share| measure(share) > 0.0));
        }
    }
    (!shares.is_empty()).then(|| random.random_range(0..shares.len()))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn counts(shares: &[Share], draws: u32) -> Vec<f64> {
        let mut random = SmallRng::seed_from_u64(7);
        let mut counts = vec![0_u32; shares.len()];
        for _ in 0..draws {
            counts[draw(shares, &mut random).unwrap()] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / f64::from(draws)).collect()
    }

    #[test]
    fn shares_are_kept_within_two_percent() {
        let shares = [1.0, 2.0, 7.0].map(|weight| Share { weight, ..Share::default() });
        for (got, wanted) in counts(&shares, 100_000).iter().zip([0.1, 0.2, 0.7]) {
            assert!((got - wanted).abs() < 0.02, "{got} is not about {wanted}");
        }
    }

    #[test]
    fn one_without_the_measure_of_the_others_gets_nothing() {
        let shares = [Share { rpm: 10, ..Share::default() }, Share { tpm: 1_000, ..Share::default() }];
        assert!((counts(&shares, 1_000)[0] - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn without_any_measure_all_are_alike() {
        for share in counts(&[Share::default(); 4], 100_000) {
            assert!((share - 0.25).abs() < 0.02);
        }
        assert_eq!(draw(&[], &mut SmallRng::seed_from_u64(1)), None);
    }
}
