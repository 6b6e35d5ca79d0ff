//! e^x for one lane, branch-free so that loops over it become vector code.

use super::Arith;

const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// ln 2 with 21 trailing zero bits, so that n·LN2_HIGH is exact for every exponent n.
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1.5·2⁵²: adding it rounds to an integer and leaves that integer in the low mantissa bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
const ONE_BITS: u64 = 1.0_f64.to_bits();
/// Below this the result would leave the normal range and is given as 0.
const LOW: f64 = -708.0;
const HIGH: f64 = 709.782_712_893_384;

/// (e^r − 1 − r − r²/2)/r³ on |r| ≤ ½ ln 2, fitted at Chebyshev nodes; relative error of e^r 3e-17.
const TAIL: [f64; 9] = [
    0.166_666_666_666_666_66,
    0.041_666_666_666_651_31,
    0.008_333_333_333_332_152,
    0.001_388_888_890_592_238_2,
    0.000_198_412_698_543_700_18,
    2.480_153_630_713_628e-5,
    2.755_728_000_429_909e-6,
    2.761_385_210_096_325_3e-7,
    2.509_558_946_747_950_2e-8,
];

/// e^x within 1 ulp; 0 below −708, ∞ above 709.78, NaN for NaN.
#[inline(always)]
#[must_use]
pub fn exp_one<A: Arith>(x: f64) -> f64 {
    let shifted = A::mul_add(x, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = A::mul_add(n, -LN2_LOW, A::mul_add(n, -LN2_HIGH, x));
    let tail = tail::<A>(r);
    let r2 = r * r;
    let p = 1.0 + A::mul_add(r2, A::mul_add(tail, r, 0.5), r);
    // 2^(n−1), then doubled: n = 1024 stays representable.
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(ONE_BITS - (1 << 52)));
    let y = p * scale * 2.0;
    let y = if x > HIGH { f64::INFINITY } else { y };
    if x < LOW { 0.0 } else { y }
}

/// (e^r − 1 − r − r²/2)/r³ for |r| ≤ ½ ln 2.
#[inline(always)]
fn tail<A: Arith>(r: f64) -> f64 {
    let mut tail = TAIL[8];
    tail = A::mul_add(tail, r, TAIL[7]);
    tail = A::mul_add(tail, r, TAIL[6]);
    tail = A::mul_add(tail, r, TAIL[5]);
    tail = A::mul_add(tail, r, TAIL[4]);
    tail = A::mul_add(tail, r, TAIL[3]);
    tail = A::mul_add(tail, r, TAIL[2]);
    tail = A::mul_add(tail, r, TAIL[1]);
    tail = A::mul_add(tail, r, TAIL[0]);
    tail
}

/// e^x within 2 ulp for x ≤ 709, in fewer steps than [`exp_one`]; e^−708 below −708 and for NaN.
#[inline(always)]
#[must_use]
pub fn exp_bounded<A: Arith>(x: f64) -> f64 {
    let x = if x > LOW { x } else { LOW };
    let shifted = A::mul_add(x, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = A::mul_add(n, -LN2_LOW, A::mul_add(n, -LN2_HIGH, x));
    let p = A::mul_add(tail::<A>(r), r, 0.5);
    let p = A::mul_add(A::mul_add(p, r, 1.0), r, 1.0);
    // p·2ⁿ: n goes straight into the exponent, which has room for it.
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// e^x − 1 for |x| ≤ ½ ln 2.
#[inline(always)]
pub(super) fn expm1_near<A: Arith>(x: f64) -> f64 {
    A::mul_add(x * x, A::mul_add(tail::<A>(x), x, 0.5), x)
}

/// e^x − 1, accurate near 0 too (within 3 ulp).
#[inline(always)]
#[must_use]
pub fn expm1_one<A: Arith>(x: f64) -> f64 {
    let near = expm1_near::<A>(x);
    if x.abs() < 0.3 {
        near
    } else {
        exp_one::<A>(x) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::kernels::{Fused, Separate};

    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    #[test]
    fn exp_is_within_two_ulp_of_the_standard_library() {
        let mut x = -707.999;
        while x < 709.7 {
            assert!(ulps(exp_one::<Fused>(x), x.exp()) <= 1, "fused exp({x})");
            assert!(ulps(exp_one::<Separate>(x), x.exp()) <= 2, "exp({x})");
            x += 0.000_971_3 * (1.0 + x.abs() / 8.0);
        }
        for k in 0..2000 {
            let x = (f64::from(k) * 0.37 - 300.0).exp2();
            assert!(ulps(exp_one::<Fused>(-x), (-x).exp()) <= 1 || x > 708.0);
        }
    }

    #[test]
    fn expm1_is_accurate_everywhere() {
        for k in -4000..4000 {
            let x = f64::from(k) * 1e-3 * (1.0 + f64::from(k % 7));
            let want = x.exp_m1();
            let got = expm1_one::<Fused>(x);
            assert!((got - want).abs() <= 8e-16 * want.abs(), "expm1({x})");
            let x = x * 1e-9;
            assert!((expm1_one::<Fused>(x) - x.exp_m1()).abs() <= 4e-16 * x.abs());
        }
        assert_eq!(expm1_one::<Fused>(f64::NEG_INFINITY), -1.0);
    }

    #[test]
    fn exp_at_the_ends() {
        assert_eq!(exp_one::<Fused>(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp_one::<Fused>(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp_one::<Fused>(0.0), 1.0);
        assert_eq!(exp_one::<Fused>(-1e308), 0.0);
        assert_eq!(exp_one::<Fused>(1e308), f64::INFINITY);
        assert!(exp_one::<Fused>(f64::NAN).is_nan());
        assert!(ulps(exp_one::<Fused>(709.78), 709.78_f64.exp()) <= 1);
    }
}
