//! What products run on, found at run time.

#[cfg(target_arch = "x86_64")]
use super::{
    LANES, amx, avx512,
    operand::{Left, Out, Right},
};
use crate::lm::fast::kernels;

/// What multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// The matrix unit, where it is worth its packing; else vectors.
    #[cfg(target_arch = "x86_64")]
    Matrix,
    /// The matrix unit, for few rows and large weights that are split as they stream by.
    #[cfg(target_arch = "x86_64")]
    Streaming,
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Vectors,
    Portable,
}

impl Unit {
    /// The fastest one here.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if kernels::level() == kernels::Level::Wide {
            return if amx::available() {
                Self::Matrix
            } else {
                Self::Vectors
            };
        }
        Self::Portable
    }

    /// Floating-point operations a second that one core reaches over whole steps of training, roughly, as measured.
    pub(super) fn rate(self) -> f64 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Matrix | Self::Streaming => 1.4e11,
            #[cfg(target_arch = "x86_64")]
            Self::Vectors => 8e10,
            Self::Portable => 3e10,
        }
    }

    /// Itself or another one, if the product of m rows with k by n numbers (the weights, where there are any) is too small
    /// for it.
    pub(super) fn worth(self, (m, n, k): (usize, usize, usize)) -> Self {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Matrix && (m.min(n) < WORTH_PACKING || k < LANES) {
            let few = (WORTH_STREAMING..=amx::thin::MOST_ROWS).contains(&m);
            return if few && n >= 2 * WORTH_PACKING && n * k >= LARGE {
                Self::Streaming
            } else {
                Self::Vectors
            };
        }
        self
    }

    /// c [m, n] (+)= factor·a·b, on this thread alone; returns Σ c² where that is streamed, else 0.
    ///
    /// # Safety
    /// The unit is there, and every element that sizes and strides name lies inside its operand.
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "vector instructions and strided operands")]
    pub(super) unsafe fn product(
        self,
        sizes: (usize, usize, usize),
        out: Out,
        a: Left,
        b: Right,
    ) -> f64 {
        // SAFETY: promised by the caller.
        unsafe {
            match (self, b) {
                (Self::Matrix, _) => amx::product(sizes, out, a, b),
                (
                    Self::Streaming,
                    Right::Strided {
                        data,
                        row,
                        column: 1,
                    },
                ) if !out.streamed => {
                    amx::thin::product(sizes, out, a, (data, row));
                    0.0
                }
                _ => avx512::product(sizes, out, a, b),
            }
        }
    }

    /// Rows and columns between which a product is best divided.
    pub(super) fn borders(self) -> (usize, usize) {
        #[cfg(target_arch = "x86_64")]
        if matches!(self, Self::Matrix | Self::Streaming) {
            return (2 * LANES, 2 * LANES);
        }
        (6, LANES)
    }
}

/// Rows or columns that a packed number must serve for the matrix unit to be worth its packing.
#[cfg(target_arch = "x86_64")]
const WORTH_PACKING: usize = 96;
/// Rows from which splitting weights as they stream by beats multiplying them as they are.
#[cfg(target_arch = "x86_64")]
const WORTH_STREAMING: usize = 12;
/// Weights that make it worth packing the rows first.
#[cfg(target_arch = "x86_64")]
const LARGE: usize = 1 << 16;
