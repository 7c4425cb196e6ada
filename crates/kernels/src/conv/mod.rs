//! Convolutions: `x [n, h, w, c]`, `w [k, c, kh, kw]`, `y [n, out_h, out_w, k]`; forward, input gradient, weight gradient.
//!
//! [`crate::plan::algorithm`] says which algorithm computes what. `precise` keeps to those whose error is that of the direct sum.
//! Linear layers with few images do not come here: [`crate::linear`].

mod end;
mod epilogue;
mod input;
mod normed;
pub(crate) mod patches;
mod winograd;

use std::sync::Arc;

pub use epilogue::Epilogue;
pub use normed::{dw_normed, dx_normed, forward_normed};

pub(crate) use self::epilogue::{Ending, Finish};
use self::input::Input;
use self::patches::{Grid, Tap, Weights};
use self::winograd::{F2, F4, Filters, Tiles};
use crate::pieces::{self, Parts};
use crate::plan::{self, Algorithm, Pass};
use crate::scratch::Scratch;
use crate::{ConvShape, Isa};

/// `y = x * w`, then the epilogue.
pub fn forward(x: &[f32], w: &[f32], s: &ConvShape, precise: bool, epilogue: Epilogue<'_>, y: &mut [f32]) {
    check(x, w, y, s);
    let algorithm = plan::algorithm(s, Pass::Forward, precise);
    compute(Isa::active(), algorithm, x.into(), w, None, s, epilogue.ending(s.k), y);
}

/// Weights packed once for many forward passes: inference. Transformed where the algorithm is Winograd's: four times as large as the
/// weights for F(4x4).
#[derive(Debug)]
pub struct Packed {
    memory: Scratch,
    isa: Isa,
    algorithm: Algorithm,
    /// With `n`, `h` and `w` as they were when the algorithm was chosen.
    shape: ConvShape,
    /// Where patches are gathered: kept, so that no pass lists them anew.
    taps: Arc<[Tap]>,
}

impl Packed {
    /// Packs weights `[k, c, kh, kw]` with the algorithm that suits the shape; any other `n`, `h` and `w` can be computed with them.
    pub fn new(w: &[f32], s: &ConvShape, precise: bool) -> Self {
        assert!(s.is_valid(), "{s:?} is not the shape of a convolution");
        assert!(w.len() == s.w_len(), "the weights of {s:?} must have {} elements, not {}", s.w_len(), w.len());
        let (isa, algorithm) = (Isa::active(), plan::algorithm(s, Pass::Forward, precise));
        let filters = Filters { w, inputs: s.c, outputs: s.k, backward: false };
        let taps: Arc<[Tap]> = Tap::all(s).collect();
        let memory = match algorithm {
            Algorithm::Winograd4 => winograd::pack::<F4, 4, 6>(isa, filters, Scratch::owned),
            Algorithm::Winograd2 => winograd::pack::<F2, 2, 4>(isa, filters, Scratch::owned),
            Algorithm::Im2row | Algorithm::Matrix => {
                let weights = Weights::forward(w, s.c, s.k, s.kh * s.kw);
                patches::pack(isa, &Grid::outputs(s, Arc::clone(&taps)), weights, Scratch::owned)
            }
        };
        Self { memory, isa, algorithm, shape: *s, taps }
    }

    /// `y = x * w`, then the epilogue, as [`forward`]. The shape may differ from that of [`Packed::new`] in `n`, `h` and `w`.
    pub fn forward(&self, x: &[f32], s: &ConvShape, epilogue: Epilogue<'_>, y: &mut [f32]) {
        self.check(s);
        check_ends(x, y.len(), s);
        compute(self.isa, self.algorithm, x.into(), &[], Some(self), s, epilogue.ending(s.k), y);
    }

    /// Whether [`Packed::forward_pooled`] can be called.
    pub fn pools(&self) -> bool {
        matches!(self.algorithm, Algorithm::Winograd4 | Algorithm::Winograd2)
    }

    /// Bias, ReLU and 2x2 maximum pooling with stride 2 behind the convolution: `y [n, out_h / 2, out_w / 2, k]`. What the pooling drops
    /// is never written. The results are those of the three one after the other.
    pub fn forward_pooled(&self, x: &[f32], s: &ConvShape, bias: &[f32], y: &mut [f32]) {
        self.check(s);
        assert!(self.pools(), "{:?} has no tiles to pool", self.algorithm);
        assert!(bias.len() == s.k, "bias must have {} values", s.k);
        let len = s.n * (s.out_h() / 2) * (s.out_w() / 2) * s.k;
        assert!(y.len() == len, "the pooled output of {s:?} must have {len} elements, not {}", y.len());
        check_ends(x, s.y_len(), s);
        let ending = Ending::Finish(Finish::Pooled { bias });
        compute(self.isa, self.algorithm, x.into(), &[], Some(self), s, ending, y);
    }

