//! `curves.svg`: loss and error by epoch, training and validation, as an image that needs nothing else.

use serde_json::Value;
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 300.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 64.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - 24.0;
const PLOT_HEIGHT: f64 = PANEL - TOP - 40.0;

/// One curve: points of (epoch, value).
struct Curve {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

/// The image for the events in `metrics` (lines of JSON).
pub fn svg(metrics: &str, title: &str) -> String {
    let epochs: Vec<Value> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|event: &Value| event["event"] == "epoch")
        .collect();
    let curve = |name, class, key: &str| Curve {
        name,
        class,
        points: epochs.iter().filter_map(|e| Some((e["epoch"].as_f64()?, e[key].as_f64()?))).collect(),
    };
    let mut svg = String::new();
    head(&mut svg, title);
    let loss = [curve("training", "t", "train_loss"), curve("validation", "v", "val_loss")];
    let error = [curve("training", "t", "train_top1_error"), curve("validation", "v", "val_top1_error")];
    panel(&mut svg, 0.0, "loss", &loss);
    panel(&mut svg, PANEL, "top-1 error, %", &error);
    svg.push_str("</svg>\n");
    svg
}

fn head(svg: &mut String, title: &str) {
    let height = 2.0 * PANEL;
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    // Written to a String: cannot fail.
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="Training curves of {title}">
<style>
text {{ font: 13px system-ui, sans-serif; fill: #333 }} .title {{ font-size: 16px; font-weight: 600 }}
.bg {{ fill: #fff }} .grid {{ stroke: #ddd }} .t {{ stroke: #0b63b0; stroke-dasharray: 6 3 }} .v {{ stroke: #c2410c }}
polyline {{ fill: none; stroke-width: 2 }} circle {{ stroke-width: 5; stroke-dasharray: none }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} .bg {{ fill: #16181d }} .grid {{ stroke: #3a3f4a }}
.t {{ stroke: #6cb6ff }} .v {{ stroke: #ff9d5c }} }}
</style>
<rect class="bg" width="100%" height="100%"/>
<text class="title" x="{LEFT}" y="24">{title}</text>
"##
    );
}

fn panel(svg: &mut String, top: f64, title: &str, curves: &[Curve]) {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let highest = points().map(|p| p.1).fold(0.0, f64::max);
    let last = points().map(|p| p.0).fold(1.0, f64::max);
    let ticks = ticks(highest);
    let top_value = ticks.last().copied().unwrap_or(1.0);
    let x = |epoch: f64| LEFT + PLOT_WIDTH * if last > 1.0 { (epoch - 1.0) / (last - 1.0) } else { 0.5 };
    let y = |value: f64| top + TOP + PLOT_HEIGHT * (1.0 - value / top_value);
    let _ = writeln!(svg, r#"<text x="{LEFT}" y="{}">{title}</text>"#, top + TOP - 14.0);
    for &tick in &ticks {
        let (at, right) = (y(tick), LEFT + PLOT_WIDTH);
        let _ = writeln!(svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#);
        let _ =
            writeln!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#, LEFT - 8.0, at + 4.0, label(tick));
    }
    let bottom = top + TOP + PLOT_HEIGHT + 20.0;
    let _ = writeln!(svg, r#"<text x="{LEFT}" y="{bottom}" text-anchor="middle">1</text>"#);
    let _ = writeln!(svg, r#"<text x="{}" y="{bottom}" text-anchor="end">epoch {last}</text>"#, LEFT + PLOT_WIDTH);
    for (i, curve) in curves.iter().filter(|curve| !curve.points.is_empty()).enumerate() {
        let path: Vec<String> = curve.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let _ = writeln!(svg, r#"<polyline class="{}" points="{}"/>"#, curve.class, path.join(" "));
        // A line of one epoch has no length.
        if let [p] = curve.points.as_slice() {
            let _ = writeln!(svg, r#"<circle class="{}" cx="{:.1}" cy="{:.1}" r="1.5"/>"#, curve.class, x(p.0), y(p.1));
        }
        let legend = LEFT + PLOT_WIDTH - 190.0 + 100.0 * i as f64;
        let at = top + TOP - 18.0;
        let _ = writeln!(svg, r#"<polyline class="{}" points="{legend},{at} {},{at}"/>"#, curve.class, legend + 24.0);
        let _ = writeln!(svg, r#"<text x="{}" y="{}">{}</text>"#, legend + 30.0, at + 4.0, curve.name);
    }
}

/// Round values from 0 to at least `highest`: steps of 1, 2 or 5 times a power of ten, at most seven of them.
fn ticks(highest: f64) -> Vec<f64> {
    let rough = if highest > 0.0 { highest / 5.0 } else { 0.2 };
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|&s| s >= rough).unwrap_or(10.0 * power);
    (0..=(highest / step).ceil().max(1.0) as usize).map(|i| i as f64 * step).collect()
}

fn label(tick: f64) -> String {
    let text = format!("{tick:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_highest_value() {
        assert_eq!(ticks(2.3).iter().map(|&t| label(t)).collect::<Vec<_>>(), ["0", "0.5", "1", "1.5", "2", "2.5"]);
        assert!(ticks(87.0).last().is_some_and(|&t| t >= 87.0));
        assert_eq!(ticks(0.0)[0], 0.0);
    }

    #[test]
    fn a_run_without_validation_draws_its_training_curve_alone() {
        let line = |e: u32| format!("{{\"event\":\"epoch\",\"epoch\":{e},\"train_loss\":1.5,\"val_loss\":null}}\n");
        let svg = svg(&(line(1) + &line(2)), "resnet-20");
        assert!(svg.contains("points=\"56.0,") && !svg.contains("validation"));
        assert!(svg.ends_with("</svg>\n"));
    }
}
