//! Instruction set of the kernels, chosen once at run time.
//!
//! Kernels are written once, over `pulp`'s `Simd` trait or as plain loops, and `Isa::run` compiles
//! them for each instruction set. A kernel takes the active instruction set of the calling thread
//! and hands it to its tasks; worker threads never look it up. The `gemm` crate, which computes the
//! gradients of linear layers, chooses its instruction set itself.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;

use pulp::WithSimd;
use thiserror::Error;

/// Name of the environment variable that overrides the choice: `avx512`, `avx2` or `portable`.
pub const VARIABLE: &str = "RESIDUAL_ISA";

/// Instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// 16 lanes, 32 registers: AVX-512 F, BW, CD, DQ, VL.
    Avx512,
    /// 8 lanes, 16 registers: AVX2 with FMA.
    Avx2,
    /// The baseline of the architecture: SSE2 on x86-64, NEON on aarch64.
    Portable,
}

/// Error of `RESIDUAL_ISA`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IsaError {
    /// The value is not the name of an instruction set.
    #[error("RESIDUAL_ISA is `{0}`; it must be avx512, avx2 or portable")]
    Unknown(String),
    /// The CPU does not have the instruction set.
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
    /// Instruction set of [`Isa::with`] for the calls of this thread.
    static OVERRIDE: Cell<Option<Isa>> = const { Cell::new(None) };
}

impl Isa {
    /// Lists the instruction sets that this CPU has, the widest first. The list is never empty.
    pub fn available() -> Vec<Self> {
        [Self::Avx512, Self::Avx2, Self::Portable].into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Returns the instruction set of the next kernel called on this thread: that of [`Isa::with`],
    /// else a valid `RESIDUAL_ISA`, else the widest.
    pub fn active() -> Self {
        static CHOSEN: OnceLock<Isa> = OnceLock::new();
        OVERRIDE.get().unwrap_or_else(|| *CHOSEN.get_or_init(|| Self::from_env().unwrap_or_else(|_| Self::widest())))
    }

    /// Reads `RESIDUAL_ISA`, or returns the widest instruction set if it is not set. Programs call
    /// this once at the start, to report the error that [`Isa::active`] ignores.
    ///
    /// # Errors
    /// [`IsaError`] if the variable names no instruction set, or one that this CPU does not have.
    pub fn from_env() -> Result<Self, IsaError> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::widest()),
            Some(name) => Self::parse(&name.to_string_lossy()),
        }
    }

    /// Parses the name of an instruction set.
    ///
    /// # Errors
    /// [`IsaError`] if the name is unknown, or this CPU does not have the instruction set.
    pub fn parse(name: &str) -> Result<Self, IsaError> {
        let isa = match name {
            "avx512" => Self::Avx512,
            "avx2" => Self::Avx2,
            "portable" => Self::Portable,
            other => return Err(IsaError::Unknown(other.to_owned())),
        };
        if isa.is_available() { Ok(isa) } else { Err(IsaError::Unavailable(isa)) }
    }

    /// Runs `f` with this instruction set active on the calling thread, so that one machine tests
    /// them all.
    ///
    /// # Panics
    /// If this CPU does not have the instruction set.
    pub fn with<R>(self, f: impl FnOnce() -> R) -> R {
        assert!(self.is_available(), "this CPU does not have {self}");
        /// Restores the previous choice, also when `f` panics.
        struct Restore(Option<Isa>);
        impl Drop for Restore {
            fn drop(&mut self) {
                OVERRIDE.set(self.0);
            }
        }
        let _restore = Restore(OVERRIDE.replace(Some(self)));
        f()
    }

    /// Returns the lanes of one `f32` vector.
    pub fn lanes(self) -> usize {
        match self {
            Self::Avx512 => 16,
            Self::Avx2 => 8,
            Self::Portable => PORTABLE_LANES,
        }
    }

    /// Returns the number of vector registers, which decides the tiles of the micro-kernels.
    pub(crate) fn registers(self) -> usize {
        if self == Self::Avx512 || cfg!(target_arch = "aarch64") { 32 } else { 16 }
    }

    /// Compiles `op` for each instruction set and runs the version for this one. A closure is
    /// compiled with the features of the instruction set and left to the compiler's vectoriser; a
    /// `WithSimd` gets the token.
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

/// Runs `op` with NEON on aarch64, elsewhere with four-element arrays, which the compiler keeps in
/// SSE2 registers.
#[inline(always)]
fn portable<R>(op: impl WithSimd<Output = R>) -> R {
    #[cfg(target_arch = "aarch64")]
    if let Some(simd) = pulp::aarch64::Neon::try_new() {
        return pulp::Simd::vectorize(simd, op);
    }
    pulp::Simd::vectorize(pulp::Scalar128b, op)
}

/// Guard that makes this thread's floating-point unit flush denormals to zero.
///
/// A denormal costs a hundred cycles on x86, and a training run that decays weights towards zero
/// meets them by the million.
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
    //! Access to MXCSR, whose flush bits change between [`super::FlushDenormals::new`] and its
    //! drop.
    //!
    //! Rust's documentation calls float code under another MXCSR undefined, since the compiler may
    //! compute at compile time what the processor would flush. This code relies on that being the
    //! only effect: a value that was computed either way is below 1.2e-38, and every bound on a
    //! kernel's error allows for that (the tests' `assert_within`).

    /// Flush-to-zero is bit 15, denormals-are-zero bit 6.
    pub(super) const FLUSH: u64 = 0x8040;

    pub(super) fn read() -> u64 {
        let mut csr = 0u32;
        // SAFETY: the instruction stores four bytes to a local; SSE is part of x86-64.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut csr, options(nostack, preserves_flags)) };
        u64::from(csr)
    }

    pub(super) fn write(value: u64) {
        let csr = value as u32;
        // SAFETY: `csr` is a value read before with at most the two flush bits added, so that no
        // exception is unmasked and no rounding changes. The head of the module states the reliance
        // on flushing.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &csr, options(nostack, preserves_flags)) };
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod control {
    //! Access to FPCR.

    /// Flush-to-zero is bit 24.
    pub(super) const FLUSH: u64 = 1 << 24;

    pub(super) fn read() -> u64 {
        let value: u64;
        // SAFETY: the instruction reads a register that user code may read.
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
    //! Denormals are kept: there is no flag to set.

    pub(super) const FLUSH: u64 = 0;

    pub(super) fn read() -> u64 {
        0
    }

    pub(super) fn write(_: u64) {}
}