    fn check(&self, s: &ConvShape) {
        let ConvShape { n, h, w, .. } = *s;
        let packed = self.shape;
        assert!(*s == ConvShape { n, h, w, ..packed }, "{s:?} is not a shape of weights packed for {packed:?}");
    }

    /// The algorithm that was chosen.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.memory[..])
    }
}

/// The forward pass by a given algorithm, with weights or packed weights.
fn compute(
    isa: Isa,
    algorithm: Algorithm,
    x: Input<'_>,
    w: &[f32],
    packed: Option<&Packed>,
    s: &ConvShape,
    ending: Ending<'_>,
    y: &mut [f32],
) {
    let tiles = |side| Tiles::new(s.n, s.h, s.w, s.pad, side);
    let memory = packed.map(|packed| &packed.memory[..]);
    let filters = Filters { w, inputs: s.c, outputs: s.k, backward: false };
    match algorithm {
        Algorithm::Winograd4 => winograd::correlate(F4, isa, tiles(4), filters, memory, x, ending, y),
        Algorithm::Winograd2 => winograd::correlate(F2, isa, tiles(2), filters, memory, x, ending, y),
        Algorithm::Im2row | Algorithm::Matrix => {
            let weights = Weights::forward(w, s.c, s.k, s.kh * s.kw);
            let grid = packed.map_or_else(|| Grid::forward(s), |packed| Grid::outputs(s, Arc::clone(&packed.taps)));
            patches::correlate(isa, &grid, weights, memory, x, ending, y);
        }
    }
}

/// The input gradient; added to what is in `dx` if `accumulate`.
pub fn dx(dy: &[f32], w: &[f32], s: &ConvShape, precise: bool, accumulate: bool, dx: &mut [f32]) {
    check(dx, w, dy, s);
    spread(dy, w, s, precise, Ending::Finish(if accumulate { Finish::Add } else { Finish::Store }), dx);
}

/// The input gradient with an ending, once for each phase of the stride.
fn spread(dy: &[f32], w: &[f32], s: &ConvShape, precise: bool, mut ending: Ending<'_>, dx: &mut [f32]) {
    let isa = Isa::active();
    let tiles = |side| Tiles::new(s.n, s.out_h(), s.out_w(), 2 - s.pad, side);
    let filters = Filters { w, inputs: s.k, outputs: s.c, backward: true };
    match plan::algorithm(s, Pass::Dx, precise) {
        Algorithm::Winograd4 => winograd::correlate(F4, isa, tiles(4), filters, None, dy.into(), ending.again(), dx),
        Algorithm::Winograd2 => winograd::correlate(F2, isa, tiles(2), filters, None, dy.into(), ending.again(), dx),
        Algorithm::Im2row | Algorithm::Matrix => {
            let grids = Grid::backward(s);
            // Pixels that no tap reaches: three of four in a 1x1 convolution with stride 2.
            if !matches!(ending, Ending::Finish(Finish::Add)) && grids.iter().any(|grid| grid.taps.is_empty()) {
                let (len, parts) = (dx.len(), Parts::new(dx));
                // SAFETY: the ranges do not overlap.
                pieces::for_ranges(len, pieces::PIECE, |_, range| unsafe { parts.range(range) }.fill(0.0));
            }
            for grid in grids.iter().filter(|grid| !grid.taps.is_empty()) {
                let weights = Weights::backward(w, s.c, s.kh * s.kw);
                patches::correlate(isa, grid, weights, None, dy.into(), ending.again(), dx);
            }
        }
    }
}

/// The weight gradient.
pub fn dw(x: &[f32], dy: &[f32], s: &ConvShape, precise: bool, dw: &mut [f32]) {
    gather_dw(x.into(), dy, s, precise, dw);
}

fn gather_dw(x: Input<'_>, dy: &[f32], s: &ConvShape, precise: bool, dw: &mut [f32]) {
    check(x.values, dw, dy, s);
    let tiles = |side| Tiles::new(s.n, s.h, s.w, s.pad, side);
    match plan::algorithm(s, Pass::Dw, precise) {
        Algorithm::Winograd4 => winograd::dw(F4, tiles(4), x, dy, s.c, s.k, dw),
        Algorithm::Winograd2 => winograd::dw(F2, tiles(2), x, dy, s.c, s.k, dw),
        Algorithm::Im2row | Algorithm::Matrix => patches::dw(x, dy, s, dw),
    }
}

/// The kernels below read and write through pointers: the slices must be what the shape says.
fn check(x: &[f32], w: &[f32], y: &[f32], s: &ConvShape) {
    check_ends(x, y.len(), s);
    assert!(w.len() == s.w_len(), "the weights of {s:?} must have {} elements, not {}", s.w_len(), w.len());
}

fn check_ends(x: &[f32], y_len: usize, s: &ConvShape) {
    assert!(s.is_valid(), "{s:?} is not the shape of a convolution");
    assert!(x.len() == s.x_len(), "the input of {s:?} must have {} elements, not {}", s.x_len(), x.len());
    assert!(y_len == s.y_len(), "the output of {s:?} must have {} elements, not {y_len}", s.y_len());
}
