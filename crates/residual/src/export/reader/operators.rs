//! The operators of our networks as ONNX's own text defines them, `[n, c, h, w]`, with sums in double precision.
//!
//! None of the kernels of this program is called: what checks a file should not share what wrote it. Plain loops, shared
//! out by output channel, take a few seconds for a VGG-16 at 224 pixels.

use super::graph::Node;
use super::tensor::{Tensor, Values, strides};
use rayon::prelude::*;

type Result<T> = std::result::Result<T, String>;

/// Carries out `node` on its inputs.
pub(super) fn apply(node: &Node, inputs: &[&Tensor]) -> Result<Tensor> {
    match (node.operator.as_str(), inputs) {
        ("Identity", &[x]) => Ok(x.clone()),
        ("Cast", &[x]) => cast(node, x),
        ("Transpose", &[x]) => transpose(node, x),
        ("Relu", &[x]) => map(x, |value| value.max(0.0)),
        ("Add", &[a, b]) => broadcast(a, b, |a, b| a + b),
        ("Sub", &[a, b]) => broadcast(a, b, |a, b| a - b),
        ("Mul", &[a, b]) => broadcast(a, b, |a, b| a * b),
        ("Conv", &[x, w]) => conv(node, x, w, None),
        ("Conv", &[x, w, bias]) => conv(node, x, w, Some(bias)),
        ("BatchNormalization", &[x, scale, shift, mean, var]) => batch_norm(node, x, [scale, shift, mean, var]),
        ("MaxPool", &[x]) => max_pool(node, x),
        ("GlobalAveragePool", &[x]) => global_average(x),
        ("LRN", &[x]) => lrn(node, x),
        ("Slice", &[x, starts, ends, axes, steps]) => slice(x, starts, ends, axes, steps),
        ("Pad", &[x, pads]) => pad(node, x, pads),
        ("Flatten", &[x]) => flatten(node, x),
        ("MatMul", &[a, b]) => matmul(a, b),
        ("Gemm", &[x, w, bias]) => gemm(node, x, w, bias),
        ("Softmax", &[x]) => softmax(node, x),
        (operator, inputs) => Err(format!("{operator} of {} inputs cannot be run here", inputs.len())),
    }
}

fn map(x: &Tensor, f: impl Fn(f32) -> f32) -> Result<Tensor> {
    Ok(Tensor::floats(x.dims.clone(), x.as_floats()?.iter().map(|&value| f(value)).collect()))
}

/// To floats; nothing else is asked for.
fn cast(node: &Node, x: &Tensor) -> Result<Tensor> {
    let values = match (&x.values, node.int("to", 0)) {
        (Values::Bytes(values), 1) => values.iter().map(|&value| f32::from(value)).collect(),
        (Values::Floats(values), 1) => values.clone(),
        _ => return Err("a cast to other than floats".to_owned()),
    };
    Ok(Tensor::floats(x.dims.clone(), values))
}

