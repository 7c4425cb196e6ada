//! Where the activations of a program lie, for one size of input: buffers shared by lifetime.

use super::program::{Program, Slot};

/// Dimensions of every value, and the buffer of each.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    dims: Vec<[usize; 4]>,
    /// Buffer of each value; the input has none.
    buffers: Vec<usize>,
    /// Floats of each buffer.
    pub(super) sizes: Vec<usize>,
}

impl Schedule {
    /// For images of `input`, `[n, h, w, c]`.
    pub(super) fn new(program: &Program, input: [usize; 4]) -> Self {
        let mut dims = vec![input; program.slots()];
        // The last step that reads or writes each value; the program's last value is read after all of them.
        let mut last = vec![0; program.slots()];
        for (i, placed) in program.steps.iter().enumerate() {
            if !placed.step.accumulates() {
                dims[placed.to.index()] = placed.step.output(dims[placed.from.index()]);
            }
            last[placed.from.index()] = i;
            last[placed.to.index()] = i + 1;
        }
        let (mut buffers, mut sizes, mut busy) = (vec![usize::MAX; program.slots()], Vec::new(), Vec::new());
        for (i, placed) in program.steps.iter().enumerate() {
            let value = placed.to.index();
            if buffers[value] == usize::MAX {
                let size = dims[value].iter().product();
                buffers[value] = free_slot(&busy, &sizes, i, size).unwrap_or(sizes.len());
                if buffers[value] == sizes.len() {
                    sizes.push(size);
                    busy.push(0);
                }
                sizes[buffers[value]] = sizes[buffers[value]].max(size);
            }
            busy[buffers[value]] = last[value];
        }
        Self { dims, buffers, sizes }
    }

    /// The dimensions that this is for.
    pub(super) fn input(&self) -> [usize; 4] {
        self.dims[Slot::INPUT.index()]
    }

    /// `[n, h, w, c]`.
    pub(super) fn dims(&self, slot: Slot) -> [usize; 4] {
        self.dims[slot.index()]
    }

    /// Elements.
    pub(super) fn len(&self, slot: Slot) -> usize {
        self.dims(slot).iter().product()
    }

    /// The buffer of a value.
    pub(super) fn buffer(&self, slot: Slot) -> usize {
        self.buffers[slot.index()]
    }
}

/// The buffer that is free before step `i` (its value was last used by an earlier one) and wastes least: the smallest that is large
/// enough, else the largest, which will grow.
fn free_slot(busy: &[usize], sizes: &[usize], i: usize, size: usize) -> Option<usize> {
    let free = (0..sizes.len()).filter(|&slot| busy[slot] < i);
    free.min_by_key(|&slot| if sizes[slot] >= size { (0, sizes[slot]) } else { (1, usize::MAX - sizes[slot]) })
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::*;
    use crate::models::{Model, ModelOptions, Spec};

    fn program(name: &str, winograd: bool) -> Program {
        let options = ModelOptions { name: name.into(), input: Some(32), ..ModelOptions::default() };
        let model = Model::initialised(Spec::resolve(&options).expect("a network"), 0);
        Program::new(model.graph(), model.tensors(), [1, 32, 32, 3], winograd)
    }

    #[test]
    fn a_chain_takes_two_buffers_and_a_shortcut_one_more() {
        let buffers = |name| Schedule::new(&program(name, true), [1, 32, 32, 3]).sizes.len();
        assert_eq!(["vgg-a", "plain-20", "resnet-20", "resnet-50"].map(buffers), [2, 2, 3, 3]);
    }

    #[test]
    fn the_pooling_behind_a_winograd_convolution_is_no_step_of_its_own() {
        let pools = |name, winograd| {
            let steps = program(name, winograd).steps;
            steps.iter().filter(|placed| matches!(placed.step, Step::MaxPool(_))).count()
        };
        // VGG-16's first pooling comes behind 64 channels: all five are fused. A convolution of 3 channels has no tiles.
        assert_eq!(
            [("vgg-d", true), ("vgg-d", false), ("vgg-a", true)].map(|(name, winograd)| pools(name, winograd)),
            [0, 5, 1]
        );
    }
}
