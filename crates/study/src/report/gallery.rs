//! The images of a page: mistakes, doubts, variations, filters.

use super::evaluation::split_name;
use super::images::Bitmap;
use super::lang::Lang;
use super::subject::{Explained, Seen, Subject};
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
pub fn answers(subject: &Subject, lang: Lang) -> Result<Markup> {
    let split = split_name(subject.split, lang);
    let suspicious = subject.mistakes.iter().filter(|seen| subject.doubts_label(seen)).count();
    Ok(html! {
        h3 { (lang.of("The most confident mistakes", "가장 확신한 오답")) }
        p class="note" {
            (lang.of(
                format!("Images of the {split} split on which the network was surest of a wrong class."),
                format!("{split} 세트에서 신경망이 가장 확신하며 틀린 이미지입니다."),
            ))
            @if suspicious > 0 {
                " " (lang.of(
                    "Where it was surer than 95 %, look twice: the label itself may be wrong, or the image shows two things.",
                    "확신도가 95 %를 넘는 이미지는 다시 살펴보세요. 레이블 자체가 틀렸거나 한 이미지에 두 대상이 있을 수 있습니다.",
                ))
            }
        }
        @if subject.mistakes.is_empty() {
            p { (lang.of("There are none.", "오답이 없습니다.")) }
        }
        (thumbs(&subject.mistakes, subject, lang)?)
        h3 { (lang.of("The least certain answers", "가장 망설인 이미지")) }
        p class="note" {
            (lang.of(
                "The images whose probabilities are spread most evenly over the classes (highest entropy), right or wrong.",
                "정답 여부와 관계없이 클래스별 확률이 가장 고르게 퍼진(엔트로피가 가장 높은) 이미지입니다.",
            ))
        }
        (thumbs(&subject.uncertain, subject, lang)?)
    })
}

fn thumbs(seen: &[Seen], subject: &Subject, lang: Lang) -> Result<Markup> {
    let items: Result<Vec<Markup>> = seen.iter().map(|seen| thumb(seen, subject, lang)).collect();
    Ok(html! { ul class="thumbs" { @for item in items? { li { (item) } } } })
}

fn thumb(seen: &Seen, subject: &Subject, lang: Lang) -> Result<Markup> {
    let (told, truth) = (subject.class(seen.said.told), subject.class(seen.said.truth));
    let sure = 100.0 * seen.said.confidence;
    let alt = lang.of(
        format!("{}: labelled {truth}, taken for {told}", seen.name),
        format!("{}: 레이블은 {truth}, 예측은 {told}", seen.name),
    );
    Ok(html! {
        (image(&seen.image, &alt)?)
        div class="says" title=(seen.name) {
            b { (told) } " " (format!("{sure:.0}\u{a0}%"))
            @if seen.said.is_right() {
                span {
                    (lang.of("right; next ", "정답, 다음은 ")) (subject.class(seen.said.second))
                    (format!(" {:.0}\u{a0}%", 100.0 * seen.said.second_confidence))
                }
            } @else {
                span { (lang.of("label: ", "레이블: ")) (truth) }
                @if subject.doubts_label(seen) { em class="tag" { (lang.of("label wrong?", "레이블 오류?")) } }
            }
        }
    })
}

/// Where the network looked: images beside themselves under heat.
pub fn explained(subject: &Subject, lang: Lang) -> Result<Markup> {
    if subject.explained.is_empty() {
        return Ok(html! {});
    }
    let item = |one: &Explained| {
        let (told, truth) = (subject.class(one.seen.said.told), subject.class(one.seen.said.truth));
        let alt = format!("{}: {truth}", one.seen.name);
        let heat = lang.of(
            format!("the same image, warm where it spoke for {told}"),
            format!("같은 이미지에서 {told}(으)로 판단한 근거를 따뜻한 색으로 표시"),
        );
        let verdict = if one.seen.said.is_right() {
            lang.of("right".to_owned(), "정답".to_owned())
        } else {
            lang.of(format!("label: {truth}"), format!("레이블: {truth}"))
        };
        Ok(html! {
            div class="pair" { (image(&one.seen.image, &alt)?) (image(&one.heat, heat.as_str())?) }
            div class="says" { b { (told) } (format!(" {:.0}\u{a0}%", 100.0 * one.seen.said.confidence)) span { (verdict) } }
        })
    };
    let items = subject.explained.iter().map(item).collect::<Result<Vec<Markup>>>()?;
    Ok(html! {
        h3 { (lang.of("Where the network looked", "신경망이 본 곳")) }
        p class="note" {
            (lang.of(
                "Grad-CAM: warm places of the image spoke for the answer, cold ones did not matter or spoke against it.",
                "Grad-CAM: 따뜻한 색일수록 답의 근거가 된 곳이고, 차가운 색은 영향이 없거나 반대 근거가 된 곳입니다.",
            ))
        }
        ul class="thumbs wide-thumbs" { @for item in items { li { (item) } } }
    })
}

/// Training images and what augmentation makes of them.
pub fn variations(subject: &Subject, lang: Lang) -> Result<Markup> {
    let columns = subject.variations.iter().map(Vec::len).max().unwrap_or(0);
    let tiles: Vec<Bitmap> = subject.variations.iter().flatten().cloned().collect();
    let Some(sheet) = Bitmap::sheet(&tiles, columns) else { return Ok(html! {}) };
    let alt = lang
        .of("Rows of training images, each followed by its augmented variations", "각 줄: 학습 이미지와 그 증강 결과");
    let scale = if sheet.width / columns.max(1) < TINY { 2 } else { 1 };
    Ok(html! {
        h3 { (lang.of("What training sees", "학습에 들어가는 이미지")) }
        p class="note" {
            (lang.of(
                "In each row first a training image, then what the recipe's augmentation makes of it in different epochs.",
                "각 줄의 첫 칸은 원래 학습 이미지이고, 나머지는 레시피의 증강이 에폭마다 만들어 내는 모습입니다.",
            ))
        }
        img class="sheet tiny" src=(sheet.address()?) alt=(alt) width=(sheet.width * scale) height=(sheet.height * scale);
    })
}

/// The filters of the first convolution.
pub fn filters(subject: &Subject, lang: Lang) -> Result<Markup> {
    let Some((filters, height)) = &subject.filters else { return Ok(html! {}) };
    let columns = (filters.len() as f64).sqrt().ceil() as usize * if filters.len() > 16 { 2 } else { 1 };
    let Some(sheet) = Bitmap::sheet(filters, columns) else { return Ok(html! {}) };
    // A 3x3 filter is shown as large as a fingernail.
    let scale = (36 / height).max(3);
    let alt = lang.of(format!("{} filters", filters.len()), format!("필터 {}개", filters.len()));
    Ok(html! {
        h3 { (lang.of("The first layer's filters", "첫 번째 층의 필터")) }
        p class="note" {
            (lang.of(
                format!("{} filters of {height}×{height} pixels as colours: grey is zero, each filter is scaled to its largest weight.", filters.len()),
                format!("{height}×{height} 필터 {}개를 색으로 나타냈습니다. 회색이 0이며, 필터마다 가장 큰 가중치에 맞추어 밝기를 조정했습니다.", filters.len()),
            ))
        }
        img class="sheet tiny" src=(sheet.address()?) alt=(alt) width=(sheet.width * scale) height=(sheet.height * scale);
    })
}
