//! Pixels to activations by definition. `bytes [.., c]`.

/// Computes [`crate::pixels::normalize`] by its definition.
pub fn normalize(bytes: &[u8], c: usize, scale: &[f32], shift: &[f32], y: &mut [f32]) {
    for (i, (y, &byte)) in y.iter_mut().zip(bytes).enumerate() {
        *y = (f64::from(byte) * f64::from(scale[i % c]) + f64::from(shift[i % c])) as f32;
    }
}
