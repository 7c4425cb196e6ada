//! `shapes`: ten classes of generated 32x32 images, so that a first run works offline.
//!
//! An image is one shape of random size, position, rotation, colour and texture before a random
//! background with strokes and noise. The class is the shape alone: colours and textures do not
//! depend on it, so that a linear model on raw pixels stays near chance (12 % correct, chance 10
//! %), while four convolutions of 16 to 64 channels reach 96 % in five epochs and ResNet-20 97 % in
//! the second of four (one-cycle SGD, batch 128, on a set of the same difficulty). All arithmetic
//! is on integers and every image has its own random stream, so the images are the same on every
//! machine and with any number of threads; a test pins their MD5.
//!
//! Lengths are in 1/16 pixel on the canvas and in 1/1024 of the shape's radius inside a shape.

use super::block::{Block, Names};
use super::cifar::{self, PIXELS, SIDE};
use super::progress::Progress;
use super::provenance::Provenance;
use super::raw::RawDataset;
use super::sample::{below, between};
use crate::atomic;
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use md5::{Digest, Md5};
use rand::RngCore;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use residual::numbers::hex;
use std::fs;
use std::path::Path;

/// Names of the classes in label order.
pub(crate) const CLASSES: [&str; 10] =
    ["disc", "ring", "square", "triangle", "star", "cross", "crescent", "heart", "arrow", "bars"];
/// Numbers of training and test images.
pub(crate) const COUNTS: [usize; 2] = [20_000, 2_000];
/// Training images in each of the five files of CIFAR's layout.
const PER_FILE: usize = COUNTS[0] / 5;

const SEED: u64 = 0x5ea9_e500;
/// Sines of i · 5.625° for a quarter turn, times 4096.
const QUARTER: [i32; 17] =
    [0, 401, 799, 1189, 1567, 1931, 2276, 2598, 2896, 3166, 3406, 3612, 3784, 3920, 4017, 4076, 4096];

type Colour = [i32; 3];
type Polygon = &'static [(i32, i32)];

const TRIANGLE: Polygon = &[(0, 1000), (-866, -500), (866, -500)];
const STAR: Polygon = &[
    (0, 1000),
    (-235, 324),
    (-951, 309),
    (-380, -124),
    (-588, -809),
    (0, -400),
    (588, -809),
    (380, -124),
    (951, 309),
    (235, 324),
];
const HEART: Polygon = &[
    (0, -950),
    (-850, 50),
    (-950, 420),
    (-720, 760),
    (-380, 800),
    (-110, 620),
    (0, 340),
    (110, 620),
    (380, 800),
    (720, 760),
    (950, 420),
    (850, 50),
];
const ARROW: Polygon = &[(0, 1000), (-780, 100), (-260, 100), (-260, -950), (260, -950), (260, 100), (780, 100)];

/// Draws the training and the test split.
fn generate(progress: &mut dyn Progress) -> (Block, Block, Provenance) {
    progress.start("drawing shapes", (COUNTS[0] + COUNTS[1]) as u64);
    let [train, test] = [0, 1].map(|split| {
        let n = COUNTS[split];
        let mut pixels = vec![0; n * PIXELS];
        pixels.par_chunks_exact_mut(PIXELS).enumerate().for_each(|(i, out)| draw(split, i, out));
        progress.advance(n as u64);
        let labels = (0..n).map(|i| label(i) as u32).collect();
        let names = match split {
            0 => (1..=5).map(|i| (format!("data_batch_{i}.bin"), PER_FILE)).collect(),
            _ => vec![("test_batch.bin".to_string(), n)],
        };
        Block { height: SIDE, width: SIDE, channels: 3, pixels, labels, names: Names::Records(names) }
    });
    let mut md5 = Md5::new();
    let mut record = Vec::with_capacity(1 + PIXELS);
    for block in [&train, &test] {
        for i in 0..block.labels.len() {
            record.clear();
            write_record(block, i, &mut record);
            md5.update(&record);
        }
    }
    let provenance = Provenance { images: COUNTS[0] + COUNTS[1], md5: hex(&md5.finalize()), canonical: None };
    (train, test, provenance)
}

