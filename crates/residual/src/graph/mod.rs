//! A network as a graph of operations: the one description that everything else interprets.
//!
//! A [`Network`] writes its forward pass once, with a [`GraphBuilder`]. The resulting [`Graph`] is a list of
//! [`Node`]s in the order of computation, with the name of each layer (torchvision's, which is the checkpoint's)
//! and the shape of its output. Training, the inference plan, ONNX, the layer table, receptive fields and the
//! lab's probes walk that list; [`fuse`](Graph::fuse) groups what is computed in one kernel.
//!
//! ```
//! use residual::graph::{Conv, Graph, GraphBuilder, Network, Value};
//!
//! /// Two convolutions and a shortcut around them.
//! #[derive(Debug, Clone)]
//! struct Tiny;
//!
//! impl Network for Tiny {
//!     fn input(&self) -> [usize; 3] {
//!         [32, 32, 3]
//!     }
//!
//!     fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
//!         let x = g.conv("stem", x, Conv::new(16, 3));
//!         let y = g.conv("conv", x, Conv::new(16, 3));
//!         let y = g.batch_norm("bn", y);
//!         let y = g.add(y, x);
//!         let y = g.relu(y);
//!         let y = g.global_avg_pool("avgpool", y);
//!         g.linear("fc", y, 10)
//!     }
//! }
//!
//! let graph = Graph::of(&Tiny)?;
//! assert_eq!(graph.classes(), 10);
//! # Ok::<(), residual::Error>(())
//! ```

mod builder;
mod dense;
mod fuse;
mod network;
mod node;
mod op;
mod summary;

pub use builder::GraphBuilder;
pub use fuse::{FusedConv, FusedNode};
pub use network::Network;
pub use node::{Graph, Node, Value};
pub use op::{Conv, Op, Pool};
pub use summary::{LayerSummary, Summary, receptive_field};
