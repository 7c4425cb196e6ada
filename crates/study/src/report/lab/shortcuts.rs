//! The comparison of the kinds of shortcut in the depth lab.

use super::groups::{Averaged, Group};
use crate::lab::Probe;
use crate::report::lang::Lang;
use maud::{Markup, html};
use residual::numbers::{percent, short, significant};

/// Compares kinds A, B and C at each depth; `None` if fewer than two kinds were trained.
pub fn shortcuts(groups: &[Group], lang: Lang) -> Option<Markup> {
    let kinds = groups.iter().filter(|group| group.nets.iter().any(|net| net.row.shortcut.is_some())).count();
    if kinds < 2 {
        return None;
    }
    let nets = || groups.iter().flat_map(|group| &group.nets);
    let mut depths: Vec<usize> = nets().map(|net| net.row.depth).collect();
    depths.sort_unstable();
    depths.dedup();
    let error = |value: Option<f64>| value.map_or_else(|| "–".into(), percent);
    let number = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| significant(value, 3));
    let ratio = |net: &Averaged| number(net.mean(|row| row.gradient_ratio));
    let kind = |net: &Averaged| net.row.shortcut.clone().unwrap_or_else(|| lang.text("no-shortcut").into());
    Some(html! {
        p { (lang.text("shortcuts-kinds")) }
        p { (lang.text("shortcuts-paper")) }
        div class="scroll" tabindex="0" { table {
            thead { tr {
                th scope="col" { (lang.text("weight-layers")) }
                th class="text" scope="col" { (lang.text("shortcuts")) }
                th scope="col" { (lang.text("parameters")) }
                th scope="col" { (lang.text("training-error")) }
                th scope="col" { (lang.text("test-error")) }
                th scope="col" { (lang.text("mean-response")) }
                th scope="col" { (lang.text("gradient-ratio-start")) }
                th scope="col" { (lang.text("gradient-ratio-end")) }
            } }
            tbody { @for depth in depths { @for net in nets().filter(|net| net.row.depth == depth) { tr {
                td { (depth) }
                th class="text" scope="row" { (kind(net)) }
                td { (short(net.row.params)) }
                td { (percent(net.train_error())) }
                td { (error(net.mean(|row| row.test_error))) }
                td { (number(net.mean(|row| row.response))) }
                td { (ratio(net)) }
                td { (number(net.last(Probe::gradient_ratio))) }
            } } } }
        } }
    })
}
