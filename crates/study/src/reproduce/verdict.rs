//! Verdicts: whether a value agrees with the paper's, and whether two values differ by more than
//! noise.
//!
//! With several seeds, noise is the standard deviation of the results with Student's quantile. With
//! one seed it is that of the finite test set alone (Wilson's interval), which is too small:
//! another seed moves ResNet-110 by ± 0.16 points.

use super::experiment::Part;
use crate::stats::{Difference, wilson};
use serde::{Deserialize, Serialize};

/// Two-sided 95 % quantiles of Student's t for 1, 2, … degrees of freedom.
const STUDENT: [f64; 12] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179];

/// Returns the quantile for `n` values. Beyond the table it is two terms of the expansion around
/// the normal quantile (Abramowitz and Stegun 26.7.5), with an error below 0.001 from 13 degrees
/// on.
fn student(n: usize) -> f64 {
    let (z, degrees) = (1.959_964_f64, n.saturating_sub(1) as f64);
    let expanded = z
        + (z.powi(3) + z) / (4.0 * degrees)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * degrees.powi(2));
    STUDENT.get(n.saturating_sub(2)).copied().unwrap_or(expanded)
}

/// The results of several seeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// The value of each seed.
    pub values: Vec<f64>,
    /// Number of test images of each value; 0 for a count, which is exact.
    pub images: usize,
    /// For each seed whether each test image was classified correctly; may be empty.
    #[serde(skip)]
    pub right: Vec<Vec<bool>>,
}

impl Sample {
    /// Creates the sample of a count.
    pub fn exact(value: f64) -> Self {
        Self { values: vec![value], ..Self::default() }
    }

    /// Returns the mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        let n = self.values.len();
        (n > 0).then(|| self.values.iter().sum::<f64>() / n as f64)
    }

    /// Returns the standard deviation over seeds (n−1); `None` for one seed.
    pub fn std(&self) -> Option<f64> {
        let (n, mean) = (self.values.len(), self.mean()?);
        let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
        (n > 1).then(|| (squares / (n - 1) as f64).sqrt())
    }

    /// Returns half the width of the 95 % interval of the mean.
    pub fn noise(&self) -> f64 {
        let n = self.values.len();
        match (self.std(), self.mean()) {
            (Some(std), _) => student(n) * std / (n as f64).sqrt(),
            (None, Some(mean)) if self.images > 0 => {
                let (low, high) = wilson(mean / 100.0, self.images);
                50.0 * (high - low)
            }
            _ => 0.0,
        }
    }
}

/// The value to compare with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Exactly this value.
    Value(f64),
    /// At least this value.
    AtLeast(f64),
}

impl Goal {
    /// Returns the goal of a row: the paper's value, or the reference in its place.
    pub fn of(part: &Part) -> Self {
        Self::new(part.paper.or(part.reference), part.at_least)
    }

    /// Returns `value` as the goal, or at least `least` if there is none.
    pub fn new(value: Option<f64>, least: Option<f64>) -> Self {
        value.map_or(Self::AtLeast(least.unwrap_or(0.0)), Self::Value)
    }
}

/// The verdict on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Within the tolerance.
    Reproduced,
    /// Lower in error by more than tolerance and noise.
    Better,
    /// Beyond the tolerance, by no more than noise.
    WithinNoise,
    /// Beyond the tolerance by more than noise.
    NotReproduced,
    /// Not judged: a shortened run says nothing about the paper's value.
    Shortened,
    /// Not judged: tested on other images than the paper's, or on altered copies.
    OtherImages,
    /// Not judged: the network differs from the paper's network of that name.
    OtherNetwork,
}

impl Verdict {
    /// Returns the verdict in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::Better => "better, by more than noise",
            Self::WithinNoise => "undecided: beyond the tolerance, within noise",
            Self::NotReproduced => "not reproduced",
            Self::Shortened => "not judged: a shortened run",
            Self::OtherImages => "not judged: other images than the paper's",
            Self::OtherNetwork => "not judged: another network than the paper's",
        }
    }
}

/// Judges `sample` against `goal`; `error` says whether lower values are better.
pub fn judge(goal: Goal, sample: &Sample, tolerance: f64, error: bool) -> Verdict {
    let Some(ours) = sample.mean() else { return Verdict::NotReproduced };
    // A count that is 0.1 off by a tolerance of 0.1 is not off by 0.1000000000001.
    let tolerance = tolerance + 1e-9;
    let off = match goal {
        Goal::Value(value) => ours - value,
        Goal::AtLeast(value) => (ours - value).min(0.0),
    };
    if off.abs() <= tolerance {
        Verdict::Reproduced
    } else if off.abs() - tolerance <= sample.noise() {
        Verdict::WithinNoise
    } else if error && off < 0.0 && matches!(goal, Goal::Value(_)) {
        Verdict::Better
    } else {
        Verdict::NotReproduced
    }
}

/// The order of two networks of which the paper says that the first has the higher error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The first has the higher error, by more than noise.
    Holds,
    /// They differ by no more than noise.
    WithinNoise,
    /// The first has the lower error, by more than noise.
    Fails,
}

impl Order {
    /// Returns the order in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "more than noise",
            Self::WithinNoise => "within noise",
            Self::Fails => "more than noise, the other way round",
        }
    }
}

