//! Testing: every image of a split once, in a fixed order, with running statistics and no dropout.
//!
//! [`evaluate`] tests images that already have the network's size by their centre crop, as training
//! validates. [`Ensemble`] takes images as they were in their files and tests them by the protocols
//! of the papers ([`protocol::TestProtocol`]), with one network or several.

mod checks;
mod crops;
mod ensemble;
mod evaluation;
pub mod predictions;
mod probability;
pub mod protocol;
mod weights;

pub use crops::CropSet;
pub use ensemble::{Ensemble, Member};
pub use evaluation::{ClassResult, Evaluation, evaluate};
pub use probability::argmax;
pub use protocol::TestProtocol;
pub use residual::plan::{InferenceSession, batch_of};
pub use weights::Weights;
