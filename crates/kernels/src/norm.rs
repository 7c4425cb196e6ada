//! Batch normalisation (Ioffe & Szegedy 2015, algorithm 1), fused with the sum and the ReLU that
//! follow it in a residual block.
//!
//! `x`, `y`, the shortcut `skip` and their gradients are `[rows, c]`, where rows are all positions
//! of all images; parameters by channel are `[c]`. Each kernel is memory-bound: forward reads and
//! writes once, backward makes two passes.

use crate::columns::Columns;
use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice};

/// Parameters of a batch norm: statistics of the batch, and the learnt scale and shift.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Mean of each channel.
    pub mean: &'a [f32],
    /// Biased variance of each channel.
    pub var: &'a [f32],
    /// Learnt scale.
    pub gamma: &'a [f32],
    /// Learnt shift.
    pub beta: &'a [f32],
    /// Constant that is added to the variance.
    pub eps: f32,
}

impl Norm<'_> {
    /// Returns one over the standard deviation of channel `j`.
    fn inverse_std(&self, j: usize) -> f64 {
        1.0 / (f64::from(self.var[j]) + f64::from(self.eps)).sqrt()
    }

    /// Returns the scale of channel `j` in `y = scale x + shift`.
    pub(crate) fn scale(&self, j: usize) -> f64 {
        f64::from(self.gamma[j]) * self.inverse_std(j)
    }

    /// Returns the shift of channel `j` in `y = scale x + shift`.
    pub(crate) fn shift(&self, j: usize) -> f64 {
        f64::from(self.beta[j]) - f64::from(self.mean[j]) * self.scale(j)
    }

    /// Checks that all parameters have `c` values.
    pub(crate) fn check(&self, c: usize) {
        assert!(
            [self.mean.len(), self.var.len(), self.gamma.len(), self.beta.len()] == [c; 4],
            "mean, var, gamma and beta must have one value for each of the {c} channels"
        );
    }
}

impl Norm<'_> {
    /// Computes `dgamma` and `dbeta`, and the coefficients of `dx`, from the sums of the masked
    /// gradient `g` and of `g (x - mean)`:
    ///
    /// `dx = scale (g - sum / rows - (x - mean) product / (rows (var + eps)))`.
    fn coefficients(
        &self,
        columns: Columns,
        rows: usize,
        [sum, product]: &[Vec<f64>; 2],
        dgamma: &mut [f32],
        dbeta: &mut [f32],
    ) -> BackwardCoefficients {
        let rows = rows as f64;
        for j in 0..sum.len() {
            dbeta[j] = sum[j] as f32;
            dgamma[j] = (product[j] * self.inverse_std(j)) as f32;
        }
        BackwardCoefficients {
            scale: columns.repeat(|j| self.scale(j) as f32),
            mean: columns.repeat(|j| self.mean[j]),
            constant: columns.repeat(|j| (self.scale(j) * sum[j] / rows) as f32),
            slope: columns.repeat(|j| (self.scale(j) * self.inverse_std(j).powi(2) * product[j] / rows) as f32),
        }
    }
}

/// Computes the batch statistics of `x [rows, c]`: mean and biased variance of each column.
///
/// The first row is subtracted before the sums, so that a mean far from zero costs no digits.
///
/// # Panics
/// If `x` is empty or not `[rows, c]`, or `mean` or `var` does not have `c` values.
pub fn statistics(x: &[f32], c: usize, mean: &mut [f32], var: &mut [f32]) {
    assert!(c > 0 && !x.is_empty() && x.len().is_multiple_of(c), "x must be [rows, {c}]");
    assert!(mean.len() == c && var.len() == c, "mean and var must have {c} values");
    let isa = Isa::active();
    let columns = Columns::new(c);
    let first = columns.repeat(|j| x[j]);
    let [sum, squares] = columns.sums(x.len(), |range, [sum, squares]| {
        isa.run(|| {
            for row in x[range.clone()].chunks(first.len()) {
                for (((&x, &first), sum), squares) in row.iter().zip(&first).zip(&mut *sum).zip(&mut *squares) {
                    let d = x - first;
                    *sum += d;
                    *squares += d * d;
                }
            }
        });
    });
    let rows = (x.len() / c) as f64;
    for j in 0..c {
        let m = sum[j] / rows;
        mean[j] = (f64::from(x[j]) + m) as f32;
        var[j] = (squares[j] / rows - m * m).max(0.0) as f32;
    }
}