/// The values of `x` at all indices of `dims`, the last running fastest: `steps` from one index to the next.
fn walk(x: &[f32], start: usize, dims: &[usize], steps: &[usize]) -> Vec<f32> {
    let mut out = Vec::with_capacity(dims.iter().product());
    let mut index = vec![0; dims.len()];
    if dims.contains(&0) {
        return out;
    }
    loop {
        let place: usize = index.iter().zip(steps).map(|(index, step)| index * step).sum();
        out.push(x[start + place]);
        let Some(axis) = (0..dims.len()).rev().find(|&axis| index[axis] + 1 < dims[axis]) else { return out };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

fn transpose(node: &Node, x: &Tensor) -> Result<Tensor> {
    let axes: [usize; 4] = node.sizes("perm", 0)?;
    let (dims, steps): ([usize; 4], _) = (x.shape()?, x.strides());
    if (0..4).any(|axis| !axes.contains(&axis)) {
        return Err(format!("{axes:?} is no order of four axes"));
    }
    let (dims, steps) = (axes.map(|axis| dims[axis]), axes.map(|axis| steps[axis]));
    Ok(Tensor::floats(dims.to_vec(), walk(x.as_floats()?, 0, &dims, &steps)))
}

/// Dimensions are aligned at the last; those of size one are repeated.
fn broadcast(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32) -> Result<Tensor> {
    let rank = a.dims.len().max(b.dims.len());
    let aligned = |x: &Tensor| [vec![1; rank - x.dims.len()], x.dims.clone()].concat();
    let (a_dims, b_dims) = (aligned(a), aligned(b));
    let mut dims = Vec::with_capacity(rank);
    for (&left, &right) in a_dims.iter().zip(&b_dims) {
        if left != right && left != 1 && right != 1 {
            return Err(format!("{:?} and {:?} do not go together", a.dims, b.dims));
        }
        dims.push(if left == 1 { right } else { left });
    }
    let spread = |x: &Tensor, own: &[usize]| -> Result<Vec<f32>> {
        if own == dims {
            return Ok(x.as_floats()?.to_vec());
        }
        let steps: Vec<usize> =
            strides(own).iter().zip(own).map(|(step, &size)| if size == 1 { 0 } else { *step }).collect();
        Ok(walk(x.as_floats()?, 0, &dims, &steps))
    };
    let (left, right) = (spread(a, &a_dims)?, spread(b, &b_dims)?);
    Ok(Tensor::floats(dims, left.iter().zip(&right).map(|(&a, &b)| f(a, b)).collect()))
}

/// How a window of `kernel` moves over one side of a map of `size`.
#[derive(Clone, Copy)]
struct Side {
    size: usize,
    stride: usize,
    before: usize,
    out: usize,
}

impl Side {
    fn new(size: usize, kernel: usize, stride: usize, [before, after]: [usize; 2]) -> Result<Self> {
        let room = (size + before + after).checked_sub(kernel).ok_or("a window is larger than its map")?;
        Ok(Self { size, stride, before, out: room / stride + 1 })
    }

    /// The places of the window whose element `i` lies within the map: the first, and the one behind the last.
    fn inside(self, i: usize) -> (usize, usize) {
        let first = self.before.saturating_sub(i).div_ceil(self.stride);
        let end = (self.size + self.before).saturating_sub(i).div_ceil(self.stride);
        (first.min(self.out), end.min(self.out))
    }

    /// Where element `i` of the window at `place` lies; it must be inside.
    fn at(self, place: usize, i: usize) -> usize {
        place * self.stride + i - self.before
    }
}

/// The two sides of a window's way over a map of `h` and `w`.
fn sides(node: &Node, [h, w]: [usize; 2], kernel: [usize; 2]) -> Result<[Side; 2]> {
    let [stride_y, stride_x] = node.sizes("strides", 1)?;
    let [top, left, bottom, right] = node.sizes("pads", 0)?;
    if stride_y == 0 || stride_x == 0 {
        return Err("a window cannot move by 0".to_owned());
    }
    Ok([Side::new(h, kernel[0], stride_y, [top, bottom])?, Side::new(w, kernel[1], stride_x, [left, right])?])
}

fn conv(node: &Node, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    node.knows(&["kernel_shape", "strides", "pads"])?;
    let ([n, c, height, width], [k, wc, kh, kw]) = (x.shape()?, w.shape()?);
    if wc != c {
        return Err(format!("filters for {wc} channels stand at a map of {c}"));
    }
    let [rows, columns] = sides(node, [height, width], [kh, kw])?;
    let (x, w) = (x.as_floats()?, w.as_floats()?);
    let bias = bias.map(Tensor::as_floats).transpose()?;
    let mut y = vec![0f32; n * k * rows.out * columns.out];
    y.par_chunks_mut((rows.out * columns.out).max(1)).enumerate().for_each(|(plane, y)| {
        let (image, filter) = (plane / k, plane % k);
        let mut sums = vec![bias.map_or(0.0, |bias| f64::from(bias[filter])); y.len()];
        for channel in 0..c {
            let map = &x[(image * c + channel) * height * width..][..height * width];
            let taps = &w[(filter * c + channel) * kh * kw..][..kh * kw];
            for (tap, &weight) in taps.iter().enumerate() {
                spread_tap(map, f64::from(weight), [rows, columns], [tap / kw, tap % kw], &mut sums);
            }
        }
        y.iter_mut().zip(&sums).for_each(|(y, sum)| *y = *sum as f32);
    });
    Ok(Tensor::floats(vec![n, k, rows.out, columns.out], y))
}

/// Adds what one weight of a filter contributes to all places of one channel.
fn spread_tap(map: &[f32], weight: f64, [rows, columns]: [Side; 2], [i, j]: [usize; 2], sums: &mut [f64]) {
    let ((top, bottom), (left, right)) = (rows.inside(i), columns.inside(j));
    if left >= right {
        return;
    }
    let from = columns.at(left, j);
    for row in top..bottom {
        let x = &map[rows.at(row, i) * columns.size + from..][..(right - left - 1) * columns.stride + 1];
        let y = &mut sums[row * columns.out + left..][..right - left];
        if columns.stride == 1 {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y += weight * f64::from(x));
        } else {
            y.iter_mut().zip(x.iter().step_by(columns.stride)).for_each(|(y, &x)| *y += weight * f64::from(x));
        }
    }
}

fn batch_norm(node: &Node, x: &Tensor, parts: [&Tensor; 4]) -> Result<Tensor> {
    node.knows(&["epsilon"])?;
    let [_, c, h, w]: [usize; 4] = x.shape()?;
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    let [scale, shift, mean, var] = parts.map(Tensor::as_floats);
    let [scale, shift, mean, var] = [scale?, shift?, mean?, var?];
    if [scale, shift, mean, var].iter().any(|part| part.len() != c) {
        return Err(format!("a normalisation of {c} channels has parts of other lengths"));
    }
    let mut y = x.as_floats()?.to_vec();
    for (plane, y) in y.chunks_exact_mut((h * w).max(1)).enumerate() {
        let channel = plane % c;
        let deviation = (f64::from(var[channel]) + epsilon).sqrt();
        for y in y {
            let normal = (f64::from(*y) - f64::from(mean[channel])) / deviation;
            *y = (normal * f64::from(scale[channel]) + f64::from(shift[channel])) as f32;
        }
    }
    Ok(Tensor::floats(x.dims.clone(), y))
}

fn max_pool(node: &Node, x: &Tensor) -> Result<Tensor> {
    node.knows(&["kernel_shape", "strides", "pads"])?;
    let ([n, c, h, w], [kh, kw]) = (x.shape()?, node.sizes("kernel_shape", 1)?);
    let [rows, columns] = sides(node, [h, w], [kh, kw])?;
    let mut y = vec![f32::NEG_INFINITY; n * c * rows.out * columns.out];
    let planes = x.as_floats()?.chunks_exact((h * w).max(1)).zip(y.chunks_exact_mut((rows.out * columns.out).max(1)));
    for (x, y) in planes {
        for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
            let ((top, bottom), (left, right)) = (rows.inside(i), columns.inside(j));
            for (row, column) in (top..bottom).flat_map(|row| (left..right).map(move |column| (row, column))) {
                let place = &mut y[row * columns.out + column];
                *place = place.max(x[rows.at(row, i) * w + columns.at(column, j)]);
            }
        }
    }
    Ok(Tensor::floats(vec![n, c, rows.out, columns.out], y))
}

