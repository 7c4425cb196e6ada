//! Running means of loss and time per step, and the remaining time estimated from them.

/// Weight of the newest step: the means cover about the last twenty steps.
const WEIGHT: f64 = 0.05;

/// Exponential moving averages over the last steps. Times are in seconds from any fixed origin.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunningMeans {
    /// Mean loss; `None` before the first step.
    pub loss: Option<f64>,
    /// Mean seconds per step; `None` before the second step.
    pub seconds_per_step: Option<f64>,
    last: Option<f64>,
}

impl RunningMeans {
    /// Records a step that ended at time `at`.
    pub fn step(&mut self, at: f64, loss: f64) {
        let blend = |mean: Option<f64>, new: f64| Some(mean.map_or(new, |mean| mean + WEIGHT * (new - mean)));
        self.loss = blend(self.loss, loss);
        if let Some(last) = self.last {
            self.seconds_per_step = blend(self.seconds_per_step, at - last);
        }
        self.last = Some(at);
    }

    /// Excludes the time up to the next step, during which something else than training runs.
    pub fn pause(&mut self) {
        self.last = None;
    }

    /// Returns the images per second, at `batch` images per step.
    pub fn rate(&self, batch: u64) -> Option<f64> {
        self.seconds_per_step.map(|seconds| batch as f64 / seconds.max(1e-9))
    }

    /// Estimates the seconds that `steps` more steps take.
    pub fn left(&self, steps: u64) -> Option<f64> {
        self.seconds_per_step.map(|seconds| steps as f64 * seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_not_counted_as_a_step() {
        let mut means = RunningMeans::default();
        means.step(10.0, 2.0);
        assert_eq!((means.loss, means.left(5)), (Some(2.0), None));
        means.step(10.5, 2.0);
        means.pause();
        means.step(60.0, 1.0);
        assert_eq!((means.rate(8), means.left(4)), (Some(16.0), Some(2.0)));
        assert!(means.loss.is_some_and(|loss| (loss - 1.95).abs() < 1e-12));
    }
}
