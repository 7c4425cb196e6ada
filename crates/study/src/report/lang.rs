//! The two languages of a page. Both texts stand side by side where they are used, so that neither is forgotten.

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
    /// The text of this language.
    pub fn of<T>(self, en: T, ko: T) -> T {
        match self {
            Self::En => en,
            Self::Ko => ko,
        }
    }

    /// The value of HTML's `lang`.
    pub fn code(self) -> &'static str {
        self.of("en", "ko")
    }
}

impl FromStr for Lang {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "en" => Ok(Self::En),
            "ko" => Ok(Self::Ko),
            _ => Err(Error::usage(format!("no page can be written in \"{text}\"")).with_hint("one of en, ko")),
        }
    }
}

/// Phrases of the papers' tables and what they are in Korean; longer ones first.
const ROWS: &[(&str, &str)] = &[
    (
        "three 3x3 against one 7x7: weights in C², receptive field in pixels, and how many more weights in %",
        "3x3 세 개와 7x7 하나: 가중치(C²), 수용 영역(픽셀), 가중치 증가율(%)",
    ),
    ("multiply-adds at 224 px, and VGG's beside them", "224픽셀에서의 곱셈-덧셈 횟수, VGG와 비교"),
    ("depth with and without shortcuts on ImageNet", "지름길 연결의 유무와 깊이, ImageNet"),
    ("parameters of the CIFAR networks", "CIFAR용 신경망의 매개변수"),
    ("mean of five; the best is 6.43", "다섯 번의 평균, 최저 6.43"),
    ("an independent replication", "독립 재현 실험"),
    ("single networks on ImageNet", "단일 신경망, ImageNet"),
    ("by 5x5 windows, and both", "5x5 창, 둘의 평균"),
    ("one 7x7 over three 3x3", "3x3 세 개 대비 7x7 하나"),
    ("weights of three 3x3", "3x3 세 개의 가중치"),
    ("weights of one 7x7", "7x7 하나의 가중치"),
    ("field of three 3x3", "3x3 세 개의 수용 영역"),
    ("field of one 7x7", "7x7 하나의 수용 영역"),
    ("three 3x3, trained", "3x3 세 개, 학습"),
    ("one 7x7, trained", "7x7 하나, 학습"),
    ("dense at five scales", "조밀 평가, 다섯 크기"),
    ("S in 256 to 512", "S=256–512"),
    ("nets D and E averaged", "구성 D와 E의 평균"),
    ("nets D and E", "구성 D와 E"),
    (" on CIFAR-10", ", CIFAR-10"),
    (" on ImageNet", ", ImageNet"),
    ("parameters", "매개변수"),
    ("multi-crop", "다중 크롭"),
    ("ten views", "10개 시점"),
    ("ten-crop", "10-크롭"),
    ("Figure ", "그림 "),
    ("Table ", "표 "),
    ("dense", "조밀 평가"),
    ("center", "중앙 영역"),
    ("/both", "/둘의 평균"),
    ("net ", "구성 "),
];

/// Kinds of layers.
const LAYERS: &[(&str, &str)] = &[
    ("adaptive average", "적응 평균 풀링"),
    ("subsample", "건너뛰어 표본화"),
    ("maxpool", "최대 풀링"),
    ("average", "평균 풀링"),
    ("dropout", "드롭아웃"),
    ("linear", "완전 연결"),
    ("conv", "합성곱"),
    ("norm", "정규화"),
    ("relu", "ReLU"),
    ("lrn", "LRN"),
];

/// What stands behind the name of a data set.
const PIXELS: &[(&str, &str)] =
    &[("(not canonical pixels)", "(배포된 원본과 다른 픽셀)"), ("(pixels not verified)", "(픽셀 미확인)")];

fn translated(text: &str, phrases: &[(&str, &str)], lang: Lang) -> String {
    let korean = |text: String, (en, ko): &(&str, &str)| text.replace(en, ko);
    lang.of(text.to_owned(), phrases.iter().fold(text.to_owned(), korean))
}

/// A title or a name from the papers' tables, in the page's language.
pub fn row(text: &str, lang: Lang) -> String {
    translated(text, ROWS, lang)
}

/// The kind of a layer, in the page's language.
pub fn layer(kind: &str, lang: Lang) -> String {
    translated(kind, LAYERS, lang)
}

/// A data set's label, in the page's language; its name stays as it is.
pub fn data(label: &str, lang: Lang) -> String {
    translated(label, PIXELS, lang)
}

/// What the program said, which it says in English on every page, without telling where things lie.
pub fn told(message: &str) -> Markup {
    html! { span lang="en" { (nameless(message)) } }
}

/// `text` with each absolute path in it shortened to its last part: a page is passed on, and folders are nobody else's
/// business.
pub fn nameless(text: &str) -> String {
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

/// Seconds → `42 s`, `3 min 07 s`, `2 h 05 min`; in Korean `3분 07초`.
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
        assert_eq!(nameless(said), "cannot read my pets/a.png: denied; see x.toml, or (b) and https://a.b/c");
        let recipe = "from = \"/some/folder/my pets/best.safetensors\"\nratio = 1/2";
        assert_eq!(nameless(recipe), "from = \"best.safetensors\"\nratio = 1/2");
        assert_eq!(nameless("--data=/some/folder/pets"), "--data=pets");
        assert_eq!(nameless("a / b"), "a / b");
    }

    #[test]
    fn every_row_of_the_papers_has_a_korean_name() {
        // Names of networks and data sets, and the papers' own symbols, are the same in both languages.
        let is_name = |word: &str| {
            word.chars().any(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
                || ["resnet", "plain", "vgg", "a", "b", "c", "d", "e", "lrn"].contains(&word)
        };
        for experiment in crate::reproduce::experiments() {
            let parts = experiment.parts.iter().flat_map(|part| [Some(part.name()), part.source.clone()]).flatten();
            let stacks = experiment.stacks.iter().map(|stack| stack.name.clone());
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
        assert_eq!(layer("conv3x3/2", Lang::Ko), "합성곱3x3/2");
    }

    #[test]
    fn a_language_that_no_page_is_written_in_is_refused() {
        assert_eq!("ko".parse::<Lang>().expect("known"), Lang::Ko);
        assert!("fr".parse::<Lang>().is_err());
    }
}
