//! Micro-kernels: matrix products whose accumulators stay in registers. Their sizes are in
//! [`crate::tuning`].
//!
//! Operands are packed in lane blocks: `[rows, depth]` is stored as `[depth / L, rows, L]` (L
//! lanes). The vectors in which channels-last data arrive are stored whole, and six rows of eight
//! channels are three contiguous cache lines.
//!
//! - [`GemmKernel`] multiplies such an operand by a panel `[depth, NV L]` of columns. Its depth is
//!   the channels.
//! - [`AtbKernel`] computes `Aᵀ B` of two such operands. Its depth is the positions, over which
//!   weight gradients are summed.

use pulp::{Simd, WithSimd};

use crate::prefetch::Prefetch;
use crate::tuning::{ATB_VECTORS, PANEL_VECTORS, atb_rows, gemm_rows};
use crate::vector::{fma, load, store};

/// Memory layout of the first operand of [`GemmKernel`]: runs of contiguous values.
#[derive(Clone, Copy)]
pub(crate) enum OperandLayout {
    /// Lane blocks that are `step` floats apart: row `r` is at `a + r L`.
    LaneBlocks { step: usize },
    /// Windows in rows of pixels: runs of `run` values that are `step` floats apart, row `r` at
    /// `a + r row_step`. The depth is whole runs.
    Rows { run: usize, step: usize, row_step: usize },
}

/// Unroll factor of the micro-kernels' loops.
///
/// The loop counter is 3 of 23 instructions of a 6x2 step with AVX2, whose 12 multiply-adds take
/// six cycles. On an SMT sibling the front end is shared, and without unrolling products took 10 to
/// 20 % longer; a thread alone on its core shows no difference.
const UNROLL: usize = 4;

/// Computes `acc[r][v] = Σ_d a[r, d] b[d, v]` for one register tile.
///
/// `a` is in runs of `run` values that are `step` floats apart, row `r` at `a + r row_step`; `b` is
/// a panel.
///
/// # Safety
/// - `a` must be readable for `MR` rows of `depth` values in this layout,
/// - `b` must be readable for `depth` rows of a panel.
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
        // SAFETY: the caller lets `run` values of `MR` rows and `run` rows of the panel be read.
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
        // SAFETY: the caller lets the last `depth % run` values be read.
        unsafe { gemm_step(simd, a.add(t), row_step, b.add(t * width), &mut acc) };
    }
    acc
}

