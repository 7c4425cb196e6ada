//! Plain matrix products by the `gemm` crate, blocked by shape: the gradients of linear layers.
//!
//! That crate chooses its instruction set itself and ignores [`crate::Isa`].

use crate::tasks::{self, DisjointSlice};

/// Strided view of a matrix in a slice: element `(i, j)` is at `i * row_step + j * column_step`.
#[derive(Clone, Copy)]
pub(crate) struct MatrixView<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> MatrixView<'a> {
    /// Views a row-major matrix `[rows, columns]`.
    pub(crate) fn rows(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(data.len() >= rows * columns, "a matrix is larger than its slice");
        Self { data, rows, columns, row_step: columns, column_step: 1 }
    }

    /// Exchanges rows and columns.
    pub(crate) fn transposed(self) -> Self {
        let Self { data, rows, columns, row_step, column_step } = self;
        Self { data, rows: columns, columns: rows, row_step: column_step, column_step: row_step }
    }
}

/// Computes `out = a b`, `out` row-major, in blocks of rows and columns.
pub(crate) fn gemm(a: MatrixView<'_>, b: MatrixView<'_>, out: &mut [f32]) {
    /// Rows of a block: many enough that packing the operands again for each costs little.
    const ROWS: usize = 256;
    /// Columns of a block, for the same reason.
    const COLUMNS: usize = 1024;
    assert!(a.columns == b.rows && out.len() == a.rows * b.columns, "the matrices of a product do not fit");
    if out.is_empty() {
        return;
    }
    let across = b.columns.div_ceil(COLUMNS);
    let out = DisjointSlice::new(out);
    tasks::for_each(a.rows.div_ceil(ROWS) * across, |task| {
        let (row, column) = (task / across * ROWS, task % across * COLUMNS);
        let (rows, columns) = (ROWS.min(a.rows - row), COLUMNS.min(b.columns - column));
        // SAFETY: `MatrixView` keeps rows and columns inside its slice, and the block of `out`
        // belongs to this task alone.
        unsafe {
            let out = out.pointer(row * b.columns + column, (rows - 1) * b.columns + columns);
            // The product of the transposes: the crate's micro-kernels write columns.
            let operands = [
                (b.data.as_ptr().wrapping_add(column * b.column_step), b.row_step, b.column_step),
                (a.data.as_ptr().wrapping_add(row * a.row_step), a.row_step, a.column_step),
            ];
            let shape = [columns, rows, a.columns];
            sgemm(shape, out, [b.columns, 1], operands);
        }
    });
}

/// Computes `out = lhs rhs` for `lhs [m, k]` and `rhs [k, n]`; steps are between columns and between rows of `out`, and
/// each operand has its pointer and the steps between its columns and rows.
///
/// # Safety
/// All elements that shape and steps reach must lie within their allocations, and nothing else may read or write those
/// of `out` meanwhile.
unsafe fn sgemm(
    [m, n, k]: [usize; 3],
    out: *mut f32,
    [out_columns, out_rows]: [usize; 2],
    [(lhs, lhs_columns, lhs_rows), (rhs, rhs_columns, rhs_rows)]: [(*const f32, usize, usize); 2],
) {
    let [out_columns, out_rows, lhs_columns, lhs_rows, rhs_columns, rhs_rows] =
        [out_columns, out_rows, lhs_columns, lhs_rows, rhs_columns, rhs_rows].map(|step| step as isize);
    let product = gemm_f32::gemm::f32::get_gemm_fn();
    let (add, scale, conjugate) = (0.0, 1.0, false);
    // SAFETY: the caller vouches for pointers and steps; `false` says that `out` is not read.
    unsafe {
        product(
            m,
            n,
            k,
            out,
            out_columns,
            out_rows,
            false,
            lhs,
            lhs_columns,
            lhs_rows,
            rhs,
            rhs_columns,
            rhs_rows,
            add,
            scale,
            conjugate,
            conjugate,
            conjugate,
            gemm_common::Parallelism::None,
        );
    }
}
