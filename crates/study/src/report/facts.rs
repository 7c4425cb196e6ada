//! What a result is worth without: recipe, machine, versions, seeds, time.

use super::lang::{self, Lang, duration};
use super::subject::Subject;
use maud::{Markup, html};
use residual::numbers::thousands;
use residual_train::train::machine::Machine;

/// Recipe and circumstances of a run.
pub fn facts(subject: &Subject, lang: Lang) -> Markup {
    let record = &subject.record;
    html! {
        div class="grid" {
            div {
                h3 { (lang.of("Circumstances", "실행 환경")) }
                div class="scroll" { table class="facts" { tbody { @for (name, value) in rows(subject, lang) { tr { th scope="row" class="text" { (name) } td { (value) } } } } } }
                @for warning in &record.warnings { p class="warning" { (lang.of("", "경고: ")) (lang::told(warning)) } }
            }
            div {
                h3 { (lang.of("Recipe", "레시피")) }
                pre tabindex="0" { (recipe(subject)) }
            }
        }
    }
}

/// The recipe as it was resolved. The page is passed on: it names the data, not where it lies here.
fn recipe(subject: &Subject) -> String {
    let (text, source) = (subject.record.recipe_text.trim_end(), &subject.record.recipe.data.source);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let name =
        std::path::Path::new(source).file_name().map_or_else(|| source.clone(), |name| name.to_string_lossy().into());
    lang::nameless(&text.replacen(&quoted(source), &quoted(&name), 1))
}

fn rows(subject: &Subject, lang: Lang) -> Vec<(&'static str, String)> {
    let record = &subject.record;
    let mut rows = Vec::new();
    let mut add = |en: &'static str, ko: &'static str, value: Option<String>| {
        rows.extend(value.map(|value| (lang.of(en, ko), value)));
    };
    let machine = record.machine.as_ref();
    let result = record.result.as_ref();
    add("run folder", "실행 폴더", Some(record.name()));
    add("seed", "시드", Some(record.recipe.train.seed.to_string()));
    add("steps", "스텝", record.steps.last().map(|step| thousands(step.step)));
    add("training time", "학습 시간", Some(duration(record.seconds(), lang)));
    let waited = record.epochs.iter().map(|epoch| epoch.data_wait).sum::<f64>();
    add("of that waiting for data", "그중 데이터 대기", Some(duration(waited, lang)));
    add("peak memory", "최대 메모리", result.and_then(|r| r.peak_rss_mb).map(|mb| format!("{} MiB", thousands(mb))));
    add("data", "데이터", result.map(|result| lang::data(&result.data, lang)));
    add("tested weights", "시험한 가중치", result.map(|result| chosen(&result.rule, lang)));
    add("processor", "프로세서", machine.map(|machine| machine.cpu.clone()));
    let threads = |machine: &Machine| {
        lang.of(
            format!("{} of {} cores, {}", machine.threads, machine.cores, machine.isa),
            format!("코어 {}개 중 {}개, {}", machine.cores, machine.threads, machine.isa),
        )
    };
    add("threads", "스레드", machine.map(threads));
    add("memory", "메모리", machine.and_then(|m| m.memory_mb).map(|mb| format!("{} MiB", thousands(mb))));
    add("system", "시스템", machine.map(|machine| machine.system.clone()));
    add("versions", "버전", machine.map(versions));
    rows
}

/// Of the program and of what it stands on.
pub fn versions(machine: &Machine) -> String {
    let burn = if machine.burn.is_empty() { String::new() } else { format!(", Burn {}", machine.burn) };
    format!("residual {}{burn}", machine.version)
}

fn chosen(rule: &str, lang: Lang) -> String {
    match rule {
        "best" => lang.of("those of the lowest validation error", "검증 오류율이 가장 낮은 가중치"),
        "last" => lang.of("the last: there was no validation split", "마지막 가중치(검증 세트 없음)"),
        other => other,
    }
    .to_owned()
}
