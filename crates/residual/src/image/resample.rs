//! Antialiased resampling that equals Pillow's `Image.resize`, its rounding to 8 bits included.
//!
//! The resampler moves a network's accuracy by up to a point (pytorch/vision#2950, #6506), and
//! nearly every published weight was trained behind Pillow's. So the arithmetic here is Pillow's
//! (`libImaging/Resample.c`): columns first, then rows; the support of the filter grows with the
//! reduction; weights are fixed-point numbers of 22 bits; each pass rounds to bytes. Pixels are
//! `[h, w, c]`.

use super::options::Filter;
use crate::numbers::half_to_even;
use std::ops::Range;

/// Fractional bits of a weight: 32 less 8 of the pixel and 2 for the overshoot of the cubic.
const BITS: u32 = 32 - 8 - 2;

/// One dimension: `from` pixels become `to`, of which `window` is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    pub from: usize,
    pub to: usize,
    pub window: Range<usize>,
}

impl Axis {
    /// Resamples the whole dimension.
    pub fn whole(from: usize, to: usize) -> Self {
        Self { from, to, window: 0..to }
    }

    /// Resamples the central `size` of `to` pixels.
    pub fn middle(from: usize, to: usize, size: usize) -> Self {
        let start = half_to_even(to - size);
        Self { from, to, window: start..start + size }
    }

    fn changes(&self) -> bool {
        self.from != self.to
    }
}

/// The input pixels that are summed into one output pixel, and their fixed-point weights.
struct FilterTaps {
    first: usize,
    weights: Vec<i32>,
}

/// Computes the taps of every output pixel in the axis's window.
fn taps(axis: &Axis, filter: Filter) -> Vec<FilterTaps> {
    let radius = match filter {
        Filter::Bilinear => 1.0,
        Filter::Bicubic => 2.0,
    };
    let scale = axis.from as f64 / axis.to as f64;
    let stretch = scale.max(1.0);
    let support = radius * stretch;
    axis.window
        .clone()
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let last = ((centre + support + 0.5) as usize).min(axis.from);
            let raw: Vec<f64> = (first..last).map(|x| weight(filter, (x as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |w: f64| {
                let scaled = w / sum * f64::from(1 << BITS);
                // Rounded away from zero at a half, then truncated.
                (scaled + 0.5f64.copysign(scaled)) as i32
            };
            FilterTaps { first, weights: raw.into_iter().map(fixed).collect() }
        })
        .collect()
}

/// Evaluates the filter at distance `x` from its centre.
fn weight(filter: Filter, x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match filter {
        Filter::Bilinear if x < 1.0 => 1.0 - x,
        Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// Resamples `pixels`, `[h, w, c]`, along both axes; an axis that keeps its size is only cropped.
pub(super) fn resample(pixels: &[u8], w: usize, c: usize, rows: &Axis, columns: &Axis, filter: Filter) -> Vec<u8> {
    let vertical = rows.changes().then(|| taps(rows, filter));
    // Rows that the vertical pass will read.
    let needed = match &vertical {
        Some(taps) => {
            let end = taps.iter().map(|t| t.first + t.weights.len()).max().unwrap_or(0);
            taps.first().map_or(0, |t| t.first)..end
        }
        None => rows.window.clone(),
    };
    let source = &pixels[needed.start * w * c..needed.end * w * c];
    let across = pass_columns(source, w, c, columns, filter);
    match vertical {
        Some(taps) => pass_rows(&across, columns.window.len() * c, needed.start, &taps),
        None => across,
    }
}

/// Resamples columns: `[rows, w, c]` to `[rows, window, c]`.
fn pass_columns(pixels: &[u8], w: usize, c: usize, columns: &Axis, filter: Filter) -> Vec<u8> {
    let window = &columns.window;
    let mut out = Vec::with_capacity(pixels.len() / w * window.len());
    if !columns.changes() {
        pixels.chunks_exact(w * c).for_each(|row| out.extend_from_slice(&row[window.start * c..window.end * c]));
        return out;
    }
    let taps = taps(columns, filter);
    for row in pixels.chunks_exact(w * c) {
        for FilterTaps { first, weights } in &taps {
            let near = &row[first * c..(first + weights.len()) * c];
            // One loop per number of channels, so that the sums stay in registers.
            match c {
                3 => {
                    let mut sums = [HALF; 3];
                    for (p, &k) in near.chunks_exact(3).zip(weights) {
                        sums[0] += i32::from(p[0]) * k;
                        sums[1] += i32::from(p[1]) * k;
                        sums[2] += i32::from(p[2]) * k;
                    }
                    out.extend(sums.map(to_byte));
                }
                _ => out.extend((0..c).map(|channel| {
                    let values = near.iter().skip(channel).step_by(c);
                    to_byte(values.zip(weights).fold(HALF, |sum, (&v, &k)| sum + i32::from(v) * k))
                })),
            }
        }
    }
    out
}

/// Resamples rows: `[rows, row]` to `[taps, row]`; `pixels` begins with row `first_row`.
fn pass_rows(pixels: &[u8], row: usize, first_row: usize, taps: &[FilterTaps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(taps.len() * row);
    let mut sums = vec![0; row];
    for FilterTaps { first, weights } in taps {
        sums.fill(HALF);
        for (y, &k) in (first - first_row..).zip(weights) {
            for (sum, &v) in sums.iter_mut().zip(&pixels[y * row..(y + 1) * row]) {
                *sum += i32::from(v) * k;
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    out
}

/// One half in fixed point, so that the shift rounds.
const HALF: i32 = 1 << (BITS - 1);

/// Converts a fixed-point sum to a byte, clamped.
fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
