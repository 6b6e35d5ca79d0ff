//! How one kernel source becomes three machine versions.

use std::sync::OnceLock;

/// Whether multiply-add is one instruction. Kernels are generic over it, so that a processor without FMA never falls into
/// a software `mul_add`.
pub trait Arith: Copy {
    /// a·b + c.
    fn mul_add(a: f64, b: f64, c: f64) -> f64;
}

/// Fused multiply-add.
#[derive(Debug, Clone, Copy)]
pub struct Fused;

/// A product, then a sum.
#[derive(Debug, Clone, Copy)]
pub struct Separate;

impl Arith for Fused {
    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

impl Arith for Separate {
    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
}

/// The widest instruction set that this processor and this build share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// Eight lanes of `f64`.
    Avx512,
    /// Four lanes with fused multiply-add.
    Avx2,
    /// What the target guarantees.
    Baseline,
}

/// What this processor offers, asked once.
#[must_use]
pub fn instruction_set() -> InstructionSet {
    static FOUND: OnceLock<InstructionSet> = OnceLock::new();
    *FOUND.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> InstructionSet {
    use std::arch::is_x86_feature_detected as has;
    if has!("avx512f") && has!("avx512dq") && has!("avx512vl") && has!("avx512bw") && has!("fma") {
        InstructionSet::Avx512
    } else if has!("avx2") && has!("fma") {
        InstructionSet::Avx2
    } else {
        InstructionSet::Baseline
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> InstructionSet {
    InstructionSet::Baseline
}

/// Defines a kernel: a function whose body, generic over `$arith: Arith`, is compiled for every instruction set and chosen
/// at run time. The body may call other `#[inline(always)]` functions that take `$arith` (`exp_one::<A>`).
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$arith:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters, reason = "not every kernel multiplies and adds")]
            fn body<$arith: $crate::theory::kernels::Arith>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::theory::kernels::{Fused, InstructionSet, Separate, instruction_set};

                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body::<Fused>($($arg),*) }

                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body::<Fused>($($arg),*) }

                match instruction_set() {
                    // SAFETY: the features were detected on this processor.
                    InstructionSet::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: the features were detected on this processor.
                    InstructionSet::Avx2 => unsafe { avx2($($arg),*) },
                    InstructionSet::Baseline => body::<Separate>($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body::<$crate::theory::kernels::Separate>($($arg),*)
        }
    };
}
pub(crate) use vectorised;
