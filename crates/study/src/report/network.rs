//! The network as a table, with the receptive field of each layer.

use super::lang::{self, Lang};
use maud::{Markup, PreEscaped, html};
use residual::graph::Summary;
use residual::numbers::{short, thousands};

/// Returns whether the table has a row for this kind of layer.
fn is_shown(kind: &str) -> bool {
    !matches!(kind, "norm" | "relu" | "dropout")
}

/// Writes the layers of `summary`, without normalisations, ReLUs and dropout.
pub fn layers(summary: &Summary, lang: Lang) -> Markup {
    let input = summary.input[0].max(1);
    let reach = |field: Option<usize>| {
        let share = field.map_or(1.0, |field| (field as f64 / input as f64).min(1.0));
        PreEscaped(format!(
            r#"<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="10" rx="1"/><rect class="fill" width="{:.1}" height="10" rx="1"/></svg>"#,
            100.0 * share
        ))
    };
    html! {
        p class="note" {
            (lang.format("network-note", &[
                ("params", thousands(summary.params).into()),
                ("macs", short(summary.macs).into()),
                ("side", input.into()),
            ]))
        }
        div class="scroll tall" tabindex="0" {
            table class="field" {
                thead { tr {
                    th class="text" scope="col" { (lang.text("layer")) }
                    th class="text" scope="col" { (lang.text("kind")) }
                    th scope="col" { (lang.text("output")) }
                    th scope="col" { (lang.text("parameters")) }
                    th scope="col" { (lang.text("multiply-adds")) }
                    th scope="col" { (lang.text("receptive-field")) }
                    th scope="col" { span class="visually-hidden" { (lang.text("share-of-image")) } }
                } }
                tbody { @for layer in summary.layers.iter().filter(|layer| is_shown(&layer.kind.to_string())) {
                    tr {
                        th scope="row" class="text" { code { (layer.name) } }
                        td class="text" { (lang::layer(&layer.kind.to_string(), lang)) }
                        td { (layer.output[0]) "×" (layer.output[1]) "×" (layer.output[2]) }
                        td { (thousands(layer.params)) }
                        td { (short(layer.macs)) }
                        td { @if let Some(field) = layer.receptive_field { (field) } @else { (lang.text("whole-image")) } }
                        td class="reach" { (reach(layer.receptive_field)) }
                    }
                } }
            }
        }
    }
}
