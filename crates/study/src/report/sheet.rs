//! A sheet of examples of what a recipe does to an image: a row for each augmentation by itself, then all of them
//! together, every tile labelled.

use super::images::{Bitmap, Inverse};
use font8x8::UnicodeFonts;
use residual::error::Result;
use residual_train::data::{Augment, Crop, Draws, Filter, Flip, Image, Jitter, Operation, Policy, Preprocessing};

/// Examples in a row.
const COLUMNS: usize = 8;
/// Side of a tile.
const TILE: usize = 128;
/// Space around tiles, and the height of a tile's label.
const GAP: usize = 12;
/// Height of a row's title.
const TITLE: usize = 26;

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

/// What `augment` does to `image` on its way to the network: as `testing` takes it, then at `side` pixels in training;
/// `seed` decides the examples.
///
/// # Errors
/// An augmentation that cannot be done.
pub fn sheet(augment: &Augment, image: &Image, testing: &Preprocessing, side: usize, seed: u64) -> Result<Image> {
    let preprocessing = &testing.at(side)?;
    let normalizer = preprocessing.normalizer()?;
    augment.check(preprocessing.height, preprocessing.width)?;
    let inverse = Inverse::new(&normalizer);
    let example = |augment: &Augment, epoch: u64| {
        let draws = Draws { seed, epoch, image: 0 };
        let pixels = augment.example(image, preprocessing, draws);
        let mut out = vec![0.0; pixels.len()];
        augment.apply(&normalizer, &pixels, draws, &mut out);
        inverse.image(&out)
    };
    let fitted = |preprocessing: &Preprocessing| {
        let Preprocessing { height, width, channels, .. } = *preprocessing;
        Image { height, width, channels, pixels: preprocessing.fit(image) }
    };
    let title = format!("in testing, {}x{} pixels", testing.height, testing.width);
    let mut rows = vec![Row { title, tiles: vec![tile(String::new(), fitted(testing).into())] }];
    let plain = fitted(preprocessing);
    for (title, alone) in parts(augment) {
        let tiles = match alone.policy {
            Policy::None => (0..COLUMNS as u64).map(|epoch| tile(String::new(), example(&alone, epoch))).collect(),
            policy => operations(policy, &plain),
        };
        rows.push(Row { title, tiles });
    }
    let all = (0..2 * COLUMNS as u64).map(|epoch| tile(format!("epoch {epoch}"), example(augment, epoch))).collect();
    rows.push(Row { title: format!("all together, {side}x{side} pixels"), tiles: all });
    Ok(drawn(&rows))
}

/// Each augmentation by itself, in the order in which they happen.
fn parts(augment: &Augment) -> Vec<(String, Augment)> {
    let none = Augment::default();
    let mut parts = Vec::new();
    match augment.crop {
        Crop::None => {}
        Crop::Scale([low, high]) => parts.push(format!("shorter side {low} to {high}, a window at random")),
        Crop::Resized { area: [low, high], aspect: [tall, wide] } => parts.push(format!(
            "{:.0} to {:.0} % of the area, width to height {tall:.2} to {wide:.2}",
            100.0 * low,
            100.0 * high
        )),
    }
    let mut parts: Vec<_> = parts.into_iter().map(|title| (title, Augment { crop: augment.crop, ..none })).collect();
    match augment.policy {
        Policy::None => {}
        Policy::RandAugment { operations, strength } => parts.push((
            format!("RandAugment: {operations} of these at strength {strength}, either sign"),
            Augment { policy: augment.policy, ..none },
        )),
        Policy::TrivialAugmentWide => parts.push((
            "TrivialAugment: one of these at any strength, either sign (here at two thirds)".into(),
            Augment { policy: augment.policy, ..none },
        )),
    }
    let Jitter { brightness, contrast, saturation, hue } = augment.jitter;
    let jitter = format!("jitter: brightness {brightness}, contrast {contrast}, saturation {saturation}, hue {hue}");
    let flip = match augment.flip {
        Flip::Alternating => "flip in every other epoch",
        _ => "flip half of the time",
    };
    let single = [
        (!augment.jitter.is_none(), jitter, Augment { jitter: augment.jitter, ..none }),
        (
            augment.pad_crop > 0,
            format!("shift by up to {} pixels", augment.pad_crop),
            Augment { pad_crop: augment.pad_crop, ..none },
        ),
        (augment.flip != Flip::None, flip.into(), Augment { flip: augment.flip, ..none }),
        (
            augment.lighting > 0.0,
            format!("lighting: principal components, deviation {}", augment.lighting),
            Augment { lighting: augment.lighting, ..none },
        ),
        (
            augment.cutout > 0,
            format!("cutout: a square of {} pixels", augment.cutout),
            Augment { cutout: augment.cutout, ..none },
        ),
        (
            augment.erasing > 0.0,
            format!("random erasing with probability {} (here always)", augment.erasing),
            Augment { erasing: 1.0, ..none },
        ),
    ];
    parts.extend(single.into_iter().filter(|(wanted, ..)| *wanted).map(|(_, title, alone)| (title, alone)));
    parts
}

/// Every operation of a policy's list at one strength.
fn operations(policy: Policy, image: &Image) -> Vec<Tile> {
    let strength = match policy {
        Policy::RandAugment { strength, .. } => strength,
        _ => 20,
    };
    let show = |operation: Operation| {
        let image = Image { pixels: operation.apply(image), ..image.clone() };
        tile(operation.to_string(), image.into())
    };
    policy.list(image.height, image.width, strength).into_iter().map(show).collect()
}

