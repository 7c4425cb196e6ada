//! `residual bench layers`: times each distinct layer of a network, relative to a large matrix
//! product.
//!
//! Up to 64 px the three passes of training are timed: forward with batch statistics, input
//! gradient (`dx`), weight gradient (`dw`). Above, only the forward pass of inference: packed
//! weights, bias, ReLU.

use super::{BenchArgs, CIFAR_UP_TO, DEVICE};
use crate::precision::PrecisionArg;
use crate::ui::Ui;
use crate::ui::table::{Align, Table};
use residual::Result;
use residual::graph::{Graph, Node, Op};
use residual_kernels::plan::{self, Pass};
use residual_kernels::{ConvDims, ConvShape, Epilogue, conv, linear};
use residual_train::train::machine::{Machine, peak_rss_mb};
use residual_train::train::memory;
use residual_train::train::pace::median;
use serde::Serialize;
use std::time::Instant;

/// Size of the square matrices for the sgemm rate: 9 MiB each, 7.2 GFLOP.
const SIDE: usize = 1536;

/// Line of `--json`: one pass of one layer.
#[derive(Debug, Serialize)]
struct LayerTiming {
    /// Name of the first layer of this shape.
    layer: String,
    /// Number of layers of this shape.
    count: usize,
    /// `conv` or `linear`.
    kind: &'static str,
    /// Input height, width, channels.
    input: [usize; 3],
    /// Output channels.
    outputs: usize,
    kernel: usize,
    stride: usize,
    batch: usize,
    /// `forward`, `dx` or `dw`.
    pass: &'static str,
    ms: f64,
    /// Equal to `ms`: a step is one call.
    ms_per_step: f64,
    images_per_second: f64,
    peak_rss_mb: Option<u64>,
    gflops_of_direct_convolution: f64,
    /// Rate divided by that of a large matrix product.
    share_of_sgemm: f64,
    sgemm_gflops: f64,
    algorithm: String,
    isa: String,
    threads: usize,
    precision: PrecisionArg,
    device: &'static str,
}

/// Buffers of one layer.
struct LayerBuffers {
    work: Work,
    batch: usize,
    /// Packed weights for inference; `None` computes batch statistics, as training does.
    packed: Option<conv::PackedConv>,
    x: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
    bias: Vec<f32>,
    out: Vec<f32>,
}

/// Times every distinct layer and prints a line or row for each pass.
pub(super) fn run(options: &BenchArgs, ui: &mut Ui) -> Result<()> {
    let spec = options.spec()?;
    let (size, batch) = (spec.input[0], options.batch(spec.input[0]));
    super::fits(&spec, batch, |summary| memory::forward_pass(summary, batch))?;
    let training = size <= CIFAR_UP_TO;
    let mut layers: Vec<(String, Work, usize)> = Vec::new();
    for (name, work) in products(&spec.graph()) {
        match layers.iter_mut().find(|(_, known, _)| *known == work) {
            Some((.., count)) => *count += 1,
            None => layers.push((name, work, 1)),
        }
    }
    let sgemm = sgemm_rate(options.iters.get());
    let machine = Machine::here();
    let mut table = Table::new(&[
        ("layer", Align::Left),
        ("times", Align::Right),
        ("shape", Align::Left),
        ("pass", Align::Left),
        ("ms", Align::Right),
        ("GFLOP/s", Align::Right),
        ("of sgemm", Align::Right),
        ("algorithm", Align::Left),
    ]);
    for (i, (name, work, count)) in layers.into_iter().enumerate() {
        let mut layer = LayerBuffers::new(work, batch, !training);
        for pass in [Pass::Forward, Pass::Dx, Pass::Dw] {
            // The gradient of the images is never needed.
            if pass != Pass::Forward && (!training || (i == 0 && pass == Pass::Dx)) {
                continue;
            }
            let line = layer.line(name.clone(), count, pass, options.iters.get(), sgemm, &machine);
            if ui.json() {
                ui.value(&line)?;
            } else {
                table.row(line.cells());
            }
        }
    }
    if ui.json() {
        return Ok(());
    }
    ui.line(&table.render())?;
    ui.line(&format!(
        "batch {batch}; a {SIDE}x{SIDE} matrix product: {sgemm:.0} GFLOP/s; {}, {}, {} threads",
        machine.cpu, machine.isa, machine.threads
    ))
}

/// The product of one layer, for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    /// A convolution, `n` = 1.
    Conv(ConvDims),
    /// A linear layer of `c` values to `k`.
    Linear { c: usize, k: usize },
}

/// Returns the convolutions and linear layers of a network, with their names.
fn products(graph: &Graph) -> Vec<(String, Work)> {
    let product = |node: &Node| match node.op {
        Op::Conv(conv) => {
            let [h, w, c] = graph.node(node.input()).shape;
            let (k, kh, kw) = (conv.outputs, conv.kernel, conv.kernel);
            Some(Work::Conv(ConvDims { n: 1, h, w, c, k, kh, kw, stride: conv.stride, pad: conv.padding }))
        }
        Op::Linear { inputs: c, outputs: k } => Some(Work::Linear { c, k }),
        _ => None,
    };
    graph.nodes().iter().filter_map(|node| Some((node.name.clone(), product(node)?))).collect()
}

/// Returns the shape of a layer for a batch.
fn conv_shape(dims: ConvDims, n: usize) -> ConvShape {
    ConvShape::new(ConvDims { n, ..dims }).expect("the layer has been traced through the network")
}

