//! What a lab's networks say, in sentences.

use super::{Averaged, Group};
use crate::lab::Kind;
use crate::report::lang::Lang;
use residual::numbers::{percent, short};

/// A sentence for each group: the shallowest of its networks beside the deepest, in training error.
pub fn conclusions(kind: Kind, groups: &[Group], lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups.iter().filter(|_| kind != Kind::Nonlinearity) {
        let (Some(first), Some(last)) = (group.nets.first(), group.nets.last()) else { continue };
        if first.row.depth == last.row.depth {
            continue;
        }
        let (a, b) = (first.train_error(), last.train_error());
        let (one, other) = (&first.name, &last.name);
        let (en, ko) = match b - a {
            d if d > 1.0 => ("the deeper network is worse in training", "깊은 쪽의 학습 오류율이 더 높습니다"),
            d if d < -1.0 => ("the deeper network is better in training", "깊은 쪽의 학습 오류율이 더 낮습니다"),
            _ => ("both train equally well, to within a point", "학습 오류율의 차이는 1퍼센트포인트 이내입니다"),
        };
        lines.push(lang.of(
            format!(
                "{}: {one} ends at a training error of {}, {other} at {}: {en}.",
                group.title,
                percent(a),
                percent(b)
            ),
            format!("{}: 학습 오류율은 {one} {}, {other} {}입니다. {ko}.", group.title, percent(a), percent(b)),
        ));
    }
    match kind {
        Kind::Depth => {}
        Kind::Vgg => lines.extend(normalisations(groups, lang)),
        Kind::Nonlinearity => lines.extend(nonlinearities(groups, lang)),
    }
    lines
}

/// What batch norm and LRN do for one and the same configuration.
fn normalisations(groups: &[Group], lang: Lang) -> Vec<String> {
    let nets = || groups.iter().flat_map(|group| &group.nets);
    let beside = |net: &Averaged, suffix: &str| {
        let name = net.row.net.strip_suffix(suffix)?.to_owned();
        nets().find(|other| other.row.net == name)
    };
    let mut lines = Vec::new();
    if let Some((lrn, without)) = nets().find_map(|net| Some((net, beside(net, "-lrn")?))) {
        let (a, b) = (percent(without.train_error()), percent(lrn.train_error()));
        let gain = without.train_error() - lrn.train_error() > 1.0;
        let (en, ko) = match gain {
            true => ("The paper sees no such gain", "논문에서는 이런 이득이 없어"),
            false => ("The paper sees no gain either", "논문에서도 이득이 없어"),
        };
        lines.push(lang.of(
            format!(
                "LRN: {} ends at a training error of {a}, {} at {b}. {en}, and leaves it out of its deeper nets.",
                without.row.net, lrn.row.net
            ),
            format!(
                "LRN: 학습 오류율은 {} {a}, {} {b}입니다. {ko} 더 깊은 신경망에는 쓰지 않았습니다.",
                without.row.net, lrn.row.net
            ),
        ));
    }
    let pairs: Vec<_> = nets().filter_map(|net| Some((beside(net, "-bn")?, net))).collect();
    if let Some((without, with)) = pairs.last() {
        let (a, b) = (percent(without.train_error()), percent(with.train_error()));
        lines.push(lang.of(
            format!(
                "Batch norm (which came a year after the paper): {} ends at {a} without, at {b} with it.",
                without.row.net
            ),
            format!(
                "배치 정규화(논문 이듬해에 나왔습니다): {}의 학습 오류율은 없을 때 {a}, 있을 때 {b}입니다.",
                without.row.net
            ),
        ));
    }
    lines
}

/// What ReLUs do for each stack, and small filters with them.
fn nonlinearities(groups: &[Group], lang: Lang) -> Vec<String> {
    let [with, without] = groups else { return Vec::new() };
    let stack = |net: &Averaged| net.name.split(',').next().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for (with, without) in with.nets.iter().zip(&without.nets) {
        let (a, b, name) = (percent(with.train_error()), percent(without.train_error()), stack(with));
        lines.push(lang.of(
            format!("{name}: training error {a} with ReLUs, {b} without."),
            format!("{name}: 학습 오류율은 ReLU가 있을 때 {a}, 없을 때 {b}입니다."),
        ));
    }
    if let [small, large] = &with.nets[..]
        && let (Some(a), Some(b)) = (small.mean(|row| row.test_error), large.mean(|row| row.test_error))
    {
        let (small, large) = ((stack(small), short(small.row.params)), (stack(large), short(large.row.params)));
        let (a, b) = (percent(a), percent(b));
        lines.push(lang.of(
            format!(
                "With ReLUs and the same receptive field: test error {a} for {} ({} parameters), {b} for {} ({}).",
                small.0, small.1, large.0, large.1
            ),
            format!(
                "ReLU가 있고 수용 영역이 같을 때 시험 오류율은 {} (매개변수 {}) {a}, {} ({}) {b}입니다.",
                small.0, small.1, large.0, large.1
            ),
        ));
    }
    lines
}
