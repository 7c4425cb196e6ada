//! Statistics of `residual compare`: intervals of test errors, and whether two errors differ by
//! more than chance.
//!
//! They account for the finite test set only. Another seed changes a result as well (ResNet-110
//! over five runs: ± 0.16 points); several runs of each recipe show by how much.

use residual_train::eval::predictions::Predictions;
use serde::Serialize;

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_985;

/// Returns Wilson's 95 % interval of a proportion (Wilson 1927), which is valid for small errors,
/// unlike the normal approximation.
pub fn wilson(share: f64, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let n = n as f64;
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

/// The outcome of a comparison; errors and differences in percent or points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// `mcnemar` (the same images, one by one) or `two-proportion` (errors alone).
    pub test: &'static str,
    /// Error of B minus error of A, points.
    pub difference: f64,
    /// 95 % interval of the difference.
    pub low: f64,
    /// 95 % interval of the difference.
    pub high: f64,
    /// Probability of a difference at least as large if both were equally good.
    pub p: f64,
    /// Images that only A got wrong.
    pub only_a_wrong: Option<usize>,
    /// Images that only B got wrong.
    pub only_b_wrong: Option<usize>,
}

impl Difference {
    /// Returns whether the difference is significant: p below 0.05.
    pub fn is_real(&self) -> bool {
        self.p < 0.05
    }

    /// Compares two runs on the same images by McNemar's test: only the images on which they
    /// disagree count. `None` if the labels differ; the caller makes sure that the data sets are
    /// the same.
    pub fn paired(a: &Predictions, b: &Predictions) -> Option<Self> {
        let labels = |of: &Predictions| of.rows.iter().map(|row| of.class(row.label)).collect::<Vec<_>>();
        let same = labels(a) == labels(b);
        if !same || a.rows.is_empty() {
            return None;
        }
        Some(Self::image_by_image(&a.right(), &b.right()))
    }

    /// Compares which of the same images, in the same order, two networks classified correctly.
    pub fn image_by_image(a: &[bool], b: &[bool]) -> Self {
        let count = |sought: (bool, bool)| a.iter().zip(b).filter(|pair| (*pair.0, *pair.1) == sought).count();
        let (only_a, only_b) = (count((false, true)), count((true, false)));
        let (n, b, c) = (a.len().max(1) as f64, only_a as f64, only_b as f64);
        let difference = (c - b) / n;
        // The variance of a difference of paired proportions.
        let half = Z * ((b + c) / n - difference * difference).max(0.0).sqrt() / n.sqrt();
        Self {
            test: "mcnemar",
            difference: 100.0 * difference,
            low: 100.0 * (difference - half),
            high: 100.0 * (difference + half),
            p: mcnemar(only_a, only_b),
            only_a_wrong: Some(only_a),
            only_b_wrong: Some(only_b),
        }
    }

    /// Compares two errors in percent on test sets of `n_a` and `n_b` images that cannot be matched
    /// image by image.
    pub fn unpaired((error_a, n_a): (f64, usize), (error_b, n_b): (f64, usize)) -> Self {
        let (a, b) = (error_a / 100.0, error_b / 100.0);
        let (na, nb) = (n_a.max(1) as f64, n_b.max(1) as f64);
        let pooled = (a * na + b * nb) / (na + nb);
        let spread = (pooled * (1.0 - pooled) * (1.0 / na + 1.0 / nb)).sqrt();
        let z = if spread > 0.0 { (b - a) / spread } else { 0.0 };
        let half = Z * (a * (1.0 - a) / na + b * (1.0 - b) / nb).sqrt();
        Self {
            test: "two-proportion",
            difference: 100.0 * (b - a),
            low: 100.0 * (b - a - half),
            high: 100.0 * (b - a + half),
            p: two_sided(z),
            only_a_wrong: None,
            only_b_wrong: None,
        }
    }
}

/// Returns the p-value of McNemar's test: exact (binomial) for few disagreements, with continuity
/// correction for many.
fn mcnemar(b: usize, c: usize) -> f64 {
    let n = b + c;
    if n == 0 {
        return 1.0;
    }
    if n > 1000 {
        let z = ((b as f64 - c as f64).abs() - 1.0).max(0.0) / (n as f64).sqrt();
        return two_sided(z);
    }
    // Σ C(n, i) / 2ⁿ over the smaller tail, in logarithms: 2⁻¹⁰⁰⁰ is still a float, C(1000, 500)
    // alone is not a sum.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for i in 0..=b.min(c) {
        tail += log_term.exp();
        log_term += ((n - i) as f64).ln() - ((i + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// Returns the probability that a standard normal variable is further from zero than `z`.
fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// Returns the complementary error function for x ≥ 0, with a relative error of 1.2e-7 (Numerical
/// Recipes' Chebyshev fit, §6.2).
fn erfc(x: f64) -> f64 {
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    t * (-x * x + C.iter().rev().fold(0.0, |sum, c| sum * t + c)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual_train::eval::predictions::Prediction;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() < within, "{a} is not {b}");
    }

    #[test]
    fn intervals_and_p_values_are_those_of_the_tables() {
        // R: prop.test(10, 100, correct = FALSE)$conf.int is 0.05522914 0.17436566.
        let (low, high) = wilson(0.1, 100);
        close(low, 0.055_229_14, 1e-7);
        close(high, 0.174_365_66, 1e-7);
        close(two_sided(1.959_963_985), 0.05, 1e-6);
        close(two_sided(3.0), 0.002_699_796, 1e-7);
        // R: binom.test(3, 15)$p.value is 0.03515625; both tails of 12 to 3.
        close(mcnemar(3, 12), 0.035_156_25, 1e-12);
        close(mcnemar(12, 3), 0.035_156_25, 1e-12);
        assert_eq!((mcnemar(0, 0), mcnemar(5, 5)), (1.0, 1.0));
        // The exact and the approximate form meet.
        close(mcnemar(470, 530), two_sided(59.0 / 1000f64.sqrt()), 1e-3);
    }

    #[test]
    fn images_on_which_both_agree_do_not_count() {
        let row = |right: bool| Prediction::new(&if right { [0.9, 0.1] } else { [0.1, 0.9] }, 0);
        let of = |wrong: std::ops::Range<usize>| {
            let rows = (0..1000).map(|i| row(!wrong.contains(&i))).collect();
            Predictions { rows, classes: vec!["cat".into(), "dog".into()] }
        };
        // A errs on 0..200, B on 20..200: the same images but for 20, of which all speak for B.
        let paired = Difference::paired(&of(0..200), &of(20..200)).expect("the same images");
        assert_eq!((paired.only_a_wrong, paired.only_b_wrong), (Some(20), Some(0)));
        close(paired.difference, -2.0, 1e-9);
        assert!(paired.is_real() && paired.high < 0.0);
        // By their errors alone, 20 % and 18 %, the two cannot be told apart.
        let unpaired = Difference::unpaired((20.0, 1000), (18.0, 1000));
        close(unpaired.p, 0.254_296, 1e-5);
        assert!(!unpaired.is_real() && unpaired.low < -2.0 && unpaired.high > 0.0);
        assert_eq!(Difference::paired(&of(0..1), &Predictions::default()), None);
    }
}
