//! The micro-kernels: products that stay in registers. Their sizes are in [`crate::tuning`].
//!
//! Operands are packed by lanes. `[rows, depth]` is stored `[depth / L, rows, L]` (L lanes): the vectors in which channels-last data
//! arrive are stored whole, and a few rows of eight channels are three cache lines in a row. [`GemmKernel`] multiplies such an
//! operand by panels `[depth, NV L]` of columns: its depth is the channels. [`AtbKernel`] multiplies two of them over their rows:
//! its depth is the positions, which is what weight gradients sum over.

use pulp::{Simd, WithSimd};

use crate::prefetch::Prefetch;
use crate::tuning::{ATB_VECTORS, PANEL_VECTORS, atb_rows, gemm_rows};
use crate::vector::{fma, load, store};

/// How the rows of [`GemmKernel`]'s first operand lie: in runs of values that follow each other.
#[derive(Clone, Copy)]
pub(crate) enum OperandLayout {
    /// By lanes: row `r` at `a + r L`, lane blocks so many floats apart.
    LaneBlocks { step: usize },
    /// Windows in rows of pixels: runs of `run` values, `step` floats apart, and row `r` at `a + r row_step`. The depth is whole runs.
    Rows { run: usize, step: usize, row_step: usize },
}

/// Steps of a micro-kernel's loop that are written out. Counting and comparing are 3 of 23 instructions in a step of 6 x 2 tiles with AVX2, and its 12
/// multiply-adds take six cycles. A thread with a core of its own has room for them all; beside another thread on the core, whose
/// instructions pass through the same front, products took a tenth to a fifth longer with them.
const UNROLL: usize = 4;

/// `acc[r][v] = Σ_d a[r, d] b[d, v]` with `a` in runs of `run` values (row `r` at `a + r row_step`, runs `step` floats apart) and `b` a panel
/// of rows of as many vectors as a panel has.
///
/// # Safety
/// `a` must be readable for `MR` rows of `depth`, `b` for `depth` rows of `NV` vectors.
#[inline(always)]
unsafe fn gemm_tile<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    depth: usize,
    mut a: *const f32,
    [run, step, row_step]: [usize; 3],
    mut b: *const f32,
    prefetch: &mut Prefetch,
) -> [[S::f32s; NV]; MR] {
    let width = PANEL_VECTORS * S::F32_LANES;
    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
    for _ in 0..depth / run {
        let whole = run - run % UNROLL;
        // SAFETY: in bounds by the contract.
        unsafe {
            for t in (0..whole).step_by(UNROLL) {
                for i in t..t + UNROLL {
                    gemm_step(simd, a.add(i), row_step, b.add(i * width), &mut acc);
                }
            }
            for t in whole..run {
                gemm_step(simd, a.add(t), row_step, b.add(t * width), &mut acc);
            }
        }
        a = a.wrapping_add(step);
        b = b.wrapping_add(run * width);
        prefetch.read_next();
    }
    for t in 0..depth % run {
        // SAFETY: in bounds by the contract.
        unsafe { gemm_step(simd, a.add(t), row_step, b.add(t * width), &mut acc) };
    }
    acc
}

/// One step of the depth of [`gemm_tile`].
///
/// # Safety
/// As [`gemm_tile`].
#[inline(always)]
unsafe fn gemm_step<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: *const f32,
    row_step: usize,
    b: *const f32,
    acc: &mut [[S::f32s; NV]; MR],
) {
    let mut columns = [simd.splat_f32s(0.0); NV];
    // SAFETY: the contract.
    unsafe {
        for v in 0..NV {
            columns[v] = load(simd, b.add(v * S::F32_LANES));
        }
        for r in 0..MR {
            let row = simd.splat_f32s(*a.add(r * row_step));
            for v in 0..NV {
                acc[r][v] = fma(simd, row, columns[v], acc[r][v]);
            }
        }
    }
}

