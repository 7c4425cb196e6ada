//! Inference: a network as a plan, made once from its weights.
//!
//! Batch norm is folded into the convolution before it, filters are packed (transformed, where the algorithm is
//! Winograd's), the end of a residual block is added where its shortcut lies already, and activations share a few
//! buffers by lifetime. A call after the first of its size allocates nothing.
//!
//! Activations are `[n, h, w, c]`, logits `[n, classes]`.

pub mod fold;
mod program;
mod schedule;
mod session;
pub(crate) mod step;

pub use session::{InferenceSession, batch_of, softmax};

use crate::error::{Error, Result};
use crate::graph::{Graph, Network};
use crate::models::Model;
use crate::profile;
use crate::tensor::Tensors;
use program::{PlacedStep, Program, Slot};
use residual_kernels::Isa;
use residual_kernels::memory::AlignedBuffer;
use schedule::Schedule;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bytes from which the activations of a buffer get huge pages.
const HUGE_FROM: usize = 2 << 20;

/// A network ready to classify.
#[derive(Debug)]
pub struct Plan {
    network: Arc<PackedNetwork>,
    schedule: Schedule,
    /// What [`Schedule`] assigns the activations to.
    buffers: Vec<Option<AlignedBuffer>>,
}

/// What no call changes, shared by all plans of a network.
#[derive(Debug)]
struct PackedNetwork {
    graph: Graph,
    program: Program,
    /// The smallest and the largest side of images: a network without a global average takes its own size alone.
    sides: RangeInclusive<usize>,
}

impl Plan {
    /// The plan of `model` for batches of about `n` images of the network's own size: that size picks the algorithms.
    /// Other sizes can be computed with it, if the network can take them. `winograd` allows Winograd's algorithm.
    pub fn new<N: Network>(model: &Model<N>, n: usize, winograd: bool) -> Self {
        let [h, ..] = model.graph().input_shape();
        let sides = match model.graph().takes_any_size() {
            true => model.spec.smallest_input()..=usize::MAX,
            false => h..=h,
        };
        Self::of_graph(model.graph().clone(), model.tensors(), n, winograd, sides)
    }

    /// The plan of `graph` with the weights `tensors`, for images whose height and width lie within `sides`.
    pub(crate) fn of_graph(
        graph: Graph,
        tensors: &Tensors,
        n: usize,
        winograd: bool,
        sides: RangeInclusive<usize>,
    ) -> Self {
        let [h, w, c] = graph.input_shape();
        let input = [n.max(1), h, w, c];
        let program = Program::new(&graph, tensors, input, winograd);
        let schedule = Schedule::new(&program, input);
        Self::with(Arc::new(PackedNetwork { graph, program, sides }), schedule)
    }

    fn with(network: Arc<PackedNetwork>, schedule: Schedule) -> Self {
        let buffers = schedule.sizes.iter().map(|_| None).collect();
        Self { network, schedule, buffers }
    }

    /// Returns a plan of the same network with buffers of its own, for a call at the same time. The weights are shared.
    pub fn share(&self) -> Self {
        Self::with(Arc::clone(&self.network), self.schedule.clone())
    }

    /// Computes the logits `[n, classes]` of images `[n, h, w, c]`.
    ///
    /// # Errors
    /// Fails if `pixels` does not hold `n` images of this size, or if the network does not take the size.
    pub fn logits(&mut self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<&[f32]> {
        let Self { network, schedule, buffers } = self;
        let PackedNetwork { graph, program, sides } = &**network;
        let shape = [n, h, w, graph.input_shape()[2]];
        check_pixels(pixels.len(), shape)?;
        if ![h, w].iter().all(|side| sides.contains(side)) {
            let least = sides.start();
            return Err(Error::data(format!("the plan is for images of {least}x{least}, not of {h}x{w}")));
        }
        if schedule.input() != shape {
            graph.shapes_at(h, w)?;
            *schedule = Schedule::new(program, shape);
        }
        for (buffer, &size) in buffers.iter_mut().zip(&schedule.sizes) {
            if buffer.as_ref().is_none_or(|memory| memory.len() < size) {
                *buffer = Some(AlignedBuffer::new(size, HUGE_FROM));
            }
        }
        // One hand-over to the pool for all steps, not one for each. The instruction set is the calling thread's choice.
        let isa = Isa::active();
        profile::timed("inference", || {
            rayon::scope(|_| isa.with(|| program.steps.iter().for_each(|step| run(step, schedule, buffers, pixels))));
        });
        Ok(&filled(&buffers[schedule.buffer(program.logits)])[..n * graph.classes()])
    }

    /// Returns the bytes of the packed weights, and of the activations' buffers at their present size.
    pub fn bytes(&self) -> (usize, usize) {
        let weights = self.network.program.steps.iter().map(|placed| placed.step.bytes()).sum();
        (weights, self.schedule.sizes.iter().sum::<usize>() * size_of::<f32>())
    }
}

/// Checks that `len` values are images `[n, h, w, c]`, one at least.
///
/// # Errors
/// Fails if they are not.
pub(crate) fn check_pixels(len: usize, [n, h, w, c]: [usize; 4]) -> Result<()> {
    let wanted = [n, h, w, c].iter().try_fold(1usize, |len, &size| len.checked_mul(size));
    if len == 0 || wanted != Some(len) {
        return Err(Error::data(format!("{len} values are not {n} images of {h}x{w}x{c}")));
    }
    Ok(())
}

/// Checks that images `[n, h, w, c]` have at least `least` rows and columns.
///
/// # Errors
/// Fails if they have fewer.
pub(crate) fn check_sides([_, h, w, _]: [usize; 4], least: usize) -> Result<()> {
    match h.min(w) < least {
        true => Err(Error::data(format!("images of {h}x{w} are smaller than the {least}x{least} that it takes"))),
        false => Ok(()),
    }
}

/// Runs one step: its output leaves the list of buffers for that time, its input is another buffer or the images.
fn run(placed: &PlacedStep, schedule: &Schedule, buffers: &mut [Option<AlignedBuffer>], pixels: &[f32]) {
    let buffer = schedule.buffer(placed.to);
    let mut memory = buffers[buffer].take().expect(FILLED);
    let x = if placed.from == Slot::INPUT {
        pixels
    } else {
        &filled(&buffers[schedule.buffer(placed.from)])[..schedule.len(placed.from)]
    };
    placed.step.run(x, schedule.dims(placed.from), &mut memory[..schedule.len(placed.to)]);
    buffers[buffer] = Some(memory);
}

const FILLED: &str = "every call sizes the buffers first, and a step puts its own back";

fn filled(buffer: &Option<AlignedBuffer>) -> &AlignedBuffer {
    buffer.as_ref().expect(FILLED)
}
