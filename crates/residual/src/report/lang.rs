//! The two languages of a page. Both texts stand side by side where they are used, so that neither is forgotten.

use crate::error::{Error, Result};
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
    fn a_language_that_no_page_is_written_in_is_refused() {
        assert_eq!("ko".parse::<Lang>().expect("known"), Lang::Ko);
        assert!("fr".parse::<Lang>().is_err());
    }
}