/// Where the operands of a tile of [`AtbKernel`] are.
#[derive(Clone, Copy)]
struct AtbTile {
    count: usize,
    /// The first row's lane, and that of the row at the start of the next lane block.
    a: *const f32,
    next: *const f32,
    b: *const f32,
    b_step: usize,
    accumulate: bool,
    to: *mut f32,
    to_step: usize,
}

impl AtbTile {
    /// `acc[r][v] (+)= Σ_t a[t, r] b_v[t]`: the first `SPLIT` of the `MR` rows are lanes of one block, the others of the next.
    ///
    /// # Safety
    /// The blocks must be readable for `count` positions, and `to` writable for `MR` rows of `NV` vectors.
    #[inline(always)]
    unsafe fn run<S: Simd, const MR: usize, const SPLIT: usize, const NV: usize>(self, simd: S) {
        let lanes = S::F32_LANES;
        let mut tile = self;
        let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
        // SAFETY: all accesses are inside the operands by the contract.
        unsafe {
            for _ in 0..self.count / UNROLL {
                for i in 0..UNROLL {
                    tile.step::<S, MR, SPLIT, NV>(simd, i, &mut acc);
                }
                tile.forward(UNROLL * lanes);
            }
            for i in 0..self.count % UNROLL {
                tile.step::<S, MR, SPLIT, NV>(simd, i, &mut acc);
            }
            for r in 0..MR {
                for v in 0..NV {
                    let to = self.to.add(r * self.to_step + v * lanes);
                    let sum = if self.accumulate { simd.add_f32s(load(simd, to), acc[r][v]) } else { acc[r][v] };
                    store(simd, to, sum);
                }
            }
        }
    }

    /// Position `i` of [`AtbTile::run`].
    ///
    /// # Safety
    /// As `run`, for this position.
    #[inline(always)]
    unsafe fn step<S: Simd, const MR: usize, const SPLIT: usize, const NV: usize>(
        &self,
        simd: S,
        i: usize,
        acc: &mut [[S::f32s; NV]; MR],
    ) {
        let at = i * S::F32_LANES;
        let mut columns = [simd.splat_f32s(0.0); NV];
        // SAFETY: the contract. Where all rows are of one block, nothing of the next is touched.
        unsafe {
            for v in 0..NV {
                columns[v] = load(simd, self.b.add(v * self.b_step + at));
            }
            for r in 0..MR {
                let row = if r < SPLIT { *self.a.add(at + r) } else { *self.next.add(at + r - SPLIT) };
                let row = simd.splat_f32s(row);
                for v in 0..NV {
                    acc[r][v] = fma(simd, row, columns[v], acc[r][v]);
                }
            }
        }
    }

    /// Moves on by so many floats. What follows the last position is not read.
    #[inline(always)]
    fn forward(&mut self, floats: usize) {
        self.a = self.a.wrapping_add(floats);
        self.next = self.next.wrapping_add(floats);
        self.b = self.b.wrapping_add(floats);
    }

    /// Any number of rows of one lane block.
    ///
    /// # Safety
    /// As `run`.
    #[inline(always)]
    unsafe fn some<S: Simd, const NV: usize>(mut self, simd: S, mut rows: usize) {
        while rows > 0 {
            let step = rows.min(4);
            // SAFETY: the contract, for these rows.
            unsafe {
                match step {
                    1 => self.run::<S, 1, 1, NV>(simd),
                    2 => self.run::<S, 2, 2, NV>(simd),
                    3 => self.run::<S, 3, 3, NV>(simd),
                    _ => self.run::<S, 4, 4, NV>(simd),
                }
            }
            self.a = self.a.wrapping_add(step);
            self.to = self.to.wrapping_add(step * self.to_step);
            rows -= step;
        }
    }
}

