//! Running means of a run's loss and speed, and what they say of the time that is left.

/// Share of the newest step in the means: about the last twenty steps.
const NEWEST: f64 = 0.05;

/// What the last steps were like. Times are seconds since any one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Means {
    /// Loss; absent before the first step.
    pub loss: Option<f64>,
    /// Absent before the second step.
    pub seconds_per_step: Option<f64>,
    last: Option<f64>,
}

impl Means {
    /// A step ended `at` that time.
    pub fn step(&mut self, at: f64, loss: f64) {
        let blend = |mean: Option<f64>, new: f64| Some(mean.map_or(new, |mean| mean + NEWEST * (new - mean)));
        self.loss = blend(self.loss, loss);
        if let Some(last) = self.last {
            self.seconds_per_step = blend(self.seconds_per_step, at - last);
        }
        self.last = Some(at);
    }

    /// Something else than training lies between this step and the next: no measure of a step.
    pub fn pause(&mut self) {
        self.last = None;
    }

    /// Images per second, at `batch` images a step.
    pub fn rate(&self, batch: u64) -> Option<f64> {
        self.seconds_per_step.map(|seconds| batch as f64 / seconds.max(1e-9))
    }

    /// Seconds that `steps` more steps will take.
    pub fn left(&self, steps: u64) -> Option<f64> {
        self.seconds_per_step.map(|seconds| steps as f64 * seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_not_counted_as_a_step() {
        let mut means = Means::default();
        means.step(10.0, 2.0);
        assert_eq!((means.loss, means.left(5)), (Some(2.0), None));
        means.step(10.5, 2.0);
        means.pause();
        means.step(60.0, 1.0);
        assert_eq!((means.rate(8), means.left(4)), (Some(16.0), Some(2.0)));
        assert!(means.loss.is_some_and(|loss| (loss - 1.95).abs() < 1e-12));
    }
}
