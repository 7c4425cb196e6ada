//! Reference implementation: every kernel by its definition, with `f64` sums.
//!
//! Names, arguments and layouts are those of the fast kernels. Tests compare against these
//! functions; they are a thousand times slower, so that nothing else should call them.

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