/// Adds one step of the depth to the accumulators of [`gemm_tile`].
///
/// # Safety
/// - `a` must be readable for `MR` values that are `row_step` floats apart,
/// - `b` must be readable for `NV` vectors.
#[inline(always)]
unsafe fn gemm_step<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: *const f32,
    row_step: usize,
    b: *const f32,
    acc: &mut [[S::f32s; NV]; MR],
) {
    let mut columns = [simd.splat_f32s(0.0); NV];
    // SAFETY: the caller lets these values be read.
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

/// Operands of one register tile of [`AtbKernel`].
#[derive(Clone, Copy)]
struct AtbTile {
    count: usize,
    /// Lane of the first row.
    a: *const f32,
    /// Lane of the first row of the next lane block.
    next: *const f32,
    b: *const f32,
    b_step: usize,
    accumulate: bool,
    to: *mut f32,
    to_step: usize,
}

impl AtbTile {
    /// Computes `acc[r][v] (+)= Σ_t a[t, r] b_v[t]`. The first `SPLIT` of the `MR` rows are lanes
    /// of one block, the others of the next.
    ///
    /// # Safety
    /// - `a`, and `next` if `SPLIT < MR`, must be readable for these lanes at `count` positions,
    /// - `b` must be readable for `NV` lane blocks of `count` positions,
    /// - `to` must be writable for `MR` rows of `NV` vectors, and readable if `accumulate`.
    #[inline(always)]
    unsafe fn run<S: Simd, const MR: usize, const SPLIT: usize, const NV: usize>(self, simd: S) {
        let lanes = S::F32_LANES;
        let mut tile = self;
        let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
        // SAFETY: the caller lets `count` positions be read and the tile be written.
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

    /// Adds position `i` to the accumulators of [`AtbTile::run`].
    ///
    /// # Safety
    /// The operands must be readable at position `i`, as for `run`.
    #[inline(always)]
    unsafe fn step<S: Simd, const MR: usize, const SPLIT: usize, const NV: usize>(
        &self,
        simd: S,
        i: usize,
        acc: &mut [[S::f32s; NV]; MR],
    ) {
        let at = i * S::F32_LANES;
        let mut columns = [simd.splat_f32s(0.0); NV];
        // SAFETY: the caller lets position `i` be read. With all rows in one block the next is not
        // accessed.
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

    /// Advances the operands by `floats`. Nothing beyond the last position is read.
    #[inline(always)]
    fn forward(&mut self, floats: usize) {
        self.a = self.a.wrapping_add(floats);
        self.next = self.next.wrapping_add(floats);
        self.b = self.b.wrapping_add(floats);
    }

    /// Computes any number of rows of one lane block.
    ///
    /// # Safety
    /// As `run`, for `rows` rows.
    #[inline(always)]
    unsafe fn some<S: Simd, const NV: usize>(mut self, simd: S, mut rows: usize) {
        while rows > 0 {
            let step = rows.min(4);
            // SAFETY: the caller lets these rows be computed.
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

/// Calls `$body` with the constant `MR` equal to `$rows`, for 1 to 6, or to 14 rows where there are
/// 32 registers.
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
            _ => unreachable!("`next_rows` returns these numbers alone"),
        }
    };
}

/// Returns the rows of the next tile when `left` rows are left: a size that [`with_rows`] knows.
///
/// A tile of one or two rows waits for its own sums, so rows that do not fill tiles are spread over
/// them: 49 rows are four tiles of six and five of five, not eight of six and a single row. With 32
/// registers tiles of 14 rows come first, and a rest of three rows or less is spread as well.
#[inline(always)]
fn next_rows<S: Simd>(left: usize) -> usize {
    let even = |left: usize| left.div_ceil(left.div_ceil(6));
    match left {
        8 | 13 | 16 if S::REGISTER_COUNT >= 32 => 8,
        14 | 18.. if S::REGISTER_COUNT >= 32 => 14,
        left => even(left),
    }
}

/// Kernel on its way through `Simd::vectorize`, whose caller has met the obligations of `run`.
struct Vectorized<K>(K);

/// GEMM of one operand and one panel: `to [rows, P] (+)= a b` with `b [depth, P]`, `P = 2 L`.
///
/// A struct and not a function, so that it is compiled once for each instruction set and not into
/// each of its callers.
pub(crate) struct GemmKernel {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) a: *const f32,
    pub(crate) layout: OperandLayout,
    pub(crate) b: *const f32,
    /// Panel of the next product, to be prefetched if it is likely to come from memory. Any address
    /// is allowed.
    pub(crate) next: Option<*const f32>,
    /// Whether both vectors of the panel are used, or only the first.
    pub(crate) full: bool,
    /// Whether to add to the contents of `to`.
    pub(crate) accumulate: bool,
    pub(crate) to: *mut f32,
}

impl WithSimd for Vectorized<GemmKernel> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(product) = self;
        let mut row = 0;
        let mut prefetch = product.next_panel::<S>();
        while row < product.rows {
            let count = next_rows::<S>(product.rows - row);
            // SAFETY: the caller of `GemmKernel::run` lets these rows be computed.
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
    /// Computes the product.
    ///
    /// # Safety
    /// - `a` must be readable for `rows` rows of `depth` values in the layout,
    /// - `b` must be readable for a panel of `depth`,
    /// - `to` must be writable for `rows` rows of a panel, and readable if `accumulate`.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, simd: S) {
        simd.vectorize(Vectorized(self));
    }

    /// Returns a prefetch of the next panel, a part for each lane block of each tile.
    #[inline(always)]
    fn next_panel<S: Simd>(&self) -> Prefetch {
        let lanes = S::F32_LANES;
        let tiles = self.rows.div_ceil(gemm_rows(S::REGISTER_COUNT));
        let panel = self.depth * PANEL_VECTORS * lanes;
        self.next.map_or(Prefetch::NONE, |next| Prefetch::new(next, 0..panel, tiles * (self.depth / lanes)))
    }

    /// Computes one register tile.
    ///
    /// # Safety
    /// As `run`; the rows `row .. row + MR` must be below `rows`.
    #[inline(always)]
    unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(&self, simd: S, row: usize, prefetch: &mut Prefetch) {
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        // SAFETY: the caller lets these rows be computed. Each layout has a `gemm_tile` of its own,
        // in which the lanes are constants.
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

/// Product `to [c, columns] (+)= aᵀ b` over `count` positions of two operands in lane blocks.
pub(crate) struct AtbKernel {
    pub(crate) count: usize,
    pub(crate) a: *const f32,
    pub(crate) b: *const f32,
    /// Floats between the lane blocks of `a`.
    pub(crate) a_step: usize,
    /// Floats between the lane blocks of `b`.
    pub(crate) b_step: usize,
    pub(crate) accumulate: bool,
    pub(crate) to: *mut f32,
    /// Rows of `to`.
    pub(crate) c: usize,
    /// Columns of `to`, a multiple of the lanes.
    pub(crate) columns: usize,
    /// Floats from a row of `to` to the next.
    pub(crate) to_step: usize,
}

impl WithSimd for Vectorized<AtbKernel> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(kernel) = self;
        let vectors = kernel.columns / S::F32_LANES;
        for column in (0..vectors).step_by(ATB_VECTORS) {
            // SAFETY: the caller of `AtbKernel::run` lets these columns be computed.
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
    /// Computes the product.
    ///
    /// # Safety
    /// - `a` must be readable for the lane blocks of `c` channels at `count` positions,
    /// - `b` must be readable for the lane blocks of `columns` channels at `count` positions,
    /// - `to` must be writable for `c` rows of `columns`, and readable if `accumulate`.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, simd: S) {
        simd.vectorize(Vectorized(self));
    }

    /// Computes all rows of one or two vectors of columns.
    ///
    /// # Safety
    /// As `run`; the `NV` vectors from `column` must be inside `columns`.
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
            // Rows that are left, and lanes that are left in this block.
            let left = self.c - row;
            let here = lanes - lane;
            // SAFETY: the caller lets these rows be computed; rows beyond this lane block are in
            // the next.
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