/// An image brought to a tile's size: smaller by resampling, larger by whole pixels.
fn tile(label: String, bitmap: Bitmap) -> Tile {
    let Bitmap { height, width, channels, pixels } = bitmap;
    let longest = height.max(width);
    let image = Image { height, width, channels, pixels };
    if longest > TILE {
        let side = TILE * height.min(width) / longest;
        return Tile { label, image: image.scaled(side.max(1), channels, Filter::Bilinear).into() };
    }
    let times = TILE / longest;
    let at = |y: usize, x: usize| &image.pixels[(y * width + x) * channels..][..channels];
    let large = (0..height * times).flat_map(|y| (0..width * times).map(move |x| (y / times, x / times)));
    let pixels = large.flat_map(|(y, x)| at(y, x)).copied().collect();
    Tile { label, image: Bitmap { height: height * times, width: width * times, channels, pixels } }
}

/// Black letters and images on white, `[h, w, 3]`.
struct Canvas(Image);

impl Canvas {
    fn new(height: usize, width: usize) -> Self {
        Self(Image { height, width, channels: 3, pixels: vec![255; height * width * 3] })
    }

    fn set(&mut self, y: usize, x: usize, colour: [u8; 3]) {
        if y < self.0.height && x < self.0.width {
            let at = (y * self.0.width + x) * 3;
            self.0.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }

    fn paste(&mut self, (top, left): (usize, usize), tile: &Bitmap) {
        for (i, pixel) in tile.pixels.chunks_exact(tile.channels).enumerate() {
            let colour = if let [r, g, b] = *pixel { [r, g, b] } else { [pixel[0]; 3] };
            self.set(top + i / tile.width, left + i % tile.width, colour);
        }
    }

    /// Letters of eight pixels; what the font does not have is left out.
    fn write(&mut self, (top, left): (usize, usize), text: &str) {
        for (i, letter) in text.chars().enumerate() {
            for (y, row) in font8x8::BASIC_FONTS.get(letter).into_iter().flatten().enumerate() {
                for x in (0..8).filter(|x| row >> x & 1 == 1) {
                    self.set(top + y, left + i * 8 + x, [0; 3]);
                }
            }
        }
    }
}

fn drawn(rows: &[Row]) -> Image {
    let step = TILE + GAP;
    let lines = |row: &Row| row.tiles.len().div_ceil(COLUMNS);
    let height = GAP + rows.iter().map(|row| TITLE + lines(row) * step).sum::<usize>();
    let mut canvas = Canvas::new(height, GAP + COLUMNS * step);
    let mut top = GAP;
    for row in rows {
        canvas.write((top + 4, GAP), &row.title);
        top += TITLE;
        for (i, Tile { label, image }) in row.tiles.iter().enumerate() {
            let corner = (top + i / COLUMNS * step, GAP + i % COLUMNS * step);
            canvas.paste(corner, image);
            canvas.write((corner.0 + TILE + 2, corner.1), label);
        }
        top += lines(row) * step;
    }
    canvas.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual_train::data::{Normalize, Resize};

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

    /// The colours of the tile whose corner is there.
    fn colours(sheet: &Image, (top, left): (usize, usize)) -> std::collections::BTreeSet<[u8; 3]> {
        let at = |y: usize, x: usize| (y * sheet.width + x) * 3;
        let pixel = |i: usize| {
            let at = at(top + i / TILE, left + i % TILE);
            [sheet.pixels[at], sheet.pixels[at + 1], sheet.pixels[at + 2]]
        };
        (0..TILE * TILE).map(pixel).collect()
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
        let sheet = sheet(&augment, &image, &preprocessing(20), 16, 1).expect("can be done");
        let lines = 1 + 1 + 2 + 1 + 1 + 1 + 1 + 2;
        let height = GAP + 8 * TITLE + lines * (TILE + GAP);
        assert_eq!((sheet.height, sheet.width), (height, GAP + COLUMNS * (TILE + GAP)));
        // The first tile is the image; beside it is nothing.
        let step = TILE + GAP;
        assert!(colours(&sheet, (GAP + TITLE, GAP)).len() > 100);
        assert_eq!(colours(&sheet, (GAP + TITLE, GAP + step)).len(), 1);
        // Tested at 20 pixels, each of which is six wide on the tile, and trained at 16, which are eight.
        let row = (0..TILE).map(|x| ((GAP + TITLE) * sheet.width + GAP + x) * 3);
        let tested: Vec<&[u8]> = row.map(|at| &sheet.pixels[at..at + 3]).collect();
        assert!(tested[0] == tested[5] && tested[5] != tested[6], "a pixel is six wide");
        // Both lines of all together are full of different tiles; a brightness of 0.01 may leave one or two black.
        let top = height - 2 * step;
        let last: Vec<_> = (0..16).map(|i| colours(&sheet, (top + i / 8 * step, GAP + i % 8 * step))).collect();
        assert!(last.iter().all(|tile| !tile.contains(&[255; 3]) || tile.len() > 1), "each has its place");
        let different: std::collections::BTreeSet<_> = last.iter().collect();
        assert!(different.len() >= 12, "{}", different.len());
        // Something is written above the first row.
        assert!(sheet.pixels[..(GAP + TITLE) * sheet.width * 3].contains(&0));
    }

    #[test]
    fn a_recipe_without_augmentation_has_the_image_and_itself() {
        let image = Image { height: 300, width: 200, channels: 1, pixels: vec![70; 60_000] };
        let sheet = sheet(&Augment::default(), &image, &preprocessing(224), 224, 0).expect("can be done");
        let tiles = [(GAP + TITLE, GAP), (sheet.height - (TILE + GAP), GAP)].map(|corner| colours(&sheet, corner));
        assert!(tiles.iter().all(|tile| tile.iter().all(|colour| colour.iter().all(|v| v.abs_diff(70) <= 1))));
    }
}
