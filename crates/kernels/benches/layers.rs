//! Measures the layer shapes in `benches/shapes/*.txt`: milliseconds, GFLOP/s of direct-convolution
//! work, ratio to the sgemm rate measured in the same run, and the algorithm, for the forward pass
//! and both gradients.
//!
//! `cargo bench -p residual-kernels -- [FILE …] [OPTIONS]` shows the least of the times. Options:
//! `--seconds S`, `--pass forward|dx|dw`, `--precise`, `--packed`, `--cold`, `--pooled`, `--apart`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::path::Path;
use std::time::{Duration, Instant};

use residual_kernels::conv::{self, PackedConv};
use residual_kernels::plan::{self, Pass};
use residual_kernels::{ConvDims, ConvShape, Epilogue, Isa, PoolDims, PoolShape, pool};

/// Bytes that no cache holds.
const COLD_BYTES: usize = 96 << 20;
/// Largest number of copies of small weights.
const MOST_COPIES: usize = 512;

/// Options of the command line.
struct Options {
    files: Vec<String>,
    seconds: f64,
    pass: Option<String>,
    precise: bool,
    packed: bool,
    /// Packed weights come from memory and not from the caches: as many copies in turns as no cache
    /// holds.
    cold: bool,
    /// 2x2 max pooling follows packed weights, fused or (`apart`) in a pass of its own.
    pooled: bool,
    apart: bool,
}

impl Options {
    fn from_args() -> Self {
        let mut options = Self {
            files: Vec::new(),
            seconds: 0.3,
            pass: None,
            precise: false,
            packed: false,
            cold: false,
            pooled: false,
            apart: false,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // `cargo bench` adds this option.
                "--bench" => {}
                "--precise" => options.precise = true,
                "--packed" => options.packed = true,
                "--cold" => options.cold = true,
                "--pooled" => options.pooled = true,
                "--apart" => options.apart = true,
                "--seconds" => options.seconds = args.next().and_then(|s| s.parse().ok()).expect("--seconds S"),
                "--pass" => options.pass = args.next(),
                file => options.files.push(file.to_owned()),
            }
        }
        if options.files.is_empty() {
            options.files.push("resnet18".to_owned());
        }
        options
    }
}

fn main() {
    let options = Options::from_args();
    let rate = sgemm_rate(options.seconds);
    println!("{} threads, {}, sgemm {rate:.0} GFLOP/s", rayon::current_num_threads(), Isa::active());
    println!(
        "{:>36} {:>8} {:>9} {:>9} {:>7}  algorithm",
        "n h w c k kernel stride pad", "pass", "ms", "GFLOP/s", "sgemm"
    );
    for file in &options.files {
        for shape in shapes(file) {
            for (name, pass) in [("forward", Pass::Forward), ("dx", Pass::Dx), ("dw", Pass::Dw)] {
                if options.pass.as_deref().is_none_or(|only| only == name) {
                    let seconds = time(&shape, pass, &options);
                    let gflops = 2e-9 * shape.macs() as f64 / seconds;
                    let ConvDims { n, h, w, c, k, kh, stride, pad, .. } = shape.dims();
                    let algorithm = plan::algorithm(&shape, pass, options.precise);
                    println!(
                        "{:>36} {name:>8} {:>9.3} {gflops:>9.0} {:>6.2}x  {algorithm:?}",
                        format!("{n} {h} {w} {c} {k} {kh} {stride} {pad}"),
                        1e3 * seconds,
                        gflops / rate
                    );
                }
            }
        }
    }
}

/// Reads the shapes of one file: eight numbers a line.
fn shapes(name: &str) -> Vec<ConvShape> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/shapes").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let numbers: Vec<usize> = line.split_whitespace().map(|n| n.parse().expect("a number")).collect();
            let [n, h, w, c, k, kernel, stride, pad] = numbers[..] else { panic!("eight numbers, not `{line}`") };
            ConvShape::new(ConvDims { n, h, w, c, k, kh: kernel, kw: kernel, stride, pad }).expect("a valid shape")
        })
        .collect()
}

