//! Convolutions against their naive twins.
use residual_kernels::{ConvShape, Epilogue, Isa, conv, naive};
fn data(n: usize, seed: u32) -> Vec<f32> {
    let mut s = seed;
    (0..n)
        .map(|_| {
            s = s.wrapping_mul(1664525).wrapping_add(1013904223);
            (s >> 8) as f32 / 8388608.0 - 1.0
        })
        .collect()
}
fn close(a: &[f32], b: &[f32]) {
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}
#[test]
fn convs_agree() {
    for isa in Isa::available() {
        isa.with(|| {
            for (h, c, k, f, st, p) in [
                (7, 3, 5, 3, 1, 1),
                (9, 4, 8, 3, 2, 1),
                (15, 3, 8, 7, 2, 3),
                (8, 16, 9, 1, 2, 0),
                (4, 16, 16, 3, 1, 1),
                (1, 3, 3, 3, 1, 1),
                (2, 17, 33, 3, 1, 1),
                (13, 70, 37, 3, 1, 1),
                (6, 8, 16, 3, 1, 0),
                (6, 16, 48, 3, 1, 2),
                (2, 256, 260, 3, 1, 1),
                (4, 128, 260, 3, 1, 1),
            ] {
                let s = ConvShape::new(3, h, h + 1, c, k, f, f, st, p).expect("a valid shape");
                let (x, w, dy) = (data(s.x_len(), 1), data(s.w_len(), 2), data(s.y_len(), 3));
                let (mut a, mut b) = (vec![0.; s.y_len()], vec![0.; s.y_len()]);
                let (mut ma, mut va, mut mb, mut vb) = (vec![0.; k], vec![0.; k], vec![0.; k], vec![0.; k]);
                conv::forward(&x, &w, &s, false, Epilogue::Statistics { mean: &mut ma, var: &mut va }, &mut a);
                naive::conv::forward(&x, &w, &s, false, Epilogue::Statistics { mean: &mut mb, var: &mut vb }, &mut b);
                close(&a, &b);
                close(&ma, &mb);
                close(&va, &vb);
                let bias = data(k, 9);
                conv::forward(&x, &w, &s, false, Epilogue::Bias { bias: &bias, relu: true }, &mut a);
                naive::conv::forward(&x, &w, &s, false, Epilogue::Bias { bias: &bias, relu: true }, &mut b);
                close(&a, &b);
                let (mut a, mut b) = (data(s.x_len(), 5), data(s.x_len(), 5));
                conv::dx(&dy, &w, &s, false, true, &mut a);
                naive::conv::dx(&dy, &w, &s, false, true, &mut b);
                close(&a, &b);
                let (mut a, mut b) = (vec![0.; s.w_len()], vec![0.; s.w_len()]);
                conv::dw(&x, &dy, &s, false, &mut a);
                naive::conv::dw(&x, &dy, &s, false, &mut b);
                close(&a, &b);
            }
        })
    }
}
