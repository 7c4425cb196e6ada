//! Choice of the instruction set, denormals, and the published answers of the generator behind
//! dropout.

use residual_kernels::{Isa, philox, update};

#[test]
fn an_unknown_name_is_refused_with_a_sentence() {
    let error = Isa::parse("sse9").expect_err("sse9 does not exist");
    assert_eq!(error.to_string(), "RESIDUAL_ISA is `sse9`; it must be avx512, avx2 or portable");
}

#[test]
fn portable_is_always_available_and_comes_last() {
    assert_eq!(Isa::available().last(), Some(&Isa::Portable));
}

#[test]
fn with_overrides_and_restores() {
    let before = Isa::active();
    assert_eq!(Isa::Portable.with(Isa::active), Isa::Portable);
    assert_eq!(Isa::active(), before);
}

#[test]
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
fn denormals_are_flushed_in_kernels_and_nowhere_else() {
    use std::hint::black_box;
    // Operands anew each time: on aarch64 the compiler computed one product for both.
    let product = || black_box(black_box(f32::MIN_POSITIVE) * black_box(0.5));
    assert!(product() > 0.0);
    let mut values = [f32::MIN_POSITIVE];
    update::scale(&mut values, 0.5);
    assert_eq!(values, [0.0]);
    assert!(product() > 0.0);
}

/// Compares with the known answers of the authors' Random123 library, `kat_vectors`.
#[test]
fn philox_gives_the_published_answers() {
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
}
