//! An array with its dimensions, row-major.

/// Values of one of the types that these networks use.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    Bytes(Vec<u8>),
}

/// An array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) values: Values,
}

impl Tensor {
    pub(super) fn new(dims: Vec<usize>, values: Values) -> Result<Self, String> {
        let found = match &values {
            Values::Floats(values) => values.len(),
            Values::Integers(values) => values.len(),
            Values::Bytes(values) => values.len(),
        };
        let wanted = dims.iter().try_fold(1usize, |size, &dim| size.checked_mul(dim));
        if wanted != Some(found) {
            return Err(format!("{found} values are not {dims:?}"));
        }
        Ok(Self { dims, values })
    }

    pub(super) fn floats(dims: Vec<usize>, values: Vec<f32>) -> Self {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        Self { dims, values: Values::Floats(values) }
    }

    pub(super) fn as_floats(&self) -> Result<&[f32], String> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            _ => Err("floats are wanted, and these are none".to_owned()),
        }
    }

    pub(super) fn as_integers(&self) -> Result<&[i64], String> {
        match &self.values {
            Values::Integers(values) => Ok(values),
            _ => Err("whole numbers are wanted, and these are none".to_owned()),
        }
    }

    /// The dimensions, of which there must be `N`.
    pub(super) fn shape<const N: usize>(&self) -> Result<[usize; N], String> {
        self.dims.as_slice().try_into().map_err(|_| format!("{:?} are not {N} dimensions", self.dims))
    }

    /// Values from one index in each dimension to the next in the same: row-major.
    pub(super) fn strides(&self) -> Vec<usize> {
        strides(&self.dims)
    }
}

/// As [`Tensor::strides`].
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect()
}
