//! The contact sheet of a recipe's augmentation, a page: a row for each augmentation by itself,
//! then all of them together, every tile labelled.

use super::images::{Bitmap, Inverse};
use super::lang::Lang;
use super::page::{Page, Section};
use maud::{Markup, html};
use residual::error::Result;
use residual_train::data::{Augment, AugmentRng, Crop, Filter, Flip, Image, Jitter, Operation, Policy, Preprocessing};

/// Examples of an augmentation.
const EXAMPLES: u64 = 8;
/// Side of a tile in pixels.
const TILE: usize = 128;

/// A labelled example.
struct Tile {
    label: String,
    image: Bitmap,
}

/// A row of the sheet.
struct Row {
    title: String,
    tiles: Vec<Tile>,
}

/// Builds the page that shows what `augment` does to `image`: the image as `testing` takes it, then
/// the examples of training at `side` pixels. `seed` decides the examples.
///
/// # Errors
/// Fails if an augmentation is invalid at this size.
pub fn contact_sheet(
    augment: &Augment,
    image: &Image,
    testing: &Preprocessing,
    side: usize,
    seed: u64,
    lang: Lang,
) -> Result<Page> {
    let rows = rows(augment, image, testing, side, seed, lang)?;
    let sections =
        rows.iter().enumerate().map(|(i, row)| Ok(Section::new(format!("row-{}", i + 1), &row.title, body(row)?)));
    Ok(Page {
        lang,
        over: lang.text("sheet").to_owned(),
        title: lang.text("sheet-title").to_owned(),
        head: html! { p class="note" { (lang.text("sheet-note")) } },
        sections: sections.collect::<Result<_>>()?,
    })
}

/// Draws one row.
fn body(row: &Row) -> Result<Markup> {
    let tiles = row.tiles.iter().map(|tile| Ok((tile, tile.image.address()?))).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        ul class="thumbs" { @for (tile, address) in tiles { li {
            img class="tiny" src=(address) alt=(format!("{} {}", row.title, tile.label)) width=(TILE) height=(TILE);
            @if !tile.label.is_empty() { div class="says" { (tile.label) } }
        } } }
    })
}

fn rows(
    augment: &Augment,
    image: &Image,
    testing: &Preprocessing,
    side: usize,
    seed: u64,
    lang: Lang,
) -> Result<Vec<Row>> {
    let preprocessing = &testing.at(side)?;
    let normalizer = preprocessing.normalizer()?;
    augment.check(preprocessing.height, preprocessing.width)?;
    let inverse = Inverse::new(&normalizer);
    let example = |augment: &Augment, epoch: u64| {
        let rng = AugmentRng { seed, epoch, image: 0 };
        let pixels = augment.example(image, preprocessing, rng);
        let mut out = vec![0.0; pixels.len()];
        augment.apply(&normalizer, &pixels, rng, &mut out);
        inverse.image(&out)
    };
    let fitted = |preprocessing: &Preprocessing| {
        let Preprocessing { height, width, channels, .. } = *preprocessing;
        Image { height, width, channels, pixels: preprocessing.fit(image) }
    };
    let size = [("height", testing.height.into()), ("width", testing.width.into())];
    let title = lang.format("sheet-testing", &size);
    let mut rows = vec![Row { title, tiles: vec![tile(String::new(), fitted(testing).into())] }];
    let plain = fitted(preprocessing);
    for (title, alone) in parts(augment, lang) {
        let tiles = match alone.policy {
            Policy::None => (0..EXAMPLES).map(|epoch| tile(String::new(), example(&alone, epoch))).collect(),
            policy => operations(policy, &plain),
        };
        rows.push(Row { title, tiles });
    }
    let all = (0..2 * EXAMPLES)
        .map(|epoch| tile(lang.format("sheet-epoch", &[("epoch", epoch.into())]), example(augment, epoch)))
        .collect();
    rows.push(Row { title: lang.format("sheet-all", &[("side", side.into())]), tiles: all });
    Ok(rows)
}

