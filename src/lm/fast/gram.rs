//! Products of rows with each other, in double precision: what the norm of a gradient needs that was not formed.
//!
//! The products of two `f32` are exact in `f64`. Bound by arithmetic, half as many a cycle as those of the backward, but
//! for rows by rows only.

use std::ops::Range;

use super::kernels;

/// The product of each of n rows with itself and with those below it, over some of its columns, row by row; the other half
/// of the square is 0.
pub(super) fn products(rows: &[f32], n: usize, width: usize, columns: Range<usize>) -> Vec<f64> {
    let mut all = vec![0.0; n * n];
    let row = |i: usize| &rows[i * width..][columns.clone()];
    #[cfg(target_arch = "x86_64")]
    if kernels::level() == kernels::Level::Wide {
        use wide::SIDE;
        for top in (0..n).step_by(SIDE) {
            for left in (top..n).step_by(SIDE) {
                let four = |from: usize| std::array::from_fn(|i| row((from + i).min(n - 1)));
                #[expect(unsafe_code, reason = "vector instructions")]
                // SAFETY: the instructions were found; all rows are as long as `columns`.
                let sums = unsafe { wide::tile(four(top), four(left), columns.len()) };
                for (i, sums) in (top..n).zip(sums) {
                    for (j, sum) in (left..n).zip(sums).filter(|(j, _)| *j >= i) {
                        all[i * n + j] = sum;
                    }
                }
            }
        }
        return all;
    }
    for i in 0..n {
        for j in i..n {
            all[i * n + j] = kernels::dot(row(i), row(j));
        }
    }
    all
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use crate::lm::fast::registers::mask;

    /// Rows multiplied with as many others.
    pub(super) const SIDE: usize = 4;
    /// Numbers of double precision in a register.
    const LANES: usize = 8;

    /// # Safety
    /// AVX-512 F and VL are there, and every row has `len` numbers.
    #[expect(unsafe_code, reason = "vector instructions")]
    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) unsafe fn tile(
        a: [&[f32]; SIDE],
        b: [&[f32]; SIDE],
        len: usize,
    ) -> [[f64; SIDE]; SIDE] {
        let mut sums = [[_mm512_setzero_pd(); SIDE]; SIDE];
        let (a, b) = (a.map(<[f32]>::as_ptr), b.map(<[f32]>::as_ptr));
        let whole = len / LANES * LANES;
        for p in (0..whole).step_by(LANES) {
            // SAFETY: promised by the caller.
            unsafe { add(&mut sums, a, b, p, !0) };
        }
        if whole < len {
            // SAFETY: as above; what is masked out is not read.
            unsafe { add(&mut sums, a, b, whole, mask(len - whole) as __mmask8) };
        }
        sums.map(|sums| sums.map(|sum| _mm512_reduce_add_pd(sum)))
    }

    /// The products of the numbers from `p` on.
    #[expect(unsafe_code, reason = "vector instructions")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn add(
        sums: &mut [[__m512d; SIDE]; SIDE],
        a: [*const f32; SIDE],
        b: [*const f32; SIDE],
        p: usize,
        mask: __mmask8,
    ) {
        let mut right = [_mm512_setzero_pd(); SIDE];
        // SAFETY: promised by the caller.
        unsafe {
            for (right, b) in right.iter_mut().zip(b) {
                *right = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, b.add(p)));
            }
            for (sums, a) in sums.iter_mut().zip(a) {
                let left = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, a.add(p)));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_fmadd_pd(left, right, *sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_double_precision_whatever_the_sizes() {
        for (n, width, columns) in [(1, 3, 0..3), (4, 16, 0..16), (7, 45, 5..44), (10, 70, 1..2)] {
            let rows: Vec<f32> = (0..n * width)
                .map(|i| (i as f32 * 0.7).sin() * 3.0)
                .collect();
            let all = products(&rows, n, width, columns.clone());
            for (at, product) in all.iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let exact: f64 = (columns.clone())
                    .map(|c| f64::from(rows[i * width + c]) * f64::from(rows[j * width + c]))
                    .sum();
                let exact = if j < i { 0.0 } else { exact };
                assert!((product - exact).abs() < 1e-12 * exact.abs().max(1.0));
            }
        }
    }
}