/// Generates both splits as a data set.
pub(crate) fn read(progress: &mut dyn Progress) -> RawDataset {
    let (train, test, provenance) = generate(progress);
    RawDataset::in_memory("shapes", CLASSES.map(String::from).to_vec(), train, test, provenance)
}

/// Generates the `shapes` data set and writes it to `folder` in CIFAR-10's binary layout, class
/// names included. Returns its fingerprint.
///
/// # Errors
/// Fails if the folder or a file cannot be written; each file appears complete or not at all.
pub fn write_shapes(folder: &Path, progress: &mut dyn Progress) -> Result<Provenance> {
    let (train, test, provenance) = generate(progress);
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    for block in [&train, &test] {
        let Names::Records(runs) = &block.names else { continue };
        let mut first = 0;
        for (file, records) in runs {
            let mut bytes = Vec::with_capacity(records * (1 + PIXELS));
            (first..first + records).for_each(|i| write_record(block, i, &mut bytes));
            atomic::write(&folder.join(file), &bytes)?;
            first += records;
        }
    }
    atomic::write(&folder.join("batches.meta.txt"), (CLASSES.join("\n") + "\n").as_bytes())?;
    Ok(provenance)
}

/// Appends an image as a record of CIFAR-10's binary layout.
fn write_record(block: &Block, i: usize, out: &mut Vec<u8>) {
    out.push(block.labels[i] as u8);
    cifar::planes(block.image(i), out);
}

/// Returns the class of image `i`: classes take turns, so that any prefix is balanced.
fn label(i: usize) -> usize {
    i % CLASSES.len()
}

/// Draws image `i` of a split into `out`, `[32, 32, 3]`.
fn draw(split: usize, i: usize, out: &mut [u8]) {
    let mut rng = stream(SEED, Purpose::Shapes, split as u64, i as u64);
    let rng = &mut rng;
    let first = colour(rng);
    let ground = [first, shade(rng, first, 3)];
    let background = Paint::new(rng, ground);
    let first = colour_apart(rng, &ground);
    let front = [first, shade(rng, first, 4)];
    let foreground = Paint::new(rng, front);
    let strokes: Vec<Stroke> = (0..below(rng, 3)).map(|_| Stroke::new(rng)).collect();
    let shape = Shape::new(rng, label(i));
    let noise = between(rng, 0, 20);
    for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((at % SIDE) as i32, (at / SIDE) as i32);
        let mut value = background.at(x, y);
        for stroke in &strokes {
            if stroke.covers(x, y) {
                value = stroke.colour;
            }
        }
        let cover = shape.cover(x, y);
        if cover > 0 {
            let front = foreground.at(x, y);
            for (v, f) in value.iter_mut().zip(front) {
                *v = (*v * (4 - cover) + f * cover) / 4;
            }
        }
        // One random number has ten bits for each channel.
        let bits = rng.next_u32();
        for (channel, (out, v)) in pixel.iter_mut().zip(value).enumerate() {
            let share = ((bits >> (10 * channel)) & 1023) as i32;
            *out = (v - noise + ((share * (2 * noise + 1)) >> 10)).clamp(0, 255) as u8;
        }
    }
}

/// Draws a colour.
fn colour(rng: &mut ChaCha8Rng) -> Colour {
    std::array::from_fn(|_| between(rng, 16, 239))
}

/// Draws a colour near another: the difference to a random one is divided by `parts`.
fn shade(rng: &mut ChaCha8Rng, near: Colour, parts: i32) -> Colour {
    let far = colour(rng);
    std::array::from_fn(|i| near[i] + (far[i] - near[i]) / parts)
}

