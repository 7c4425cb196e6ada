//! Layers: parameters under torchvision's names, and the operations that use them.

mod conv;
mod linear;
mod norm;
mod pass;
mod pool;

pub use conv::Conv2d;
pub use linear::{Dropout, Linear};
pub(crate) use norm::folded;
pub use norm::{BatchNorm, Map, conv_norm, conv_norm_add_relu, conv_norm_relu};
pub use pass::Pass;
pub use pool::{LocalResponseNorm, MaxPool, Relu};

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

/// A parameter that takes no memory until somebody asks for it or sets it; zeros then.
fn lazy<const D: usize>(dims: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let zeros = move |device: &Device, grad: bool| {
        let zeros = Tensor::zeros(dims, device);
        if grad { zeros.require_grad() } else { zeros }
    };
    Param::uninitialized(ParamId::new(), zeros, device.clone(), true, Shape::new(dims))
}
