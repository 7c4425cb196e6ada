//! Tuning constants: tiles of the micro-kernels, and the sizes of blocks that fit a level of the
//! cache.
//!
//! A size that depends on the number of vector registers is given for 16 (AVX2, SSE2) and for 32
//! (AVX-512, NEON). The measurements behind them are in NOTES.md.

use std::ops::RangeInclusive;

use crate::isa::Isa;

/// Returns the rows of the register tile of [`GemmKernel`](crate::micro_kernel::GemmKernel): 6x2
/// vectors with 16 registers, 14x2 with 32.
///
/// Accumulators, one row of `b` and a broadcast fill the registers. 12 accumulators hide the 4
/// cycles of two FMA units, with 8 loads for 12 FMA; 4x3 needs all 16 registers, and the compiler
/// spills an accumulator in every step: half the speed. With AVX-512 the broadcast is part of the
/// FMA. On NEON it is a load, and one of 28 accumulators is spilled (12x2 spills none; neither has
/// been timed there).
pub(crate) const fn gemm_rows(registers: usize) -> usize {
    if registers >= 32 { 14 } else { 6 }
}

/// Vectors of the register tile of `GemmKernel`: the width of a packed panel of columns.
pub(crate) const PANEL_VECTORS: usize = 2;

/// Returns the rows of the register tile of [`AtbKernel`](crate::micro_kernel::AtbKernel): 12x2
/// with 16 lanes, 6x2 with 8, 4x2 with 4.
///
/// The registers limit it as above, and its rows are lanes: six lie in one lane block of eight or
/// in two, twelve likewise in blocks of sixteen.
pub(crate) const fn atb_rows(registers: usize, lanes: usize) -> usize {
    match (registers, lanes) {
        (32.., 16) => 12,
        (_, 8) => 6,
        _ => 4,
    }
}

/// Vectors of the register tile of `AtbKernel`.
pub(crate) const ATB_VECTORS: usize = 2;

/// Depth of a product: input channels, or values of patches, that are multiplied at a time.
///
/// A panel of that depth, 16 or 32 KiB, stays in L1 while the rows pass; one of 512 is all of L1
/// and comes from L2 for every six rows.
pub(crate) const DEPTH: usize = 256;

/// Largest number of rows of a block of patches. 96 rows of a depth of 256 are 96 KiB of L2, and a
/// panel is read once for them.
pub(crate) const PATCH_ROWS: usize = 96;

/// Largest number of output channels of a task of patches. Their sums, 96 x 512 x 4 bytes, are 192
/// KiB of L2.
pub(crate) const PATCH_CHANNELS: usize = 512;

/// Sizes of the blocks of a Winograd correlation.
pub(crate) struct TileBlocking {
    /// Bytes of the transformed tiles of a block, which share L2 with the products.
    ///
    /// With the products, 440 KiB fill 512 KiB of L2, and 288 KiB half of 1 MiB. With 64 channels,
    /// 32 tiles were 3 % slower than 48, so these get as many bytes.
    pub(crate) bytes: usize,
    /// Least and largest number of tiles of a block: the panels of filters are read once for each
    /// block.
    ///
    /// Maps of 56, 28 and 14 have 4 x 49, 49 and (with F(2x2)) 49 tiles: blocks of 25 and 24 share
    /// them evenly, blocks of 48 left threads idle. Fewer tiles and more channels read less from L3
    /// in all: 128 x 8x8 256→256 46 → 36 ms. With 1 MiB of L2, 48 and more were as fast.
    pub(crate) tiles: RangeInclusive<usize>,
    /// Output channels of a chunk, which are multiplied before their transform. The products of 25
    /// tiles and 128 channels are 460 KB, of 48 and 64 they are 442 KB.
    pub(crate) channels: usize,
}

const WITH_16: TileBlocking = TileBlocking { bytes: 440 << 10, tiles: 25..=64, channels: 128 };
const WITH_32: TileBlocking = TileBlocking { bytes: 288 << 10, tiles: 48..=96, channels: 64 };

impl TileBlocking {
    /// Returns the sizes for the registers of an instruction set.
    pub(crate) fn of(isa: Isa) -> Self {
        if isa.registers() >= 32 { WITH_32 } else { WITH_16 }
    }
}

/// Largest number of tiles of a block on any instruction set.
pub(crate) const MAX_TILES: usize = {
    let (a, b) = (*WITH_16.tiles.end(), *WITH_32.tiles.end());
    if a > b { a } else { b }
};

/// Bytes of the transformed tiles of `x` and `dy` in a block of a weight gradient: what fits in 512
/// KiB of L2 beside the streams.
pub(crate) const GRADIENT_BYTES: usize = 448 << 10;

/// Least and largest number of tiles of that block: the depth of the products, which read and write
/// each accumulator once.
///
/// 128 x 16x16 128→128: 24 tiles 53 ms, 64 tiles 47 ms; 32 are 4 % slower than 64, 96 no faster.
pub(crate) const GRADIENT_TILES: RangeInclusive<usize> = 64..=128;

/// Channels on a side of a chunk of a weight gradient in the transformed domain. 36 matrices of 64
/// x 64 are 590 KB; 48 and 96 a side are no faster.
pub(crate) const GRADIENT_CHANNELS: usize = 64;

/// Values of a patch, and output channels, of a chunk of a weight gradient by patches. Its sums
/// take 64 KiB, its operands as much each.
pub(crate) const GRADIENT_CHUNK: usize = 128;

/// Least number of tasks of a small pass, for as many threads.
///
/// With 16, the 7x7 layers of ResNet-50 packed their patches again for each task and took 10 %
/// longer on two threads.
const MIN_TASKS: usize = 8;

/// Returns the least number of tasks on the current thread pool, for chunks of output channels: no
/// sum runs over those, so the bits do not depend on the number.
pub(crate) fn min_tasks() -> usize {
    MIN_TASKS.max(rayon::current_num_threads())
}

/// Returns the size and number of even blocks of `count` items, about `least` of them.
///
/// Blocks are even so that the last one is not a small rest, and an even number where there are
/// more than two, for two threads; of many blocks one may be too many again.
pub(crate) fn even_blocks(count: usize, least: usize) -> (usize, usize) {
    let blocks = if least > 2 { least.next_multiple_of(2) } else { least };
    let size = count.div_ceil(blocks);
    (size, count.div_ceil(size))
}
