//! The page about a lab: Figures 6 and 7 of the ResNet paper and their like, for what was trained here.
//!
//! Networks stand in groups beside each other, plain and residual for one, under axes of the same range. Several seeds
//! of a network are averaged. `conclusions` says in sentences what came out, `inside` draws what was seen in the layers,
//! `shortcuts` compares the kinds of shortcut.

mod conclusions;
mod inside;
mod shortcuts;

use super::chart::{Chart, Extent, MOST_POINTS, Series, Stroke, thinned};
use super::curves::hint;
use super::facts::versions;
use super::lang::{self, Lang, duration};
use super::page::{Page, Section};
use crate::lab::inside::Measured;
use crate::lab::{Kind, Look, Row, Specimen};
use maud::{Markup, html};
use residual::numbers::{percent, short, thousands};
use residual_train::train::machine::Machine;

/// What the page is told beside what was seen.
#[derive(Debug, Clone)]
pub struct About {
    /// The comparison.
    pub kind: Kind,
    /// The command that makes this page.
    pub command: String,
    /// The recipe of all networks, as TOML.
    pub recipe: String,
    /// What was trained and tested on.
    pub data: String,
}

/// A network, its seeds averaged.
struct Averaged<'a> {
    /// What it is called on the page.
    name: String,
    row: &'a Row,
    seeds: Vec<&'a Specimen>,
    colour: usize,
}

impl Averaged<'_> {
    fn mean(&self, value: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.seeds.iter().filter_map(|one| value(&one.row)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    fn train_error(&self) -> f64 {
        self.mean(|row| Some(row.train_error)).unwrap_or(f64::NAN)
    }

    /// The mean over seeds of a curve.
    fn curve(&self, of: impl Fn(&Specimen) -> Vec<(f64, f64)>) -> Vec<(f64, f64)> {
        let curves: Vec<Vec<(f64, f64)>> = self.seeds.iter().map(|one| of(one)).collect();
        let shortest = curves.iter().map(Vec::len).min().unwrap_or(0);
        let mean = |i: usize| {
            let sum: f64 = curves.iter().map(|curve| curve[i].1).sum();
            (curves[0][i].0, sum / curves.len() as f64)
        };
        (0..shortest).map(mean).collect()
    }

    fn looks(&self, of: impl Fn(&Look) -> Option<f64>) -> Vec<(f64, f64)> {
        self.curve(|one| one.looks.iter().filter_map(|look| Some((look.step as f64, of(look)?))).collect())
    }

    /// Layer by layer, from 1.
    fn layers(&self, of: impl Fn(&Specimen) -> Vec<Measured>) -> Vec<(f64, f64)> {
        let numbered = |measured: Vec<Measured>| {
            measured.into_iter().enumerate().map(|(i, one)| ((i + 1) as f64, one.value)).collect()
        };
        self.curve(|one| numbered(of(one)))
    }

    /// The last look at it.
    fn last(&self, of: impl Fn(&Look) -> Option<f64>) -> Option<f64> {
        Some(self.looks(of).last()?.1)
    }

    fn series(&self, name: String, stroke: Stroke, points: Vec<(f64, f64)>) -> Series {
        Series { name, colour: self.colour, stroke, points: thinned(&points, MOST_POINTS) }
    }
}

/// Networks that are compared with each other, under a title.
struct Group<'a> {
    title: String,
    nets: Vec<Averaged<'a>>,
}