fn global_average(x: &Tensor) -> Result<Tensor> {
    let [n, c, h, w]: [usize; 4] = x.shape()?;
    let mean = |plane: &[f32]| (plane.iter().map(|&v| f64::from(v)).sum::<f64>() / (h * w) as f64) as f32;
    Ok(Tensor::floats(vec![n, c, 1, 1], x.as_floats()?.chunks_exact((h * w).max(1)).map(mean).collect()))
}

/// Over `size` neighbouring channels: x / (bias + alpha / size * sum of squares)^beta.
fn lrn(node: &Node, x: &Tensor) -> Result<Tensor> {
    node.knows(&["alpha", "beta", "bias", "size"])?;
    let [n, c, h, w]: [usize; 4] = x.shape()?;
    let (alpha, beta) = (f64::from(node.float("alpha", 1e-4)), f64::from(node.float("beta", 0.75)));
    let (bias, size) = (f64::from(node.float("bias", 1.0)), node.int("size", 0).max(1) as usize);
    let (x_all, hw) = (x.as_floats()?, h * w);
    let mut y = Vec::with_capacity(x_all.len());
    for (image, channel) in (0..n).flat_map(|image| (0..c).map(move |channel| (image, channel))) {
        let around = channel.saturating_sub((size - 1) / 2)..(channel + size / 2 + 1).min(c);
        let value = |channel: usize, pixel: usize| f64::from(x_all[(image * c + channel) * hw + pixel]);
        for pixel in 0..hw {
            let squares: f64 = around.clone().map(|near| value(near, pixel).powi(2)).sum();
            y.push((value(channel, pixel) / (bias + alpha / size as f64 * squares).powf(beta)) as f32);
        }
    }
    Ok(Tensor::floats(x.dims.clone(), y))
}

