//! The texts of the pages: a catalogue for each language, in Fluent's format (`messages/*.ftl`).

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The English texts.
pub static EN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::new("en", include_str!("messages/en.ftl")));

/// The Korean texts.
pub static KO: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::new("ko", include_str!("messages/ko.ftl")));

/// The value of a message's variable: `value.into()` of a number or a text. Numbers choose plurals.
pub type Value<'a> = FluentValue<'a>;

/// The messages of one language.
pub struct Catalogue {
    bundle: FluentBundle<FluentResource>,
    /// The messages without variables.
    texts: BTreeMap<&'static str, String>,
}

impl Catalogue {
    fn new(language: &str, source: &'static str) -> Self {
        let mut bundle = FluentBundle::new_concurrent(vec![language.parse().expect("a language code")]);
        // Isolation marks are for texts of both writing directions; the pages have one.
        bundle.set_use_isolating(false);
        let resource = FluentResource::try_new(source.to_owned()).expect("a test parses the catalogues");
        bundle.add_resource(resource).expect("a test finds each key once");
        let plain = messages(source).into_iter().filter(|(_, message)| !message.contains('$'));
        let texts = plain.map(|(key, _)| (key, formatted(&bundle, key, None))).collect();
        Self { bundle, texts }
    }

    /// Returns the message of `key`, which has no variables. A missing message shows its key.
    pub fn text<'a>(&'a self, key: &'a str) -> &'a str {
        self.texts.get(key).map_or(key, String::as_str)
    }

    /// Returns the message of `key` with `values` in place of its variables.
    pub fn format(&self, key: &str, values: &[(&'static str, Value<'_>)]) -> String {
        let values: FluentArgs<'_> = values.iter().map(|(name, value)| (*name, value.clone())).collect();
        formatted(&self.bundle, key, Some(&values))
    }

    /// Returns the messages without variables whose keys begin with `prefix`, with their keys.
    pub fn beginning_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
        let texts = self.texts.iter().map(|(key, text)| (*key, text.as_str()));
        texts.filter(move |(key, _)| key.starts_with(prefix))
    }
}

/// Formats one message; what is missing shows its name, which a test rules out.
fn formatted(bundle: &FluentBundle<FluentResource>, key: &str, values: Option<&FluentArgs<'_>>) -> String {
    let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else { return key.to_owned() };
    bundle.format_pattern(pattern, values, &mut Vec::new()).into_owned()
}

/// Splits a catalogue into keys and messages as they are written. A message goes on in lines that
/// are indented.
fn messages(source: &'static str) -> Vec<(&'static str, String)> {
    let mut messages: Vec<(&'static str, String)> = Vec::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(" = ") {
            Some((key, message)) if !key.starts_with(' ') => messages.push((key, message.to_owned())),
            _ => messages.last_mut().into_iter().for_each(|(_, message)| message.push_str(line)),
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    const SOURCES: [&str; 2] = [include_str!("messages/en.ftl"), include_str!("messages/ko.ftl")];

    fn variables(message: &str) -> BTreeSet<&str> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        message.split('$').skip(1).map(|rest| rest.split(|c| !is_name(c)).next().unwrap_or_default()).collect()
    }

    /// All Rust text of the crate, without comments.
    fn code(folder: &Path) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                text += &code(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &std::fs::read_to_string(&path).expect("text");
            }
        }
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    }

    /// The literals that follow `call`.
    fn literals<'a>(code: &'a str, call: &str) -> BTreeSet<&'a str> {
        let after = code.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        after.filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn both_catalogues_have_the_same_keys_and_variables() {
        let [en, ko] = SOURCES.map(messages);
        let keys = |messages: &[(&'static str, String)]| messages.iter().map(|(key, _)| *key).collect::<Vec<_>>();
        assert_eq!(keys(&en), keys(&ko));
        assert_eq!(en.len(), keys(&en).into_iter().collect::<BTreeSet<_>>().len(), "a key is there twice");
        for ((key, en), (_, ko)) in en.iter().zip(&ko) {
            assert_eq!(variables(en), variables(ko), "{key}");
        }
        // Everything that parses is found: the lines are read as Fluent reads them.
        for (catalogue, source) in [(&EN, SOURCES[0]), (&KO, SOURCES[1])] {
            assert!(messages(source).iter().all(|(key, _)| catalogue.bundle.has_message(key)));
        }
    }

    #[test]
    fn every_key_of_the_code_exists_and_every_message_is_used() {
        let code = code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let messages = messages(SOURCES[0]);
        let has = |key: &str, plain: bool| messages.iter().any(|m| m.0 == key && plain != m.1.contains('$'));
        // Put together, so that they are not found here.
        let [text, format] = ["text", "format"].map(|call| literals(&code, &format!("lang.{call}(")));
        assert!(text.len() > 100 && format.len() > 20, "{} {}", text.len(), format.len());
        assert!(text.iter().all(|key| has(key, true)), "{:?}", text.iter().find(|key| !has(key, true)));
        assert!(format.iter().all(|key| has(key, false)), "{:?}", format.iter().find(|key| !has(key, false)));
        let is_used = |key: &str| key.starts_with("phrase-") || code.contains(&format!("\"{key}\""));
        let unused: Vec<&str> = messages.iter().map(|m| m.0).filter(|key| !is_used(key)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn numbers_choose_plurals_and_texts_are_put_in_as_they_are() {
        let seeds = |n: u64| EN.format("mean-of-seeds", &[("seeds", n.into())]);
        assert_eq!([seeds(1), seeds(1234)], ["One seed.", "Mean ± standard deviation of 1234 seeds."]);
        let data = "a <b> { $c }";
        assert_eq!(KO.format("tested-on", &[("data", data.into())]), format!("시험 데이터: {data}."));
        assert_eq!(KO.text("lab-report"), "실험 보고서");
    }
}