/// The page about `specimens`.
pub fn page(about: &About, specimens: &[Specimen], lang: Lang) -> Page {
    let groups = groups(about.kind, specimens, lang);
    let mut sections = vec![
        Section::new("result", lang.of("What came out", "결과"), result(about.kind, &groups, lang)),
        Section::new(
            "curves",
            lang.of("Training and test error", "학습 오류율과 시험 오류율"),
            errors(about.kind, &groups, lang),
        ),
    ];
    if specimens.iter().any(|one| one.looks.iter().any(|look| !look.responses.is_empty())) {
        let title = lang.of("How strongly layers respond", "층의 반응 크기");
        let mut section = Section::new("responses", title, inside::responses(about.kind, &groups, lang));
        section.nav = Some(lang.of("Responses", "반응 크기").to_owned());
        sections.push(section);
        let title = lang.of("How much gradient reaches each layer", "각 층에 도달하는 기울기");
        let mut section = Section::new("gradients", title, inside::gradients(about.kind, &groups, lang));
        section.nav = Some(lang.of("Gradients", "기울기").to_owned());
        sections.push(section);
    }
    if let Some(body) = shortcuts::shortcuts(&groups, lang) {
        sections.insert(2, Section::new("shortcuts", lang.of("Shortcuts A, B and C", "지름길 연결 A, B, C"), body));
    }
    sections.push(Section::new("facts", lang.of("How it was made", "실험 방법"), facts(about, specimens, lang)));
    let (title, lead) = title(about.kind, lang);
    Page {
        lang,
        over: lang.of("Lab report", "실험실 보고서").to_owned(),
        title: title.to_owned(),
        head: html! { p class="lead" { (lead) } p class="note" { code { (about.command) } } },
        sections,
    }
}

fn title(kind: Kind, lang: Lang) -> (&'static str, &'static str) {
    match kind {
        Kind::Depth => (
            lang.of("Deeper, with and without shortcuts", "지름길 연결의 유무와 깊이"),
            lang.of(
                "Plain networks get worse when they get deeper, in training already: they do not overfit, they are harder to train. With shortcuts they are not (He et al. 2016, Figure 6).",
                "일반 신경망은 깊어지면 학습 오류율부터 나빠집니다. 과적합이 아니라 학습 자체가 어려워지는 것입니다. 지름길 연결이 있으면 그렇지 않습니다(He 외 2016, 그림 6).",
            ),
        ),
        Kind::Vgg => (
            lang.of("VGG's depth", "VGG의 깊이"),
            lang.of(
                "The configurations of VGG's Table 1 under one recipe, with and without batch normalisation, and net A with local response normalisation.",
                "VGG 표 1의 구성을 같은 레시피로, 배치 정규화를 쓰는 경우와 쓰지 않는 경우로 나누어 학습했습니다. 구성 A는 지역 반응 정규화(LRN)도 함께 견줍니다.",
            ),
        ),
        Kind::Nonlinearity => (
            lang.of("Why stacking small filters helps", "작은 필터를 쌓으면 좋은 이유"),
            lang.of(
                "Three 3x3 filters see as far as one 7x7. What they gain is the ReLU between them: without ReLUs any stack is one linear filter.",
                "3x3 필터 세 개는 7x7 필터 하나와 같은 영역을 봅니다. 쌓아서 얻는 것은 그 사이의 ReLU입니다. ReLU가 없으면 아무리 쌓아도 선형 필터 하나와 같습니다.",
            ),
        ),
    }
}

/// What a network is called on the page: the names of the papers' networks are the same in every language.
fn name(row: &Row, lang: Lang) -> String {
    match row.net.split_once(" per stage, ") {
        None => row.net.clone(),
        Some((stack, relu)) => lang.of(
            row.net.clone(),
            format!("단계마다 {stack}, ReLU {}", if relu.starts_with("no") { "없음" } else { "있음" }),
        ),
    }
}

