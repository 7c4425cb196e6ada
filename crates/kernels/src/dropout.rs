//! Dropout (Srivastava et al. 2014) with a counter-based generator: Philox4x32-10 (Salmon et al.
//! 2011, "Parallel random numbers: as easy as 1, 2, 3"), one word for each element.
//!
//! Element `i` belongs to group `i / 64`; in a group, element `16 w + b` has word `w` of block `b`.
//! So whole vectors of blocks are computed at once, with the same words on any instruction set.

use pulp::{Simd, WithSimd};

use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice, TASK_LEN};
use crate::vector::{MAX_LANES, load_first, store_first};

/// Blocks of a group: the lanes of the widest vector.
const BLOCKS: usize = MAX_LANES;

/// Elements of a group: four words of each block.
const GROUP: usize = 4 * BLOCKS;

/// Multipliers and key increments of Philox4x32.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Sets each element to zero with probability `p` and multiplies the others by `1 / (1 - p)`.
///
/// Whether an element is kept depends on the key and its index alone, so the gradient is the same
/// call on `dy`. `p = 1` gives zeros.
///
/// # Panics
/// If `y` is not as large as `x`, or `p` is outside of `0..=1`.
pub fn dropout(x: &[f32], p: f32, key: [u64; 3], y: &mut [f32]) {
    assert!(x.len() == y.len(), "x and y must be equally large");
    assert!((0.0..=1.0).contains(&p), "the probability of dropout must lie between 0 and 1");
    let isa = Isa::active();
    let mask = Mask::new(p, key);
    let y = DisjointSlice::new(y);
    // A task is a whole number of groups.
    tasks::for_ranges(x.len(), TASK_LEN, |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        isa.run(Apply { mask, first: range.start / GROUP, x: &x[range], y });
    });
}

/// Dropout mask: the elements that are kept.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    key: [u32; 2],
    stream: [u32; 2],
    /// An element whose word is below the threshold is dropped.
    threshold: u32,
    /// Whether all elements are dropped: the threshold of `p = 1` is not a word.
    none: bool,
    scale: f32,
}

impl Mask {
    /// Creates the mask of a key at drop probability `p`.
    pub fn new(p: f32, key: [u64; 3]) -> Self {
        let folded = mix(key[0].wrapping_add(mix(key[1])));
        Self {
            key: [folded as u32, (folded >> 32) as u32],
            stream: [key[2] as u32, (key[2] >> 32) as u32],
            threshold: (f64::from(p) * 4_294_967_296.0) as u32,
            none: p >= 1.0,
            scale: if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 },
        }
    }

    /// Tells whether element `index` is kept: the definition that [`dropout`] computes with
    /// vectors.
    pub fn keeps(&self, index: usize) -> bool {
        let block = (index / GROUP * BLOCKS + index % BLOCKS) as u64;
        let counter = [block as u32, (block >> 32) as u32, self.stream[0], self.stream[1]];
        !self.none && philox(counter, self.key)[index % GROUP / BLOCKS] >= self.threshold
    }

    /// Returns the factor of the elements that are kept, `1 / (1 - p)`.
    pub fn scale(&self) -> f32 {
        self.scale
    }
}

/// Applies the mask to the elements of some groups.
struct Apply<'a> {
    mask: Mask,
    /// Index of the first group.
    first: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mask, first, x, y } = self;
        if mask.none {
            return y.fill(0.0);
        }
        let lanes = S::F32_LANES;
        let (scale, zero) = (simd.splat_f32s(mask.scale), simd.splat_f32s(0.0));
        let threshold = simd.splat_u32s(mask.threshold);
        for (group, (x, y)) in x.chunks(GROUP).zip(y.chunks_mut(GROUP)).enumerate() {
            for part in (0..BLOCKS).step_by(lanes) {
                let words = words(simd, &mask, ((first + group) * BLOCKS + part) as u64);
                for (w, &words) in words.iter().enumerate() {
                    let start = w * BLOCKS + part;
                    let count = lanes.min(x.len().saturating_sub(start));
                    if count == 0 {
                        break;
                    }
                    // SAFETY: both slices have `count` elements from `start` on.
                    unsafe {
                        let value = simd.mul_f32s(load_first(simd, x.as_ptr().add(start), count), scale);
                        let kept = simd.greater_than_or_equal_u32s(words, threshold);
                        store_first(simd, y.as_mut_ptr().add(start), simd.select_f32s(kept, value, zero), count);
                    }
                }
            }
        }
    }
}

/// Computes the four words of the blocks from `block`, one block in each lane. Blocks of a group
/// share the upper half of their counter: a group starts at a multiple of sixteen.
#[inline(always)]
fn words<S: Simd>(simd: S, mask: &Mask, block: u64) -> [S::u32s; 4] {
    const COUNT: [u32; MAX_LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    // SAFETY: sixteen words are at least one vector, which is plain data.
    let count = unsafe { COUNT.as_ptr().cast::<S::u32s>().read_unaligned() };
    let splat = |word: u32| simd.splat_u32s(word);
    let mut counter = [
        simd.add_u32s(splat(block as u32), count),
        splat((block >> 32) as u32),
        splat(mask.stream[0]),
        splat(mask.stream[1]),
    ];
    let mut key = mask.key;
    for _ in 0..ROUNDS {
        let (a_low, a_high) = simd.widening_mul_u32s(counter[0], splat(MULTIPLIERS[0]));
        let (b_low, b_high) = simd.widening_mul_u32s(counter[2], splat(MULTIPLIERS[1]));
        counter = [
            simd.xor_u32s(simd.xor_u32s(b_high, counter[1]), splat(key[0])),
            b_low,
            simd.xor_u32s(simd.xor_u32s(a_high, counter[3]), splat(key[1])),
            a_low,
        ];
        key = [key[0].wrapping_add(INCREMENTS[0]), key[1].wrapping_add(INCREMENTS[1])];
    }
    counter
}

/// Computes the four words of one block of Philox 4x32-10.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let a = u64::from(counter[0]) * u64::from(MULTIPLIERS[0]);
        let b = u64::from(counter[2]) * u64::from(MULTIPLIERS[1]);
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(INCREMENTS[0]), key[1].wrapping_add(INCREMENTS[1])];
    }
    counter
}

/// Mixes a word by the finaliser of SplitMix64 (Steele et al. 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
