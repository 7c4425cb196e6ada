//! The depth lab's kinds of shortcut beside each other.

use super::{Averaged, Group};
use crate::lab::Look;
use crate::report::lang::Lang;
use maud::{Markup, html};
use residual::numbers::{percent, short, significant};

/// What kinds A, B and C change, depth by depth; nothing where fewer than two were trained.
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
    let kind = |net: &Averaged| net.row.shortcut.clone().unwrap_or_else(|| lang.of("none", "없음").into());
    Some(html! {
        p { (lang.of(
            "Where a block changes the size of its map, its shortcut has to as well. A leaves out every other pixel and fills up with zero channels: no weights. B projects there, by a 1x1 convolution; elsewhere the shortcut stays what it is given. C projects everywhere.",
            "블록이 특징 맵의 크기를 바꾸면 지름길 연결도 크기를 맞추어야 합니다. A는 픽셀을 하나씩 건너뛰고 모자라는 채널을 0으로 채우므로 가중치가 없습니다. B는 그런 곳에서만 1x1 합성곱으로 사영하고 다른 곳에서는 입력을 그대로 더합니다. C는 모든 곳에서 사영합니다.",
        )) }
        p { (lang.of(
            "The paper finds B a little better than A and C a little better than B on ImageNet, all three far better than none, and concludes that projections are not what matters (§4.1, Table 3). For short runs look at the gradients too: C puts a convolution into every way around.",
            "논문은 ImageNet에서 B가 A보다, C가 B보다 조금 낫지만 셋 모두 지름길 연결이 없는 것보다 훨씬 나으므로 사영이 핵심은 아니라고 결론짓습니다(4.1절, 표 3). 짧은 실험에서는 기울기도 함께 보세요. C는 모든 지름길에 합성곱을 넣습니다.",
        )) }
        div class="scroll" tabindex="0" { table {
            thead { tr {
                th scope="col" { (lang.of("weight layers", "가중치 층")) }
                th class="text" scope="col" { (lang.of("shortcuts", "지름길 연결")) }
                th scope="col" { (lang.of("parameters", "매개변수")) }
                th scope="col" { (lang.of("training error", "학습 오류율")) }
                th scope="col" { (lang.of("test error", "시험 오류율")) }
                th scope="col" { (lang.of("mean response", "평균 반응")) }
                th scope="col" { (lang.of("gradient, first/last, start", "기울기 비(첫 층/마지막 층), 시작")) }
                th scope="col" { (lang.of("at the end", "끝")) }
            } }
            tbody { @for depth in depths { @for net in nets().filter(|net| net.row.depth == depth) { tr {
                td { (depth) }
                th class="text" scope="row" { (kind(net)) }
                td { (short(net.row.params)) }
                td { (percent(net.train_error())) }
                td { (error(net.mean(|row| row.test_error))) }
                td { (number(net.mean(|row| row.response))) }
                td { (ratio(net)) }
                td { (number(net.last(Look::gradient_ratio))) }
            } } } }
        } }
    })
}
