//! Weight updates by their definition.

use crate::update::Sgd;

/// Computes [`crate::update::sgd`] by its definition.
pub fn sgd(w: &mut [f32], dw: &[f32], v: &mut [f32], sgd: &Sgd) {
    let (lr, momentum, decay) = (f64::from(sgd.lr), f64::from(sgd.momentum), f64::from(sgd.weight_decay));
    for i in 0..w.len() {
        let g = f64::from(dw[i]) + decay * f64::from(w[i]);
        let velocity = momentum * f64::from(v[i]) + g;
        let step = if sgd.nesterov { g + momentum * velocity } else { velocity };
        v[i] = velocity as f32;
        w[i] = (f64::from(w[i]) - lr * step) as f32;
    }
}

/// Computes [`crate::update::ema`] by its definition.
pub fn ema(shadow: &mut [f32], w: &[f32], decay: f32) {
    for (shadow, &w) in shadow.iter_mut().zip(w) {
        let decay = f64::from(decay);
        *shadow = (decay * f64::from(*shadow) + (1.0 - decay) * f64::from(w)) as f32;
    }
}

/// Computes [`crate::update::add`] by its definition.
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Computes [`crate::update::scale`] by its definition.
pub fn scale(x: &mut [f32], a: f32) {
    x.iter_mut().for_each(|x| *x *= a);
}

/// Computes [`crate::update::sum_of_squares`] by its definition.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}
