//! Element-wise functions: ReLU, bias with ReLU, dropout. Arrays of any shape, seen flat, or `[rows, k]` with a bias `[k]`.
//!
//! Not used where a convolution or a normalisation has the ReLU in its epilogue.

use crate::columns::Columns;
use crate::isa::Isa;
use crate::pieces::{self, PIECE, Parts};

/// `y = max(x, 0)`; NaN stays NaN.
pub fn relu(x: &[f32], y: &mut [f32]) {
    assert!(x.len() == y.len(), "x and y must be equally large");
    let isa = Isa::active();
    let y = Parts::new(y);
    pieces::for_ranges(x.len(), PIECE, |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        let x = &x[range];
        isa.run(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x < 0.0 { 0.0 } else { x }));
    });
}

/// `dx = dy` where `y > 0`, else zero.
pub fn relu_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert!(y.len() == dy.len() && y.len() == dx.len(), "y, dy and dx must be equally large");
    let isa = Isa::active();
    let dx = Parts::new(dx);
    pieces::for_ranges(y.len(), PIECE, |_, range| {
        // SAFETY: the ranges do not overlap.
        let dx = unsafe { dx.range(range.clone()) };
        let (y, dy) = (&y[range.clone()], &dy[range]);
        isa.run(|| {
            for ((&y, &dy), dx) in y.iter().zip(dy).zip(dx) {
                *dx = if y > 0.0 { dy } else { 0.0 };
            }
        });
    });
}

/// The gradient of `y = [relu](z + bias)` with `y`, `dy`, `dz [rows, k]` and `dbias [k]`: `dz` is `dy` where `y > 0` (all of
/// it where no `y` is given, that is without a ReLU), `dbias` its column sums.
pub fn bias_relu_backward(y: Option<&[f32]>, dy: &[f32], k: usize, dz: &mut [f32], dbias: &mut [f32]) {
    assert!(k > 0 && dy.len().is_multiple_of(k) && dbias.len() == k, "dy must be [rows, {k}] and dbias [{k}]");
    assert!(dz.len() == dy.len() && y.is_none_or(|y| y.len() == dy.len()), "y, dy and dz must be equally large");
    let isa = Isa::active();
    let columns = Columns::new(k);
    let width = columns.width();
    let dz = Parts::new(dz);
    let [sums] = columns.sums(dy.len(), |range, [sum]| {
        // SAFETY: the ranges do not overlap.
        let dz = unsafe { dz.range(range.clone()) };
        match y {
            None => dz.copy_from_slice(&dy[range]),
            Some(y) => isa.run(|| {
                for ((&y, &dy), dz) in y[range.clone()].iter().zip(&dy[range.clone()]).zip(&mut *dz) {
                    *dz = if y > 0.0 { dy } else { 0.0 };
                }
            }),
        }
        isa.run(|| {
            for row in dz.chunks(width) {
                row.iter().zip(&mut *sum).for_each(|(&dz, sum)| *sum += dz);
            }
        });
    });
    dbias.iter_mut().zip(&sums).for_each(|(dbias, &sum)| *dbias = sum as f32);
}

/// Sets each element to zero with probability `p` and multiplies the others by `1 / (1 - p)` (Srivastava et al. 2014).
///
/// Whether an element stays is a function of the key and its index alone, so the gradient is the same call on `dy`.
/// `p = 1` gives zeros.
pub fn dropout(x: &[f32], p: f32, key: [u64; 3], y: &mut [f32]) {
    assert!(x.len() == y.len(), "x and y must be equally large");
    assert!((0.0..=1.0).contains(&p), "the probability of dropout must lie between 0 and 1");
    let isa = Isa::active();
    let mask = Mask::new(p, key);
    let y = Parts::new(y);
    pieces::for_ranges(x.len(), PIECE, |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        let x = &x[range.clone()];
        // PIECE is a multiple of four: each group of four has one Philox block.
        isa.run(|| {
            for (block, (x, y)) in x.chunks(4).zip(y.chunks_mut(4)).enumerate() {
                let kept = mask.block(range.start / 4 + block);
                for ((&x, y), kept) in x.iter().zip(y).zip(kept) {
                    *y = if kept { x * mask.scale } else { 0.0 };
                }
            }
        });
    });
}

/// Which elements a dropout keeps: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
/// one block of four words for four elements.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    key: [u32; 2],
    stream: [u32; 2],
    /// An element whose word is below this is dropped.
    threshold: u64,
    scale: f32,
}

impl Mask {
    /// The mask of a key at drop probability `p`.
    pub fn new(p: f32, key: [u64; 3]) -> Self {
        let folded = mix(key[0].wrapping_add(mix(key[1])));
        Self {
            key: [folded as u32, (folded >> 32) as u32],
            stream: [key[2] as u32, (key[2] >> 32) as u32],
            threshold: (f64::from(p) * 4_294_967_296.0) as u64,
            scale: if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 },
        }
    }

    /// Whether element `index` stays.
    pub fn keeps(&self, index: usize) -> bool {
        self.block(index / 4)[index % 4]
    }

    /// What the elements that stay are multiplied by.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Elements `4 block .. 4 block + 4`.
    #[inline(always)]
    fn block(&self, block: usize) -> [bool; 4] {
        let block = block as u64;
        let counter = [block as u32, (block >> 32) as u32, self.stream[0], self.stream[1]];
        philox(counter, self.key).map(|word| u64::from(word) >= self.threshold)
    }
}

/// Philox4x32 with ten rounds.
#[inline(always)]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The finaliser of SplitMix64 (Steele et al. 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// The known answers of the authors' Random123 library, `kat_vectors`.
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
