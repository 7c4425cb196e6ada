//! The forward pass, and the input gradient, as blocks of gathered patches times panels of weights.

use pulp::{Simd, WithSimd};

use super::gather::{Grid, MAX_ROWS, block_step, gather};
use super::panels::Weights;
use super::windows::Rectangle;
use crate::blocks::{DEPTH, OUTER_VECTORS, PATCH_CHANNELS, PATCH_ROWS, even_blocks, few_pieces};
use crate::conv::end::{Area, End, Ended};
use crate::conv::epilogue::{Ending, Finish, Masked, Moments, SUMS, Sums, add_up, merge};
use crate::conv::input::Input;
use crate::isa::Isa;
use crate::pieces::{self, Parts};
use crate::scratch::Scratch;
use crate::tile::{Layout, Product};
use crate::vector::{MAX_LANES, load};

/// Everything that does not change during a correlation.
#[derive(Clone, Copy)]
struct Job<'a> {
    grid: &'a Grid,
    from: Input<'a>,
    /// Panels `[panels, depth, P]`.
    packed: &'a [f32],
    /// Whether they were packed before: a network of them is larger than the caches.
    cold: bool,
    outputs: usize,
    to: &'a Parts<'a, f32>,
    finish: Finish<'a>,
    /// Rows of a block.
    rows: usize,
    /// The windows, where they are read where they lie.
    rectangle: Option<Rectangle>,
}

/// `to = from * weights` over one grid, or nothing but `finish` where no tap reaches.
///
/// `packed` holds what [`pack`] made of the weights for this grid, if that has been done before.
pub(crate) fn correlate(
    isa: Isa,
    grid: &Grid,
    weights: Weights<'_>,
    packed: Option<&[f32]>,
    from: Input<'_>,
    ending: Ending<'_>,
    to: &mut [f32],
) {
    let panels = weights.panels(isa.lanes());
    let own = if packed.is_none() { Some(pack(isa, grid, weights, Scratch::take)) } else { None };
    let cold = packed.is_some();
    let packed = packed.or(own.as_deref()).expect("weights are packed just above where they were not before");
    let (rows, blocks) = even_blocks(grid.count(), grid.count().div_ceil(PATCH_ROWS));
    let chunks = few_pieces().div_ceil(blocks).max(weights.outputs.div_ceil(PATCH_CHANNELS)).min(panels);
    let chunk = panels.div_ceil(chunks);
    let chunks = panels.div_ceil(chunk);
    let (to, rectangle) = (Parts::new(to), Rectangle::of(grid, &from, isa.lanes()));
    let run = |finish: Finish<'_>| {
        let job = Job { grid, from, packed, cold, outputs: weights.outputs, to: &to, finish, rows, rectangle };
        pieces::for_each(blocks * chunks, |piece| {
            isa.run(Block {
                job: &job,
                // Blocks inside of chunks: the panels of a chunk are read from memory once, and the rows are few where there are chunks.
                block: piece % blocks,
                first: piece / blocks * chunk,
                last: panels.min((piece / blocks + 1) * chunk),
            });
        });
    };
    match ending {
        Ending::Finish(finish) => run(finish),
        Ending::Statistics { mean, var } => {
            let mut memory = Scratch::take(blocks * SUMS * weights.outputs);
            run(Finish::Statistics(&Sums::new(&mut memory, weights.outputs)));
            let counts: Vec<usize> = (0..blocks).map(|b| rows.min(grid.count() - b * rows)).collect();
            merge(&memory, &counts, weights.outputs, mean, var);
        }
        Ending::Masked { x, rectifier, totals } => {
            let mut memory = Scratch::take(blocks * SUMS * weights.outputs);
            run(Finish::Masked(&Masked { x, rectifier, sums: Sums::new(&mut memory, weights.outputs) }));
            add_up(&memory, weights.outputs, totals);
        }
    }
}

/// The weights as panels for a grid, in memory from `take`.
pub(crate) fn pack(isa: Isa, grid: &Grid, weights: Weights<'_>, take: impl Fn(usize) -> Scratch) -> Scratch {
    let lanes = isa.lanes();
    let mut packed = take(weights.panels(lanes) * grid.depth() * OUTER_VECTORS * lanes);
    weights.pack(grid, lanes, &mut packed);
    packed
}

/// Some positions and some panels.
struct Block<'a> {
    job: &'a Job<'a>,
    block: usize,
    first: usize,
    last: usize,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Job { grid, from, packed, cold, rows, .. } = *self.job;
        let lanes = S::F32_LANES;
        let width = OUTER_VECTORS * lanes;
        let (start, depth) = (self.block * rows, grid.depth());
        let count = rows.min(grid.count() - start);
        let step = block_step(rows, lanes);
        let mut sums = Scratch::take((self.last - self.first) * rows * width);
        if depth == 0 {
            sums.fill(0.0);
        }
        assert!(packed.len() >= self.last * depth * width, "the panels are too small");
        if let Some(rectangle) = self.job.rectangle {
            self.windows(simd, rectangle, start, count, &mut sums);
            self.finish(simd, start, count, &sums);
            return;
        }
        let mut patches = Scratch::take(DEPTH.min(depth.next_multiple_of(lanes)) / lanes * step);
        for at in (0..depth).step_by(DEPTH) {
            let until = depth.min(at + DEPTH);
            // SAFETY: `patches` holds DEPTH values of `rows` rows.
            unsafe { gather(simd, grid, from, start, count, at..until, patches.as_mut_ptr(), step) };
            for panel in self.first..self.last {
                let (next, next_at) = match panel + 1 {
                    next if next < self.last || until == depth => (next, if next < self.last { at } else { 0 }),
                    _ => (self.first, until),
                };
                let product = Product {
                    rows: count,
                    depth: until - at,
                    a: patches.as_ptr(),
                    layout: Layout::Lanes { step },
                    b: packed[(panel * depth + at) * width..].as_ptr(),
                    next: cold.then(|| packed.as_ptr().wrapping_add((next * depth + next_at) * width)),
                    full: panel * width + lanes < self.job.outputs,
                    accumulate: at > 0,
                    to: sums[(panel - self.first) * rows * width..].as_mut_ptr(),
                };
                // SAFETY: `patches` holds these values of `rows` rows, the panels were just checked, and `sums` has `rows` rows for
                // each panel.
                unsafe { product.run(simd) };
            }
        }
        self.finish(simd, start, count, &sums);
    }
}