/// Computes `y = gamma (x - mean) / sqrt(var + eps) + beta`, adds `skip` if given, then applies a
/// ReLU if `relu`.
///
/// # Panics
/// If `x`, `y` and `skip` are not `[rows, c]`, or a parameter does not have `c` values.
pub fn forward(x: &[f32], c: usize, norm: &Norm<'_>, skip: Option<&[f32]>, relu: bool, y: &mut [f32]) {
    norm.check(c);
    let scale: Vec<f32> = (0..c).map(|j| norm.scale(j) as f32).collect();
    let shift: Vec<f32> = (0..c).map(|j| norm.shift(j) as f32).collect();
    scale_shift(x, c, &scale, &shift, skip, relu, y);
}

/// Computes `y = scale x + shift`, adds `skip` if given, then applies a ReLU if `relu`: a batch
/// norm with fixed statistics.
///
/// # Panics
/// If `x`, `y` and `skip` are not `[rows, c]`, or `scale` or `shift` does not have `c` values.
pub fn scale_shift(x: &[f32], c: usize, scale: &[f32], shift: &[f32], skip: Option<&[f32]>, relu: bool, y: &mut [f32]) {
    assert!(c > 0 && x.len().is_multiple_of(c) && x.len() == y.len(), "x and y must both be [rows, {c}]");
    assert!(scale.len() == c && shift.len() == c, "scale and shift must have {c} values");
    assert!(skip.is_none_or(|skip| skip.len() == x.len()), "skip must be as large as x");
    let isa = Isa::active();
    let columns = Columns::new(c);
    let (scale, shift) = (columns.repeat(|j| scale[j]), columns.repeat(|j| shift[j]));
    let y = DisjointSlice::new(y);
    tasks::for_ranges(x.len(), columns.task_len(), |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        let (x, skip) = (&x[range.clone()], skip.map(|skip| &skip[range.clone()]));
        match (skip, relu) {
            (None, false) => isa.run(|| scale_shift_rows(x, &scale, &shift, y, |v| v)),
            (None, true) => isa.run(|| scale_shift_rows(x, &scale, &shift, y, |v| if v < 0.0 { 0.0 } else { v })),
            (Some(skip), false) => isa.run(|| scale_shift_skip_rows(x, &scale, &shift, skip, y, |v| v)),
            (Some(skip), true) => {
                isa.run(|| scale_shift_skip_rows(x, &scale, &shift, skip, y, |v| if v < 0.0 { 0.0 } else { v }));
            }
        }
    });
}

#[inline(always)]
fn scale_shift_rows(x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (x, y) in x.chunks(scale.len()).zip(y.chunks_mut(scale.len())) {
        for (((&x, y), &scale), &shift) in x.iter().zip(y).zip(scale).zip(shift) {
            *y = f(scale * x + shift);
        }
    }
}

#[inline(always)]
fn scale_shift_skip_rows(x: &[f32], scale: &[f32], shift: &[f32], skip: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    for ((x, y), skip) in x.chunks(scale.len()).zip(y.chunks_mut(scale.len())).zip(skip.chunks(scale.len())) {
        for ((((&x, y), &skip), &scale), &shift) in x.iter().zip(y).zip(skip).zip(scale).zip(shift) {
            *y = f(scale * x + shift + skip);
        }
    }
}

