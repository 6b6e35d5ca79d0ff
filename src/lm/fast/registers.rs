//! What every loop on AVX-512 registers of f32 needs.

#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

/// Numbers in a register.
const LANES: usize = 16;

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