/// The networks, seeds together, in two groups or more.
fn groups<'a>(kind: Kind, specimens: &'a [Specimen], lang: Lang) -> Vec<Group<'a>> {
    let key = |row: &Row| match kind {
        Kind::Depth => format!("{}{}", row.family, row.shortcut.as_deref().unwrap_or_default()),
        Kind::Vgg | Kind::Nonlinearity => row.family.clone(),
    };
    let title = |row: &Row| match (kind, row.family.as_str(), row.shortcut.as_deref()) {
        (Kind::Depth, "plain", _) => lang.of("Plain", "일반").to_owned(),
        (Kind::Depth, _, Some(option)) => {
            lang.of(format!("Residual, shortcuts {option}"), format!("잔차, 지름길 연결 {option}"))
        }
        (Kind::Vgg, "vgg-bn", _) => lang.of("With batch norm", "배치 정규화 있음").to_owned(),
        (Kind::Vgg, ..) => lang.of("Without batch norm", "배치 정규화 없음").to_owned(),
        (Kind::Nonlinearity, "relu", _) => lang.of("With ReLUs", "ReLU 있음").to_owned(),
        (Kind::Nonlinearity, ..) => lang.of("Without ReLUs", "ReLU 없음").to_owned(),
        (Kind::Depth, other, None) => other.to_owned(),
    };
    let mut keys: Vec<String> = Vec::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for one in specimens {
        let at = keys.iter().position(|known| *known == key(&one.row)).unwrap_or_else(|| {
            keys.push(key(&one.row));
            groups.push(Group { title: title(&one.row), nets: Vec::new() });
            groups.len() - 1
        });
        let nets = &mut groups[at].nets;
        match nets.iter_mut().find(|net| net.row.net == one.row.net) {
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

/// Charts beside each other with one range for all.
fn side_by_side(charts: Vec<Chart>, lang: Lang) -> Markup {
    let range = charts.iter().filter(|chart| !chart.is_empty()).map(Chart::extent).reduce(Extent::with);
    html! {
        div class="pair-of-charts" {
            @for chart in charts.into_iter().filter(|chart| !chart.is_empty()) { (Chart { range, ..chart }.render(lang)) }
        }
    }
}

fn chart(title: &str, x: &str, unit: &'static str, log_switch: bool, series: Vec<Series>) -> Chart {
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

/// The table, and what it says.
fn result(kind: Kind, groups: &[Group], lang: Lang) -> Markup {
    html! {
        @for line in conclusions::conclusions(kind, groups, lang) { p { (line) } }
        div class="scroll" tabindex="0" { table {
            thead { tr {
                th class="text" scope="col" { (lang.of("network", "신경망")) }
                th scope="col" { (lang.of("weight layers", "가중치 층")) }
                th scope="col" { (lang.of("parameters", "매개변수")) }
                th scope="col" { (lang.of("training error", "학습 오류율")) }
                th scope="col" { (lang.of("test error", "시험 오류율")) }
                th scope="col" { (lang.of("seeds", "시드")) }
                th scope="col" { (lang.of("time", "시간")) }
            } }
            tbody { @for net in groups.iter().flat_map(|group| &group.nets) { tr {
                th class="text" scope="row" { (net.name) }
                td { (net.row.depth) }
                td { (short(net.row.params)) }
                td { (percent(net.train_error())) }
                td { (net.mean(|row| row.test_error).map_or_else(|| "–".into(), percent)) }
                td { (net.seeds.len()) }
                td { (duration(net.mean(|row| Some(row.seconds)).unwrap_or(0.0), lang)) }
            } } }
        } }
        @if kind == Kind::Vgg {
            p class="note" { (lang.of(
                "Weight layers as the paper counts them; for small images one fully connected layer stands for its three.",
                "가중치 층은 논문의 방식대로 셌습니다. 작은 이미지에서는 완전 연결 층 하나가 논문의 세 층을 대신합니다.",
            )) }
        }
        p class="note" { (lang.of(
            "Errors after the last step, on all training images as they are and on all test images. Time includes the looks inside.",
            "마지막 스텝 뒤에 변형하지 않은 학습 이미지 전체와 시험 이미지 전체에서 잰 오류율입니다. 시간에는 내부 관찰에 걸린 시간도 들어 있습니다.",
        )) }
    }
}

/// The errors of stacks of filters along training.
pub(super) fn stacks(specimens: &[Specimen], lang: Lang) -> Markup {
    errors(Kind::Nonlinearity, &groups(Kind::Nonlinearity, specimens, lang), lang)
}

/// Figure 6: training dashed, test solid.
fn errors(kind: Kind, groups: &[Group], lang: Lang) -> Markup {
    let step = lang.of("step", "스텝");
    let curves = |group: &Group| {
        let mut series = Vec::new();
        for net in &group.nets {
            let name = |what: &str| format!("{}: {what}", net.name);
            let train = net.looks(|look| (look.step > 0).then_some(look.train_error));
            let test = net.looks(|look| look.test_error.filter(|_| look.step > 0));
            series.push(net.series(name(lang.of("training", "학습")), Stroke::Dashed, train));
            series.push(net.series(name(lang.of("test", "시험")), Stroke::Solid, test));
        }
        chart(&group.title, step, " %", true, series)
    };
    let how = match kind {
        Kind::Nonlinearity => lang.of(
            "Training error is that of the batches as they were seen, varied, since the point before; test error that of all test images.",
            "학습 오류율은 앞 시점 이후 증강된 배치에서, 시험 오류율은 시험 이미지 전체에서 잰 값입니다.",
        ),
        Kind::Depth | Kind::Vgg => lang.of(
            "Measured on the way on up to 2,000 images of either split, evenly spaced and unvaried; nothing was chosen by them.",
            "학습 도중 두 세트에서 고르게 뽑은 최대 2,000장을 변형 없이 잰 값이고, 이 값으로 무엇을 고르지는 않았습니다.",
        ),
    };
    html! {
        p class="note" {
            (hint(lang)) " "
            (lang.of(
                "Dashed: training error; solid: test error; all charts share their axes.",
                "점선은 학습 오류율, 실선은 시험 오류율이며 모든 그림의 축이 같습니다.",
            ))
            " " (how)
        }
        (side_by_side(groups.iter().map(curves).collect(), lang))
        @if groups.len() > 1 { (deepest(kind, groups, lang)) }
    }
}

/// The last network of each group: what the groups are compared by. Of stacks, the charts above say it all.
fn deepest(kind: Kind, groups: &[Group], lang: Lang) -> Markup {
    let title = match kind {
        Kind::Depth => lang.of(
            "The deepest of each kind: training error of each epoch, on varied images",
            "종류별 가장 깊은 신경망: 에폭별 학습 오류율(증강된 이미지)",
        ),
        Kind::Vgg => lang.of(
            "The deepest with and without batch norm: training error of each epoch, on varied images",
            "배치 정규화 유무별 가장 깊은 신경망: 에폭별 학습 오류율(증강된 이미지)",
        ),
        Kind::Nonlinearity => return html! {},
    };
    let last = groups.iter().enumerate().filter_map(|(i, group)| Some((i, group.nets.last()?)));
    let series = last.map(|(i, net)| Series {
        colour: i % 8,
        ..net.series(net.name.clone(), Stroke::Solid, net.curve(|one| one.training.clone()))
    });
    html! { div class="grid" { (chart(title, lang.of("step", "스텝"), " %", true, series.collect()).render(lang)) } }
}

fn facts(about: &About, specimens: &[Specimen], lang: Lang) -> Markup {
    // Kept networks may have been trained elsewhere, or with other threads.
    let machine = specimens.iter().find_map(|one| Machine::of_run(&one.row.path)).unwrap_or_else(Machine::here);
    let mut seeds: Vec<String> = specimens.iter().map(|one| one.row.seed.to_string()).collect();
    seeds.sort();
    seeds.dedup();
    let steps = specimens.iter().map(|one| one.row.steps).max().unwrap_or(0);
    let total = specimens.iter().map(|one| one.row.seconds).sum();
    let rows = [
        (lang.of("data", "데이터"), lang::data(&about.data, lang)),
        (lang.of("steps", "스텝"), thousands(steps)),
        (lang.of("seeds", "시드"), seeds.join(", ")),
        (lang.of("time, all networks", "전체 시간"), duration(total, lang)),
        (lang.of("versions", "버전"), versions(&machine)),
        (lang.of("processor", "프로세서"), machine.cpu),
        (lang.of("threads", "스레드"), format!("{}, {}", machine.threads, machine.isa)),
        (lang.of("system", "시스템"), machine.system),
    ];
    html! {
        div class="grid" {
            div {
                h3 { (lang.of("Circumstances", "실행 환경")) }
                div class="scroll" { table class="facts" { tbody { @for (name, value) in rows { tr { th scope="row" class="text" { (name) } td { (value) } } } } } }
            }
            div {
                h3 { (lang.of("Recipe of all networks", "공통 레시피")) }
                pre tabindex="0" { (lang::nameless(about.recipe.trim_end())) }
            }
        }
    }
}