/// Computes the gradient of [`forward`] in training, through the statistics of the batch (Ioffe &
/// Szegedy 2015, section 3).
///
/// Works in place, because the operands are not needed any more and new memory would be a third of
/// the traffic: `x` becomes `dx`, and `dy` becomes the gradient of the shortcut, which is `dy`
/// masked by the ReLU. `y` is the output if a ReLU followed, else `None`.
///
/// # Panics
/// If `x`, `y` and `dy` are not `[rows, c]`, or a slice by channel does not have `c` values.
pub fn backward(
    x: &mut [f32],
    y: Option<&[f32]>,
    dy: &mut [f32],
    c: usize,
    norm: &Norm<'_>,
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    norm.check(c);
    assert!(x.len() == dy.len() && y.is_none_or(|y| y.len() == x.len()), "x, y and dy must be equally large");
    assert!(x.len().is_multiple_of(c), "x must hold c values for each position");
    assert!(dgamma.len() == c && dbeta.len() == c, "dgamma and dbeta must have a value for each channel");
    let isa = Isa::active();
    let columns = Columns::new(c);
    let mean = columns.repeat(|j| norm.mean[j]);
    let g = DisjointSlice::new(dy);
    let sums = columns.sums(x.len(), |range, [sum, product]| {
        // SAFETY: the ranges do not overlap.
        let (x, g) = (&x[range.clone()], unsafe { g.range(range.clone()) });
        isa.run(|| {
            if let Some(y) = y {
                mask_in_place(&y[range], g);
            }
            gradient_sums_rows(x, g, g, &mean, sum, product, |g, _| g);
        });
    });
    let coefficients = norm.coefficients(columns, x.len() / c, &sums, dgamma, dbeta);
    let (len, width, dx, g) = (x.len(), columns.width(), DisjointSlice::new(x), &dy[..]);
    tasks::for_ranges(len, columns.task_len(), |_, range| {
        // SAFETY: the ranges do not overlap.
        let dx = unsafe { dx.range(range.clone()) };
        isa.run(|| {
            for (g, dx) in g[range.clone()].chunks(width).zip(dx.chunks_mut(width)) {
                coefficients.replace_x(g, dx);
            }
        });
    });
}

/// Completes [`backward`] where `dx` holds the masked gradient `g`, and `sums` the sums of `g` and
/// of `g (x - mean)`.
pub(crate) fn backward_from_sums(
    x: &[f32],
    c: usize,
    norm: &Norm<'_>,
    sums: &[Vec<f64>; 2],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    assert!(dx.len() == x.len(), "dx must be as large as x");
    let isa = Isa::active();
    let columns = Columns::new(c);
    let coefficients = norm.coefficients(columns, x.len() / c, sums, dgamma, dbeta);
    let (len, width, dx) = (x.len(), columns.width(), DisjointSlice::new(dx));
    tasks::for_ranges(len, columns.task_len(), |_, range| {
        // SAFETY: the ranges do not overlap.
        let dx = unsafe { dx.range(range.clone()) };
        isa.run(|| {
            for (x, dx) in x[range.clone()].chunks(width).zip(dx.chunks_mut(width)) {
                coefficients.replace_g(x, dx);
            }
        });
    });
}

/// Computes the gradient of [`scale_shift`], whose statistics are constants: `dscale` is the sum of
/// `x dy`, `dshift` the sum of `dy`. `dskip` receives the gradient of the shortcut.
///
/// # Panics
/// If the slices are not `[rows, c]` and `[c]`.
pub fn scale_shift_backward(
    x: &[f32],
    y: Option<&[f32]>,
    dy: &[f32],
    c: usize,
    scale: &[f32],
    dx: &mut [f32],
    dskip: Option<&mut [f32]>,
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    assert!(scale.len() == c, "scale must have {c} values");
    assert!(dscale.len() == c && dshift.len() == c, "dscale and dshift must have {c} values");
    let columns = Columns::new(c);
    let zero = columns.repeat(|_| 0.0);
    let [sum, product] = gradient_sums(x, y, dy, columns, &zero);
    for j in 0..c {
        dshift[j] = sum[j] as f32;
        dscale[j] = product[j] as f32;
    }
    scale_gradient(y, dy, columns, dx, dskip, &columns.repeat(|j| scale[j]));
}

/// Computes the column sums of the masked `dy`, and of its product with `x - mean`.
fn gradient_sums(x: &[f32], y: Option<&[f32]>, dy: &[f32], columns: Columns, mean: &[f32]) -> [Vec<f64>; 2] {
    assert!(x.len() == dy.len() && y.is_none_or(|y| y.len() == x.len()), "x, y and dy must be equally large");
    let isa = Isa::active();
    columns.sums(x.len(), |range, [sum, product]| {
        let (x, dy) = (&x[range.clone()], &dy[range.clone()]);
        match y {
            None => isa.run(|| gradient_sums_rows(x, dy, dy, mean, sum, product, |g, _| g)),
            Some(y) => {
                let y = &y[range];
                isa.run(|| {
                    gradient_sums_rows(x, dy, y, mean, sum, product, |g, y| if y > 0.0 { g } else { 0.0 });
                });
            }
        }
    })
}

