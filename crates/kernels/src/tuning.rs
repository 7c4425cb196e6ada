//! The sizes of blocks: how much of a tensor is worked on at a time, so that it is in a cache when it is needed again. One table.
//!
//! Registers are 16 with AVX2 and SSE2, 32 with AVX-512 and NEON; where one number stands, none of them wanted another. What a size
//! is of, and how tensors are cut by it, is said where it is used.
//!
//! | size | 16 registers | 32 registers | reason |
//! | --- | --- | --- | --- |
//! | rows x vectors of `GemmKernel`'s tile | 6 x 2 | 14 x 2 | accumulators, one row of `b` and a broadcast fill the registers: 12 hide the 4 cycles of two FMA units, with 8 loads for 12 FMA. 4 x 3 needs all 16 registers, and the compiler spills an accumulator in every step: half the speed. With AVX-512 the broadcast is part of the FMA; on NEON it is a load, and one of 28 accumulators is spilled (12 x 2 is not; neither has been timed there) |
//! | rows x vectors of `AtbKernel`'s tile | 6 x 2 with 8 lanes, 4 x 2 with 4 | 12 x 2 with 16 lanes, 4 x 2 with 4 | as above, and its rows are lanes: six lie in one lane block of eight or in two, twelve likewise in blocks of sixteen |
//! | depth of a product | 256 | 256 | a panel of that depth, 16 or 32 KiB, stays in L1 while the rows pass; one of 512 is all of L1 and comes from L2 for every six rows |
//! | rows of patches | 96 | 96 | 96 rows of a depth of 256 are 96 KiB of L2, and a panel is read once for them |
//! | output channels of patches | 512 | 512 | their sums, 96 x 512 x 4 bytes, are 192 KiB of L2 |
//! | bytes of a block of tiles | 440 KiB | 288 KiB | with the products, all of 512 KiB of L2; half of 1 MiB. With 64 channels 32 tiles were 3 % slower than 48, so these get as many bytes |
//! | tiles of a block | 25 to 64 | 48 to 96 | maps of 56, 28 and 14 have 4 x 49, 49 and (by F(2x2)) 49 tiles: 25 and 24 share them evenly, 48 left threads idle. Fewer tiles and more channels read less from L3 in all: 128 x 8x8 256→256 46 → 36 ms. With 1 MiB of L2 48 and more were as fast |
//! | output channels of a chunk of tiles | 128 | 64 | the products of 25 tiles and 128 channels are 460 KB, of 48 and 64 442 KB |
//! | bytes of tiles of `x` and `dy` in a weight gradient's block | 448 KiB | 448 KiB | what fits in 512 KiB of L2 beside the streams |
//! | tiles of that block | 64 to 128 | 64 to 128 | the depth of the products, which read and write each accumulator once: 24 tiles 53 ms, 64 47 ms (128 x 16x16 128→128); 32 are 4 % slower than 64, 96 no faster |
//! | channels on a side of its chunk | 64 | 64 | 36 matrices of 64 x 64 are 590 KB; 48 and 96 a side are no faster |
//! | values and channels of a chunk of a weight gradient by patches | 128 | 128 | its sums take 64 KiB, its operands as much each |

use std::ops::RangeInclusive;

use crate::isa::Isa;

/// Rows of [`GemmKernel`](crate::micro_kernel::GemmKernel)'s tile.
pub(crate) const fn gemm_rows(registers: usize) -> usize {
    if registers >= 32 { 14 } else { 6 }
}

/// Vectors of `GemmKernel`'s tile: the width of a packed panel of columns.
pub(crate) const PANEL_VECTORS: usize = 2;

/// Rows of [`AtbKernel`](crate::micro_kernel::AtbKernel)'s tile.
pub(crate) const fn atb_rows(registers: usize, lanes: usize) -> usize {
    match (registers, lanes) {
        (32.., 16) => 12,
        (_, 8) => 6,
        _ => 4,
    }
}

/// Vectors of `AtbKernel`'s tile.
pub(crate) const ATB_VECTORS: usize = 2;

/// Depth of a product: input channels, or values of patches, that are multiplied at a time.
pub(crate) const DEPTH: usize = 256;

/// Rows of a block of patches, at most.
pub(crate) const PATCH_ROWS: usize = 96;

/// Output channels of a task of patches, at most.
pub(crate) const PATCH_CHANNELS: usize = 512;

/// Blocks of a Winograd correlation.
pub(crate) struct TileBlocking {
    /// Transformed tiles of a block, which share L2 with the products.
    pub(crate) bytes: usize,
    /// Fewest and most tiles of a block: the panels of filters are read once for each.
    pub(crate) tiles: RangeInclusive<usize>,
    /// Output channels of a chunk, multiplied before the transform back.
    pub(crate) channels: usize,
}

const WITH_16: TileBlocking = TileBlocking { bytes: 440 << 10, tiles: 25..=64, channels: 128 };
const WITH_32: TileBlocking = TileBlocking { bytes: 288 << 10, tiles: 48..=96, channels: 64 };

impl TileBlocking {
    pub(crate) fn of(isa: Isa) -> Self {
        if isa.registers() >= 32 { WITH_32 } else { WITH_16 }
    }
}

/// No block has more tiles.
pub(crate) const MAX_TILES: usize = {
    let (a, b) = (*WITH_16.tiles.end(), *WITH_32.tiles.end());
    if a > b { a } else { b }
};

/// Bytes of transformed tiles of `x` and `dy` in a block of a weight gradient, together.
pub(crate) const GRADIENT_BYTES: usize = 448 << 10;

/// Fewest and most tiles of that block.
pub(crate) const GRADIENT_TILES: RangeInclusive<usize> = 64..=128;

/// Channels on a side of a chunk of a weight gradient in the transformed domain.
pub(crate) const GRADIENT_CHANNELS: usize = 64;

/// Values of a patch and output channels of a chunk of a weight gradient by patches.
pub(crate) const GRADIENT_CHUNK: usize = 128;

/// Pieces at least where there is little to do, for as many threads: with 16 ResNet-50's layers of 7x7 gathered their patches again for
/// each, and took 10 % longer on two.
const MIN_TASKS: usize = 8;

/// The same on this pool, for chunks of output channels: no sum is taken over those, so the bits are the same with any number.
pub(crate) fn min_tasks() -> usize {
    MIN_TASKS.max(rayon::current_num_threads())
}

/// Items of a block, and blocks, where there are to be `least` of them. They are even in size, so that the last one is not a leftover,
/// and where there are more than two in number, for two threads; of many blocks one may be too many again.
pub(crate) fn even_blocks(count: usize, least: usize) -> (usize, usize) {
    let blocks = if least > 2 { least.next_multiple_of(2) } else { least };
    let size = count.div_ceil(blocks);
    (size, count.div_ceil(size))
}
