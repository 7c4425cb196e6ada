//! The network as a table, and how far each of its layers sees.

use super::lang::{self, Lang};
use maud::{Markup, PreEscaped, html};
use residual::numbers::{short, thousands};
use residual_train::models::Summary;

/// Layers with a name, a cost or a map of their own; the others only clutter a page.
fn is_shown(kind: &str) -> bool {
    !matches!(kind, "norm" | "relu" | "dropout")
}

/// The layers of `summary`, normalisations and ReLUs left out.
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
            (lang.of(
                format!(
                    "{} parameters, {} multiply-adds for one {input}×{input} image. The receptive field is the side, in input pixels, of the square that one value of a layer sees; the bar compares it with the image.",
                    thousands(summary.params), short(summary.macs)
                ),
                format!(
                    "매개변수 {}개, {input}×{input} 이미지 한 장당 곱셈-덧셈 {}회입니다. 수용 영역은 한 층의 값 하나가 보는 입력 영역의 한 변(픽셀)이며, 막대는 이를 이미지 크기와 견준 것입니다.",
                    thousands(summary.params), short(summary.macs)
                ),
            ))
        }
        div class="scroll tall" tabindex="0" {
            table class="field" {
                thead { tr {
                    th class="text" scope="col" { (lang.of("layer", "층")) }
                    th class="text" scope="col" { (lang.of("kind", "종류")) }
                    th scope="col" { (lang.of("output", "출력")) }
                    th scope="col" { (lang.of("parameters", "매개변수")) }
                    th scope="col" { (lang.of("multiply-adds", "곱셈-덧셈")) }
                    th scope="col" { (lang.of("receptive field", "수용 영역")) }
                    th scope="col" { span class="visually-hidden" { (lang.of("share of the image", "이미지 대비")) } }
                } }
                tbody { @for layer in summary.layers.iter().filter(|layer| is_shown(&layer.kind)) {
                    tr {
                        th scope="row" class="text" { code { (layer.name) } }
                        td class="text" { (lang::layer(&layer.kind, lang)) }
                        td { (layer.output[0]) "×" (layer.output[1]) "×" (layer.output[2]) }
                        td { (thousands(layer.params)) }
                        td { (short(layer.macs)) }
                        td { @if let Some(field) = layer.receptive_field { (field) } @else { (lang.of("all", "전체")) } }
                        td class="reach" { (reach(layer.receptive_field)) }
                    }
                } }
            }
        }
    }
}
