//! The conclusions of a lab in sentences.

use super::groups::{Averaged, Group};
use crate::lab::Comparison;
use crate::report::lang::Lang;
use residual::numbers::{percent, short};

/// Compares the training errors of the shallowest and the deepest network of each group.
pub fn conclusions(kind: Comparison, groups: &[Group], lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups.iter().filter(|_| kind != Comparison::Nonlinearity) {
        let (Some(first), Some(last)) = (group.nets.first(), group.nets.last()) else { continue };
        if first.row.depth == last.row.depth {
            continue;
        }
        let (a, b) = (first.train_error(), last.train_error());
        let (one, other) = (&first.name, &last.name);
        let key = match b - a {
            d if d > 1.0 => "depth-worse",
            d if d < -1.0 => "depth-better",
            _ => "depth-equal",
        };
        let values = [
            ("group", group.title.as_str().into()),
            ("shallow", one.as_str().into()),
            ("shallow-error", percent(a).into()),
            ("deep", other.as_str().into()),
            ("deep-error", percent(b).into()),
        ];
        lines.push(lang.format(key, &values));
    }
    match kind {
        Comparison::Depth => {}
        Comparison::Vgg => lines.extend(normalisations(groups, lang)),
        Comparison::Nonlinearity => lines.extend(nonlinearities(groups, lang)),
    }
    lines
}

/// States the effect of batch norm and LRN on one configuration.
fn normalisations(groups: &[Group], lang: Lang) -> Vec<String> {
    let nets = || groups.iter().flat_map(|group| &group.nets);
    let beside = |net: &Averaged, suffix: &str| {
        let name = net.row.network.strip_suffix(suffix)?.to_owned();
        nets().find(|other| other.row.network == name)
    };
    let mut lines = Vec::new();
    if let Some((lrn, without)) = nets().find_map(|net| Some((net, beside(net, "-lrn")?))) {
        let (a, b) = (percent(without.train_error()), percent(lrn.train_error()));
        let gain = without.train_error() - lrn.train_error() > 1.0;
        let values = [
            ("without", without.row.network.as_str().into()),
            ("without-error", a.into()),
            ("with", lrn.row.network.as_str().into()),
            ("with-error", b.into()),
        ];
        lines.push(lang.format(if gain { "lrn-gain" } else { "lrn-no-gain" }, &values));
    }
    let pairs: Vec<_> = nets().filter_map(|net| Some((beside(net, "-bn")?, net))).collect();
    if let Some((without, with)) = pairs.last() {
        let (a, b) = (percent(without.train_error()), percent(with.train_error()));
        let values = [("name", without.row.network.as_str().into()), ("without", a.into()), ("with", b.into())];
        lines.push(lang.format("batch-norm-errors", &values));
    }
    lines
}

/// States the effect of ReLUs on each stack, and of small filters.
fn nonlinearities(groups: &[Group], lang: Lang) -> Vec<String> {
    let [with, without] = groups else { return Vec::new() };
    let stack = |net: &Averaged| net.name.split(',').next().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for (with, without) in with.nets.iter().zip(&without.nets) {
        let (a, b, name) = (percent(with.train_error()), percent(without.train_error()), stack(with));
        let values = [("name", name.into()), ("with", a.into()), ("without", b.into())];
        lines.push(lang.format("relu-errors", &values));
    }
    if let [small, large] = &with.nets[..]
        && let (Some(a), Some(b)) = (small.mean(|row| row.test_error), large.mean(|row| row.test_error))
    {
        let (small, large) = ((stack(small), short(small.row.params)), (stack(large), short(large.row.params)));
        let (a, b) = (percent(a), percent(b));
        let values = [
            ("small", small.0.into()),
            ("small-params", small.1.into()),
            ("small-error", a.into()),
            ("large", large.0.into()),
            ("large-params", large.1.into()),
            ("large-error", b.into()),
        ];
        lines.push(lang.format("small-filters-errors", &values));
    }
    lines
}
