//! Correlation by packed patches: the forward pass, and the input gradient.
//!
//! A task multiplies a block of patches by some panels of weights.

use pulp::{Simd, WithSimd};

use super::gather::{MAX_ROWS, block_step, pack_patches};
use super::grid::PatchGrid;
use super::panels::ConvWeights;
use super::row_buffer::KernelRect;
use crate::conv::epilogue::{BlockEpilogue, PassEpilogue, RunningStats};
use crate::conv::prologue::ConvInput;
use crate::conv::store::{OutputRegion, Store, WithStore};
use crate::isa::Isa;
use crate::micro_kernel::{GemmKernel, OperandLayout};
use crate::tasks::{self, DisjointSlice};
use crate::tuning::{DEPTH, PANEL_VECTORS, PATCH_CHANNELS, PATCH_ROWS, even_blocks, min_tasks};
use crate::vector::{MAX_LANES, load};
use crate::workspace::Workspace;

/// Operands and blocking of a correlation: everything that stays the same during a pass.
#[derive(Clone, Copy)]
struct CorrelateJob<'a> {
    grid: &'a PatchGrid,
    from: ConvInput<'a>,
    /// Panels `[panels, depth, P]`.
    packed: &'a [f32],
    /// Whether the weights were packed before the pass: the weights of a whole network do not stay
    /// in the caches, so that the next panel is worth a prefetch.
    cold: bool,
    outputs: usize,
    to: &'a DisjointSlice<'a, f32>,
    epilogue: BlockEpilogue<'a>,
    /// Rows of a block.
    rows: usize,
    /// Rectangle of the taps, if windows are read in place.
    rect: Option<KernelRect>,
}

/// Computes `to = from * weights` over one grid, then the epilogue. Where no tap reaches a pixel
/// the products are zero.
///
/// `packed` holds the result of [`pack`] for the weights and this grid, if they were packed before.
pub(crate) fn correlate(
    isa: Isa,
    grid: &PatchGrid,
    weights: ConvWeights<'_>,
    packed: Option<&[f32]>,
    from: ConvInput<'_>,
    epilogue: PassEpilogue<'_>,
    to: &mut [f32],
) {
    let panels = weights.panels(isa.lanes());
    let own = if packed.is_none() { Some(pack(isa, grid, weights, Workspace::take)) } else { None };
    let cold = packed.is_some();
    let packed = packed.or(own.as_deref()).expect("weights are packed just above where they were not before");
    let count = grid.count();
    let (rows, blocks) = even_blocks(count, count.div_ceil(PATCH_ROWS));
    let chunks = min_tasks().div_ceil(blocks).max(weights.outputs.div_ceil(PATCH_CHANNELS)).min(panels);
    let chunk = panels.div_ceil(chunks);
    let chunks = panels.div_ceil(chunk);
    let (to, rect) = (DisjointSlice::new(to), KernelRect::of(grid, &from, isa.lanes()));
    let pass = |epilogue: BlockEpilogue<'_>| {
        let job = CorrelateJob { grid, from, packed, cold, outputs: weights.outputs, to: &to, epilogue, rows, rect };
        tasks::for_each(blocks * chunks, |task| {
            isa.run(CorrelateTask {
                job: &job,
                // Blocks inside of chunks: the panels of a chunk are read from memory once, and
                // there are few rows where there are several chunks.
                block: task % blocks,
                first: task / blocks * chunk,
                last: panels.min((task / blocks + 1) * chunk),
            });
        });
    };
    let rows_per_block = || (0..blocks).map(|b| rows.min(count - b * rows)).collect();
    epilogue.run(weights.outputs, blocks, rows_per_block, pass);
}

/// Packs the weights into panels for a grid, in memory from `take`.
pub(crate) fn pack(
    isa: Isa,
    grid: &PatchGrid,
    weights: ConvWeights<'_>,
    take: impl Fn(usize) -> Workspace,
) -> Workspace {
    let lanes = isa.lanes();
    let mut packed = take(weights.panels(lanes) * grid.depth() * PANEL_VECTORS * lanes);
    weights.pack(grid, lanes, &mut packed);
    packed
}

/// Computes one block of positions for the panels `first .. last`.
struct CorrelateTask<'a> {
    job: &'a CorrelateJob<'a>,
    block: usize,
    first: usize,
    last: usize,
}

impl WithSimd for CorrelateTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let CorrelateJob { grid, from, packed, cold, rows, .. } = *self.job;
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        let (start, depth) = (self.block * rows, grid.depth());
        let count = rows.min(grid.count() - start);
        let step = block_step(rows, lanes);
        let mut sums = Workspace::take((self.last - self.first) * rows * width);
        if depth == 0 {
            sums.fill(0.0);
        }
        assert!(packed.len() >= self.last * depth * width, "the panels are too small");
        if let Some(rect) = self.job.rect {
            self.multiply_in_place(simd, rect, start, count, &mut sums);
            self.store(simd, start, count, &sums);
            return;
        }
        let mut patches = Workspace::take(DEPTH.min(depth.next_multiple_of(lanes)) / lanes * step);
        for at in (0..depth).step_by(DEPTH) {
            let until = depth.min(at + DEPTH);
            // SAFETY: `patches` holds DEPTH values of `rows` rows in lane blocks that are `step`
            // apart.
            unsafe { pack_patches(simd, grid, from, start, count, at..until, patches.as_mut_ptr(), step) };
            for panel in self.first..self.last {
                let (next, next_at) = match panel + 1 {
                    next if next < self.last || until == depth => (next, if next < self.last { at } else { 0 }),
                    _ => (self.first, until),
                };
                let product = GemmKernel {
                    rows: count,
                    depth: until - at,
                    a: patches.as_ptr(),
                    layout: OperandLayout::LaneBlocks { step },
                    b: packed[(panel * depth + at) * width..].as_ptr(),
                    next: cold.then(|| packed.as_ptr().wrapping_add((next * depth + next_at) * width)),
                    full: panel * width + lanes < self.job.outputs,
                    accumulate: at > 0,
                    to: sums[(panel - self.first) * rows * width..].as_mut_ptr(),
                };
                // SAFETY: `patches` holds these values of `rows` rows, the panels were checked
                // above, and `sums` has `rows` rows for each panel.
                unsafe { product.run(simd) };
            }
        }
        self.store(simd, start, count, &sums);
    }
}