impl Block<'_> {
    /// The sums `[panel, row, P]` out of windows that are read where they lie, line by line.
    #[inline(always)]
    fn windows<S: Simd>(&self, simd: S, rectangle: Rectangle, start: usize, count: usize, sums: &mut [f32]) {
        let Job { grid, from, packed, rows, outputs, .. } = *self.job;
        let (width, depth) = (OUTER_VECTORS * S::F32_LANES, grid.depth());
        let mut band = Scratch::take(rectangle.kh * rectangle.width(grid, rows.min(grid.columns)));
        let mut row = 0;
        while row < count {
            let (line, column) = ((start + row) / grid.columns, (start + row) % grid.columns);
            let here = (count - row).min(grid.columns - column);
            rectangle.band(grid, from.values, line, column, here, &mut band);
            let (run, step) = (rectangle.run(grid), rectangle.width(grid, here));
            let layout = Layout::Windows { run, step, row_step: grid.step * grid.c };
            for panel in self.first..self.last {
                let product = Product {
                    rows: here,
                    depth,
                    a: band.as_ptr(),
                    layout,
                    b: packed[panel * depth * width..].as_ptr(),
                    next: None,
                    full: panel * width + S::F32_LANES < outputs,
                    accumulate: false,
                    to: sums[((panel - self.first) * rows + row) * width..].as_mut_ptr(),
                };
                // SAFETY: the band holds the windows of these positions, `packed` was checked by the caller, and `sums` has `rows` rows
                // for each panel.
                unsafe { product.run(simd) };
            }
            row += here;
        }
    }

    /// Writes the sums `[panel, row, P]` to the pixels of their positions.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, start: usize, count: usize, sums: &[f32]) {
        /// Rows that are finished together, one below the other.
        const TOGETHER: usize = 4;
        let Job { grid, finish, .. } = *self.job;
        let (distance, run) = grid.stride();
        // Blocks start anywhere: only rows of `to` that are cut nowhere are sure.
        let together = if run == usize::MAX || (run.is_multiple_of(TOGETHER) && start.is_multiple_of(TOGETHER)) {
            TOGETHER
        } else {
            1
        };
        // SAFETY: `sums` is `[panels, rows, P]`, and these channels of these positions are this piece's alone.
        unsafe { finish.with(simd, Write { block: self, start, count, together, distance, sums }) };
    }
}

/// The sums of a block on their way to the pixels of its positions.
struct Write<'a, 'b> {
    block: &'b Block<'a>,
    start: usize,
    count: usize,
    /// Positions that are certain to be `distance` pixels apart.
    together: usize,
    distance: usize,
    sums: &'b [f32],
}

impl Ended for Write<'_, '_> {
    #[inline(always)]
    unsafe fn run<S: Simd, E: End>(self, simd: S, end: E) {
        let Self { block, start, count, together, distance, sums } = self;
        let Job { grid, outputs, rows, finish, to, .. } = *block.job;
        let lanes = S::F32_LANES;
        let width = OUTER_VECTORS * lanes;
        assert!(sums.len() >= (block.last - block.first) * rows * width && count <= rows, "the sums are too few");
        for channel in (block.first * width..outputs.min(block.last * width)).step_by(lanes) {
            let from = (channel / width - block.first) * rows * width + channel % width;
            let columns = lanes.min(outputs - channel);
            // SAFETY: these channels exist.
            let channels = unsafe { end.channels(simd, channel, columns) };
            let mut moments = Moments::new(simd);
            for row in (0..count).step_by(together) {
                let height = together.min(count - row);
                let pixel = grid.target(start + row) * outputs;
                // SAFETY: the pixels of these positions are `distance` apart, and their channels are this piece's alone.
                let to = unsafe { to.pointer(pixel + channel, (height - 1) * distance * outputs + columns) };
                let at = pixel + channel;
                let area = Area { to, at, row: distance * outputs, column: 0, height, width: 1, count: columns };
                let mut own = moments.area(simd);
                for i in 0..height {
                    // SAFETY: `sums` is `[panels, rows, P]`; the area is as above.
                    unsafe {
                        let value = load(simd, sums.as_ptr().add(from + (row + i) * width));
                        area.row(simd, i, [value], end, channels, &mut own);
                    }
                }
                moments.merge(simd, own);
            }
            if let Some(sums) = finish.sums() {
                // SAFETY: these channels of this block are this piece's alone.
                unsafe { sums.put(simd, block.block, channel, columns, &moments) };
            }
        }
    }
}

const _: () = assert!(PATCH_ROWS <= MAX_ROWS && DEPTH.is_multiple_of(MAX_LANES));
