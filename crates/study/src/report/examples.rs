//! The images of a page: error examples, uncertain predictions, Grad-CAM, augmented images,
//! filters.

use super::evaluation::split_name;
use super::images::Bitmap;
use super::lang::Lang;
use super::report_data::{Example, Explained, ReportData};
use maud::{Markup, html};
use residual::error::Result;

/// Images narrower than this are enlarged without smoothing, so that their pixels are
/// visible.
const TINY: usize = 64;

/// Writes an image with the alternative text `alt`.
pub fn image(bitmap: &Bitmap, alt: &str) -> Result<Markup> {
    let tiny = (bitmap.width < TINY).then_some("tiny");
    Ok(html! {
        img class=[tiny] src=(bitmap.address()?) alt=(alt) width=(bitmap.width) height=(bitmap.height);
    })
}

/// Shows the most confident errors and the least certain predictions.
pub fn predictions(run: &ReportData, lang: Lang) -> Result<Markup> {
    let split = split_name(run.split, lang);
    let suspicious = run.mistakes.iter().filter(|example| run.has_suspicious_label(example)).count();
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

fn thumbs(examples: &[Example], run: &ReportData, lang: Lang) -> Result<Markup> {
    let items: Result<Vec<Markup>> = examples.iter().map(|example| thumb(example, run, lang)).collect();
    Ok(html! { ul class="thumbs" { @for item in items? { li { (item) } } } })
}

fn thumb(example: &Example, run: &ReportData, lang: Lang) -> Result<Markup> {
    let (predicted, label) = (run.class(example.prediction.prediction), run.class(example.prediction.label));
    let sure = 100.0 * example.prediction.confidence;
    let alt = lang.format(
        "thumbnail-alt",
        &[
            ("name", example.name.as_str().into()),
            ("label", label.as_str().into()),
            ("prediction", predicted.as_str().into()),
        ],
    );
    Ok(html! {
        (image(&example.image, &alt)?)
        div class="says" title=(example.name) {
            b { (predicted) } " " (format!("{sure:.0}\u{a0}%"))
            @if example.prediction.is_right() {
                span {
                    (lang.format("correct-next", &[
                        ("class", run.class(example.prediction.second_prediction).into()),
                        ("confidence", format!("{:.0}", 100.0 * example.prediction.second_confidence).into()),
                    ]))
                }
            } @else {
                span { (lang.format("label-is", &[("label", label.as_str().into())])) }
                @if run.has_suspicious_label(example) { em class="tag" { (lang.text("label-suspicious")) } }
            }
        }
    })
}

/// Shows images beside their Grad-CAM overlays.
pub fn explained(run: &ReportData, lang: Lang) -> Result<Markup> {
    if run.explained.is_empty() {
        return Ok(html! {});
    }
    let item = |one: &Explained| {
        let (predicted, label) =
            (run.class(one.example.prediction.prediction), run.class(one.example.prediction.label));
        let alt = format!("{}: {label}", one.example.name);
        let heat = lang.format("heat-alt", &[("prediction", predicted.as_str().into())]);
        let verdict = if one.example.prediction.is_right() {
            lang.text("correct").to_owned()
        } else {
            lang.format("label-is", &[("label", label.into())])
        };
        Ok(html! {
            div class="pair" { (image(&one.example.image, &alt)?) (image(&one.overlay, heat.as_str())?) }
            div class="says" { b { (predicted) } (format!(" {:.0}\u{a0}%", 100.0 * one.example.prediction.confidence)) span { (verdict) } }
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

/// Shows training images with augmented versions.
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

/// Shows the filters of the first convolution.
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