impl CorrelateTask<'_> {
    /// Computes the sums `[panel, row, P]` from windows that are read in place, line by line.
    #[inline(always)]
    fn multiply_in_place<S: Simd>(&self, simd: S, rect: KernelRect, start: usize, count: usize, sums: &mut [f32]) {
        let CorrelateJob { grid, from, packed, rows, outputs, .. } = *self.job;
        let (width, depth) = (PANEL_VECTORS * S::F32_LANES, grid.depth());
        let mut buffer = Workspace::take(rect.kh * rect.width(grid, rows.min(grid.columns)));
        let mut row = 0;
        while row < count {
            let (line, column) = ((start + row) / grid.columns, (start + row) % grid.columns);
            let here = (count - row).min(grid.columns - column);
            rect.fill(grid, from.values, line, column, here, &mut buffer);
            let (run, step) = (rect.run(grid), rect.width(grid, here));
            let layout = OperandLayout::Rows { run, step, row_step: grid.step * grid.c };
            for panel in self.first..self.last {
                let product = GemmKernel {
                    rows: here,
                    depth,
                    a: buffer.as_ptr(),
                    layout,
                    b: packed[panel * depth * width..].as_ptr(),
                    next: None,
                    full: panel * width + S::F32_LANES < outputs,
                    accumulate: false,
                    to: sums[((panel - self.first) * rows + row) * width..].as_mut_ptr(),
                };
                // SAFETY: the buffer holds the windows of these positions, the caller checked
                // `packed`, and `sums` has `rows` rows for each panel.
                unsafe { product.run(simd) };
            }
            row += here;
        }
    }

    /// Stores the sums `[panel, row, P]` to the pixels of their positions.
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, start: usize, count: usize, sums: &[f32]) {
        /// Positions that are stored together, as rows of a region.
        const TOGETHER: usize = 4;
        let CorrelateJob { grid, epilogue, .. } = *self.job;
        let (distance, run) = grid.target_step();
        // Blocks start anywhere, so that only lines that no block splits have a constant distance.
        let together = if run == usize::MAX || (run.is_multiple_of(TOGETHER) && start.is_multiple_of(TOGETHER)) {
            TOGETHER
        } else {
            1
        };
        // SAFETY: `sums` is `[panels, rows, P]`, and these channels of these positions belong to
        // this task alone.
        unsafe { epilogue.with_store(simd, StoreBlock { task: self, start, count, together, distance, sums }) };
    }
}

/// Stores the sums of a block to the pixels of its positions.
struct StoreBlock<'a, 'b> {
    task: &'b CorrelateTask<'a>,
    start: usize,
    count: usize,
    /// Positions that are certain to be `distance` pixels apart.
    together: usize,
    distance: usize,
    sums: &'b [f32],
}

impl WithStore for StoreBlock<'_, '_> {
    #[inline(always)]
    unsafe fn run<S: Simd, E: Store>(self, simd: S, store: E) {
        let Self { task, start, count, together, distance, sums } = self;
        let CorrelateJob { grid, outputs, rows, epilogue, to, .. } = *task.job;
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        assert!(sums.len() >= (task.last - task.first) * rows * width && count <= rows, "the sums are too few");
        for channel in (task.first * width..outputs.min(task.last * width)).step_by(lanes) {
            let from = (channel / width - task.first) * rows * width + channel % width;
            let columns = lanes.min(outputs - channel);
            // SAFETY: `columns` channels from `channel` exist.
            let channels = unsafe { store.channels(simd, channel, columns) };
            let mut stats = RunningStats::new(simd);
            for row in (0..count).step_by(together) {
                let height = together.min(count - row);
                let pixel = grid.target(start + row) * outputs;
                // SAFETY: the pixels of these positions are `distance` apart, and the caller has
                // their channels alone.
                let to = unsafe { to.pointer(pixel + channel, (height - 1) * distance * outputs + columns) };
                let at = pixel + channel;
                let region =
                    OutputRegion { to, at, row: distance * outputs, column: 0, height, width: 1, count: columns };
                let mut subtotal = stats.subtotal(simd);
                for i in 0..height {
                    // SAFETY: `sums` was checked to be `[panels, rows, P]`; the region is as above.
                    unsafe {
                        let value = load(simd, sums.as_ptr().add(from + (row + i) * width));
                        region.store_row(simd, i, [value], store, channels, &mut subtotal);
                    }
                }
                stats.merge(simd, subtotal);
            }
            if let Some(sums) = epilogue.block_sums() {
                // SAFETY: these channels of this block belong to this task alone.
                unsafe { sums.put(simd, task.block, channel, columns, &stats) };
            }
        }
    }
}

const _: () = assert!(PATCH_ROWS <= MAX_ROWS && DEPTH.is_multiple_of(MAX_LANES));