/// From `starts` to `ends` along some axes, every so many; not backwards.
fn slice(x: &Tensor, starts: &Tensor, ends: &Tensor, axes: &Tensor, steps: &Tensor) -> Result<Tensor> {
    let (mut dims, mut strides, mut start) = (x.dims.clone(), x.strides(), 0);
    let lists = [starts, ends, axes, steps].map(Tensor::as_integers);
    let [starts, ends, axes, steps] = lists;
    let (starts, ends, axes, steps) = (starts?, ends?, axes?, steps?);
    for (((&from, &to), &axis), &step) in starts.iter().zip(ends).zip(axes).zip(steps) {
        let axis = usize::try_from(axis).ok().filter(|&axis| axis < dims.len()).ok_or("a slice along no axis")?;
        let from = usize::try_from(from).map_err(|_| "a slice from behind")?.min(dims[axis]);
        let to = usize::try_from(to).map_err(|_| "a slice to behind")?.clamp(from, dims[axis]);
        let step = usize::try_from(step).ok().filter(|&step| step > 0).ok_or("a slice backwards")?;
        start += from * strides[axis];
        dims[axis] = (to - from).div_ceil(step);
        strides[axis] *= step;
    }
    let values = walk(x.as_floats()?, start, &dims, &strides);
    Ok(Tensor::floats(dims, values))
}

/// Zeros around a map; `pads` are those before each axis, then those behind.
fn pad(node: &Node, x: &Tensor, pads: &Tensor) -> Result<Tensor> {
    node.knows(&[])?;
    let dims: [usize; 4] = x.shape()?;
    let pads: Vec<usize> = pads.as_integers()?.iter().filter_map(|&pad| usize::try_from(pad).ok()).collect();
    let pads: [usize; 8] = pads.try_into().map_err(|_| "a map has eight sides to pad")?;
    let padded = [0, 1, 2, 3].map(|axis| pads[axis] + dims[axis] + pads[axis + 4]);
    let steps = strides(&padded);
    let mut y = vec![0f32; padded.iter().product()];
    for (row, x) in x.as_floats()?.chunks_exact(dims[3].max(1)).enumerate() {
        let index = [row / dims[2] / dims[1], row / dims[2] % dims[1], row % dims[2], 0];
        let to: usize = (0..4).map(|axis| (index[axis] + pads[axis]) * steps[axis]).sum();
        y[to..to + dims[3]].copy_from_slice(x);
    }
    Ok(Tensor::floats(padded.to_vec(), y))
}

fn flatten(node: &Node, x: &Tensor) -> Result<Tensor> {
    let axis = usize::try_from(node.int("axis", 1)).ok().filter(|&axis| axis <= x.dims.len());
    let axis = axis.ok_or("a map is flattened at no axis of it")?;
    let dims = vec![x.dims[..axis].iter().product(), x.dims[axis..].iter().product()];
    Ok(Tensor::floats(dims, x.as_floats()?.to_vec()))
}