/// Returns the mean of `worse` minus the mean of `better`, half the width of its 95 % interval, and
/// the order; `None` if one has no values.
///
/// Equal numbers of seeds are compared seed by seed: the errors of two test protocols on the same
/// weights are correlated, and for independent networks the comparison is valid as well. Single
/// seeds are compared image by image.
pub fn order(worse: &Sample, better: &Sample) -> Option<(f64, f64, Order)> {
    let difference = worse.mean()? - better.mean()?;
    let noise = match (worse.std(), better.std()) {
        (Some(_), Some(_)) if worse.values.len() == better.values.len() => {
            let values = worse.values.iter().zip(&better.values).map(|(a, b)| a - b).collect();
            Sample { values, ..Sample::default() }.noise()
        }
        (Some(a), Some(b)) => {
            let (n, m) = (worse.values.len(), better.values.len());
            student(n.min(m)) * (a * a / n as f64 + b * b / m as f64).sqrt()
        }
        _ => {
            let of = |sample: &Sample| (sample.mean().unwrap_or_default(), sample.images);
            let difference = match (better.right.as_slice(), worse.right.as_slice()) {
                ([a], [b]) if !a.is_empty() && a.len() == b.len() => Difference::image_by_image(a, b),
                _ => Difference::unpaired(of(better), of(worse)),
            };
            (difference.high - difference.low) / 2.0
        }
    };
    let order = match difference {
        d if d.abs() <= noise => Order::WithinNoise,
        d if d > 0.0 => Order::Holds,
        _ => Order::Fails,
    };
    Some((difference, noise, order))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(values: &[f64]) -> Sample {
        Sample { values: values.to_vec(), images: 10_000, right: Vec::new() }
    }

    #[test]
    fn mean_deviation_and_noise_are_those_of_the_textbook() {
        let sample = seeds(&[8.7, 8.9, 9.1]);
        assert!((sample.mean().expect("three") - 8.9).abs() < 1e-12);
        assert!((sample.std().expect("three") - 0.2).abs() < 1e-12);
        assert!((sample.noise() - 4.303 * 0.2 / 3f64.sqrt()).abs() < 1e-9);
        // One seed: the test set's noise, 1.96 · sqrt(p (1 − p) / n).
        let one = seeds(&[10.0]);
        assert_eq!(one.std(), None);
        assert!((one.noise() - 0.588).abs() < 2e-3, "{}", one.noise());
        assert_eq!(Sample::exact(3.0).noise(), 0.0);
    }

    #[test]
    fn quantiles_go_on_beyond_the_table() {
        for (n, quantile) in [(2, 12.706), (13, 2.179), (14, 2.160), (21, 2.086), (121, 1.980)] {
            assert!((student(n) - quantile).abs() < 1.5e-3, "{n}: {}", student(n));
        }
    }

    #[test]
    fn a_value_is_judged_by_tolerance_first_and_noise_second() {
        let judged = |values: &[f64]| judge(Goal::Value(8.75), &seeds(values), 0.3, true);
        assert_eq!(judged(&[8.6, 8.8, 9.0]), Verdict::Reproduced);
        assert_eq!(judged(&[8.0, 8.1, 8.0]), Verdict::Better);
        assert_eq!(judged(&[7.0, 9.0]), Verdict::WithinNoise, "8.0 ± 12.7: noise goes both ways");
        assert_eq!(judged(&[8.9, 9.5]), Verdict::WithinNoise, "9.2 ± 0.4 of two seeds");
        assert_eq!(judged(&[11.0, 11.1, 11.2]), Verdict::NotReproduced);
        let exact = |value| judge(Goal::Value(3.6), &Sample::exact(value), 0.1, false);
        assert_eq!([exact(3.7), exact(3.4)], [Verdict::Reproduced, Verdict::NotReproduced]);
        let least = |value| judge(Goal::AtLeast(60.0), &seeds(&[value]), 0.0, true);
        assert_eq!([least(72.0), least(40.0)], [Verdict::Reproduced, Verdict::NotReproduced]);
    }

    #[test]
    fn an_order_holds_only_beyond_noise() {
        let verdict = |a: &[f64], b: &[f64]| order(&seeds(a), &seeds(b)).expect("values").2;
        assert_eq!(verdict(&[14.0, 14.2, 14.1], &[9.6, 9.7, 9.5]), Order::Holds);
        assert_eq!(verdict(&[9.7, 9.5], &[9.5, 9.6]), Order::WithinNoise);
        assert_eq!(verdict(&[20.0], &[22.0]), Order::Fails, "ten thousand images tell two points apart");
        assert_eq!(verdict(&[20.3], &[20.0]), Order::WithinNoise);
    }

    #[test]
    fn two_looks_at_the_same_weights_are_compared_image_by_image_and_seed_by_seed() {
        // VGG's Table 5: 24.8 % and 24.4 % of 50,000. Apart within noise; 600 images right by one
        // look alone, 400 by the other.
        let look = |error, is_wrong: fn(usize) -> bool| Sample {
            right: vec![(0..50_000).map(|i| !is_wrong(i)).collect()],
            ..Sample { images: 50_000, ..seeds(&[error]) }
        };
        let dense = look(24.8, |i| i < 12_400);
        let both = look(24.4, |i| (600..12_400).contains(&i) || (20_000..20_400).contains(&i));
        assert_eq!(order(&dense, &both).expect("values").2, Order::Holds);
        let unknown = |sample: &Sample| Sample { right: Vec::new(), ..sample.clone() };
        assert_eq!(order(&unknown(&dense), &unknown(&both)).expect("values").2, Order::WithinNoise);
        // Seeds move both looks alike.
        let (dense, both) = (seeds(&[24.0, 25.0, 26.0]), seeds(&[23.6, 24.6, 25.7]));
        assert_eq!(order(&dense, &both).expect("values").2, Order::Holds);
    }
}
