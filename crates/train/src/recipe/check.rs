//! Values that parse but are impossible: each rule names its key, so that an error can point at the
//! line.

use super::sections::{Normalize, PolicyKind, Recipe, Resize, SCHEDULE_COMMON, ScheduleKind};
use crate::data::MAGNITUDE_BINS;
use crate::error::{Error, Kind};
use crate::eval::protocol::TestProtocol;
use crate::models::Spec;

/// A key with an impossible value, and the reason.
#[derive(Debug)]
pub(super) struct Problem {
    /// Section.
    pub section: &'static str,
    /// Key.
    pub key: &'static str,
    /// What is wrong; follows the key's name in the error.
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
}

/// The result of one rule.
type Checked = Result<(), Problem>;

fn problem(section: &'static str, key: &'static str, message: impl Into<String>) -> Problem {
    Problem { section, key, message: message.into(), hint: None }
}

impl Recipe {
    /// Validates all values.
    ///
    /// # Errors
    /// A value is impossible; the error is about the first one.
    pub fn check(&self) -> crate::error::Result<()> {
        check(self).map_err(|p| {
            let error = Error::new(Kind::Recipe, format!("{}.{} {}", p.section, p.key, p.message));
            match p.hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    }
}

/// Applies every rule, in the order of the sections, and returns the first problem.
pub(super) fn check(recipe: &Recipe) -> Checked {
    model(recipe)?;
    data(recipe)?;
    augment(recipe)?;
    train(recipe)?;
    loss(recipe)?;
    optimizer(recipe)?;
    schedule(recipe)
}

fn at_least_one(section: &'static str, key: &'static str, value: Option<u64>) -> Checked {
    match value {
        Some(0) => Err(problem(section, key, "must be at least 1, not 0")),
        _ => Ok(()),
    }
}

/// 0 ≤ value < 1.
fn share(section: &'static str, key: &'static str, value: f64) -> Checked {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(problem(section, key, format!("must be at least 0 and below 1, not {value}")))
}

/// Finite and ≥ 0.
fn not_negative(section: &'static str, key: &'static str, value: f64) -> Checked {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(problem(section, key, format!("must be a number of at least 0, not {value}")))
}

/// Finite and > 0.
fn positive(section: &'static str, key: &'static str, value: f64) -> Checked {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(problem(section, key, format!("must be a number above 0, not {value}")))
}

fn model(recipe: &Recipe) -> Checked {
    let model = &recipe.model;
    at_least_one("model", "input", model.input.map(|v| v as u64))?;
    at_least_one("model", "channels", model.channels.map(|v| v as u64))?;
    if let Some(classes @ 0..=1) = model.classes {
        return Err(problem("model", "classes", format!("must be at least 2, not {classes}")));
    }
    share("model", "dropout", model.dropout)?;
    if model.name.trim().is_empty() {
        return Err(problem("model", "name", "must name a network"));
    }
    if model.freeze.iter().any(|prefix| prefix.trim().is_empty()) {
        return Err(problem("model", "freeze", "has an empty prefix, which would freeze everything"));
    }
    Ok(())
}

fn data(recipe: &Recipe) -> Checked {
    let data = &recipe.data;
    if data.source.trim().is_empty() {
        return Err(problem("data", "source", "must name a data set or a folder"));
    }
    for (key, values) in [("mean", &data.mean), ("std", &data.std)] {
        let Some(values) = values else { continue };
        if data.normalize == Normalize::Pixel {
            return Err(problem("data", key, "does not apply with normalize = \"pixel\", which uses the mean image"));
        }
        if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
            return Err(problem("data", key, "must hold one finite number for each channel"));
        }
        if key == "std" && values.iter().any(|v| *v <= 0.0) {
            return Err(problem("data", key, "must hold numbers above 0"));
        }
    }
    if !matches!(data.test, TestProtocol::Center | TestProtocol::Flip) {
        let mut problem = problem("data", "test", format!("is center or flip, not {}", data.test));
        problem.hint = Some("`residual eval --protocol` tests trained weights by the others".into());
        return Err(problem);
    }
    at_least_one("data", "scale", data.scale.map(|v| v as u64))?;
    if let Some(scale) = data.scale {
        if data.resize != Resize::Crop {
            return Err(problem("data", "scale", format!("does not apply with resize = \"{}\"", data.resize)));
        }
        if let Some(input) = recipe.model.input.filter(|input| *input > scale) {
            return Err(problem("data", "scale", format!("= {scale} is smaller than the {input} input")));
        }
    }
    match (&data.mean, &data.std) {
        (Some(mean), Some(std)) if mean.len() != std.len() => {
            let message = format!("has {} values, but mean has {}", std.len(), mean.len());
            Err(problem("data", "std", message))
        }
        (Some(_), None) => Err(problem("data", "mean", "needs std beside it")),
        (None, Some(_)) => Err(problem("data", "std", "needs mean beside it")),
        _ => Ok(()),
    }
}

fn augment(recipe: &Recipe) -> Checked {
    let augment = &recipe.augment;
    crop(recipe)?;
    at_least_one("augment", "operations", augment.operations.map(|v| v as u64))?;
    if augment.strength.is_some_and(|strength| strength >= MAGNITUDE_BINS) {
        return Err(problem("augment", "strength", format!("is at most {}", MAGNITUDE_BINS - 1)));
    }
    for (key, given) in [("operations", augment.operations.is_some()), ("strength", augment.strength.is_some())] {
        if given && augment.policy != PolicyKind::RandAugment {
            return Err(problem("augment", key, "applies only with policy = \"rand-augment\""));
        }
    }
    for value in augment.jitter {
        not_negative("augment", "jitter", value)?;
    }
    if augment.jitter[3] > 0.5 {
        return Err(problem("augment", "jitter", "takes a hue of at most 0.5 (half the colour circle)"));
    }
    if !(0.0..=1.0).contains(&augment.erasing) {
        return Err(problem("augment", "erasing", format!("is a probability, 0 to 1, not {}", augment.erasing)));
    }
    at_least_one("augment", "repeats", augment.repeats.map(|v| v as u64))?;
    let shown = recipe.train.batch.saturating_mul(recipe.train.accumulate);
    if let Some(repeats) = augment.repeats.filter(|repeats| !shown.is_multiple_of(*repeats)) {
        let message = format!("must divide the {shown} images of a step (train.batch x accumulate), not be {repeats}");
        return Err(problem("augment", "repeats", message));
    }
    not_negative("augment", "lighting", augment.lighting)
}

/// Crops of large images.
fn crop(recipe: &Recipe) -> Checked {
    let augment = &recipe.augment;
    let crops = augment.scale.is_some() || augment.resized_crop.is_some();
    if augment.scale.is_some() && augment.resized_crop.is_some() {
        return Err(problem("augment", "resized_crop", "excludes scale; give one of the two"));
    }
    at_least_one("augment", "size", augment.size.map(|v| v as u64))?;
    if let Some(size) = augment.size
        && let Ok(spec) = Spec::resolve(&recipe.model)
        && size < spec.smallest_input()
    {
        let message =
            format!("must be at least {}, the smallest input of {}, not {size}", spec.smallest_input(), spec.name);
        return Err(problem("augment", "size", message));
    }
    if augment.size.is_some() && !crops {
        return Err(problem("augment", "size", "needs scale or resized_crop, which cut crops of that size"));
    }
    if augment.size.is_some() && recipe.data.normalize == Normalize::Pixel {
        return Err(problem("augment", "size", "does not go with normalize = \"pixel\": the mean image has one size"));
    }
    if augment.aspect.is_some() && augment.resized_crop.is_none() {
        return Err(problem("augment", "aspect", "applies only with resized_crop"));
    }
    if let Some([from, to]) = augment.scale {
        if from > to || from == 0 {
            return Err(problem("augment", "scale", format!("must ascend from at least 1, not [{from}, {to}]")));
        }
        if let Some(input) = augment.size.or(recipe.model.input).filter(|input| *input > from) {
            let message = format!("begins at {from} pixels, less than the {input} input");
            return Err(problem("augment", "scale", message));
        }
    }
    for (key, range, most) in [("resized_crop", augment.resized_crop, 1.0), ("aspect", augment.aspect, f64::INFINITY)] {
        let Some([from, to]) = range else { continue };
        if !(from > 0.0 && from <= to && to <= most && to.is_finite()) {
            let limit = if most == 1.0 { " to at most 1" } else { "" };
            return Err(problem("augment", key, format!("must ascend from above 0{limit}, not [{from}, {to}]")));
        }
    }
    Ok(())
}

fn train(recipe: &Recipe) -> Checked {
    let train = &recipe.train;
    match (train.epochs, train.steps) {
        (Some(_), Some(_)) => return Err(problem("train", "steps", "excludes epochs; give one of the two")),
        (None, None) => return Err(problem("train", "epochs", "is missing, and so is steps; give one of the two")),
        (epochs, steps) => {
            at_least_one("train", "epochs", epochs)?;
            at_least_one("train", "steps", steps)?;
        }
    }
    at_least_one("train", "batch", Some(train.batch as u64))?;
    at_least_one("train", "accumulate", Some(train.accumulate as u64))?;
    share("train", "ema", train.ema)?;
    if i64::try_from(train.seed).is_err() {
        let message = format!("must be at most {} (TOML's largest whole number), not {}", i64::MAX, train.seed);
        return Err(problem("train", "seed", message));
    }
    Ok(())
}

fn loss(recipe: &Recipe) -> Checked {
    let loss = &recipe.loss;
    share("loss", "label_smoothing", loss.label_smoothing)?;
    not_negative("loss", "mixup", loss.mixup)?;
    not_negative("loss", "cutmix", loss.cutmix)?;
    if loss.mix_off_epoch.is_some() && loss.mixup == 0.0 && loss.cutmix == 0.0 {
        return Err(problem("loss", "mix_off_epoch", "switches mixup or cutmix off, and both are 0"));
    }
    Ok(())
}

fn optimizer(recipe: &Recipe) -> Checked {
    let optimizer = &recipe.optimizer;
    positive("optimizer", "lr", optimizer.lr)?;
    share("optimizer", "momentum", optimizer.momentum)?;
    if optimizer.nesterov && optimizer.momentum == 0.0 {
        return Err(problem("optimizer", "nesterov", "needs a momentum above 0"));
    }
    positive("optimizer", "bias_lr", optimizer.bias_lr)?;
    not_negative("optimizer", "weight_decay", optimizer.weight_decay)?;
    not_negative("optimizer", "clip_norm", optimizer.clip_norm)
}

fn schedule(recipe: &Recipe) -> Checked {
    applicable(recipe)?;
    let schedule = &recipe.schedule;
    if let Some(milestones) = &schedule.milestones {
        if !milestones.is_sorted_by(|a, b| a < b) {
            return Err(problem("schedule", "milestones", format!("must ascend, not {milestones:?}")));
        }
        if milestones.first() == Some(&0) {
            return Err(problem("schedule", "milestones", "must start after step 0"));
        }
    } else if schedule.kind == ScheduleKind::MultiStep {
        return Err(problem("schedule", "milestones", "is missing: the steps at which the rate drops"));
    }
    if let Some(factor) = schedule.factor
        && !(factor > 0.0 && factor < 1.0)
    {
        return Err(problem("schedule", "factor", format!("must be above 0 and below 1, not {factor}")));
    }
    share("schedule", "peak", schedule.peak.unwrap_or(0.0))?;
    for (key, value) in [("initial", schedule.initial), ("final", schedule.last)] {
        let value = value.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&value) {
            return Err(problem("schedule", key, format!("is a share of optimizer.lr, 0 to 1, not {value}")));
        }
    }
    at_least_one("schedule", "patience", schedule.patience)?;
    not_negative("schedule", "threshold", schedule.threshold.unwrap_or(0.0))?;
    let start = schedule.warmup_start;
    if !(0.0..=1.0).contains(&start) {
        return Err(problem("schedule", "warmup_start", format!("is a share of the rate, 0 to 1, not {start}")));
    }
    hold(recipe)?;
    if schedule.kind == ScheduleKind::Plateau && recipe.data.validation == Some(0) {
        let mut problem = problem("schedule", "kind", "= \"plateau\" watches the validation error");
        problem.message += ", but data.validation = 0 leaves no images for it";
        return Err(problem);
    }
    Ok(())
}