/// Lists each augmentation by itself, in the order of application.
fn parts(augment: &Augment, lang: Lang) -> Vec<(String, Augment)> {
    let none = Augment::default();
    let mut parts = Vec::new();
    match augment.crop {
        Crop::None => {}
        Crop::Scale([low, high]) => {
            parts.push(lang.format("sheet-scale", &[("low", low.into()), ("high", high.into())]))
        }
        Crop::Resized { area: [low, high], aspect: [tall, wide] } => parts.push(lang.format(
            "sheet-resized",
            &[
                ("low", format!("{:.0}", 100.0 * low).into()),
                ("high", format!("{:.0}", 100.0 * high).into()),
                ("tall", format!("{tall:.2}").into()),
                ("wide", format!("{wide:.2}").into()),
            ],
        )),
    }
    let mut parts: Vec<_> = parts.into_iter().map(|title| (title, Augment { crop: augment.crop, ..none })).collect();
    match augment.policy {
        Policy::None => {}
        Policy::RandAugment { operations, magnitude: strength } => parts.push((
            lang.format("sheet-rand-augment", &[("operations", operations.into()), ("strength", strength.into())]),
            Augment { policy: augment.policy, ..none },
        )),
        Policy::TrivialAugmentWide => {
            parts.push((lang.text("sheet-trivial-augment").to_owned(), Augment { policy: augment.policy, ..none }))
        }
    }
    let Jitter { brightness, contrast, saturation, hue } = augment.jitter;
    let jitter = lang.format(
        "sheet-jitter",
        &[
            ("brightness", brightness.to_string().into()),
            ("contrast", contrast.to_string().into()),
            ("saturation", saturation.to_string().into()),
            ("hue", hue.to_string().into()),
        ],
    );
    let flip = match augment.flip {
        Flip::Alternating => lang.text("sheet-flip-alternating"),
        _ => lang.text("sheet-flip-random"),
    };
    let single = [
        (!augment.jitter.is_none(), jitter, Augment { jitter: augment.jitter, ..none }),
        (
            augment.pad_crop > 0,
            lang.format("sheet-shift", &[("pixels", augment.pad_crop.into())]),
            Augment { pad_crop: augment.pad_crop, ..none },
        ),
        (augment.flip != Flip::None, flip.into(), Augment { flip: augment.flip, ..none }),
        (
            augment.lighting > 0.0,
            lang.format("sheet-lighting", &[("deviation", augment.lighting.to_string().into())]),
            Augment { lighting: augment.lighting, ..none },
        ),
        (
            augment.cutout > 0,
            lang.format("sheet-cutout", &[("pixels", augment.cutout.into())]),
            Augment { cutout: augment.cutout, ..none },
        ),
        (
            augment.erasing > 0.0,
            lang.format("sheet-erasing", &[("probability", augment.erasing.to_string().into())]),
            Augment { erasing: 1.0, ..none },
        ),
    ];
    parts.extend(single.into_iter().filter(|(wanted, ..)| *wanted).map(|(_, title, alone)| (title, alone)));
    parts
}

/// Shows every operation of a policy at one strength.
fn operations(policy: Policy, image: &Image) -> Vec<Tile> {
    let strength = match policy {
        Policy::RandAugment { magnitude, .. } => magnitude,
        _ => 20,
    };
    let show = |operation: Operation| {
        let image = Image { pixels: operation.apply(image), ..image.clone() };
        tile(operation.to_string(), image.into())
    };
    policy.list(image.height, image.width, strength).into_iter().map(show).collect()
}

/// Brings an image to at most a tile's size; the page enlarges smaller ones by whole pixels.
fn tile(label: String, bitmap: Bitmap) -> Tile {
    let Bitmap { height, width, channels, pixels } = bitmap;
    let longest = height.max(width);
    let image = Image { height, width, channels, pixels };
    if longest > TILE {
        let side = TILE * height.min(width) / longest;
        return Tile { label, image: image.scaled(side.max(1), channels, Filter::Bilinear).into() };
    }
    Tile { label, image: image.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual_train::data::{Normalize, Resize};
    use std::collections::BTreeSet;

    fn preprocessing(side: usize) -> Preprocessing {
        Preprocessing {
            height: side,
            width: side,
            channels: 3,
            scale: None,
            resize: Resize::Crop,
            filter: Filter::Bilinear,
            normalize: Normalize::known("imagenet").expect("known"),
        }
    }

    #[test]
    fn a_sheet_has_a_row_for_each_augmentation_and_one_for_all() {
        let pixels = (0..32 * 32).flat_map(|i| [(i % 32 * 8) as u8, (i / 32 * 8) as u8, 90]).collect();
        let image = Image { height: 32, width: 32, channels: 3, pixels };
        let augment = Augment {
            crop: Crop::Resized { area: [0.1, 1.0], aspect: [0.75, 1.33] },
            policy: Policy::TrivialAugmentWide,
            jitter: Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
            flip: Flip::Random,
            lighting: 0.1,
            erasing: 0.1,
            ..Augment::default()
        };
        let rows = rows(&augment, &image, &preprocessing(20), 16, 1, Lang::En).expect("valid");
        assert_eq!(rows.iter().map(|row| row.tiles.len()).collect::<Vec<_>>(), [1, 8, 14, 8, 8, 8, 8, 16]);
        // Tested at 20 pixels and trained at 16.
        assert_eq!((rows[0].tiles[0].image.width, rows[1].tiles[0].image.width), (20, 16));
        // A brightness of 0.01 may leave one or two of the last row black.
        let last: BTreeSet<&[u8]> = rows[7].tiles.iter().map(|tile| tile.image.pixels.as_slice()).collect();
        assert!(last.len() >= 12, "{}", last.len());
        assert_eq!(rows[7].tiles[15].label, "epoch 15");
        let page = contact_sheet(&augment, &image, &preprocessing(20), 16, 1, Lang::Ko).expect("valid").render();
        assert_eq!(page.matches("<img ").count(), 71);
        assert!(page.contains("<html lang=\"ko\">") && page.len() < 500_000, "{}", page.len());
    }

    #[test]
    fn a_recipe_without_augmentation_shows_the_image_and_itself() {
        let image = Image { height: 300, width: 200, channels: 1, pixels: vec![70; 60_000] };
        let rows = rows(&Augment::default(), &image, &preprocessing(224), 224, 0, Lang::En).expect("valid");
        assert_eq!(rows.len(), 2);
        let tiles = rows.iter().flat_map(|row| &row.tiles);
        assert!(tiles.flat_map(|tile| &tile.image.pixels).all(|value| value.abs_diff(70) <= 1));
    }
}