/// Returns the least time of one pass, over at least three calls and `options.seconds`.
fn time(s: &ConvShape, pass: Pass, options: &Options) -> f64 {
    let (x, w, dy) = (noise(s.x_len()), noise(s.w_len()), noise(s.y_len()));
    let mut out = vec![0f32; s.x_len().max(s.y_len()).max(s.w_len())];
    let (mut mean, mut var) = (vec![0f32; s.k()], vec![0f32; s.k()]);
    let packed = PackedConv::new(&w, s, options.precise);
    let copies = if options.cold { (COLD_BYTES / packed.bytes()).clamp(1, MOST_COPIES) } else { 0 };
    let copies: Vec<_> = (0..copies).map(|_| PackedConv::new(&w, s, options.precise)).collect();
    let mut turns = std::iter::once(&packed).chain(&copies).cycle();
    let windows = PoolDims { n: s.n(), h: s.out_h(), w: s.out_w(), c: s.k(), kernel: 2, stride: 2, pad: 0 };
    let windows = options.pooled.then(|| PoolShape::new(windows).expect("outputs of at least 2x2"));
    let mut largest = vec![0f32; windows.map_or(0, |windows| windows.y_len())];
    least(options.seconds, || match (pass, &windows) {
        (Pass::Forward, Some(windows)) => {
            if options.apart || !packed.can_fuse_max_pool() {
                packed.forward(&x, s, Epilogue::Bias { bias: &mean, relu: true }, &mut out[..s.y_len()]);
                pool::max_forward(&out[..s.y_len()], windows, &mut largest);
            } else {
                packed.forward_max_pool(&x, s, &mean, &mut largest);
            }
        }
        // As in inference: packed weights, a bias and a ReLU.
        (Pass::Forward, None) if options.packed => {
            let packed = turns.next().expect("it never ends");
            packed.forward(&x, s, Epilogue::Bias { bias: &mean, relu: true }, &mut out[..s.y_len()]);
        }
        (Pass::Forward, None) => {
            let epilogue = Epilogue::Statistics { mean: &mut mean, var: &mut var };
            conv::forward(&x, &w, s, options.precise, epilogue, &mut out[..s.y_len()]);
        }
        (Pass::Dx, _) => conv::dx(&dy, &w, s, options.precise, false, &mut out[..s.x_len()]),
        (Pass::Dw, _) => conv::dw(&x, &dy, s, options.precise, &mut out[..s.w_len()]),
    })
}

/// Returns the least time of a call of `f`, over at least three calls and `seconds`.
fn least(seconds: f64, mut f: impl FnMut()) -> f64 {
    f();
    let (start, mut best, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while calls < 3 || start.elapsed() < Duration::from_secs_f64(seconds) {
        let call = clock();
        f();
        best = best.min(clock() - call);
        calls += 1;
    }
    best
}

/// Returns the time in seconds: wall time with several threads, CPU time of the process with one,
/// which other programs on the machine disturb less.
fn clock() -> f64 {
    let id = if rayon::current_num_threads() == 1 { libc::CLOCK_PROCESS_CPUTIME_ID } else { libc::CLOCK_MONOTONIC };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to a local.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Returns the GFLOP/s of a large product by the `gemm` crate on all threads.
fn sgemm_rate(seconds: f64) -> f64 {
    const SIDE: usize = 1536;
    let (a, b) = (noise(SIDE * SIDE), noise(SIDE * SIDE));
    let mut out = vec![0f32; SIDE * SIDE];
    let side = SIDE as isize;
    let threads = gemm_common::Parallelism::Rayon(rayon::current_num_threads());
    let best = least(seconds, || {
        // SAFETY: the slices hold three square row-major matrices.
        unsafe {
            gemm_f32::gemm::f32::get_gemm_fn()(
                SIDE,
                SIDE,
                SIDE,
                out.as_mut_ptr(),
                side,
                1,
                false,
                a.as_ptr(),
                side,
                1,
                b.as_ptr(),
                side,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                threads,
            );
        }
    });
    2e-9 * (SIDE * SIDE * SIDE) as f64 / best
}

/// Returns reproducible values between -1 and 1.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 0x2545_F491u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}
