//! The instruction set that kernels run on, chosen once at run time.
//!
//! Kernels are written once, over `pulp`'s `Simd` trait or as plain loops, and `Isa::run` compiles them for each
//! instruction set. Which one is active is decided when a kernel is called, on the calling thread, and handed to its
//! tasks: the worker threads never look it up. Not for choosing algorithms: that is [`crate::plan`]. Nor does it govern the `gemm`
//! crate, which computes the gradients of linear layers (`matrix.rs`) with what it finds itself.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;

use pulp::WithSimd;
use thiserror::Error;

/// The environment variable that overrides the choice: `avx512`, `avx2` or `portable`.
pub const VARIABLE: &str = "RESIDUAL_ISA";

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// 16 lanes, 32 registers: AVX-512 F, BW, CD, DQ, VL.
    Avx512,
    /// 8 lanes, 16 registers: AVX2 with FMA.
    Avx2,
    /// What every CPU of the architecture has: SSE2 on x86-64, NEON on aarch64.
    Portable,
}

/// Why `RESIDUAL_ISA` cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IsaError {
    /// Not the name of an instruction set.
    #[error("RESIDUAL_ISA is `{0}`; it must be avx512, avx2 or portable")]
    Unknown(String),
    /// This CPU does not have it.
    #[error("RESIDUAL_ISA asks for {0}, which this CPU does not have")]
    Unavailable(Isa),
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        })
    }
}

thread_local! {
    /// Set by [`Isa::with`] for the calls that this thread makes.
    static OVERRIDE: Cell<Option<Isa>> = const { Cell::new(None) };
}

impl Isa {
    /// Every instruction set that this CPU can run, the widest first. Never empty.
    pub fn available() -> Vec<Self> {
        [Self::Avx512, Self::Avx2, Self::Portable].into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The instruction set of the next kernel called on this thread: [`Isa::with`]'s, else `RESIDUAL_ISA`'s where it can
    /// be followed, else the widest.
    pub fn active() -> Self {
        static CHOSEN: OnceLock<Isa> = OnceLock::new();
        OVERRIDE.get().unwrap_or_else(|| *CHOSEN.get_or_init(|| Self::from_env().unwrap_or_else(|_| Self::widest())))
    }

    /// What `RESIDUAL_ISA` asks for, or the widest where it is not set. Programs call this once at the start, to report
    /// the error that [`Isa::active`] passes over.
    ///
    /// # Errors
    /// [`IsaError`] when the variable names no instruction set, or one that this CPU does not have.
    pub fn from_env() -> Result<Self, IsaError> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::widest()),
            Some(name) => Self::parse(&name.to_string_lossy()),
        }
    }

    /// The instruction set of that name, if this CPU has it.
    ///
    /// # Errors
    /// [`IsaError`] as [`Isa::from_env`].
    pub fn parse(name: &str) -> Result<Self, IsaError> {
        let isa = match name {
            "avx512" => Self::Avx512,
            "avx2" => Self::Avx2,
            "portable" => Self::Portable,
            other => return Err(IsaError::Unknown(other.to_owned())),
        };
        if isa.is_available() { Ok(isa) } else { Err(IsaError::Unavailable(isa)) }
    }

    /// Runs `f` with this instruction set active on the calling thread: how one machine tests them all.
    ///
    /// # Panics
    /// When this CPU does not have it.
    pub fn with<R>(self, f: impl FnOnce() -> R) -> R {
        assert!(self.is_available(), "this CPU does not have {self}");
        /// Puts the previous choice back, also when `f` panics.
        struct Restore(Option<Isa>);
        impl Drop for Restore {
            fn drop(&mut self) {
                OVERRIDE.set(self.0);
            }
        }
        let _restore = Restore(OVERRIDE.replace(Some(self)));
        f()
    }

    /// Lanes of one `f32` vector.
    pub fn lanes(self) -> usize {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 => 8,
            Self::Portable => PORTABLE_LANES,
        }
    }

    /// Vector registers, which decide the tiles of the micro-kernels.
    pub(crate) fn registers(self) -> usize {
        if self == Self::Avx512 || cfg!(target_arch = "aarch64") { 32 } else { 16 }
    }

    /// Compiles `op` for each instruction set and runs the one for this. A closure is compiled with the instruction
    /// set's features and left to the compiler's vectoriser; a `WithSimd` gets the token.
    #[inline(always)]
    pub(crate) fn run<R>(self, op: impl WithSimd<Output = R>) -> R {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                if let Some(simd) = pulp::x86::V4::try_new() {
                    return pulp::Simd::vectorize(simd, op);
                }
                portable(op)
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    return pulp::Simd::vectorize(simd, op);
                }
                portable(op)
            }
            _ => portable(op),
        }
    }

    fn widest() -> Self {
        Self::available()[0]
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }
}

