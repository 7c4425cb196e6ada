//! The languages of a page, and the phrases that are translated within names.

use super::messages::{self, Catalogue, Value};
use maud::{Markup, html};
use residual::error::{Error, Result};
use std::str::FromStr;

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Lang {
    fn catalogue(self) -> &'static Catalogue {
        match self {
            Self::En => &messages::EN,
            Self::Ko => &messages::KO,
        }
    }

    /// Returns the message of `key` in this language; see `messages/en.ftl`.
    pub fn text(self, key: &'static str) -> &'static str {
        self.catalogue().text(key)
    }

    /// Returns the message of `key` with `values` in place of its variables.
    pub fn format(self, key: &str, values: &[(&'static str, Value<'_>)]) -> String {
        self.catalogue().format(key, values)
    }

    /// Returns the value of HTML's `lang`.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }
}

impl FromStr for Lang {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "en" => Ok(Self::En),
            "ko" => Ok(Self::Ko),
            _ => Err(Error::usage(format!("there are no pages in the language \"{text}\"")).with_hint("one of en, ko")),
        }
    }
}

/// Replaces each English phrase of `group` in `text` by the one of the page's language, longer ones
/// first.
fn translated(text: &str, group: &str, lang: Lang) -> String {
    if lang == Lang::En {
        return text.to_owned();
    }
    let mut phrases: Vec<(&str, &str)> = messages::EN.beginning_with(group).collect();
    phrases.sort_by_key(|(_, english)| std::cmp::Reverse(english.len()));
    phrases.into_iter().fold(text.to_owned(), |text, (key, english)| text.replace(english, lang.text(key)))
}

/// Translates a title or a name from the papers' tables.
pub fn row(text: &str, lang: Lang) -> String {
    translated(text, "phrase-row-", lang)
}

/// Translates the kind of a layer.
pub fn layer(kind: &str, lang: Lang) -> String {
    translated(kind, "phrase-layer-", lang)
}

/// Translates what follows a data set's name in its label; the name stays as it is.
pub fn data(label: &str, lang: Lang) -> String {
    translated(label, "phrase-pixels-", lang)
}

/// Writes a message of the program, which is in English on every page, without folders.
pub fn message(message: &str) -> Markup {
    html! { span lang="en" { (shorten_paths(message)) } }
}

/// Shortens each absolute path in `text` to its last part: pages are shared, folders are private.
pub fn shorten_paths(text: &str) -> String {
    let (mut shown, mut rest, mut before) = (String::with_capacity(text.len()), text, ' ');
    while let Some(first) = rest.chars().next() {
        let begins = first == '/' && (before.is_whitespace() || "\"'`(=".contains(before));
        // Within quotes a path may have blanks in it.
        let quoted = matches!(before, '"' | '\'' | '`');
        let ends = |c: char| if quoted { c == before } else { c.is_whitespace() || "\"'`),;".contains(c) };
        let length = if begins { rest.find(ends).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (part, after) = rest.split_at(length);
        let path = part.trim_end_matches([':', '/']);
        shown.push_str(if begins { path.rsplit('/').next().unwrap_or(path) } else { part });
        shown.push_str(if begins { &part[path.len()..] } else { "" });
        (before, rest) = (part.chars().next_back().unwrap_or(' '), after);
    }
    shown
}

/// Formats seconds: `42 s`, `3 min 07 s`, `2 h 05 min`; in Korean `3분 07초`.
pub fn duration(seconds: f64, lang: Lang) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (whole, lang) {
        (0..60, Lang::En) => format!("{s} s"),
        (0..60, Lang::Ko) => format!("{s}초"),
        (60..3600, Lang::En) => format!("{m} min {s:02} s"),
        (60..3600, Lang::Ko) => format!("{m}분 {s:02}초"),
        (_, Lang::En) => format!("{h} h {m:02} min"),
        (_, Lang::Ko) => format!("{h}시간 {m:02}분"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_of_either_language_write_them() {
        assert_eq!([42.0, 187.2, 7500.0].map(|s| duration(s, Lang::En)), ["42 s", "3 min 07 s", "2 h 05 min"]);
        assert_eq!([42.0, 187.2, 7500.0].map(|s| duration(s, Lang::Ko)), ["42초", "3분 07초", "2시간 05분"]);
    }

    #[test]
    fn a_page_names_files_and_not_where_they_lie() {
        let said = "cannot read /some/folder/my pets/a.png: denied; see /other/x.toml, or (/a/b) and https://a.b/c";
        assert_eq!(shorten_paths(said), "cannot read my pets/a.png: denied; see x.toml, or (b) and https://a.b/c");
        let recipe = "from = \"/some/folder/my pets/best.safetensors\"\nratio = 1/2";
        assert_eq!(shorten_paths(recipe), "from = \"best.safetensors\"\nratio = 1/2");
        assert_eq!(shorten_paths("--data=/some/folder/pets"), "--data=pets");
        assert_eq!(shorten_paths("a / b"), "a / b");
    }

    #[test]
    fn every_row_of_the_papers_has_a_korean_name() {
        // Names of networks and data sets, and the papers' own symbols, are the same in both
        // languages.
        let is_name = |word: &str| {
            word.chars().any(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
                || ["resnet", "plain", "vgg", "a", "b", "c", "d", "e", "lrn"].contains(&word)
        };
        for experiment in crate::reproduce::experiments() {
            let parts = experiment.parts.iter().flat_map(|part| [Some(part.name()), part.source.clone()]).flatten();
            let stacks = experiment.filter_stacks.iter().map(|stack| stack.name.clone());
            for text in parts.chain(stacks).chain([experiment.title.clone()]) {
                let korean = row(&text, Lang::Ko);
                let words = korean.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
                let english: Vec<&str> = words.filter(|word| !is_name(word)).collect();
                assert!(english.is_empty(), "{text} → {korean}: {english:?}");
            }
        }
        assert_eq!(row("Table 6: ResNet-20 on CIFAR-10", Lang::Ko), "표 6: ResNet-20, CIFAR-10");
        assert_eq!(
            data("linear (not canonical pixels)", Lang::Ko),
            "linear (배포된 원본과 다른 픽셀)",
            "a folder's name"
        );
        assert_eq!(layer("conv3x3/2", Lang::Ko), "합성곱 3x3/2");
    }

    #[test]
    fn a_language_that_no_page_is_written_in_is_refused() {
        assert_eq!("ko".parse::<Lang>().expect("known"), Lang::Ko);
        assert!("fr".parse::<Lang>().is_err());
    }
}