#[inline(always)]
fn gradient_sums_rows(
    x: &[f32],
    dy: &[f32],
    y: &[f32],
    mean: &[f32],
    sum: &mut [f32],
    product: &mut [f32],
    mask: impl Fn(f32, f32) -> f32,
) {
    let width = mean.len();
    for ((x, dy), y) in x.chunks(width).zip(dy.chunks(width)).zip(y.chunks(width)) {
        let n = x.len();
        let (dy, y, mean) = (&dy[..n], &y[..n], &mean[..n]);
        let (sum, product) = (&mut sum[..n], &mut product[..n]);
        for i in 0..n {
            let g = mask(dy[i], y[i]);
            sum[i] += g;
            product[i] += g * (x[i] - mean[i]);
        }
    }
}

/// Computes `dx = scale g` and `dskip = g`, where `g` is the masked `dy`.
fn scale_gradient(
    y: Option<&[f32]>,
    dy: &[f32],
    columns: Columns,
    dx: &mut [f32],
    dskip: Option<&mut [f32]>,
    scale: &[f32],
) {
    assert!(dx.len() == dy.len(), "dx must be as large as dy");
    assert!(dskip.as_ref().is_none_or(|dskip| dskip.len() == dy.len()), "dskip must be as large as dy");
    let isa = Isa::active();
    let width = columns.width();
    let (dx, dskip) = (DisjointSlice::new(dx), dskip.map(DisjointSlice::new));
    tasks::for_ranges(dy.len(), columns.task_len(), |_, range| {
        // SAFETY: the ranges do not overlap.
        let dx = unsafe { dx.range(range.clone()) };
        // SAFETY: the ranges do not overlap.
        let dskip = dskip.as_ref().map(|dskip| unsafe { dskip.range(range.clone()) });
        isa.run(|| {
            dx.copy_from_slice(&dy[range.clone()]);
            if let Some(y) = y {
                mask_in_place(&y[range], dx);
            }
            if let Some(dskip) = dskip {
                dskip.copy_from_slice(dx);
            }
            for dx in dx.chunks_mut(width) {
                dx.iter_mut().zip(scale).for_each(|(dx, &scale)| *dx *= scale);
            }
        });
    });
}

/// Sets `g` to zero where `y` is not positive.
#[inline(always)]
fn mask_in_place(y: &[f32], g: &mut [f32]) {
    for (&y, g) in y.iter().zip(g) {
        *g = if y > 0.0 { *g } else { 0.0 };
    }
}

/// Coefficients of `dx = scale g - ((x - mean) slope + constant)` for each element of a folded row.
struct BackwardCoefficients {
    scale: Vec<f32>,
    mean: Vec<f32>,
    slope: Vec<f32>,
    constant: Vec<f32>,
}

impl BackwardCoefficients {
    /// Replaces `g` by `dx`.
    #[inline(always)]
    fn replace_g(&self, x: &[f32], g: &mut [f32]) {
        let n = g.len();
        let (x, scale, mean) = (&x[..n], &self.scale[..n], &self.mean[..n]);
        let (slope, constant) = (&self.slope[..n], &self.constant[..n]);
        for i in 0..n {
            g[i] = scale[i] * g[i] - ((x[i] - mean[i]) * slope[i] + constant[i]);
        }
    }

    /// Replaces `x` by `dx`.
    #[inline(always)]
    fn replace_x(&self, g: &[f32], x: &mut [f32]) {
        let n = x.len();
        let (g, scale, mean) = (&g[..n], &self.scale[..n], &self.mean[..n]);
        let (slope, constant) = (&self.slope[..n], &self.constant[..n]);
        for i in 0..n {
            x[i] = scale[i] * g[i] - ((x[i] - mean[i]) * slope[i] + constant[i]);
        }
    }
}