/// Draws a colour that contrasts with both of `ground`: of up to 16 draws the first that differs
/// from each by at least 240 in sum, or the last.
fn colour_apart(rng: &mut ChaCha8Rng, ground: &[Colour; 2]) -> Colour {
    let mut drawn = colour(rng);
    for _ in 0..15 {
        let near = |g: &Colour| g.iter().zip(drawn).map(|(a, b)| (a - b).abs()).sum::<i32>() < 240;
        if !ground.iter().any(near) {
            break;
        }
        drawn = colour(rng);
    }
    drawn
}

/// Returns `(cos, sin)` of `turn` · 5.625°, times 4096.
fn direction(turn: usize) -> (i32, i32) {
    let sine = |turn: usize| match (turn % 64) / 16 {
        0 => QUARTER[turn % 16],
        1 => QUARTER[16 - turn % 16],
        2 => -QUARTER[turn % 16],
        _ => -QUARTER[16 - turn % 16],
    };
    (sine(turn + 16), sine(turn))
}

/// Two colours and the pattern that they form.
struct Paint {
    colours: [Colour; 2],
    kind: usize,
    along: (i32, i32),
    period: i32,
    phase: i32,
    lattice: [i32; 36],
}

impl Paint {
    /// Draws a pattern of two colours.
    fn new(rng: &mut ChaCha8Rng, colours: [Colour; 2]) -> Self {
        Self {
            colours,
            kind: below(rng, 5),
            along: direction(below(rng, 64)),
            period: between(rng, 4, 9),
            phase: between(rng, 0, 15),
            lattice: std::array::from_fn(|_| between(rng, 0, 256)),
        }
    }

    /// Returns the colour at a pixel.
    fn at(&self, x: i32, y: i32) -> Colour {
        let (c, s) = self.along;
        // Pixels along and across the pattern.
        let (u, v) = ((x * c + y * s) >> 12, (y * c - x * s) >> 12);
        let cell = |t: i32| (t + self.phase + 64) / self.period % 2;
        // Share of the second colour, of 256.
        let share = match self.kind {
            0 => 0,
            1 => ((x - 16) * c + (y - 16) * s) / 4096 * 6 + 128,
            2 => cell(u) * 256,
            3 => (cell(u) ^ cell(v)) * 256,
            _ => self.cloud(x, y),
        };
        let share = share.clamp(0, 256);
        let [a, b] = self.colours;
        std::array::from_fn(|i| (a[i] * (256 - share) + b[i] * share) >> 8)
    }

    /// Interpolates random values on a lattice of 8 pixels.
    fn cloud(&self, x: i32, y: i32) -> i32 {
        let (i, j) = ((x / 8) as usize, (y / 8) as usize);
        let (fx, fy) = (x % 8, y % 8);
        let at = |i: usize, j: usize| self.lattice[j * 6 + i];
        let top = at(i, j) * (8 - fx) + at(i + 1, j) * fx;
        let bottom = at(i, j + 1) * (8 - fx) + at(i + 1, j + 1) * fx;
        (top * (8 - fy) + bottom * fy) / 64
    }
}

/// A short line in the background.
struct Stroke {
    colour: Colour,
    centre: (i32, i32),
    along: (i32, i32),
    length: i32,
    width: i32,
}

impl Stroke {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        Self {
            colour: colour(rng),
            centre: (between(rng, 0, 31), between(rng, 0, 31)),
            along: direction(below(rng, 64)),
            length: between(rng, 2, 7),
            width: between(rng, 1, 2),
        }
    }

    fn covers(&self, x: i32, y: i32) -> bool {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let (c, s) = self.along;
        (dx * c + dy * s).abs() < self.length * 4096 && (dy * c - dx * s).abs() < self.width * 4096
    }
}

/// The shape of an image.
struct Shape {
    class: usize,
    /// Centre in 1/16 pixel.
    centre: (i32, i32),
    /// Cosine and sine times 4096 · 1024 / radius, which rotate and scale at once.
    turn: (i32, i32),
}

