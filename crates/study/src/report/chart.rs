//! Line charts as SVG. Each is drawn on a linear and on a logarithmic scale; a switch shows one of
//! them. The values are beside the drawing, for the script that shows them under the pointer and
//! for a table.

use super::lang::Lang;
use maud::{Markup, PreEscaped, html};
use residual::numbers::thousands;
use serde_json::json;
use std::fmt::Write;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 228.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 22.0;

/// Largest number of points of a curve: more points than pixels would not be visible.
pub const MOST_POINTS: usize = 320;

/// Largest number of rows in the table of values.
const MOST_ROWS: usize = 40;

/// The stroke of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// A full line.
    Solid,
    /// Dashes, thinner.
    Dashed,
    /// Pale noise behind a smoothed curve; it is not in the legend.
    Faint,
}

impl Stroke {
    /// Returns the suffix of the class of a path.
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "",
            Self::Dashed => " dashed",
            Self::Faint => " faint",
        }
    }
}

/// One curve.
#[derive(Debug, Clone)]
pub struct Series {
    /// The name in the legend.
    pub name: String,
    /// Number of its colour.
    pub colour: usize,
    /// The stroke.
    pub stroke: Stroke,
    /// The points, `(step, value)`.
    pub points: Vec<(f64, f64)>,
}

/// A chart of several curves over steps.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The title above the chart.
    pub title: String,
    /// The label of the x axis.
    pub x: String,
    /// The unit after each value.
    pub unit: &'static str,
    /// Whether the linear scale begins at zero.
    pub from_zero: bool,
    /// Whether there is a switch to a logarithmic scale.
    pub log_switch: bool,
    /// Whether the logarithmic scale is shown first, for values that differ by orders of magnitude.
    pub log_first: bool,
    /// The curves.
    pub series: Vec<Series>,
    /// The range of the y axis, if it is shared with another chart.
    pub range: Option<Extent>,
}

/// The range of the values of a chart.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    low: f64,
    high: f64,
    /// The lowest value above zero, where a logarithmic scale can begin.
    positive: f64,
}

impl Extent {
    /// Returns the range that covers both.
    pub fn with(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            positive: self.positive.min(other.positive),
        }
    }
}

/// A scale from values to pixels.
#[derive(Debug, Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// Returns the position of `value`: 0 at the low end, 1 at the high end.
    fn share(&self, value: f64) -> f64 {
        let f = |v: f64| if self.log { v.log10() } else { v };
        let span = f(self.high) - f(self.low);
        if span == 0.0 { 0.5 } else { (f(value) - f(self.low)) / span }
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - self.share(value))
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * self.share(value)
    }

    /// Returns round values in the range.
    fn ticks(&self, most: usize) -> Vec<f64> {
        if self.log { log_ticks(self.low, self.high) } else { linear_ticks(self.low, self.high, most) }
    }
}

/// Returns ticks at steps of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let span = (high - low).max(f64::MIN_POSITIVE);
    let rough = span / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough * 0.999).unwrap_or(rough);
    let first = (low / step - 1e-6).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|tick| *tick <= high + step * 1e-6).collect()
}

/// Returns ticks at 1, 2 and 5 of each decade; powers of ten only if there are many decades.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let wide = high.log10() - low.log10() > 2.5;
    let within = |v: &f64| *v >= low * 0.999 && *v <= high * 1.001;
    let ticks = |digits: &[f64]| -> Vec<f64> {
        decades.clone().flat_map(|d| digits.iter().map(move |m| m * 10f64.powi(d))).filter(within).collect()
    };
    let ticks_of_decade = if wide { ticks(&[1.0]) } else { ticks(&[1.0, 2.0, 5.0]) };
    // Less than an octave may hold none of them.
    if ticks_of_decade.len() >= 2 { ticks_of_decade } else { linear_ticks(low, high, 4) }
}

