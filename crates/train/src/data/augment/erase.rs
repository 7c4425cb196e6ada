//! Cutout and random erasing: parts of a normalised image are set to zero, the mean.

use super::super::sample::{below, uniform};
use rand::RngCore;

/// Range of the erased share of the area (Zhong et al. 2020, and torchvision).
const AREA: [f64; 2] = [0.02, 0.33];
/// Range of height over width, torchvision's; the paper's ends at 1 / 0.3.
const ASPECT: [f64; 2] = [0.3, 3.3];
/// Rectangles that are tried before the image is left unchanged.
const MAX_TRIES: usize = 10;

/// Sets a square of `side` around `(row, column)` to zero, clipped to the image (DeVries and Taylor
/// 2017).
pub(super) fn cutout(out: &mut [f32], [h, w, c]: [usize; 3], (row, column): (usize, usize), side: usize) {
    let span = |centre: usize, limit: usize| {
        let start = centre as isize - (side / 2) as isize;
        start.max(0) as usize..(start + side as isize).min(limit as isize) as usize
    };
    let columns = span(column, w);
    for y in span(row, h) {
        out[(y * w + columns.start) * c..(y * w + columns.end) * c].fill(0.0);
    }
}

/// Sets a random rectangle to zero with the given probability.
pub(super) fn erase(out: &mut [f32], [h, w, c]: [usize; 3], probability: f64, rng: &mut impl RngCore) {
    if uniform(rng, [0.0, 1.0]) >= probability {
        return;
    }
    for _ in 0..MAX_TRIES {
        let pixels = (h * w) as f64 * uniform(rng, AREA);
        let ratio = uniform(rng, ASPECT.map(f64::ln)).exp();
        let sides = [(pixels * ratio).sqrt(), (pixels / ratio).sqrt()].map(f64::round_ties_even);
        let [height, width] = sides.map(|side| side as usize);
        if height < h && width < w {
            let (top, left) = (below(rng, h - height + 1), below(rng, w - width + 1));
            for row in out.chunks_exact_mut(w * c).skip(top).take(height) {
                row[left * c..(left + width) * c].fill(0.0);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::{AugmentRng, Stream};
    use super::*;

    #[test]
    fn the_given_share_of_images_loses_a_rectangle_of_the_papers_sizes() {
        let (n, side) = (4000, 40);
        let (mut erased, mut areas, mut tall) = (0, Vec::new(), 0);
        for epoch in 0..n {
            let mut out = vec![1.0; side * side * 3];
            erase(&mut out, [side, side, 3], 0.25, &mut AugmentRng { seed: 3, epoch, image: 1 }.stream(Stream::Erase));
            let hidden: Vec<usize> = (0..side * side).filter(|i| out[i * 3] == 0.0).collect();
            assert!((0..side * side).all(|i| out[i * 3..i * 3 + 3].iter().all(|v| *v == out[i * 3])), "all channels");
            let (Some(first), Some(last)) = (hidden.first(), hidden.last()) else { continue };
            let (height, width) = (last / side - first / side + 1, last % side - first % side + 1);
            assert_eq!(hidden.len(), height * width, "a rectangle");
            erased += 1;
            tall += usize::from(height > width);
            areas.push(hidden.len() as f64 / (side * side) as f64);
        }
        assert!((900..1100).contains(&erased), "{erased} of {n}");
        assert!(areas.iter().all(|area| (0.015..0.345).contains(area)));
        let mean = areas.iter().sum::<f64>() / areas.len() as f64;
        // The middle of the range, less what does not fit.
        assert!((0.155..0.185).contains(&mean), "{mean}");
        assert!((380..620).contains(&tall), "as many tall ones as wide ones: {tall} of {erased}");
    }
}