/// Calls `$body` with the constant `MR` equal to `$rows`, for 1 to 6, or to 14 rows where there are 32 registers.
macro_rules! with_rows {
    ($simd:ty, $rows:expr, $mr:ident => $body:expr) => {
        match $rows {
            1 => {
                const $mr: usize = 1;
                $body
            }
            2 => {
                const $mr: usize = 2;
                $body
            }
            3 => {
                const $mr: usize = 3;
                $body
            }
            4 => {
                const $mr: usize = 4;
                $body
            }
            5 => {
                const $mr: usize = 5;
                $body
            }
            6 => {
                const $mr: usize = 6;
                $body
            }
            8 if <$simd>::REGISTER_COUNT >= 32 => {
                const $mr: usize = 8;
                $body
            }
            14 if <$simd>::REGISTER_COUNT >= 32 => {
                const $mr: usize = 14;
                $body
            }
            _ => unreachable!("rows are cut by `next_rows`"),
        }
    };
}
/// Rows of the next tile when `left` rows are left: sizes that [`with_rows`] knows. A tile of one or two rows waits for its own sums, so
/// what does not fill tiles is spread over them: 49 rows are four tiles of six and five of five, not eight of six and a single row. With
/// 32 registers tiles of 14 rows come first, and what would leave three rows or less is spread as well.
#[inline(always)]
fn next_rows<S: Simd>(left: usize) -> usize {
    let even = |left: usize| left.div_ceil(left.div_ceil(6));
    match left {
        8 | 13 | 16 if S::REGISTER_COUNT >= 32 => 8,
        14 | 18.. if S::REGISTER_COUNT >= 32 => 14,
        left => even(left),
    }
}

/// A product whose operands have the sizes that it names, as whoever ran it has promised.
struct Vectorized<P>(P);

/// `to [rows, P] (+)= a b` for an operand in runs and one panel `[depth, P]`, `P = 2 L`: all the tiles of a panel.
///
/// A struct and not a function, so that it is compiled once for each instruction set and not into each of its callers.
pub(crate) struct GemmKernel {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) a: *const f32,
    pub(crate) layout: OperandLayout,
    pub(crate) b: *const f32,
    /// The panel of the next product, where it is likely to come from memory. Any address is allowed.
    pub(crate) next: Option<*const f32>,
    /// Whether both vectors of the panel are used, or only the first.
    pub(crate) full: bool,
    /// Whether to add to what is at `to`.
    pub(crate) accumulate: bool,
    pub(crate) to: *mut f32,
}

impl WithSimd for Vectorized<GemmKernel> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(product) = self;
        let mut row = 0;
        let mut prefetch = product.prefetch::<S>();
        while row < product.rows {
            let count = next_rows::<S>(product.rows - row);
            // SAFETY: the promise of `GemmKernel::run`, for these rows.
            with_rows!(S, count, MR => unsafe {
                if product.full {
                    product.tile::<S, MR, PANEL_VECTORS>(simd, row, &mut prefetch);
                } else {
                    product.tile::<S, MR, 1>(simd, row, &mut prefetch);
                }
            });
            row += count;
        }
    }
}

impl GemmKernel {
    /// Computes it.
    ///
    /// # Safety
    /// `a` must be readable for `rows` rows of `depth`, `b` for a panel of that depth, and `to` writable for `rows` rows of a panel.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, simd: S) {
        simd.vectorize(Vectorized(self));
    }

    /// The next panel, which comes from memory where a network has more weights than the caches hold: a part of it for each lane block of
    /// each tile.
    #[inline(always)]
    fn prefetch<S: Simd>(&self) -> Prefetch {
        let lanes = S::F32_LANES;
        let tiles = self.rows.div_ceil(gemm_rows(S::REGISTER_COUNT));
        let panel = self.depth * PANEL_VECTORS * lanes;
        self.next.map_or(Prefetch::NONE, |next| Prefetch::new(next, 0..panel, tiles * (self.depth / lanes)))
    }

    /// # Safety
    /// Rows `row .. row + MR` must be inside the operands.
    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(&self, simd: S, row: usize, prefetch: &mut Prefetch) {
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        // SAFETY: the contract. Each layout has an `gemm_tile` of its own, for which the lanes are constants.
        unsafe {
            let acc = match self.layout {
                OperandLayout::LaneBlocks { step } => gemm_tile::<S, MR, NV>(
                    simd,
                    self.depth,
                    self.a.add(row * lanes),
                    [lanes, step, lanes],
                    self.b,
                    prefetch,
                ),
                OperandLayout::Rows { run, step, row_step } => {
                    let a = self.a.add(row * row_step);
                    gemm_tile::<S, MR, NV>(simd, self.depth, a, [run, step, row_step], self.b, prefetch)
                }
            };
            for (r, acc) in acc.iter().enumerate() {
                for (v, &acc) in acc.iter().enumerate() {
                    let to = self.to.add((row + r) * width + v * lanes);
                    let sum = if self.accumulate { simd.add_f32s(load(simd, to), acc) } else { acc };
                    store(simd, to, sum);
                }
            }
        }
    }
}

