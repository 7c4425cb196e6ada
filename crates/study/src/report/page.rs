//! The frame of a page: one file that needs nothing else, in both colour schemes, on a phone and on
//! paper.

use super::lang::Lang;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use residual::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Nothing may be fetched: not even by mistake.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A part of a page with a heading, reachable from the navigation.
#[derive(Debug)]
pub struct Section {
    /// Its address within the page.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What the navigation calls it; nothing where it is reached from its neighbour.
    pub nav: Option<String>,
    /// What is below.
    pub body: Markup,
}

impl Section {
    /// A section.
    pub fn new(id: impl Into<String>, title: impl Into<String>, body: Markup) -> Self {
        let title = title.into();
        Self { id: id.into(), nav: Some(title.clone()), title, body }
    }
}

/// A whole page.
#[derive(Debug)]
pub struct Page {
    /// Its language.
    pub lang: Lang,
    /// The small line above the title.
    pub over: String,
    /// The title.
    pub title: String,
    /// Below the title.
    pub head: Markup,
    /// The parts.
    pub sections: Vec<Section>,
}

/// A title; what it ends with in brackets is smaller.
fn heading(title: &str) -> Markup {
    match title.strip_suffix(')').and_then(|_| title.rsplit_once(" (")) {
        Some((title, aside)) => html! { (title) " " span { "(" (aside) } },
        None => html! { (title) },
    }
}

impl Page {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let lang = self.lang;
        let page = html! {
            (DOCTYPE)
            html lang=(lang.code()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content=(format!("residual {}", env!("CARGO_PKG_VERSION")));
                    link rel="icon" href="data:,";
                    title { (self.title) " – " (self.over) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header class="top" {
                        p class="over" { (self.over) }
                        h1 { (heading(&self.title)) }
                        (self.head)
                    }
                    nav aria-label=(lang.text("contents")) {
                        ul { @for section in &self.sections { @if let Some(name) = &section.nav { li { a href=(format!("#{}", section.id)) { (name) } } } } }
                    }
                    main {
                        @for section in &self.sections {
                            section id=(section.id) aria-labelledby=(format!("{}-title", section.id)) {
                                h2 id=(format!("{}-title", section.id)) { (section.title) }
                                (section.body)
                            }
                        }
                    }
                    footer { (lang.format("footer", &[("version", env!("CARGO_PKG_VERSION").into())])) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }
}

/// Writes a page to `out` and returns the absolute path.
///
/// # Errors
/// Fails if the file cannot be written.
pub fn save(page: &str, out: &Path) -> Result<PathBuf> {
    residual::atomic::write(out, page.as_bytes())?;
    out.canonicalize().map_err(|error| Error::io("open", out, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_title_ends_with_in_brackets_is_set_apart() {
        assert_eq!(heading("a · b (c)").0, "a · b <span>(c)</span>");
        assert_eq!(heading("a (b) c").0, "a (b) c");
        assert_eq!(heading("<a>").0, "&lt;a&gt;");
    }
}
