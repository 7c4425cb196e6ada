//! Convolution with weights that are packed once: inference.

use std::sync::Arc;

use super::epilogue::{BlockEpilogue, Epilogue, PassEpilogue};
use super::pass::{PackedWeights, check_activations, correlate};
use super::patches::{self, ConvWeights, KernelTap, PatchGrid};
use super::winograd::{self, F2, F4, WinogradFilters};
use crate::isa::Isa;
use crate::plan::{self, Algorithm, Pass};
use crate::shape::ConvShape;
use crate::workspace::Workspace;

/// Convolution whose weights are packed once for many forward passes.
///
/// Winograd's filters are kept transformed: four times as large as the weights for F(4x4).
///
/// ```
/// use residual_kernels::conv::PackedConv;
/// use residual_kernels::{ConvDims, ConvShape, Epilogue};
///
/// let dims = ConvDims { n: 1, h: 8, w: 8, c: 16, k: 32, kh: 3, kw: 3, stride: 1, pad: 1 };
/// let s = ConvShape::new(dims)?;
/// let (x, w, bias) = (vec![1.0; s.x_len()], vec![0.5; s.w_len()], vec![-1.0; s.k()]);
/// let conv = PackedConv::new(&w, &s, true);
/// let mut y = vec![0.0; s.y_len()];
/// conv.forward(&x, &s, Epilogue::Bias { bias: &bias, relu: true }, &mut y);
/// // A corner sees four of the nine taps: 16 channels * 4 * 0.5 - 1.
/// assert_eq!(y[0], 31.0);
///
/// // The same weights on a batch of four larger images.
/// let s = s.with_input(4, 32, 32)?;
/// let mut y = vec![0.0; s.y_len()];
/// conv.forward(&vec![1.0; s.x_len()], &s, Epilogue::None, &mut y);
/// # Ok::<(), residual_kernels::ShapeError>(())
/// ```
#[derive(Debug)]
pub struct PackedConv {
    memory: Workspace,
    isa: Isa,
    algorithm: Algorithm,
    /// Shape for which the algorithm was chosen.
    shape: ConvShape,
    /// Taps of the kernel, kept so that no pass allocates them again.
    taps: Arc<[KernelTap]>,
}

impl PackedConv {
    /// Packs weights `[k, c, kh, kw]` for the algorithm that suits the shape. Images of any other
    /// size can be convolved with them.
    ///
    /// # Panics
    /// If `w` does not have `s.w_len()` values.
    pub fn new(w: &[f32], s: &ConvShape, precise: bool) -> Self {
        assert!(w.len() == s.w_len(), "the weights of {s:?} must have {} elements, not {}", s.w_len(), w.len());
        let (isa, algorithm) = (Isa::active(), plan::algorithm(s, Pass::Forward, precise));
        let filters = WinogradFilters::forward(w, s.c(), s.k());
        let taps: Arc<[KernelTap]> = KernelTap::all(s).collect();
        let memory = match algorithm {
            Algorithm::Winograd4 => winograd::pack::<F4, 4, 6>(isa, filters, Workspace::owned),
            Algorithm::Winograd2 => winograd::pack::<F2, 2, 4>(isa, filters, Workspace::owned),
            Algorithm::Im2row | Algorithm::Matrix => {
                let weights = ConvWeights::forward(w, s.c(), s.k(), s.kh() * s.kw());
                patches::pack(isa, &PatchGrid::with_taps(s, Arc::clone(&taps)), weights, Workspace::owned)
            }
        };
        Self { memory, isa, algorithm, shape: *s, taps }
    }

    /// Computes `y = x * w`, then the epilogue. The shape may differ from that of
    /// [`PackedConv::new`] in `n`, `h` and `w`.
    ///
    /// # Panics
    /// If the shape is of another layer, or `x`, `y` or a slice of the epilogue does not have the
    /// size that it names.
    pub fn forward(&self, x: &[f32], s: &ConvShape, epilogue: Epilogue<'_>, y: &mut [f32]) {
        check_activations(x, y.len(), s);
        self.compute(x, s, epilogue.into_pass(s.k()), y);
    }

    /// Tells whether [`PackedConv::forward_max_pool`] can be called.
    pub fn can_fuse_max_pool(&self) -> bool {
        matches!(self.algorithm, Algorithm::Winograd4 | Algorithm::Winograd2)
    }

    /// Computes the convolution, bias, ReLU and 2x2 max pooling with stride 2:
    /// `y [n, out_h / 2, out_w / 2, k]`. The map before the pooling is never written. The bits are
    /// those of the operations one after the other.
    ///
    /// # Panics
    /// If [`PackedConv::can_fuse_max_pool`] is false, the shape is of another layer, or a slice
    /// does not have the size that the shape names.
    pub fn forward_max_pool(&self, x: &[f32], s: &ConvShape, bias: &[f32], y: &mut [f32]) {
        assert!(self.can_fuse_max_pool(), "{:?} cannot fuse max pooling", self.algorithm);
        assert!(bias.len() == s.k(), "bias must have {} values", s.k());
        let len = s.n() * (s.out_h() / 2) * (s.out_w() / 2) * s.k();
        assert!(y.len() == len, "the pooled output of {s:?} must have {len} elements, not {}", y.len());
        check_activations(x, s.y_len(), s);
        self.compute(x, s, PassEpilogue::Block(BlockEpilogue::BiasReluMaxPool { bias }), y);
    }

    fn compute(&self, x: &[f32], s: &ConvShape, epilogue: PassEpilogue<'_>, y: &mut [f32]) {
        assert!(s.is_same_layer(&self.shape), "weights packed for {:?} cannot be used for {s:?}", self.shape);
        let packed = PackedWeights { values: &self.memory, taps: &self.taps };
        correlate(self.isa, self.algorithm, x.into(), &[], Some(packed), s, epilogue, y);
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.memory[..])
    }
}
