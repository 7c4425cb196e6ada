//! The written ONNX file run by tract, a reader that others wrote. Only with the feature `tract`: [`super::reader`] is there always.

use super::reader::Input;
use tract_onnx::prelude::*;

/// What the network in `file` makes of `input`.
///
/// # Errors
/// tract's own words about what it cannot read or run.
pub(super) fn run(file: &[u8], input: &Input) -> Result<Vec<f32>, String> {
    try_run(file, input).map_err(|error| format!("tract: {error:#}"))
}

fn try_run(mut file: &[u8], input: &Input) -> TractResult<Vec<f32>> {
    let input = match input {
        Input::Floats(values, dims) => Tensor::from_shape(dims, values)?,
        Input::Bytes(values, dims) => Tensor::from_shape(dims, values)?,
    };
    // The batch and the size are open in our files: they are the images'.
    let fact = InferenceFact::dt_shape(input.datum_type(), input.shape());
    let plan = onnx().model_for_read(&mut file)?.with_input_fact(0, fact)?.into_optimized()?;
    let output = plan.into_runnable()?.run(tvec!(input.into()))?;
    Ok(output[0].to_plain_array_view::<f32>()?.iter().copied().collect())
}
