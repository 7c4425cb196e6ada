//! The facts that make a result reproducible: recipe, machine, versions, seed, time.

use super::lang::{self, Lang, duration};
use super::report_data::ReportData;
use maud::{Markup, html};
use residual::numbers::thousands;
use residual_train::train::machine::Machine;

/// Writes the recipe and the environment of a run.
pub fn environment(run: &ReportData, lang: Lang) -> Markup {
    let record = &run.record;
    html! {
        div class="grid" {
            div {
                h3 { (lang.text("environment")) }
                div class="scroll" { table class="facts" { tbody { @for (name, value) in rows(run, lang) { tr { th scope="row" class="text" { (name) } td { (value) } } } } } }
                @for warning in &record.warnings { p class="warning" { (lang.text("warning")) ": " (lang::message(warning)) } }
            }
            div {
                h3 { (lang.text("recipe")) }
                pre tabindex="0" { (recipe(run)) }
            }
        }
    }
}

/// Returns the resolved recipe. Pages are shared: the recipe names the data, not its folder.
fn recipe(run: &ReportData) -> String {
    let (text, source) = (run.record.recipe_text.trim_end(), &run.record.recipe.data.source);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let name =
        std::path::Path::new(source).file_name().map_or_else(|| source.clone(), |name| name.to_string_lossy().into());
    lang::shorten_paths(&text.replacen(&quoted(source), &quoted(&name), 1))
}

fn rows(run: &ReportData, lang: Lang) -> Vec<(&'static str, String)> {
    let record = &run.record;
    let mut rows = Vec::new();
    let mut add = |key: &'static str, value: Option<String>| {
        rows.extend(value.map(|value| (lang.text(key), value)));
    };
    let machine = record.machine.as_ref();
    let result = record.result.as_ref();
    add("run-folder", Some(record.name()));
    add("seed", Some(record.recipe.train.seed.to_string()));
    add("steps", record.steps.last().map(|step| thousands(step.step)));
    add("training-time", Some(duration(record.seconds(), lang)));
    let waited = record.epochs.iter().map(|epoch| epoch.data_wait).sum::<f64>();
    add("data-wait", Some(duration(waited, lang)));
    add("peak-memory", result.and_then(|r| r.peak_rss_mb).map(|mb| format!("{} MiB", thousands(mb))));
    add("data", result.map(|result| lang::data(&result.data, lang)));
    add("tested-weights", result.map(|result| chosen(&result.rule, lang)));
    add("processor", machine.map(|machine| machine.cpu.clone()));
    let threads = |machine: &Machine| {
        let (threads, cores, isa) = (machine.threads.into(), machine.cores.into(), machine.isa.as_str().into());
        lang.format("threads-of-cores", &[("threads", threads), ("cores", cores), ("isa", isa)])
    };
    add("threads", machine.map(threads));
    add("memory", machine.and_then(|m| m.memory_mb).map(|mb| format!("{} MiB", thousands(mb))));
    add("system", machine.map(|machine| machine.system.clone()));
    add("versions", machine.map(versions));
    rows
}

/// Returns the versions of Residual and Burn.
pub fn versions(machine: &Machine) -> String {
    let burn = if machine.burn.is_empty() { String::new() } else { format!(", Burn {}", machine.burn) };
    format!("residual {}{burn}", machine.version)
}

fn chosen(rule: &str, lang: Lang) -> String {
    match rule {
        "best" => lang.text("weights-best"),
        "last" => lang.text("weights-last"),
        other => other,
    }
    .to_owned()
}
