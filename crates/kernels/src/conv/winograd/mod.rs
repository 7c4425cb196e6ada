//! Winograd's minimal filtering for 3x3 convolutions with stride 1 (Lavin & Gray 2016, "Fast
//! algorithms for convolutional neural networks").
//!
//! A tile of `M x M` outputs needs `(M + 2)²` multiplications for each pair of channels instead of
//! `9 M²`: a quarter for F(4x4), 4/9 for F(2x2). Tiles are transformed, multiplied point by point
//! as matrices `[tiles, c] [c, k]`, and transformed back, in blocks that stay in L2. Rounding
//! errors are larger than those of the direct sum, so `precise` excludes these algorithms.

mod blocking;
mod dw;
mod filter;
mod forward;
mod job;
mod store;
mod tile_grid;
mod transform;

pub(crate) use dw::dw;
pub(crate) use filter::WinogradFilters;
pub(crate) use forward::{correlate, pack};
pub(crate) use tile_grid::TileGrid;
pub(crate) use transform::{F2, F4};
