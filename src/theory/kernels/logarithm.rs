//! ln x for one lane, branch-free so that loops over it become vector code.

use super::Arith;

const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const ONE_BITS: u64 = 1.0_f64.to_bits();
const SQRT_HALF_BITS: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
const MANTISSA: u64 = (1 << 52) - 1;
const TWO_54: f64 = 18_014_398_509_481_984.0;
const TWO_52: f64 = 4_503_599_627_370_496.0;

/// (2 atanh(s) − 2s)/s³ in z = s², s = f/(2+f), on √½ ≤ 1+f < √2, fitted at Chebyshev nodes; relative error 5e-18.
const TAIL: [f64; 7] = [
    0.666_666_666_666_667,
    0.399_999_999_998_992,
    0.285_714_286_261_145_2,
    0.222_222_111_121_049_48,
    0.181_828_907_780_261_3,
    0.153_316_666_765_971_75,
    0.146_171_283_998_073,
];

/// ln x within 2 ulp, subnormals included; −∞ at 0, NaN below.
#[inline(always)]
#[must_use]
pub fn ln_one<A: Arith>(x: f64) -> f64 {
    let (exponent, f) = split(x);
    finish::<A>(x, exponent, f, f / (2.0 + f))
}

/// (ln x, 1/x) with a single division between them, for normal x below 1e307; a few ulp.
#[inline(always)]
#[must_use]
pub fn ln_and_inverse<A: Arith>(x: f64) -> (f64, f64) {
    let (exponent, f) = split(x);
    let both = 1.0 / (x * (2.0 + f));
    (finish::<A>(x, exponent, f, f * x * both), (2.0 + f) * both)
}

/// x = 2^exponent·(1 + f) with √½ ≤ 1 + f < √2.
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    let subnormal = x < f64::MIN_POSITIVE;
    let scaled = if subnormal { x * TWO_54 } else { x };
    let bits = scaled.to_bits().wrapping_add(ONE_BITS - SQRT_HALF_BITS);
    // The biased exponent as a float: OR it into the mantissa of 2⁵².
    let exponent = f64::from_bits((bits >> 52) | TWO_52.to_bits()) - (TWO_52 + 1023.0);
    let exponent = if subnormal { exponent - 54.0 } else { exponent };
    let f = f64::from_bits((bits & MANTISSA) + SQRT_HALF_BITS) - 1.0;
    (exponent, f)
}

/// ln x from its parts and s = f/(2+f).
#[inline(always)]
fn finish<A: Arith>(x: f64, exponent: f64, f: f64, s: f64) -> f64 {
    let z = s * s;
    let mut tail = TAIL[6];
    tail = A::mul_add(tail, z, TAIL[5]);
    tail = A::mul_add(tail, z, TAIL[4]);
    tail = A::mul_add(tail, z, TAIL[3]);
    tail = A::mul_add(tail, z, TAIL[2]);
    tail = A::mul_add(tail, z, TAIL[1]);
    tail = A::mul_add(tail, z, TAIL[0]);
    let half_square = 0.5 * f * f;
    let low = A::mul_add(s, A::mul_add(z, tail, half_square), exponent * LN2_LOW);
    let y = A::mul_add(exponent, LN2_HIGH, f - (half_square - low));

    let y = if x == f64::INFINITY { x } else { y };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f64::NAN } else { y };
    if x.is_nan() { x } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::kernels::{Fused, Separate};

    #[test]
    fn ln_is_within_two_ulp_of_the_standard_library() {
        let close = |x: f64| {
            let want = x.ln();
            for got in [ln_one::<Fused>(x), ln_one::<Separate>(x)] {
                assert!(
                    want.to_bits().abs_diff(got.to_bits()) <= 2,
                    "ln({x:e}) = {want:e}, got {got:e}"
                );
            }
        };
        for subnormal in [1, 2, 3, 1000, 1 << 40, (1 << 52) - 1] {
            close(f64::from_bits(subnormal));
        }
        let mut x = f64::MIN_POSITIVE;
        while x < 1e308 {
            close(x);
            x *= 1.003_7;
        }
        for k in -20_000..20_000 {
            close(1.0 + f64::from(k) * 1.7e-5);
            close(1.0 + f64::from(k) * 3.1e-14);
        }
    }

    #[test]
    fn ln_and_inverse_agree_with_both() {
        let mut x = 1e-300;
        while x < 1e300 {
            let (ln, inverse) = ln_and_inverse::<Fused>(x);
            assert!(
                (ln - x.ln()).abs() <= 4.5e-16 * x.ln().abs().max(1e-3),
                "ln({x:e})"
            );
            assert!((inverse * x - 1.0).abs() <= 9e-16, "1/{x:e}");
            x *= 1.001_7;
        }
    }

    #[test]
    fn ln_at_the_ends() {
        assert_eq!(ln_one::<Fused>(0.0), f64::NEG_INFINITY);
        assert_eq!(ln_one::<Fused>(1.0), 0.0);
        assert_eq!(ln_one::<Fused>(f64::INFINITY), f64::INFINITY);
        assert!(ln_one::<Fused>(-1.0).is_nan());
        assert!(ln_one::<Fused>(f64::NAN).is_nan());
    }
}