/// Lanes of the portable path: one 128-bit register.
pub(crate) const PORTABLE_LANES: usize = 4;

/// NEON where there is NEON; four-element arrays, which the compiler keeps in SSE2 registers, elsewhere.
#[inline(always)]
fn portable<R>(op: impl WithSimd<Output = R>) -> R {
    #[cfg(target_arch = "aarch64")]
    if let Some(simd) = pulp::aarch64::Neon::try_new() {
        return pulp::Simd::vectorize(simd, op);
    }
    pulp::Simd::vectorize(pulp::Scalar128b, op)
}

/// While it lives, this thread's floating-point unit takes denormals for zero and makes none: they cost a hundred
/// cycles each on x86, and a training run that decays weights towards zero meets them by the million.
pub(crate) struct FlushDenormals {
    saved: u64,
}

impl FlushDenormals {
    pub(crate) fn new() -> Self {
        let saved = control::read();
        control::write(saved | control::FLUSH);
        Self { saved }
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        control::write(self.saved);
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod control {
    //! MXCSR. Only the flush bits change, and only between [`super::FlushDenormals::new`] and its drop.
    //!
    //! Rust's own documentation calls float code under another MXCSR undefined, since the compiler may compute at compile time what the
    //! processor would flush. We rely on that being all that it does: a value that was computed either way is below 1.2e-38, and every
    //! bound on a kernel's error allows for that (the tests' `assert_within`).

    /// Flush-to-zero is bit 15, denormals-are-zero bit 6.
    pub(super) const FLUSH: u64 = 0x8040;

    pub(super) fn read() -> u64 {
        let mut csr = 0u32;
        // SAFETY: stores four bytes to a local; SSE is part of x86-64.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut csr, options(nostack, preserves_flags)) };
        u64::from(csr)
    }

    pub(super) fn write(value: u64) {
        let csr = value as u32;
        // SAFETY: `csr` is a value read before with at most the two flush bits added: no exception is unmasked, no rounding changes;
        // what is flushed, and when, is the reliance that the module's head names.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &csr, options(nostack, preserves_flags)) };
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod control {
    //! FPCR.

    /// Flush-to-zero is bit 24.
    pub(super) const FLUSH: u64 = 1 << 24;

    pub(super) fn read() -> u64 {
        let value: u64;
        // SAFETY: reads a register that user code may read.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    pub(super) fn write(value: u64) {
        // SAFETY: `value` was read before, with at most the flush bit added.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
    }
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod control {
    //! Nothing to set: denormals stay.

    pub(super) const FLUSH: u64 = 0;

    pub(super) fn read() -> u64 {
        0
    }

    pub(super) fn write(_: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn denormals_are_flushed_only_while_the_guard_lives() {
        use std::hint::black_box;
        // Operands anew each time: on aarch64 the compiler computed one product for both.
        let product = || black_box(black_box(f32::MIN_POSITIVE) * black_box(0.5));
        {
            let _flush = FlushDenormals::new();
            assert_eq!(product(), 0.0);
        }
        assert!(product() > 0.0);
    }
}
