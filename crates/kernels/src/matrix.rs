//! Plain matrix products through the `gemm` crate, cut into row blocks by shape.

use crate::pieces::{self, Parts};

/// A matrix somewhere in a slice: element `(i, j)` is at `i * row_step + j * column_step`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major `[rows, columns]`.
    pub(crate) fn rows(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(data.len() >= rows * columns, "a matrix is larger than its slice");
        Self { data, rows, columns, row_step: columns, column_step: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        let Self { data, rows, columns, row_step, column_step } = self;
        Self { data, rows: columns, columns: rows, row_step: column_step, column_step: row_step }
    }
}

/// `out (+)= a b`, `out` row-major, in pieces of rows.
pub(crate) fn product(a: Matrix<'_>, b: Matrix<'_>, accumulate: bool, out: &mut [f32]) {
    /// Rows of a piece: long enough that packing `b` again for each costs under 2 %.
    const ROWS: usize = 256;
    assert!(a.columns == b.rows && out.len() == a.rows * b.columns, "the matrices of a product do not fit");
    let pieces = a.rows.div_ceil(ROWS);
    let (rows, columns) = (a.rows, b.columns);
    let out = Parts::new(out);
    pieces::for_each(pieces, |piece| {
        let (first, last) = (piece * ROWS, rows.min((piece + 1) * ROWS));
        // SAFETY: rows of one piece.
        let out = unsafe { out.range(first * columns..last * columns) };
        let part = Matrix { data: &a.data[first * a.row_step..], rows: last - first, ..a };
        serial_product(part, b, accumulate, out);
    });
}

/// [`product`] on the calling thread.
pub(crate) fn serial_product(a: Matrix<'_>, b: Matrix<'_>, accumulate: bool, out: &mut [f32]) {
    assert!(a.columns == b.rows && out.len() == a.rows * b.columns, "the matrices of a product do not fit");
    // SAFETY: `Matrix` guarantees that its steps stay inside its slice, and `out` is `[a.rows, b.columns]`.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.data.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
