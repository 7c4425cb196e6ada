//! Inference: a network as a plan, made once from its weights.
//!
//! Batch norm is folded into the convolution before it, filters are packed (transformed, where the algorithm is Winograd's),
//! the end of a residual block is added where the way around it lies already, and activations share a few buffers by
//! lifetime. A call after the first of its size allocates nothing. No gradients, no dropout, running statistics: training does
//! not come here, and neither do backends other than Flex.
//!
//! Activations are `[n, h, w, c]`, logits `[n, classes]`.

mod program;
mod schedule;
mod step;

use program::{Program, Value};

use crate::error::{Error, Result};
use crate::models::{Model, Net};
use crate::ops::profile;
use program::Placed;
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
    network: Arc<Network>,
    schedule: Schedule,
    /// What [`Schedule`] assigns the activations to.
    buffers: Vec<Option<AlignedBuffer>>,
}

/// What no call changes, shared by all plans of a network.
#[derive(Debug)]
struct Network {
    program: Program,
    /// What holds the logits behind the last step.
    logits: Value,
    channels: usize,
    /// The least and the greatest side of images: below, a map has no pixel left; a VGG's pooling before its head is left out where
    /// it changes nothing, and it takes its own size alone.
    sides: RangeInclusive<usize>,
    classes: usize,
}

impl Plan {
    /// The plan of `model` for batches of about `n` images of the network's own size: that size picks the algorithms. Other sizes
    /// can be computed with it, if the network can take them. `precise` avoids Winograd.
    pub fn new(model: &Model, n: usize, precise: bool) -> Self {
        let [h, w, c] = model.spec.input;
        let mut program = Program::new([n.max(1), h, w, c], precise);
        let logits = model.valid().plan(&mut program);
        let schedule = Schedule::new(&program, [n.max(1), h, w, c]);
        let sides = match model.net {
            Net::ResNet(_) => model.spec.smallest_input()..=usize::MAX,
            Net::Vgg(_) => h..=h,
        };
        let network = Network { program, logits, channels: c, sides, classes: model.spec.classes };
        Self::with(Arc::new(network), schedule)
    }

    fn with(network: Arc<Network>, schedule: Schedule) -> Self {
        let buffers = schedule.sizes.iter().map(|_| None).collect();
        Self { network, schedule, buffers }
    }

    /// The same network with buffers of its own, for a call at the same time. The weights are shared.
    pub fn again(&self) -> Self {
        Self::with(Arc::clone(&self.network), self.schedule.clone())
    }

    /// Images `[n, h, w, c]` → logits `[n, classes]`.
    ///
    /// # Errors
    /// Pixels that are not `n` images of this size; a size that the network does not take.
    pub fn logits(&mut self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<&[f32]> {
        let Self { network, schedule, buffers } = self;
        let Network { ref program, logits, channels, ref sides, classes } = **network;
        let shape = [n, h, w, channels];
        check_pixels(pixels.len(), shape)?;
        if ![h, w].iter().all(|side| sides.contains(side)) {
            let least = sides.start();
            return Err(Error::data(format!("the plan is for images of {least}x{least}, not of {h}x{w}")));
        }
        if schedule.input() != shape {
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
        Ok(&held(&buffers[schedule.slot(logits)])[..n * classes])
    }

    /// Bytes of the packed weights, and of the activations' buffers at their present size.
    pub fn bytes(&self) -> (usize, usize) {
        let weights = self.network.program.steps.iter().map(|placed| placed.step.bytes()).sum();
        (weights, self.schedule.sizes.iter().sum::<usize>() * size_of::<f32>())
    }
}

/// Whether `len` values are images `[n, h, w, c]`, one at least.
///
/// # Errors
/// They are not.
pub(crate) fn check_pixels(len: usize, [n, h, w, c]: [usize; 4]) -> Result<()> {
    let wanted = [n, h, w, c].iter().try_fold(1usize, |len, &size| len.checked_mul(size));
    if len == 0 || wanted != Some(len) {
        return Err(Error::data(format!("{len} values are not {n} images of {h}x{w}x{c}")));
    }
    Ok(())
}

/// Whether images `[n, h, w, c]` have `least` rows and columns.
///
/// # Errors
/// They have not.
pub(crate) fn check_sides([_, h, w, _]: [usize; 4], least: usize) -> Result<()> {
    match h.min(w) < least {
        true => Err(Error::data(format!("images of {h}x{w} are smaller than the {least}x{least} that it takes"))),
        false => Ok(()),
    }
}

/// One step: its output leaves the list of buffers for that time, its input is another buffer or the images.
fn run(placed: &Placed, schedule: &Schedule, buffers: &mut [Option<AlignedBuffer>], pixels: &[f32]) {
    let slot = schedule.slot(placed.to);
    let mut memory = buffers[slot].take().expect(HELD);
    let x = if placed.from == Value::INPUT {
        pixels
    } else {
        &held(&buffers[schedule.slot(placed.from)])[..schedule.len(placed.from)]
    };
    placed.step.run(x, schedule.dims(placed.from), &mut memory[..schedule.len(placed.to)]);
    buffers[slot] = Some(memory);
}

/// Why a buffer is there.
const HELD: &str = "every call sizes the buffers first, and a step puts its own back";

fn held(buffer: &Option<AlignedBuffer>) -> &AlignedBuffer {
    buffer.as_ref().expect(HELD)
}
