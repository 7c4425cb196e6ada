//! Random numbers whose sequence never changes; libraries may change theirs between versions.

use rand::RngCore;

/// Draws an integer below `n` (at most 2³²). Probabilities differ by at most n / 2³².
pub(crate) fn below(rng: &mut impl RngCore, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}

/// Draws an integer from `low` to `high`, both included.
pub(crate) fn between(rng: &mut impl RngCore, low: i32, high: i32) -> i32 {
    low + below(rng, (high - low + 1) as usize) as i32
}

/// Draws a number from `low`, included, to `high`, excluded.
pub(crate) fn uniform(rng: &mut impl RngCore, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * f64::from(rng.next_u32()) / 4_294_967_296.0
}

/// Draws from the standard normal distribution (Box and Muller).
pub(crate) fn normal(rng: &mut impl RngCore) -> f32 {
    // 32 bits each; never zero, so that the logarithm is finite.
    let unit = |bits: u32| (f64::from(bits) + 0.5) / 4_294_967_296.0;
    let (radius, angle) = (unit(rng.next_u32()), unit(rng.next_u32()));
    ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
}

/// Returns `0..n` in random order (Fisher and Yates, in Durstenfeld's form).
pub(crate) fn shuffled(n: usize, rng: &mut impl RngCore) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        order.swap(i, below(rng, i + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn a_shuffle_has_every_index_once_and_is_reproducible() {
        let order = shuffled(1000, &mut stream(1, Purpose::Shuffle, 0, 0));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(i, &x)| i as u32 == x));
        assert_ne!(order, sorted);
        assert_eq!(order, shuffled(1000, &mut stream(1, Purpose::Shuffle, 0, 0)));
    }

    #[test]
    fn draws_reach_both_bounds_and_stay_within_them() {
        let mut rng = stream(2, Purpose::Augment, 0, 0);
        let draws: Vec<i32> = (0..1000).map(|_| between(&mut rng, -2, 2)).collect();
        assert_eq!((draws.iter().min(), draws.iter().max()), (Some(&-2), Some(&2)));
    }
}