/// The paper's start of the 110-layer network: both keys or none.
fn hold(recipe: &Recipe) -> Checked {
    match (recipe.schedule.hold_lr, recipe.schedule.hold_error) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(problem("schedule", "hold_lr", "needs hold_error, the training error that ends it")),
        (None, Some(_)) => Err(problem("schedule", "hold_error", "needs hold_lr, the rate that is held")),
        (Some(lr), Some(error)) => {
            positive("schedule", "hold_lr", lr)?;
            if error > 0.0 && error <= 100.0 {
                return Ok(());
            }
            Err(problem("schedule", "hold_error", format!("is in percent, above 0 to 100, not {error}")))
        }
    }
}

/// Refuses keys that the schedule's kind does not use; they would be ignored silently.
fn applicable(recipe: &Recipe) -> Checked {
    let schedule = &recipe.schedule;
    let given = [
        ("milestones", schedule.milestones.is_some()),
        ("factor", schedule.factor.is_some()),
        ("peak", schedule.peak.is_some()),
        ("initial", schedule.initial.is_some()),
        ("final", schedule.last.is_some()),
        ("patience", schedule.patience.is_some()),
        ("threshold", schedule.threshold.is_some()),
        ("max_drops", schedule.max_drops.is_some()),
    ];
    let kind = schedule.kind;
    match given.into_iter().find(|(key, given)| *given && !kind.keys().contains(key)) {
        None => Ok(()),
        Some((key, _)) => {
            let mut known: Vec<&str> = kind.keys().to_vec();
            known.extend(SCHEDULE_COMMON.iter().filter(|key| **key != "kind"));
            let mut problem = problem("schedule", key, format!("does not apply to kind = \"{}\"", kind.name()));
            problem.hint = Some(format!("{} takes {}", kind.name(), known.join(", ")));
            Err(problem)
        }
    }
}
