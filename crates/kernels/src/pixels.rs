//! Conversion of pixels to activations: bytes `[.., c]` to floats `[.., c]`, normalised by channel.

use crate::columns::Columns;
use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice};

/// Computes `y = scale byte + shift` by channel. For `(byte / 255 - mean) / std`, scale is
/// `1 / (255 std)` and shift is `-mean / std`.
///
/// # Panics
/// If `bytes` and `y` are not `[.., c]`, or `scale` or `shift` does not have `c` values.
pub fn normalize(bytes: &[u8], c: usize, scale: &[f32], shift: &[f32], y: &mut [f32]) {
    assert!(c > 0 && bytes.len().is_multiple_of(c) && bytes.len() == y.len(), "bytes and y must be [.., {c}]");
    assert!(scale.len() == c && shift.len() == c, "scale and shift must have {c} values");
    let isa = Isa::active();
    let columns = Columns::new(c);
    let (scale, shift) = (columns.repeat(|j| scale[j]), columns.repeat(|j| shift[j]));
    let y = DisjointSlice::new(y);
    tasks::for_ranges(bytes.len(), columns.task_len(), |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        let bytes = &bytes[range];
        isa.run(|| {
            for (bytes, y) in bytes.chunks(scale.len()).zip(y.chunks_mut(scale.len())) {
                for (((&byte, y), &scale), &shift) in bytes.iter().zip(y).zip(&scale).zip(&shift) {
                    *y = scale * f32::from(byte) + shift;
                }
            }
        });
    });
}
