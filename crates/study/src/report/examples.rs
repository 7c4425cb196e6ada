//! The images of a page: mistakes, doubts, variations, filters.

use super::evaluation::split_name;
use super::images::Bitmap;
use super::lang::Lang;
use super::report_data::{Example, Explained, ReportData};
use maud::{Markup, html};
use residual::error::Result;

/// Smaller images are enlarged without smoothing: their pixels are what the network sees.
const TINY: usize = 64;

/// An image of the page; `alt` says what is to be seen.
pub fn image(bitmap: &Bitmap, alt: &str) -> Result<Markup> {
    let tiny = (bitmap.width < TINY).then_some("tiny");
    Ok(html! {
        img class=[tiny] src=(bitmap.address()?) alt=(alt) width=(bitmap.width) height=(bitmap.height);
    })
}

/// The most confident mistakes and the least certain answers.
pub fn answers(run: &ReportData, lang: Lang) -> Result<Markup> {
    let split = split_name(run.split, lang);
    let suspicious = run.mistakes.iter().filter(|seen| run.doubts_label(seen)).count();
    Ok(html! {
        h3 { (lang.text("mistakes-title")) }
        p class="note" {
            (lang.format("mistakes-note", &[("split", split.into())]))
            @if suspicious > 0 {
                " " (lang.text("mistakes-suspicious"))
            }
        }
        @if run.mistakes.is_empty() {
            p { (lang.text("mistakes-none")) }
        }
        (thumbs(&run.mistakes, run, lang)?)
        h3 { (lang.text("uncertain-title")) }
        p class="note" {
            (lang.text("uncertain-note"))
        }
        (thumbs(&run.uncertain, run, lang)?)
    })
}

fn thumbs(seen: &[Example], run: &ReportData, lang: Lang) -> Result<Markup> {
    let items: Result<Vec<Markup>> = seen.iter().map(|seen| thumb(seen, run, lang)).collect();
    Ok(html! { ul class="thumbs" { @for item in items? { li { (item) } } } })
}

fn thumb(seen: &Example, run: &ReportData, lang: Lang) -> Result<Markup> {
    let (told, truth) = (run.class(seen.prediction.told), run.class(seen.prediction.truth));
    let sure = 100.0 * seen.prediction.confidence;
    let alt = lang.format(
        "thumbnail-alt",
        &[("name", seen.name.as_str().into()), ("label", truth.as_str().into()), ("prediction", told.as_str().into())],
    );
    Ok(html! {
        (image(&seen.image, &alt)?)
        div class="says" title=(seen.name) {
            b { (told) } " " (format!("{sure:.0}\u{a0}%"))
            @if seen.prediction.is_right() {
                span {
                    (lang.format("correct-next", &[
                        ("class", run.class(seen.prediction.second).into()),
                        ("confidence", format!("{:.0}", 100.0 * seen.prediction.second_confidence).into()),
                    ]))
                }
            } @else {
                span { (lang.format("label-is", &[("label", truth.as_str().into())])) }
                @if run.doubts_label(seen) { em class="tag" { (lang.text("label-suspicious")) } }
            }
        }
    })
}

/// Where the network looked: images beside themselves under heat.
pub fn explained(run: &ReportData, lang: Lang) -> Result<Markup> {
    if run.explained.is_empty() {
        return Ok(html! {});
    }
    let item = |one: &Explained| {
        let (told, truth) = (run.class(one.seen.prediction.told), run.class(one.seen.prediction.truth));
        let alt = format!("{}: {truth}", one.seen.name);
        let heat = lang.format("heat-alt", &[("prediction", told.as_str().into())]);
        let verdict = if one.seen.prediction.is_right() {
            lang.text("correct").to_owned()
        } else {
            lang.format("label-is", &[("label", truth.into())])
        };
        Ok(html! {
            div class="pair" { (image(&one.seen.image, &alt)?) (image(&one.heat, heat.as_str())?) }
            div class="says" { b { (told) } (format!(" {:.0}\u{a0}%", 100.0 * one.seen.prediction.confidence)) span { (verdict) } }
        })
    };
    let items = run.explained.iter().map(item).collect::<Result<Vec<Markup>>>()?;
    Ok(html! {
        h3 { (lang.text("explained-title")) }
        p class="note" {
            (lang.text("explained-note"))
        }
        ul class="thumbs wide-thumbs" { @for item in items { li { (item) } } }
    })
}

/// Training images and what augmentation makes of them.
pub fn variations(run: &ReportData, lang: Lang) -> Result<Markup> {
    let columns = run.variations.iter().map(Vec::len).max().unwrap_or(0);
    let tiles: Vec<Bitmap> = run.variations.iter().flatten().cloned().collect();
    let Some(sheet) = Bitmap::sheet(&tiles, columns) else { return Ok(html! {}) };
    let alt = lang.text("augmented-alt");
    let scale = if sheet.width / columns.max(1) < TINY { 2 } else { 1 };
    Ok(html! {
        h3 { (lang.text("augmented-title")) }
        p class="note" {
            (lang.text("augmented-note"))
        }
        img class="sheet tiny" src=(sheet.address()?) alt=(alt) width=(sheet.width * scale) height=(sheet.height * scale);
    })
}

/// The filters of the first convolution.
pub fn filters(run: &ReportData, lang: Lang) -> Result<Markup> {
    let Some((filters, height)) = &run.filters else { return Ok(html! {}) };
    let columns = (filters.len() as f64).sqrt().ceil() as usize * if filters.len() > 16 { 2 } else { 1 };
    let Some(sheet) = Bitmap::sheet(filters, columns) else { return Ok(html! {}) };
    // A 3x3 filter is shown as large as a fingernail.
    let scale = (36 / height).max(3);
    let alt = lang.format("filters-alt", &[("count", filters.len().into())]);
    Ok(html! {
        h3 { (lang.text("filters-title")) }
        p class="note" {
            (lang.format("filters-note", &[("count", filters.len().into()), ("side", (*height).into())]))
        }
        img class="sheet tiny" src=(sheet.address()?) alt=(alt) width=(sheet.width * scale) height=(sheet.height * scale);
    })
}
