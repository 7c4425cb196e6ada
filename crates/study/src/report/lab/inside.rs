//! Layer responses and gradient norms of the networks of a lab.

use super::groups::{Averaged, Group, chart, side_by_side};
use crate::lab::inside::ProbeValue;
use crate::lab::{Comparison, Probe, TrialRun};
use crate::report::chart::{Chart, Series, Stroke, label};
use crate::report::images::Bitmap;
use crate::report::lang::Lang;
use maud::{Markup, html};
use residual::numbers::{significant, thousands};

/// Networks in one chart, each with the number of its colour.
struct Panel<'a> {
    title: String,
    nets: Vec<(&'a Averaged<'a>, usize)>,
}

/// Returns a panel for each depth in the depth lab, so that plain and residual networks can be
/// compared layer by layer; else one for each group.
fn panels<'a>(kind: Comparison, groups: &'a [Group], lang: Lang) -> Vec<Panel<'a>> {
    if kind != Comparison::Depth {
        let panel = |group: &'a Group| Panel {
            title: group.title.clone(),
            nets: group.nets.iter().map(|net| (net, net.colour)).collect(),
        };
        return groups.iter().map(panel).collect();
    }
    let mut panels: Vec<(usize, Panel<'a>)> = Vec::new();
    for (colour, group) in groups.iter().enumerate() {
        for net in &group.nets {
            let depth = net.row.depth;
            let at = panels.iter().position(|(known, _)| *known == depth).unwrap_or_else(|| {
                let title = lang.format("layers-of-depth", &[("depth", depth.into())]);
                panels.push((depth, Panel { title, nets: Vec::new() }));
                panels.len() - 1
            });
            panels[at].1.nets.push((net, colour % 8));
        }
    }
    panels.into_iter().map(|(_, panel)| panel).collect()
}

impl Panel<'_> {
    /// Returns a curve for each network; networks without shortcuts are dashed.
    fn series(&self, points: impl Fn(&Averaged) -> Vec<(f64, f64)>) -> Vec<Series> {
        let one = |(net, colour): &(&Averaged, usize)| {
            let stroke = if net.row.family == "plain" { Stroke::Dashed } else { Stroke::Solid };
            Series { colour: *colour, ..net.series(net.name.clone(), stroke, points(net)) }
        };
        self.nets.iter().map(one).collect()
    }
}

fn at_the_end(one: &TrialRun, of: impl Fn(&Probe) -> &Vec<ProbeValue>) -> Vec<ProbeValue> {
    one.probes.last().map(|probe| of(probe).clone()).unwrap_or_default()
}

/// Draws the standard deviations of layer responses in order and sorted, as in Figure 7.
pub fn responses(kind: Comparison, groups: &[Group], lang: Lang) -> Markup {
    let (layer, rank) = (lang.text("layer"), lang.text("rank"));
    let ordered = |net: &Averaged| net.layers(|one| at_the_end(one, |probe| &probe.responses));
    let sorted = |net: &Averaged| {
        let mut values: Vec<f64> = ordered(net).iter().map(|point| point.1).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values.into_iter().enumerate().map(|(i, value)| ((i + 1) as f64, value)).collect()
    };
    let pairs = panels(kind, groups, lang).into_iter().map(|panel| {
        let title = |what: &str| format!("{}, {what}", panel.title);
        vec![
            chart(&title(lang.text("in-layer-order")), layer, "", true, panel.series(ordered)),
            chart(&title(lang.text("sorted")), rank, "", true, panel.series(sorted)),
        ]
    });
    let pairs: Vec<_> = pairs.collect();
    let means = groups.iter().flat_map(|group| &group.nets);
    let means = means.filter_map(|net| Some(format!("{} {}", net.name, significant(net.mean(|row| row.response)?, 3))));
    html! {
        p class="note" { (lang.text("responses-note")) }
        @if kind == Comparison::Depth {
            p { (lang.text("responses-depth")) }
            (side_by_side(pairs.into_iter().flatten().collect(), lang))
        } @else {
            // What is normalised and what is not has no scale in common.
            @for pair in pairs { (side_by_side(pair, lang)) }
        }
        p class="note" { (lang.format("responses-means", &[("means", means.collect::<Vec<_>>().join("; ").into())])) }
    }
}

/// Returns a chart that shows the logarithmic scale first.
fn by_magnitude(title: &str, x: &str, series: Vec<Series>) -> Chart {
    Chart { log_first: true, ..chart(title, x, "", true, series) }
}

/// Draws gradient norms at the start, at the end and during training, and the ratio of the first
/// layer to the last.
pub fn gradients(kind: Comparison, groups: &[Group], lang: Lang) -> Markup {
    let (layer, step) = (lang.text("layer"), lang.text("step"));
    let start =
        |net: &Averaged| net.layers(|one| one.probes.first().map(|probe| probe.gradients.clone()).unwrap_or_default());
    let end = |net: &Averaged| net.layers(|one| at_the_end(one, |probe| &probe.gradients));
    let panels = panels(kind, groups, lang);
    let by_layer = panels.iter().map(|panel| {
        let title = |what: &str| format!("{}, {what}", panel.title);
        vec![
            by_magnitude(&title(lang.text("at-the-start")), layer, panel.series(start)),
            by_magnitude(&title(lang.text("after-the-last-step")), layer, panel.series(end)),
        ]
    });
    let by_layer: Vec<_> = by_layer.collect();
    let ratios = panels.iter().map(|panel| {
        let ratio = |net: &Averaged| net.probes(Probe::gradient_ratio);
        let title = format!("{}, {}", panel.title, lang.text("first-over-last"));
        by_magnitude(&title, step, panel.series(ratio))
    });
    let ratios = ratios.collect();
    html! {
        p class="note" { (lang.text("gradients-note")) }
        @for pair in by_layer { (side_by_side(pair, lang)) }
        (heats(groups, lang))
        h3 { (lang.text("gradients-ratio-title")) }
        (side_by_side(ratios, lang))
    }
}