/// The products of the last two axes; the axes before belong to one of the two at most.
fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ([.., rows, inner], [.., b_inner, columns]) = (&a.dims[..], &b.dims[..]) else {
        return Err("a product of other than matrices".to_owned());
    };
    let (rows, inner, columns) = (*rows, *inner, *columns);
    if inner != *b_inner || (a.dims.len() > 2 && b.dims.len() > 2) {
        return Err(format!("{:?} and {:?} have no product here", a.dims, b.dims));
    }
    let front = if a.dims.len() > 2 { &a.dims[..a.dims.len() - 2] } else { &b.dims[..b.dims.len() - 2] };
    let (left, right) = (a.as_floats()?, b.as_floats()?);
    let mut y = Vec::new();
    for matrix in 0..front.iter().product() {
        let left = if a.dims.len() > 2 { &left[matrix * rows * inner..] } else { left };
        let right = if b.dims.len() > 2 { &right[matrix * inner * columns..] } else { right };
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            let products = (0..inner).map(|l| f64::from(left[i * inner + l]) * f64::from(right[l * columns + j]));
            y.push(products.sum::<f64>() as f32);
        }
    }
    Ok(Tensor::floats([front, &[rows, columns]].concat(), y))
}

/// x wᵀ + bias.
fn gemm(node: &Node, x: &Tensor, w: &Tensor, bias: &Tensor) -> Result<Tensor> {
    node.knows(&["transB"])?;
    let ([n, c], [k, wc]) = (x.shape()?, w.shape()?);
    if node.int("transB", 0) != 1 || wc != c || bias.dims != [k] {
        return Err(format!("a layer of {:?} cannot take {:?}", w.dims, x.dims));
    }
    let (x, w, bias) = (x.as_floats()?, w.as_floats()?, bias.as_floats()?);
    let cell = |place: usize| {
        let (row, unit) = (&x[place / k * c..][..c], place % k);
        let products = row.iter().zip(&w[unit * c..][..c]).map(|(&x, &w)| f64::from(x) * f64::from(w));
        (products.sum::<f64>() + f64::from(bias[unit])) as f32
    };
    Ok(Tensor::floats(vec![n, k], (0..n * k).into_par_iter().map(cell).collect()))
}

fn softmax(node: &Node, x: &Tensor) -> Result<Tensor> {
    let [_, classes]: [usize; 2] = x.shape()?;
    if node.int("axis", -1) != 1 {
        return Err("probabilities are over the last axis of two".to_owned());
    }
    let mut y = Vec::new();
    for row in x.as_floats()?.chunks_exact(classes.max(1)) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = row.iter().map(|&v| f64::from(v - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        y.extend(powers.iter().map(|power| (power / sum) as f32));
    }
    Ok(Tensor::floats(x.dims.clone(), y))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(dims: &[usize]) -> Tensor {
        Tensor::floats(dims.to_vec(), (0..dims.iter().product()).map(|i: usize| i as f32).collect())
    }

    #[test]
    fn a_window_s_elements_lie_within_the_map_exactly_where_they_do_by_hand() {
        // Size 5, kernel 3, stride 2, one pixel around: windows begin at -1, 1 and 3.
        let side = Side::new(5, 3, 2, [1, 1]).expect("it fits");
        assert_eq!(side.out, 3);
        assert_eq!([0, 1, 2].map(|i| side.inside(i)), [(1, 3), (0, 3), (0, 2)]);
        assert_eq!((side.at(1, 0), side.at(2, 1)), (1, 4));
    }

    #[test]
    fn values_are_repeated_cut_and_turned_as_onnx_says() {
        let sum = broadcast(&ramp(&[1, 2, 2]), &ramp(&[2]), |a, b| a + 10.0 * b).expect("they go together");
        assert_eq!(sum.values, Values::Floats(vec![0.0, 11.0, 2.0, 13.0]));
        assert!(broadcast(&ramp(&[3]), &ramp(&[2]), |a, _| a).is_err());
        let list = |values: &[i64]| Tensor { dims: vec![values.len()], values: Values::Integers(values.to_vec()) };
        let half = slice(&ramp(&[1, 1, 3, 3]), &list(&[0, 0]), &list(&[9, 9]), &list(&[2, 3]), &list(&[2, 2]));
        assert_eq!(half.expect("a slice").values, Values::Floats(vec![0.0, 2.0, 6.0, 8.0]));
        let product = matmul(&ramp(&[2, 2]), &ramp(&[1, 2, 2])).expect("a product");
        assert_eq!((product.dims, product.values), (vec![1, 2, 2], Values::Floats(vec![2.0, 3.0, 6.0, 11.0])));
    }
}
