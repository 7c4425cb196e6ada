//! The reference: every kernel once more, as the formula reads, with `f64` sums and nothing else.
//!
//! Same names, arguments and layouts as the fast kernels. Tests of every crate compare against these; nothing else should
//! call them, they are a thousand times slower.

pub mod activation;
pub mod conv;
pub mod linear;
pub mod loss;
pub mod lrn;
pub mod norm;
pub mod pixels;
pub mod pool;
pub mod shortcut;
pub mod update;
