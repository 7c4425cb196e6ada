//! The networks of a lab in groups, plain and residual for instance; the seeds of a network are
//! averaged.

use crate::lab::inside::ProbeValue;
use crate::lab::{Comparison, Probe, TrialRow, TrialRun};
use crate::report::chart::{Chart, Extent, MOST_POINTS, Series, Stroke, thinned};
use crate::report::lang::Lang;
use maud::{Markup, html};

/// A network with all of its seeds, whose values are averaged.
pub struct Averaged<'a> {
    /// The name on the page.
    pub name: String,
    /// The row of the first seed.
    pub row: &'a TrialRow,
    /// The trials of all seeds.
    pub seeds: Vec<&'a TrialRun>,
    /// Number of its colour.
    pub colour: usize,
}

impl Averaged<'_> {
    /// Returns the mean of a value over the seeds that have it.
    pub fn mean(&self, value: impl Fn(&TrialRow) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.seeds.iter().filter_map(|one| value(&one.row)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Returns the mean training error.
    pub fn train_error(&self) -> f64 {
        self.mean(|row| Some(row.train_error)).unwrap_or(f64::NAN)
    }

    /// Returns the mean over seeds of a curve.
    pub fn curve(&self, of: impl Fn(&TrialRun) -> Vec<(f64, f64)>) -> Vec<(f64, f64)> {
        let curves: Vec<Vec<(f64, f64)>> = self.seeds.iter().map(|one| of(one)).collect();
        let shortest = curves.iter().map(Vec::len).min().unwrap_or(0);
        let mean = |i: usize| {
            let sum: f64 = curves.iter().map(|curve| curve[i].1).sum();
            (curves[0][i].0, sum / curves.len() as f64)
        };
        (0..shortest).map(mean).collect()
    }

    /// Returns the mean over seeds of a value along training.
    pub fn probes(&self, of: impl Fn(&Probe) -> Option<f64>) -> Vec<(f64, f64)> {
        self.curve(|one| one.probes.iter().filter_map(|probe| Some((probe.step as f64, of(probe)?))).collect())
    }

    /// Returns the mean over seeds of a value of each layer, numbered from 1.
    pub fn layers(&self, of: impl Fn(&TrialRun) -> Vec<ProbeValue>) -> Vec<(f64, f64)> {
        let numbered = |measured: Vec<ProbeValue>| {
            measured.into_iter().enumerate().map(|(i, one)| ((i + 1) as f64, one.value)).collect()
        };
        self.curve(|one| numbered(of(one)))
    }

    /// Returns the mean over seeds of a value at the last probe.
    pub fn last(&self, of: impl Fn(&Probe) -> Option<f64>) -> Option<f64> {
        Some(self.probes(of).last()?.1)
    }

    /// Returns a curve in the colour of the network.
    pub fn series(&self, name: String, stroke: Stroke, points: Vec<(f64, f64)>) -> Series {
        Series { name, colour: self.colour, stroke, points: thinned(&points, MOST_POINTS) }
    }
}

/// Networks of one kind, under a title.
pub struct Group<'a> {
    /// The title of the group.
    pub title: String,
    /// The networks, by depth.
    pub nets: Vec<Averaged<'a>>,
}

/// Returns the name of a network on the page; networks of the papers have the same name in every
/// language.
fn name(row: &TrialRow, lang: Lang) -> String {
    match row.network.split_once(" per stage, ") {
        None => row.network.clone(),
        Some((stack, relu)) => {
            let key = if relu.starts_with("no") { "stack-without-relu" } else { "stack-with-relu" };
            lang.format(key, &[("stack", stack.into())])
        }
    }
}

/// Groups the networks of `trials` by kind, and their seeds by network.
pub fn groups<'a>(kind: Comparison, trials: &'a [TrialRun], lang: Lang) -> Vec<Group<'a>> {
    let key = |row: &TrialRow| match kind {
        Comparison::Depth => format!("{}{}", row.family, row.shortcut.as_deref().unwrap_or_default()),
        Comparison::Vgg | Comparison::Nonlinearity => row.family.clone(),
    };
    let title = |row: &TrialRow| match (kind, row.family.as_str(), row.shortcut.as_deref()) {
        (Comparison::Depth, "plain", _) => lang.text("group-plain").to_owned(),
        (Comparison::Depth, _, Some(option)) => lang.format("group-residual", &[("shortcut", option.into())]),
        (Comparison::Vgg, "vgg-bn", _) => lang.text("group-batch-norm").to_owned(),
        (Comparison::Vgg, ..) => lang.text("group-no-batch-norm").to_owned(),
        (Comparison::Nonlinearity, "relu", _) => lang.text("group-relu").to_owned(),
        (Comparison::Nonlinearity, ..) => lang.text("group-no-relu").to_owned(),
        (Comparison::Depth, other, None) => other.to_owned(),
    };
    let mut keys: Vec<String> = Vec::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for one in trials {
        let at = keys.iter().position(|known| *known == key(&one.row)).unwrap_or_else(|| {
            keys.push(key(&one.row));
            groups.push(Group { title: title(&one.row), nets: Vec::new() });
            groups.len() - 1
        });
        let nets = &mut groups[at].nets;
        match nets.iter_mut().find(|net| net.row.network == one.row.network) {
            Some(net) => net.seeds.push(one),
            None => nets.push(Averaged { name: name(&one.row, lang), row: &one.row, seeds: vec![one], colour: 0 }),
        }
    }
    for group in &mut groups {
        // Whatever order they were named in; of equal depths the first named stays first.
        group.nets.sort_by_key(|net| net.row.depth);
        group.nets.iter_mut().enumerate().for_each(|(i, net)| net.colour = i % 8);
    }
    groups
}

/// Draws charts side by side, with one range of the y axis.
pub fn side_by_side(charts: Vec<Chart>, lang: Lang) -> Markup {
    let range = charts.iter().filter(|chart| !chart.is_empty()).map(Chart::extent).reduce(Extent::with);
    html! {
        div class="pair-of-charts" {
            @for chart in charts.into_iter().filter(|chart| !chart.is_empty()) { (Chart { range, ..chart }.render(lang)) }
        }
    }
}

/// Returns a chart that starts at zero.
pub fn chart(title: &str, x: &str, unit: &'static str, log_switch: bool, series: Vec<Series>) -> Chart {
    Chart {
        title: title.to_owned(),
        x: x.to_owned(),
        unit,
        from_zero: true,
        log_switch,
        log_first: false,
        series,
        range: None,
    }
}
