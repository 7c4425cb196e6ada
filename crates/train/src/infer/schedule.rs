//! Where the activations of a program lie, for one size of input: buffers shared by lifetime.

use super::program::{Program, Value};

/// Dimensions of every value, and the buffer of each.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    dims: Vec<[usize; 4]>,
    /// Buffer of each value; the input has none.
    slots: Vec<usize>,
    /// Floats of each buffer.
    pub(super) sizes: Vec<usize>,
}

impl Schedule {
    /// For images of `input`, `[n, h, w, c]`.
    pub(super) fn new(program: &Program, input: [usize; 4]) -> Self {
        let mut dims = vec![input; program.values()];
        // The last step that reads or writes each value; the program's last value is read after all of them.
        let mut last = vec![0; program.values()];
        for (i, placed) in program.steps.iter().enumerate() {
            if !placed.step.is_onto() {
                dims[placed.to.index()] = placed.step.output(dims[placed.from.index()]);
            }
            last[placed.from.index()] = i;
            last[placed.to.index()] = i + 1;
        }
        let (mut slots, mut sizes, mut busy) = (vec![usize::MAX; program.values()], Vec::new(), Vec::new());
        for (i, placed) in program.steps.iter().enumerate() {
            let value = placed.to.index();
            if slots[value] == usize::MAX {
                let size = dims[value].iter().product();
                slots[value] = free_slot(&busy, &sizes, i, size).unwrap_or(sizes.len());
                if slots[value] == sizes.len() {
                    sizes.push(size);
                    busy.push(0);
                }
                sizes[slots[value]] = sizes[slots[value]].max(size);
            }
            busy[slots[value]] = last[value];
        }
        Self { dims, slots, sizes }
    }

    /// The dimensions that this is for.
    pub(super) fn input(&self) -> [usize; 4] {
        self.dims[Value::INPUT.index()]
    }

    /// `[n, h, w, c]`.
    pub(super) fn dims(&self, value: Value) -> [usize; 4] {
        self.dims[value.index()]
    }

    /// Elements.
    pub(super) fn len(&self, value: Value) -> usize {
        self.dims(value).iter().product()
    }

    /// The buffer of a value.
    pub(super) fn slot(&self, value: Value) -> usize {
        self.slots[value.index()]
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
    use burn::tensor::Device;

    fn program(name: &str, precise: bool) -> Program {
        let options = ModelOptions { name: name.into(), input: Some(32), ..ModelOptions::default() };
        let model = Model::new(Spec::resolve(&options).expect("a network"), &Device::flex());
        let mut program = Program::new([1, 32, 32, 3], precise);
        model.plan(&mut program);
        program
    }

    #[test]
    fn a_chain_takes_two_buffers_and_a_way_around_one_more() {
        let buffers = |name| Schedule::new(&program(name, false), [1, 32, 32, 3]).sizes.len();
        assert_eq!(["vgg-a", "plain-20", "resnet-20", "resnet-50"].map(buffers), [2, 2, 3, 3]);
    }

    #[test]
    fn what_a_winograd_convolution_pools_is_no_step_of_its_own() {
        let pools = |name, precise| {
            let steps = program(name, precise).steps;
            steps.iter().filter(|placed| matches!(placed.step, Step::MaxPool { .. })).count()
        };
        // VGG-16's first pooling comes behind 64 channels: all five are fused. A convolution of 3 channels has no tiles.
        assert_eq!(
            [("vgg-d", false), ("vgg-d", true), ("vgg-a", false)].map(|(name, precise)| pools(name, precise)),
            [0, 5, 1]
        );
    }
}
