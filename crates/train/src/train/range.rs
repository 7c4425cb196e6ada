//! The learning-rate range test (Smith 2017, "Cyclical learning rates", §3.3): the rate grows by a
//! constant factor from step to step until the loss diverges.
//!
//! The loss falls fastest at the largest rate that is still safe; beyond it, the loss rises. The
//! weights are discarded.

use super::prepare::prepare;
use super::start;
use super::trainer::Trainer;
use crate::data;
use crate::error::{Error, Kind, Result};
use crate::recipe::Recipe;
use burn::tensor::Device;
use serde::Serialize;

/// Decay of the running mean of the loss: about the last ten steps.
const PAST: f64 = 0.9;

/// The test ends when the running mean is this many times its lowest value.
const RUNAWAY: f64 = 3.0;

/// The test needs more than twice as many steps.
const MARGIN: usize = 5;

/// The slope is fitted over a fourth of all steps: batches are noisy.
const WINDOW: usize = 4;

/// Slope at the suggested rate, as a share of the steepest one.
const FALLING: f64 = 0.5;

/// The learning rates of a range test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrRange {
    /// The first rate.
    pub from: f64,
    /// The last rate.
    pub to: f64,
    /// Number of steps.
    pub steps: usize,
}

/// A step of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LrPoint {
    /// Step, from 0.
    pub step: usize,
    /// Its rate.
    pub lr: f64,
    /// The loss of its batch, before the update.
    pub loss: f64,
    /// The running mean of the loss.
    pub smoothed: f64,
}

/// Trains `recipe` with the rates of `range`, one step each; `seen` is called after each step. The
/// test ends early if the loss diverges.
///
/// # Errors
/// The range is empty or too short, or the recipe or its images cannot be used.
pub fn test(
    recipe: &Recipe,
    range: LrRange,
    progress: &mut dyn data::Progress,
    mut seen: impl FnMut(&LrPoint),
) -> Result<Vec<LrPoint>> {
    if !(range.from > 0.0 && range.to > range.from && range.to.is_finite()) {
        let message = format!("the rates must ascend from above 0, got {} to {}", range.from, range.to);
        return Err(Error::usage(message).with_hint("--from is the smaller rate, --to the larger one"));
    }
    if range.steps <= 2 * MARGIN {
        let message = format!("--steps must be at least {}, got {}", 2 * MARGIN + 1, range.steps);
        return Err(Error::usage(message));
    }
    let device = Device::flex().autodiff();
    let prepared = prepare(recipe, false, progress)?;
    let model = start::initial_model(&prepared, progress)?;
    let mut trainer = Trainer::new(&model, prepared.recipe.written(), &device);
    let mut loader = prepared.loader(0)?;
    let factor = (range.to / range.from).powf(1.0 / (range.steps - 1) as f64);
    let (mut points, mut mean, mut least) = (Vec::new(), 0.0, f64::INFINITY);
    for step in 0..range.steps {
        let lr = range.from * factor.powi(step as i32);
        let mut batches = (0..prepared.recipe.train.accumulate).map(|_| loader.next()).collect::<Result<Vec<_>>>()?;
        let loss = trainer.step(&mut batches, step as u64, lr).loss;
        mean = PAST * mean + (1.0 - PAST) * loss;
        // The mean begins at zero: divided by the weight of the losses so far.
        let smoothed = mean / (1.0 - PAST.powi(step as i32 + 1));
        least = least.min(smoothed);
        if !loss.is_finite() || smoothed > RUNAWAY * least {
            break;
        }
        let point = LrPoint { step, lr, loss, smoothed };
        seen(&point);
        points.push(point);
    }
    Ok(points)
}

/// Suggests the largest rate at which the loss still falls at least half as fast, per octave of the
/// rate, as anywhere: beyond it, the loss is about to rise. Slopes are those of straight lines
/// through the losses; the running mean lags behind them.
///
/// # Errors
/// There are too few points, or the loss never falls.
pub fn suggestion(points: &[LrPoint]) -> Result<f64> {
    let width = (points.len() / WINDOW).max(MARGIN);
    let windows: Vec<&[LrPoint]> = points.windows(width).collect();
    let mean = |window: &[LrPoint]| window.iter().map(|point| point.loss).sum::<f64>() / width as f64;
    // A fall after the lowest loss follows a divergence.
    let least = (0..windows.len()).min_by(|a, b| mean(windows[*a]).total_cmp(&mean(windows[*b]))).unwrap_or(0);
    let falls: Vec<(f64, f64)> = windows.iter().take(least + 1).map(|window| line(window)).collect();
    let fastest = falls.iter().map(|fall| fall.0).fold(0.0, f64::min);
    match falls.iter().rfind(|fall| fall.0 < 0.0 && fall.0 <= FALLING * fastest) {
        Some((_, lr)) if points.len() > 2 * MARGIN => Ok(*lr),
        _ => Err(Error::new(Kind::Training, "the loss does not fall at any of these rates")
            .with_hint("begin with a smaller rate (--from), take more steps (--steps), or look at the data")),
    }
}

/// Returns the slope of the loss per octave of the rate (least squares), and the rate in the
/// middle.
fn line(window: &[LrPoint]) -> (f64, f64) {
    let n = window.len() as f64;
    let octave = |point: &LrPoint| point.lr.log2();
    let (x, y) = (window.iter().map(octave).sum::<f64>() / n, window.iter().map(|point| point.loss).sum::<f64>() / n);
    let (mut xy, mut xx) = (0.0, 0.0);
    for point in window {
        xy += (octave(point) - x) * (point.loss - y);
        xx += (octave(point) - x).powi(2);
    }
    (xy / xx, x.exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(loss: impl Fn(f64) -> f64) -> Vec<LrPoint> {
        let point = |step: usize| {
            let lr = 1e-4 * 1.2f64.powi(step as i32);
            LrPoint { step, lr, loss: loss(lr), smoothed: loss(lr) }
        };
        (0..60).map(point).collect()
    }

    #[test]
    fn the_largest_rate_with_a_steep_fall_is_suggested_despite_noise() {
        // A fall centred at 0.01 on a logarithmic scale; half as steep at 0.024, nearly over at
        // 0.05.
        let fall = |lr: f64| 2.0 - (lr / 0.01).ln().tanh();
        let lr = suggestion(&points(fall)).expect("it falls");
        assert!((0.012..0.035).contains(&lr), "{lr}");
        // Batches that differ by a fifth of the fall: the first of them must not pass for it.
        let noisy = |lr: f64| fall(lr) + 0.2 * (lr.log2() * 97.0).sin();
        let lr = suggestion(&points(noisy)).expect("it falls");
        assert!((0.008..0.05).contains(&lr), "{lr}");
    }

    #[test]
    fn a_fall_after_a_divergence_is_not_suggested() {
        let slow_then_wild = |lr: f64| if lr < 0.1 { 2.0 - 100.0 * lr.sqrt() / 1e4 } else { 9.0 - lr };
        let lr = suggestion(&points(slow_then_wild)).expect("it falls before");
        assert!(lr < 0.1, "{lr}");
    }

    #[test]
    fn a_loss_that_never_falls_is_an_error() {
        assert!(suggestion(&points(|lr| 1.0 + lr)).is_err());
        assert!(suggestion(&points(|lr| 1.0 - lr)[..6]).is_err());
    }
}
