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
        Section::new("result", lang.text("lab-result"), result(about.kind, &groups, lang)),
        Section::new("curves", lang.text("lab-errors"), errors(about.kind, &groups, lang)),
    ];
    if specimens.iter().any(|one| one.looks.iter().any(|look| !look.responses.is_empty())) {
        let title = lang.text("responses-title");
        let mut section = Section::new("responses", title, inside::responses(about.kind, &groups, lang));
        section.nav = Some(lang.text("responses").to_owned());
        sections.push(section);
        let title = lang.text("gradients-title");
        let mut section = Section::new("gradients", title, inside::gradients(about.kind, &groups, lang));
        section.nav = Some(lang.text("gradients").to_owned());
        sections.push(section);
    }
    if let Some(body) = shortcuts::shortcuts(&groups, lang) {
        sections.insert(2, Section::new("shortcuts", lang.text("shortcuts-title"), body));
    }
    sections.push(Section::new("facts", lang.text("lab-method"), facts(about, specimens, lang)));
    let (title, lead) = title(about.kind, lang);
    Page {
        lang,
        over: lang.text("lab-report").to_owned(),
        title: title.to_owned(),
        head: html! { p class="lead" { (lead) } p class="note" { code { (about.command) } } },
        sections,
    }
}

fn title(kind: Kind, lang: Lang) -> (&'static str, &'static str) {
    match kind {
        Kind::Depth => (lang.text("lab-depth-title"), lang.text("lab-depth-lead")),
        Kind::Vgg => (lang.text("lab-vgg-title"), lang.text("lab-vgg-lead")),
        Kind::Nonlinearity => (lang.text("lab-nonlinearity-title"), lang.text("lab-nonlinearity-lead")),
    }
}

/// What a network is called on the page: the names of the papers' networks are the same in every language.
fn name(row: &Row, lang: Lang) -> String {
    match row.net.split_once(" per stage, ") {
        None => row.net.clone(),
        Some((stack, relu)) => {
            let key = if relu.starts_with("no") { "stack-without-relu" } else { "stack-with-relu" };
            lang.format(key, &[("stack", stack.into())])
        }
    }
}

/// The networks, seeds together, in two groups or more.
fn groups<'a>(kind: Kind, specimens: &'a [Specimen], lang: Lang) -> Vec<Group<'a>> {
    let key = |row: &Row| match kind {
        Kind::Depth => format!("{}{}", row.family, row.shortcut.as_deref().unwrap_or_default()),
        Kind::Vgg | Kind::Nonlinearity => row.family.clone(),
    };
    let title = |row: &Row| match (kind, row.family.as_str(), row.shortcut.as_deref()) {
        (Kind::Depth, "plain", _) => lang.text("group-plain").to_owned(),
        (Kind::Depth, _, Some(option)) => lang.format("group-residual", &[("shortcut", option.into())]),
        (Kind::Vgg, "vgg-bn", _) => lang.text("group-batch-norm").to_owned(),
        (Kind::Vgg, ..) => lang.text("group-no-batch-norm").to_owned(),
        (Kind::Nonlinearity, "relu", _) => lang.text("group-relu").to_owned(),
        (Kind::Nonlinearity, ..) => lang.text("group-no-relu").to_owned(),
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
                th class="text" scope="col" { (lang.text("network")) }
                th scope="col" { (lang.text("weight-layers")) }
                th scope="col" { (lang.text("parameters")) }
                th scope="col" { (lang.text("training-error")) }
                th scope="col" { (lang.text("test-error")) }
                th scope="col" { (lang.text("seeds")) }
                th scope="col" { (lang.text("time")) }
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
            p class="note" { (lang.text("lab-vgg-note")) }
        }
        p class="note" { (lang.text("lab-errors-note")) }
    }
}

/// The errors of stacks of filters along training.
pub(super) fn stacks(specimens: &[Specimen], lang: Lang) -> Markup {
    errors(Kind::Nonlinearity, &groups(Kind::Nonlinearity, specimens, lang), lang)
}

/// Figure 6: training dashed, test solid.
fn errors(kind: Kind, groups: &[Group], lang: Lang) -> Markup {
    let step = lang.text("step");
    let curves = |group: &Group| {
        let mut series = Vec::new();
        for net in &group.nets {
            let name = |what: &str| format!("{}: {what}", net.name);
            let train = net.looks(|look| (look.step > 0).then_some(look.train_error));
            let test = net.looks(|look| look.test_error.filter(|_| look.step > 0));
            series.push(net.series(name(lang.text("training")), Stroke::Dashed, train));
            series.push(net.series(name(lang.text("test")), Stroke::Solid, test));
        }
        chart(&group.title, step, " %", true, series)
    };
    let how = match kind {
        Kind::Nonlinearity => lang.text("lab-curves-batches"),
        Kind::Depth | Kind::Vgg => lang.text("lab-curves-probes"),
    };
    html! {
        p class="note" {
            (hint(lang)) " "
            (lang.text("lab-curves-key"))
            " " (how)
        }
        (side_by_side(groups.iter().map(curves).collect(), lang))
        @if groups.len() > 1 { (deepest(kind, groups, lang)) }
    }
}

/// The last network of each group: what the groups are compared by. Of stacks, the charts above say it all.
fn deepest(kind: Kind, groups: &[Group], lang: Lang) -> Markup {
    let title = match kind {
        Kind::Depth => lang.text("lab-deepest-kinds"),
        Kind::Vgg => lang.text("lab-deepest-batch-norm"),
        Kind::Nonlinearity => return html! {},
    };
    let last = groups.iter().enumerate().filter_map(|(i, group)| Some((i, group.nets.last()?)));
    let series = last.map(|(i, net)| Series {
        colour: i % 8,
        ..net.series(net.name.clone(), Stroke::Solid, net.curve(|one| one.training.clone()))
    });
    html! { div class="grid" { (chart(title, lang.text("step"), " %", true, series.collect()).render(lang)) } }
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
        (lang.text("data"), lang::data(&about.data, lang)),
        (lang.text("steps"), thousands(steps)),
        (lang.text("seeds"), seeds.join(", ")),
        (lang.text("time-all-networks"), duration(total, lang)),
        (lang.text("versions"), versions(&machine)),
        (lang.text("processor"), machine.cpu),
        (lang.text("threads"), format!("{}, {}", machine.threads, machine.isa)),
        (lang.text("system"), machine.system),
    ];
    html! {
        div class="grid" {
            div {
                h3 { (lang.text("environment")) }
                div class="scroll" { table class="facts" { tbody { @for (name, value) in rows { tr { th scope="row" class="text" { (name) } td { (value) } } } } } }
            }
            div {
                h3 { (lang.text("lab-recipe")) }
                pre tabindex="0" { (lang::nameless(about.recipe.trim_end())) }
            }
        }
    }
}