impl Shape {
    fn new(rng: &mut ChaCha8Rng, class: usize) -> Self {
        let radius = between(rng, 8 * 16, 13 * 16);
        // Up to 45 degrees to either side, so that arrows point up rather than down.
        let (c, s) = direction(64 - 8 + below(rng, 17));
        // Up to 2 pixels may lie outside the image.
        let room = 512 - 2 * radius + 64;
        let mut coordinate = || radius - 32 + between(rng, 0, room);
        let centre = (coordinate(), coordinate());
        Self { class, centre, turn: (c * 1024 / radius, s * 1024 / radius) }
    }

    /// Counts how many of a pixel's four samples lie inside.
    fn cover(&self, x: i32, y: i32) -> i32 {
        let mut cover = 0;
        for (dx, dy) in [(4, 4), (12, 4), (4, 12), (12, 12)] {
            let (px, py) = (x * 16 + dx - self.centre.0, y * 16 + dy - self.centre.1);
            let (c, s) = self.turn;
            // Rows increase downwards, v upwards.
            let (u, v) = ((px * c + py * s) >> 12, (px * s - py * c) >> 12);
            cover += i32::from(self.contains(u, v));
        }
        cover
    }

    /// Returns whether a point lies inside the shape.
    fn contains(&self, u: i32, v: i32) -> bool {
        if u.abs() > 1100 || v.abs() > 1100 {
            return false;
        }
        let within = |u: i32, v: i32, radius: i32| u * u + v * v <= radius * radius;
        match self.class {
            0 => within(u, v, 850),
            1 => within(u, v, 950) && !within(u, v, 480),
            2 => u.abs() <= 780 && v.abs() <= 780,
            3 => inside(TRIANGLE, u, v),
            4 => inside(STAR, u, v),
            5 => (u.abs() <= 300 && v.abs() <= 950) || (v.abs() <= 300 && u.abs() <= 950),
            6 => within(u, v, 950) && !within(u - 480, v, 800),
            7 => inside(HEART, u, v),
            8 => inside(ARROW, u, v),
            _ => u.abs() <= 900 && (220..=760).contains(&v.abs()),
        }
    }
}

/// Returns whether a point lies in a polygon: a ray to the right crosses an odd number of edges.
fn inside(polygon: Polygon, u: i32, v: i32) -> bool {
    let mut inside = false;
    let mut last = polygon[polygon.len() - 1];
    for &here in polygon {
        let ((x0, y0), (x1, y1)) = (last, here);
        if (y0 > v) != (y1 > v) {
            // Left of the edge: u < x0 + (x1 - x0)(v - y0) / (y1 - y0), without the division.
            let left = (u - x0) * (y1 - y0) < (x1 - x0) * (v - y0);
            inside ^= left == (y1 > y0);
        }
        last = here;
    }
    inside
}

/// MD5 of the images in CIFAR's binary layout.
#[cfg(test)]
pub(crate) const SHAPES_MD5: &str = "d2b06c3da973fc08e2096ac76df24632";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_images_have_the_pinned_md5() {
        let (train, test, provenance) = generate(&mut ());
        assert_eq!(provenance.md5, SHAPES_MD5);
        assert_eq!((train.labels.len(), test.labels.len()), (20_000, 2_000));
        assert!(train.image(0) != test.image(0));
    }

    #[test]
    fn every_shape_covers_part_of_its_image_and_differs_from_the_others() {
        let cover = |class| {
            let shape = Shape { class, centre: (256, 256), turn: (4096 * 1024 / 208, 0) };
            (0..1024).map(|at| shape.cover(at % 32, at / 32)).collect::<Vec<i32>>()
        };
        for (a, name) in CLASSES.iter().enumerate() {
            let covered: i32 = cover(a).iter().sum();
            assert!((4 * 100..4 * 600).contains(&covered), "{name} covers {covered} of 4096");
            for (b, other) in CLASSES.iter().enumerate().take(a) {
                let differ = cover(a).iter().zip(cover(b)).filter(|(a, b)| **a != *b).count();
                assert!(differ > 60, "{name} and {other} differ in {differ} pixels");
            }
        }
    }
}