/// Formats the value of a tick without superfluous digits.
pub fn label(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e7) {
        // Steps of a half need a second digit: 1.5e-4 is neither of its neighbours.
        let one = format!("{value:.0e}");
        let is_exact = one.parse::<f64>().is_ok_and(|one| (one - value).abs() <= 1e-6 * value.abs());
        return if is_exact { one } else { format!("{value:.1e}") };
    }
    if value.abs() >= 1000.0 && value.fract() == 0.0 {
        return thousands(value as u64);
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

/// Formats a value with about four digits, percentages with two decimals.
fn reading(value: f64, unit: &str) -> String {
    match value.abs() {
        _ if unit.ends_with('%') => format!("{value:.2}"),
        v if v >= 1000.0 => thousands(value.round() as u64),
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 10.0 => format!("{value:.2}"),
        v if v >= 0.01 || v == 0.0 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

/// Thins `points` to at most `most`: the means of equal parts. Values that are not finite are left
/// out.
pub fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let whole: Vec<(f64, f64)> = points.iter().copied().filter(|p| p.1.is_finite()).collect();
    if whole.len() <= most {
        return whole;
    }
    let size = whole.len().div_ceil(most);
    let part = |part: &[(f64, f64)]| {
        let mean = part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64;
        (part[part.len() - 1].0, mean)
    };
    whole.chunks(size).map(part).collect()
}

impl Chart {
    /// Returns whether the chart has no points.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.series.iter().flat_map(|series| series.points.iter().copied())
    }

    /// Returns the curves with a name, which have a value under the pointer and a column of the
    /// table.
    fn named(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| series.stroke != Stroke::Faint)
    }

    fn x_scale(&self) -> Scale {
        let high = self.points().map(|p| p.0).fold(0.0, f64::max);
        Scale { low: 0.0, high: if high > 0.0 { high } else { 1.0 }, log: false }
    }

    /// Returns the range of the values, for another chart of the same range.
    pub fn extent(&self) -> Extent {
        let of =
            |value: f64| Extent { low: value, high: value, positive: if value > 0.0 { value } else { f64::INFINITY } };
        let none = Extent { low: f64::INFINITY, high: f64::NEG_INFINITY, positive: f64::INFINITY };
        self.points().map(|p| of(p.1)).fold(none, Extent::with)
    }

    fn y_scale(&self, log: bool) -> Option<Scale> {
        let Extent { low, high, positive } = self.range.unwrap_or_else(|| self.extent());
        if log {
            let low = if low > 0.0 { low } else { positive };
            return (low.is_finite() && high > low).then_some(Scale { low: low * 0.93, high: high * 1.07, log });
        }
        let low = if self.from_zero && low >= 0.0 { 0.0 } else { low };
        let margin = if high > low { (high - low) * 0.04 } else { 0.5 };
        let low = if low == 0.0 { 0.0 } else { low - margin };
        Some(Scale { low, high: high + margin, log })
    }

    /// Draws the chart with its legend, its switch and a table of its values.
    pub fn render(&self, lang: Lang) -> Markup {
        let (x, linear) = (self.x_scale(), self.y_scale(false));
        let log = if self.log_switch { self.y_scale(true) } else { None };
        let Some(linear) = linear.filter(|_| !self.is_empty()) else { return html! {} };
        html! {
            figure class="chart" {
                figcaption {
                    span class="chart-title" { (self.title) }
                    @if log.is_some() {
                        label class="switch" { input type="checkbox" class="log-switch" checked[self.log_first]; (lang.text("log-scale")) }
                    }
                }
                (self.legend())
                (PreEscaped(self.svg(x, linear, log, lang)))
                (self.table(lang))
            }
        }
    }

    /// Writes the names of the curves with their last values, which the script replaces by those
    /// under the pointer.
    fn legend(&self) -> Markup {
        let last = self.named().filter_map(|series| series.points.last()).map(|point| point.0).fold(0.0, f64::max);
        let alone = self.named().count() == 1;
        html! {
            ul class="legend" aria-live="polite" {
                li { (self.x) " " b { (label(last)) } }
                @for series in self.named() {
                    li {
                        @if !alone { (PreEscaped(format!(
                            r#"<svg viewBox="0 0 24 8" class="swatch" aria-hidden="true"><path class="line c{}{}" d="M1 4H23"/></svg>"#,
                            series.colour, series.stroke.class()
                        ))) (series.name) " " }
                        b { @if let Some(point) = series.points.last() { (reading(point.1, self.unit)) (self.unit) } }
                    }
                }
            }
        }
    }

    fn svg(&self, x: Scale, linear: Scale, log: Option<Scale>, lang: Lang) -> String {
        let mut svg = String::new();
        let data = json!({
            "unit": self.unit,
            "frame": [LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM],
            "range": [x.low, x.high],
            "lin": [linear.low, linear.high],
            "log": log.map(|log| [log.low, log.high]),
            "series": self.named().map(|series| json!({
                "colour": series.colour,
                "points": series.points.iter().map(|p| json!([rounded(p.0), rounded(p.1)])).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        });
        let data = data.to_string().replace('&', "&amp;").replace('\'', "&#39;").replace('<', "&lt;");
        let about = escaped(&self.about(lang));
        // Written to a String: cannot fail, here and below.
        let _ = write!(
            svg,
            r#"<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" aria-label="{about}" data-chart='{data}'>"#
        );
        self.draw_x(&mut svg, x);
        self.draw(&mut svg, x, linear, if log.is_some() { "lin" } else { "only" });
        if let Some(log) = log {
            self.draw(&mut svg, x, log, "log");
        }
        svg.push_str(r#"<g class="cursor"></g></svg>"#);
        svg
    }

    /// Describes the chart in a sentence for screen readers.
    fn about(&self, lang: Lang) -> String {
        let ends = self.named().filter_map(|series| {
            let (first, last) = (series.points.first()?, series.points.last()?);
            let (a, b) = (reading(first.1, self.unit), reading(last.1, self.unit));
            let values = [
                ("name", series.name.as_str().into()),
                ("first", format!("{a}{}", self.unit).into()),
                ("last", format!("{b}{}", self.unit).into()),
            ];
            Some(lang.format("chart-ends", &values))
        });
        format!("{}. {}", self.title, ends.collect::<Vec<_>>().join("; "))
    }

    fn draw_x(&self, svg: &mut String, x: Scale) {
        let bottom = HEIGHT - BOTTOM;
        let ticks = x.ticks(5);
        for (i, &tick) in ticks.iter().enumerate() {
            let at = x.x(tick);
            let anchor = if i + 1 == ticks.len() && at > WIDTH - 30.0 { "end" } else { "middle" };
            let _ = write!(
                svg,
                r#"<text class="tick" x="{at:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
                bottom + 14.0,
                label(tick)
            );
        }
        let _ = write!(svg, r#"<text class="axis" x="0" y="{:.1}">{}</text>"#, bottom + 14.0, escaped(&self.x));
    }

    fn draw(&self, svg: &mut String, x: Scale, y: Scale, class: &str) {
        let _ = write!(svg, r#"<g class="{class}">"#);
        for tick in y.ticks(5) {
            let at = y.y(tick);
            let _ = write!(
                svg,
                r#"<path class="grid" d="M{LEFT} {at:.1}H{}"/><text class="tick" x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                label(tick)
            );
        }
        for series in &self.series {
            let shown = series.points.iter().filter(|p| !y.log || p.1 > 0.0);
            let mut path = String::new();
            let mut count = 0;
            for p in shown {
                let _ = write!(path, "{}{:.1} {:.1}", if count == 0 { "M" } else { "L" }, x.x(p.0), y.y(p.1));
                count += 1;
            }
            let _ = write!(svg, r#"<path class="line c{}{}" d="{path}"/>"#, series.colour, series.stroke.class());
            if count <= 12 {
                for p in series.points.iter().filter(|p| !y.log || p.1 > 0.0) {
                    let _ = write!(
                        svg,
                        r#"<circle class="dot c{}" cx="{:.1}" cy="{:.1}" r="2"/>"#,
                        series.colour,
                        x.x(p.0),
                        y.y(p.1)
                    );
                }
            }
        }
        svg.push_str("</g>");
    }

    fn table(&self, lang: Lang) -> Markup {
        let mut steps: Vec<f64> = self.named().flat_map(|series| &series.points).map(|p| p.0).collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        let every = steps.len().div_ceil(MOST_ROWS).max(1);
        let last = steps.len().saturating_sub(1);
        let rows =
            steps.iter().enumerate().filter(|(i, _)| i % every == every - 1 || *i == last).map(|(_, step)| *step);
        // The value of a curve at a step is that of its nearest point at or before it.
        let value = |series: &Series, step: f64| {
            let known = series.points.iter().rfind(|p| p.0 <= step);
            known.map_or_else(|| "–".to_owned(), |p| reading(p.1, self.unit))
        };
        html! {
            details class="values" {
                summary { (lang.text("values-as-a-table")) }
                div class="scroll" {
                    table {
                        thead { tr { th scope="col" { (self.x) } @for series in self.named() { th scope="col" { (series.name) } } } }
                        tbody {
                            @for step in rows {
                                tr { th scope="row" { (label(step)) } @for series in self.named() { td { (value(series, step)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Rounds to five significant digits, which are what the pointer shows.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let power = 10f64.powi(4 - value.abs().log10().floor() as i32);
    // Dividing by a power of ten prints shorter than multiplying by its inverse.
    (value * power).round() / power
}

/// Escapes text for an attribute or an element.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[f64]) -> Vec<String> {
        ticks.iter().map(|&tick| label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_within_the_scale() {
        assert_eq!(labels(&linear_ticks(0.0, 2.3, 5)), ["0", "0.5", "1", "1.5", "2"]);
        assert_eq!(labels(&linear_ticks(0.0, 64_000.0, 5)), ["0", "20,000", "40,000", "60,000"]);
        assert_eq!(labels(&log_ticks(0.04, 2.4)), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(labels(&log_ticks(0.0002, 0.2)), ["0.001", "0.01", "0.1"]);
        assert!(log_ticks(81.0, 86.0).len() >= 2, "a scale without a round decade is still labelled");
    }

    #[test]
    fn thinning_keeps_means_and_leaves_out_what_is_no_number() {
        let points: Vec<_> = (1..=1000).map(|i| (f64::from(i), if i == 5 { f64::NAN } else { 2.0 })).collect();
        let thin = thinned(&points, 100);
        assert!(thin.len() <= 100 && thin.iter().all(|p| p.1 == 2.0));
        assert_eq!(thin.last().map(|p| p.0), Some(1000.0));
    }

    #[test]
    fn a_chart_draws_both_scales_and_escapes_names() {
        let series =
            Series { name: "a<b 'c'".into(), colour: 0, stroke: Stroke::Solid, points: vec![(1.0, 2.0), (2.0, 0.5)] };
        let chart = Chart {
            title: "loss".into(),
            x: "step".into(),
            unit: "",
            from_zero: true,
            log_switch: true,
            log_first: false,
            series: vec![series.clone(), Series { name: "b".into(), ..series }],
            range: None,
        };
        let page = chart.render(Lang::En).into_string();
        assert!(page.contains(r#"<g class="lin">"#) && page.contains(r#"<g class="log">"#));
        assert!(!page.contains("a<b") && page.contains("a&lt;b 'c'"));
    }
}