/// The gradient norms of a network as a heat map: rows are layers, columns are probes, colours are
/// logarithmic.
struct Heat {
    name: String,
    /// `[probes][layers]`.
    columns: Vec<Vec<f64>>,
    steps: u64,
}

impl Heat {
    /// Returns the mean over the seeds of `net`, if it has gradients.
    fn of(net: &Averaged) -> Option<Self> {
        let probes = net.seeds.iter().map(|one| one.probes.len()).min()?;
        let column = |i: usize| net.layers(|one| one.probes[i].gradients.clone()).iter().map(|point| point.1).collect();
        let columns: Vec<Vec<f64>> = (0..probes).map(column).collect();
        let is_whole = columns.first().is_some_and(|first| !first.is_empty());
        is_whole.then(|| Self { name: net.name.clone(), columns, steps: net.row.steps })
    }

    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.columns.iter().flatten().copied()
    }

    fn layers(&self) -> usize {
        self.columns.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// Draws the map; the first layer is the top row.
    fn bitmap(&self, low: f64, high: f64) -> Bitmap {
        let (height, width) = (self.layers(), self.columns.len());
        let at = |y: usize, x: usize| colour((self.columns[x][y].max(low) / low).ln() / (high / low).ln());
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| at(y, x))).collect();
        Bitmap { height, width, channels: 3, pixels }
    }
}

/// Largest range of the colour scale in decades; smaller values have the colour of its low end.
const DECADES: f64 = 6.0;

/// Draws the heat maps of all networks with one colour scale.
fn heats(groups: &[Group], lang: Lang) -> Markup {
    let heats: Vec<Heat> = groups.iter().flat_map(|group| &group.nets).filter_map(Heat::of).collect();
    let values = || heats.iter().flat_map(Heat::values).filter(|value| *value > 0.0 && value.is_finite());
    let high = values().fold(0.0, f64::max);
    let low = values().fold(f64::INFINITY, f64::min).max(high / 10f64.powf(DECADES));
    if !low.is_finite() || high <= low {
        return html! {};
    }
    let scale: Vec<u8> = (0..64).flat_map(|i| colour(f64::from(i) / 63.0)).collect();
    let scale = Bitmap { height: 1, width: 64, channels: 3, pixels: scale };
    let address = |bitmap: &Bitmap| bitmap.address().unwrap_or_default();
    let about = |heat: &Heat| {
        let ends = |column: &[f64]| {
            let end = |value: Option<&f64>| value.map_or_else(String::new, |value| label_of(*value));
            (end(column.first()), end(column.last()))
        };
        let (first, last) = (ends(&heat.columns[0]), ends(&heat.columns[heat.columns.len() - 1]));
        let values = [
            ("name", heat.name.as_str().into()),
            ("layers", heat.layers().into()),
            ("steps", thousands(heat.steps).into()),
            ("start-first", first.0.into()),
            ("start-last", first.1.into()),
            ("end-first", last.0.into()),
            ("end-last", last.1.into()),
        ];
        lang.format("gradients-heat-alt", &values)
    };
    html! {
        h3 { (lang.text("gradients-all-title")) }
        p class="note" { (lang.text("gradients-heat-note")) }
        p class="scale" {
            (label_of(low)) " "
            img src=(address(&scale)) alt=(lang.text("gradients-scale")) width="192" height="12";
            " " (label_of(high))
        }
        ul class="heats" { @for heat in &heats { li {
            b { (heat.name) }
            img src=(address(&heat.bitmap(low, high))) alt=(about(heat)) width=(heat.columns.len()) height=(heat.layers());
            span { "0" } span { (thousands(heat.steps)) }
        } } }
    }
}

fn label_of(value: f64) -> String {
    if value < 1e-3 { label(value) } else { significant(value, 2) }
}

/// Returns a colour from dark blue to yellow, even in lightness (ten points of matplotlib's
/// viridis).
fn colour(share: f64) -> [u8; 3] {
    const POINTS: [[u8; 3]; 10] = [
        [68, 1, 84],
        [72, 40, 120],
        [62, 74, 137],
        [49, 104, 142],
        [38, 130, 142],
        [31, 158, 137],
        [53, 183, 121],
        [109, 205, 89],
        [180, 222, 44],
        [253, 231, 37],
    ];
    let place = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 } * (POINTS.len() - 1) as f64;
    let (below, rest) = (place as usize, place.fract());
    let above = (below + 1).min(POINTS.len() - 1);
    let mix =
        |i: usize| (f64::from(POINTS[below][i]) * (1.0 - rest) + f64::from(POINTS[above][i]) * rest).round() as u8;
    [mix(0), mix(1), mix(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_layers_for_rows_looks_for_columns_and_colours_by_orders_of_magnitude() {
        let heat = Heat { name: "net".into(), columns: vec![vec![1.0, 0.01], vec![0.1, 0.0]], steps: 10 };
        let map = heat.bitmap(0.01, 1.0);
        assert_eq!((map.height, map.width), (2, 2));
        let at = |y: usize, x: usize| [0, 1, 2].map(|i| map.pixels[(y * 2 + x) * 3 + i]);
        assert_eq!([at(0, 0), at(1, 0), at(1, 1)], [colour(1.0), colour(0.0), colour(0.0)]);
        assert_eq!(at(0, 1), colour(0.5), "a tenth lies in the middle of two decades");
        assert_eq!([colour(0.0), colour(1.0)], [[68, 1, 84], [253, 231, 37]]);
    }
}
