//! The frame of a page: one file that needs nothing else, for light and dark screens, phones and
//! paper.

use super::lang::Lang;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use residual::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Content security policy: the page fetches nothing.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A section of a page with a heading.
#[derive(Debug)]
pub struct Section {
    /// The id, the target of links to the section.
    pub id: String,
    /// The heading.
    pub title: String,
    /// The name in the navigation; `None` leaves the section out of it.
    pub nav: Option<String>,
    /// The content.
    pub body: Markup,
}

impl Section {
    /// Creates a section that the navigation calls by its title.
    pub fn new(id: impl Into<String>, title: impl Into<String>, body: Markup) -> Self {
        let title = title.into();
        Self { id: id.into(), nav: Some(title.clone()), title, body }
    }
}

/// A whole page.
#[derive(Debug)]
pub struct Page {
    /// The language.
    pub lang: Lang,
    /// The small line above the title.
    pub over: String,
    /// The title.
    pub title: String,
    /// The content between title and navigation.
    pub head: Markup,
    /// The sections.
    pub sections: Vec<Section>,
}

/// Writes a title; a part in brackets at its end is smaller.
fn heading(title: &str) -> Markup {
    match title.strip_suffix(')').and_then(|_| title.rsplit_once(" (")) {
        Some((title, aside)) => html! { (title) " " span { "(" (aside) } },
        None => html! { (title) },
    }
}

impl Page {
    /// Returns the page as HTML.
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