/// `to [c, columns] (+)= aᵀ b` over `count` positions: all the tiles of two operands by lanes.
pub(crate) struct AtbKernel {
    pub(crate) count: usize,
    pub(crate) a: *const f32,
    pub(crate) b: *const f32,
    /// Floats between the lane blocks of `a`, and of `b`.
    pub(crate) a_step: usize,
    pub(crate) b_step: usize,
    pub(crate) accumulate: bool,
    pub(crate) to: *mut f32,
    /// Rows, columns (a multiple of the lanes) and the floats from a row to the next.
    pub(crate) c: usize,
    pub(crate) columns: usize,
    pub(crate) to_step: usize,
}

impl WithSimd for Vectorized<AtbKernel> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(kernel) = self;
        let vectors = kernel.columns / S::F32_LANES;
        for column in (0..vectors).step_by(ATB_VECTORS) {
            // SAFETY: the promise of `AtbKernel::run`, for these columns.
            unsafe {
                if vectors - column == 1 {
                    kernel.rows::<S, 1>(simd, column);
                } else {
                    kernel.rows::<S, ATB_VECTORS>(simd, column);
                }
            }
        }
    }
}

impl AtbKernel {
    /// Computes it.
    ///
    /// # Safety
    /// `a` must be readable for `c` rows and `b` for `columns` of `count` positions, and `to` writable for `c` rows of `columns`.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, simd: S) {
        simd.vectorize(Vectorized(self));
    }

    /// All rows of one or two vectors of columns.
    ///
    /// # Safety
    /// The columns must be inside the operands.
    #[inline(always)]
    unsafe fn rows<S: Simd, const NV: usize>(&self, simd: S, column: usize) {
        let lanes = S::F32_LANES;
        let most = atb_rows(S::REGISTER_COUNT, lanes);
        let mut row = 0;
        while row < self.c {
            let (block, lane) = (row / lanes, row % lanes);
            let tile = AtbTile {
                count: self.count,
                a: self.a.wrapping_add(block * self.a_step + lane),
                next: self.a.wrapping_add((block + 1) * self.a_step),
                b: self.b.wrapping_add(column * self.b_step),
                b_step: self.b_step,
                accumulate: self.accumulate,
                to: self.to.wrapping_add(row * self.to_step + column * lanes),
                to_step: self.to_step,
            };
            // Rows of this tile, and how many of them are in this lane block.
            let left = self.c - row;
            let here = lanes - lane;
            // SAFETY: the contract; rows beyond this lane block are in the next.
            unsafe {
                row += match (most, here.min(most)) {
                    (12, 12) if left >= 12 => {
                        tile.run::<S, 12, 12, NV>(simd);
                        12
                    }
                    (12, 4) if left >= 12 => {
                        tile.run::<S, 12, 4, NV>(simd);
                        12
                    }
                    (12, 8) if left >= 12 => {
                        tile.run::<S, 12, 8, NV>(simd);
                        12
                    }
                    (6, 6) if left >= 6 => {
                        tile.run::<S, 6, 6, NV>(simd);
                        6
                    }
                    (6, 4) if left >= 6 => {
                        tile.run::<S, 6, 4, NV>(simd);
                        6
                    }
                    (6, 2) if left >= 6 => {
                        tile.run::<S, 6, 2, NV>(simd);
                        6
                    }
                    _ => {
                        let rows = here.min(left);
                        tile.some::<S, NV>(simd, rows);
                        rows
                    }
                };
            }
        }
    }
}
