//! The learning-rate range test (Smith 2017, "Cyclical learning rates", section 3.3): the rate grows from step to step, by a constant
//! factor, until the loss runs away.
//!
//! The loss falls fastest where the rate is largest and still safe; beyond, it turns. Weights are thrown away afterwards.

use super::prepare::prepare;
use super::start;
use super::trainer::Trainer;
use crate::data;
use crate::error::{Error, Kind, Result};
use crate::recipe::Recipe;
use burn::tensor::Device;
use serde::Serialize;

/// Share of the past in the running mean of the loss: about the last ten steps.
const PAST: f64 = 0.9;

/// The test ends where the running mean is this many times its least value.
const RUNAWAY: f64 = 3.0;

/// A range of fewer than twice as many steps tells nothing.
const MARGIN: usize = 5;

/// A slope is taken over this part of all steps: batches are noisy.
const WINDOW: usize = 4;

/// How fast the loss must fall at the suggested rate, as a share of the fastest fall.
const FALLING: f64 = 0.5;

/// The rates to go through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The first rate.
    pub from: f64,
    /// The last rate.
    pub to: f64,
    /// Steps between them.
    pub steps: usize,
}

/// A step of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Step, from 0.
    pub step: usize,
    /// Its rate.
    pub lr: f64,
    /// The loss of its batch, before the update.
    pub loss: f64,
    /// The running mean of the loss.
    pub smoothed: f64,
}

/// Goes through `range` with `recipe`'s network, data and optimiser; `seen` hears of each step.
///
/// # Errors
/// A recipe or data that is no good; a range that is none.
pub fn test(
    recipe: &Recipe,
    range: Range,
    progress: &mut dyn data::Progress,
    mut seen: impl FnMut(&Point),
) -> Result<Vec<Point>> {
    if !(range.from > 0.0 && range.to > range.from && range.to.is_finite()) {
        let message = format!("rates from {} to {} are no range", range.from, range.to);
        return Err(Error::usage(message).with_hint("two rates above 0, the larger one last"));
    }
    if range.steps <= 2 * MARGIN {
        let message = format!("{} steps are too few to see a slope", range.steps);
        return Err(Error::usage(message).with_hint(format!("it takes more than {}", 2 * MARGIN)));
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
        // The mean begins at nothing: divided by the weight of what it has seen.
        let smoothed = mean / (1.0 - PAST.powi(step as i32 + 1));
        least = least.min(smoothed);
        if !loss.is_finite() || smoothed > RUNAWAY * least {
            break;
        }
        let point = Point { step, lr, loss, smoothed };
        seen(&point);
        points.push(point);
    }
    Ok(points)
}

/// The largest rate at which the loss still falls, per octave of the rate, at least half as fast as anywhere: beyond, it is
/// about to turn. Slopes are those of straight lines through the losses themselves; the running mean lags behind them.
///
/// # Errors
/// A test that was too short to tell, or a loss that never fell.
pub fn suggestion(points: &[Point]) -> Result<f64> {
    let width = (points.len() / WINDOW).max(MARGIN);
    let windows: Vec<&[Point]> = points.windows(width).collect();
    let mean = |window: &[Point]| window.iter().map(|point| point.loss).sum::<f64>() / width as f64;
    // What falls behind the least loss has run away before.
    let least = (0..windows.len()).min_by(|a, b| mean(windows[*a]).total_cmp(&mean(windows[*b]))).unwrap_or(0);
    let falls: Vec<(f64, f64)> = windows.iter().take(least + 1).map(|window| line(window)).collect();
    let fastest = falls.iter().map(|fall| fall.0).fold(0.0, f64::min);
    match falls.iter().rfind(|fall| fall.0 < 0.0 && fall.0 <= FALLING * fastest) {
        Some((_, lr)) if points.len() > 2 * MARGIN => Ok(*lr),
        _ => Err(Error::new(Kind::Training, "the loss fell at none of these rates")
            .with_hint("begin with a smaller rate (--from), take more steps (--steps), or look at the data")),
    }
}

/// The slope of the loss per octave of the rate (least squares), and the rate in the middle.
fn line(window: &[Point]) -> (f64, f64) {
    let n = window.len() as f64;
    let octave = |point: &Point| point.lr.log2();
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

    fn points(loss: impl Fn(f64) -> f64) -> Vec<Point> {
        let point = |step: usize| {
            let lr = 1e-4 * 1.2f64.powi(step as i32);
            Point { step, lr, loss: loss(lr), smoothed: loss(lr) }
        };
        (0..60).map(point).collect()
    }

    #[test]
    fn the_largest_rate_at_which_the_loss_falls_well_is_suggested_through_noise() {
        // A fall centred at 0.01 on a logarithmic scale; half as steep at 0.024, nearly over at 0.05.
        let fall = |lr: f64| 2.0 - (lr / 0.01).ln().tanh();
        let lr = suggestion(&points(fall)).expect("it falls");
        assert!((0.012..0.035).contains(&lr), "{lr}");
        // Batches that differ by a fifth of the fall: the first of them must not pass for it.
        let noisy = |lr: f64| fall(lr) + 0.2 * (lr.log2() * 97.0).sin();
        let lr = suggestion(&points(noisy)).expect("it falls");
        assert!((0.008..0.05).contains(&lr), "{lr}");
    }

    #[test]
    fn a_fall_behind_the_runaway_suggests_nothing() {
        let slow_then_wild = |lr: f64| if lr < 0.1 { 2.0 - 100.0 * lr.sqrt() / 1e4 } else { 9.0 - lr };
        let lr = suggestion(&points(slow_then_wild)).expect("it falls before");
        assert!(lr < 0.1, "{lr}");
    }

    #[test]
    fn a_loss_that_never_falls_suggests_nothing() {
        assert!(suggestion(&points(|lr| 1.0 + lr)).is_err());
        assert!(suggestion(&points(|lr| 1.0 - lr)[..6]).is_err());
    }
}
