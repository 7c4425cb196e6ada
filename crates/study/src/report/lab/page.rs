//! The page about a lab: results, curves, layers, and how it was run.

use super::groups::{Group, chart, groups, side_by_side};
use super::{conclusions, inside, shortcuts};
use crate::lab::{Comparison, TrialRun};
use crate::report::chart::{Series, Stroke};
use crate::report::curves::hint;
use crate::report::environment::versions;
use crate::report::lang::{self, Lang, duration};
use crate::report::page::{Page, Section};
use maud::{Markup, html};
use residual::numbers::{percent, short, thousands};
use residual_train::train::machine::Machine;

/// Facts of a lab that its page states beside the results.
#[derive(Debug, Clone)]
pub struct About {
    /// The comparison.
    pub kind: Comparison,
    /// The command that makes this page.
    pub command: String,
    /// The recipe of all networks, as TOML.
    pub recipe: String,
    /// The data set of training and test.
    pub data: String,
}

/// Builds the page about `trials`.
pub fn page(about: &About, trials: &[TrialRun], lang: Lang) -> Page {
    let groups = groups(about.kind, trials, lang);
    let mut sections = vec![
        Section::new("result", lang.text("lab-result"), result(about.kind, &groups, lang)),
        Section::new("curves", lang.text("lab-errors"), errors(about.kind, &groups, lang)),
    ];
    if trials.iter().any(|one| one.probes.iter().any(|probe| !probe.responses.is_empty())) {
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
    sections.push(Section::new("facts", lang.text("lab-method"), environment(about, trials, lang)));
    let (title, lead) = title(about.kind, lang);
    Page {
        lang,
        over: lang.text("lab-report").to_owned(),
        title: title.to_owned(),
        head: html! { p class="lead" { (lead) } p class="note" { code { (about.command) } } },
        sections,
    }
}

fn title(kind: Comparison, lang: Lang) -> (&'static str, &'static str) {
    match kind {
        Comparison::Depth => (lang.text("lab-depth-title"), lang.text("lab-depth-lead")),
        Comparison::Vgg => (lang.text("lab-vgg-title"), lang.text("lab-vgg-lead")),
        Comparison::Nonlinearity => (lang.text("lab-nonlinearity-title"), lang.text("lab-nonlinearity-lead")),
    }
}

/// Writes the conclusions and the table of results.
fn result(kind: Comparison, groups: &[Group], lang: Lang) -> Markup {
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
        @if kind == Comparison::Vgg {
            p class="note" { (lang.text("lab-vgg-note")) }
        }
        p class="note" { (lang.text("lab-errors-note")) }
    }
}

/// Draws the errors of stacks of filters during training.
pub fn filter_stacks(trials: &[TrialRun], lang: Lang) -> Markup {
    errors(Comparison::Nonlinearity, &groups(Comparison::Nonlinearity, trials, lang), lang)
}

/// Draws the errors as in Figure 6: training dashed, test solid.
fn errors(kind: Comparison, groups: &[Group], lang: Lang) -> Markup {
    let step = lang.text("step");
    let curves = |group: &Group| {
        let mut series = Vec::new();
        for net in &group.nets {
            let name = |what: &str| format!("{}: {what}", net.name);
            let train = net.probes(|probe| (probe.step > 0).then_some(probe.train_error));
            let test = net.probes(|probe| probe.test_error.filter(|_| probe.step > 0));
            series.push(net.series(name(lang.text("training")), Stroke::Dashed, train));
            series.push(net.series(name(lang.text("test")), Stroke::Solid, test));
        }
        chart(&group.title, step, " %", true, series)
    };
    let how = match kind {
        Comparison::Nonlinearity => lang.text("lab-curves-batches"),
        Comparison::Depth | Comparison::Vgg => lang.text("lab-curves-probes"),
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

/// Draws the deepest network of each group; stacks of filters need no such chart.
fn deepest(kind: Comparison, groups: &[Group], lang: Lang) -> Markup {
    let title = match kind {
        Comparison::Depth => lang.text("lab-deepest-kinds"),
        Comparison::Vgg => lang.text("lab-deepest-batch-norm"),
        Comparison::Nonlinearity => return html! {},
    };
    let last = groups.iter().enumerate().filter_map(|(i, group)| Some((i, group.nets.last()?)));
    let series = last.map(|(i, net)| Series {
        colour: i % 8,
        ..net.series(net.name.clone(), Stroke::Solid, net.curve(|one| one.training.clone()))
    });
    html! { div class="grid" { (chart(title, lang.text("step"), " %", true, series.collect()).render(lang)) } }
}

fn environment(about: &About, trials: &[TrialRun], lang: Lang) -> Markup {
    // Kept networks may have been trained elsewhere, or with other threads.
    let machine = trials.iter().find_map(|one| Machine::of_run(&one.row.path)).unwrap_or_else(Machine::here);
    let mut seeds: Vec<String> = trials.iter().map(|one| one.row.seed.to_string()).collect();
    seeds.sort();
    seeds.dedup();
    let steps = trials.iter().map(|one| one.row.steps).max().unwrap_or(0);
    let total = trials.iter().map(|one| one.row.seconds).sum();
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
                pre tabindex="0" { (lang::shorten_paths(about.recipe.trim_end())) }
            }
        }
    }
}
