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
            gemm::gemm(
                rows,
                columns,
                a.columns,
                out,
                1,
                b.columns as isize,
                false,
                a.data.as_ptr().wrapping_add(row * a.row_step),
                a.column_step as isize,
                a.row_step as isize,
                b.data.as_ptr().wrapping_add(column * b.column_step),
                b.column_step as isize,
                b.row_step as isize,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    });
}
