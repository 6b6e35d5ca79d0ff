//! What every loop on AVX-512 registers of f32 needs.

#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::matmul::LANES;

/// The first `count` lanes, none to all.
pub(super) fn mask(count: usize) -> __mmask16 {
    if count >= LANES {
        !0
    } else {
        (1u16 << count) - 1
    }
}

/// The sums over lanes of four registers.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn four_sums([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let all = _mm512_add_ps(
        _mm512_shuffle_ps::<0x44>(ab, cd),
        _mm512_shuffle_ps::<0xEE>(ab, cd),
    );
    let half = _mm512_add_ps(all, _mm512_shuffle_f32x4::<0b01_00_11_10>(all, all));
    let quarter = _mm512_add_ps(half, _mm512_shuffle_f32x4::<0b10_11_00_01>(half, half));
    let mut four = [0.0; 4];
    // SAFETY: there is room for four numbers.
    unsafe { _mm_storeu_ps(four.as_mut_ptr(), _mm512_castps512_ps128(quarter)) };
    four
}

/// Exchanges rows and columns of a square.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn turn(rows: [__m512; LANES]) -> [__m512; LANES] {
    let mut pairs = rows;
    for i in (0..LANES).step_by(2) {
        pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    let mut fours = pairs;
    for i in (0..LANES).step_by(4) {
        for j in 0..2 {
            let (a, b) = (
                _mm512_castps_pd(pairs[i + j]),
                _mm512_castps_pd(pairs[i + 2 + j]),
            );
            fours[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    // Now fours[4g + c] holds column 4q + c of rows 4g.. in its quarter q.
    let mut all = rows;
    for c in 0..4 {
        let [a, b, d, e] = [fours[c], fours[4 + c], fours[8 + c], fours[12 + c]];
        let (low, low_far) = (
            _mm512_shuffle_f32x4::<0x88>(a, b),
            _mm512_shuffle_f32x4::<0x88>(d, e),
        );
        let (high, high_far) = (
            _mm512_shuffle_f32x4::<0xDD>(a, b),
            _mm512_shuffle_f32x4::<0xDD>(d, e),
        );
        all[c] = _mm512_shuffle_f32x4::<0x88>(low, low_far);
        all[8 + c] = _mm512_shuffle_f32x4::<0xDD>(low, low_far);
        all[4 + c] = _mm512_shuffle_f32x4::<0x88>(high, high_far);
        all[12 + c] = _mm512_shuffle_f32x4::<0xDD>(high, high_far);
    }
    all
}