impl LayerBuffers {
    fn new(work: Work, batch: usize, packed: bool) -> Self {
        let (x, w, y, k) = match work {
            Work::Conv(dims) => {
                let s = conv_shape(dims, batch);
                (s.x_len(), s.w_len(), s.y_len(), s.k())
            }
            Work::Linear { c, k } => (batch * c, k * c, batch * k, k),
        };
        let (x, w, dy) = (noise(x), noise(w), noise(y));
        let packed = match work {
            Work::Conv(dims) if packed => Some(conv::PackedConv::new(&w, &conv_shape(dims, batch), false)),
            _ => None,
        };
        let out = vec![0.0; x.len().max(w.len()).max(dy.len())];
        Self { work, batch, packed, x, w, dy, bias: noise(k), out }
    }

    /// Returns the median milliseconds of `iters` calls, after one warm-up.
    fn time(&mut self, pass: Pass, iters: usize) -> f64 {
        let mut times = Vec::new();
        for _ in 0..=iters {
            let began = Instant::now();
            self.call(pass);
            times.push(1e3 * began.elapsed().as_secs_f64());
        }
        times.remove(0);
        median(times)
    }

    fn call(&mut self, pass: Pass) {
        let Self { work, batch, packed, x, w, dy, bias, out } = self;
        match *work {
            Work::Conv(dims) => {
                let s = conv_shape(dims, *batch);
                match (pass, packed) {
                    (Pass::Forward, Some(packed)) => {
                        packed.forward(x, &s, Epilogue::Bias { bias, relu: true }, &mut out[..s.y_len()]);
                    }
                    (Pass::Forward, None) => {
                        let (mut mean, mut var) = (vec![0.0; s.k()], vec![0.0; s.k()]);
                        let epilogue = Epilogue::Statistics { mean: &mut mean, var: &mut var };
                        conv::forward(x, w, &s, false, epilogue, &mut out[..s.y_len()]);
                    }
                    (Pass::Dx, _) => conv::dx(dy, w, &s, false, false, &mut out[..s.x_len()]),
                    (Pass::Dw, _) => conv::dw(x, dy, &s, false, &mut out[..s.w_len()]),
                }
            }
            Work::Linear { c, k } => match pass {
                Pass::Forward => linear::forward(x, w, Some(bias), *batch, c, k, false, &mut out[..*batch * k]),
                Pass::Dx => linear::dx(dy, w, *batch, c, k, &mut out[..*batch * c]),
                Pass::Dw => linear::dw(x, dy, *batch, c, k, &mut out[..k * c]),
            },
        }
    }

    fn line(
        &mut self,
        layer: String,
        count: usize,
        pass: Pass,
        iters: usize,
        sgemm: f64,
        machine: &Machine,
    ) -> LayerTiming {
        let ms = self.time(pass, iters);
        let (kind, input, outputs, kernel, stride, macs, algorithm) = match self.work {
            Work::Conv(dims) => {
                let s = conv_shape(dims, self.batch);
                let algorithm = format!("{:?}", plan::algorithm(&s, pass, false));
                ("conv", [s.h(), s.w(), s.c()], s.k(), s.kh(), s.stride(), s.macs(), algorithm)
            }
            Work::Linear { c, k } => ("linear", [1, 1, c], k, 1, 1, (self.batch * c * k) as u64, "Matrix".to_owned()),
        };
        let gflops = 2.0 * macs as f64 / ms / 1e6;
        LayerTiming {
            layer,
            count,
            kind,
            input,
            outputs,
            kernel,
            stride,
            batch: self.batch,
            pass: match pass {
                Pass::Forward => "forward",
                Pass::Dx => "dx",
                Pass::Dw => "dw",
            },
            ms,
            ms_per_step: ms,
            images_per_second: 1e3 * self.batch as f64 / ms,
            peak_rss_mb: peak_rss_mb(),
            gflops_of_direct_convolution: gflops,
            share_of_sgemm: gflops / sgemm,
            sgemm_gflops: sgemm,
            algorithm,
            isa: machine.isa.clone(),
            threads: machine.threads,
            precision: PrecisionArg::F32,
            device: DEVICE,
        }
    }
}

impl LayerTiming {
    fn cells(&self) -> Vec<String> {
        let [h, w, c] = self.input;
        let stride = if self.stride == 1 { String::new() } else { format!("/{}", self.stride) };
        vec![
            self.layer.clone(),
            self.count.to_string(),
            format!("{h}x{w}x{c} → {}, {k}x{k}{stride}", self.outputs, k = self.kernel),
            self.pass.to_owned(),
            format!("{:.3}", self.ms),
            format!("{:.1}", self.gflops_of_direct_convolution),
            format!("{:.2} x", self.share_of_sgemm),
            self.algorithm.clone(),
        ]
    }
}

/// Measures the GFLOP/s of a square matrix product on all threads.
fn sgemm_rate(iters: usize) -> f64 {
    let (a, b) = (noise(SIDE * SIDE), noise(SIDE * SIDE));
    let mut c = vec![0.0; SIDE * SIDE];
    let mut times = Vec::new();
    for _ in 0..=iters {
        let began = Instant::now();
        linear::dx(&a, &b, SIDE, SIDE, SIDE, &mut c);
        times.push(began.elapsed().as_secs_f64());
    }
    times.remove(0);
    2.0 * (SIDE as f64).powi(3) / median(times) / 1e9
}

/// Returns pseudo-random values in [-1, 1) (Knuth's multiplicative hash).
fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}
