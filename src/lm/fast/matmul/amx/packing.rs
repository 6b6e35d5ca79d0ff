//! How operands of the matrix unit are laid out: numbers split into three bf16 parts, in tiles, in panels.

#![expect(unsafe_code, reason = "vector instructions and strided operands")]

use std::{arch::x86_64::*, ops::Range};

use super::super::Line;
use crate::lm::fast::registers::{mask, turn};

/// Rows of a tile, and its columns of sums.
pub(super) const SIDE: usize = 16;
/// Rows of a panel, and columns of the other: two tiles.
pub(super) const PANEL: usize = 2 * SIDE;
/// Depth of a tile: pairs of bf16 in sixteen columns.
pub(super) const STEP: usize = 32;
/// Lines of one step of a panel: three parts of two tiles.
pub(super) const STEP_LINES: usize = 3 * 2 * SIDE;

/// Lines that [`pack`] fills for a matrix with `columns` columns (of the product) and this depth.
pub(in crate::lm::fast::matmul) fn packed_len(columns: usize, depth: usize) -> usize {
    columns.div_ceil(PANEL) * depth.div_ceil(STEP) * STEP_LINES
}

/// A strided operand as it is packed: `leads` rows (or columns) of the product by the depth.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) data: *const f32,
    /// Between leads.
    pub(super) lead: usize,
    /// Between steps of the depth; one of the two strides is 1.
    pub(super) depth: usize,
}

/// Packs w [out, in] as the right operand of products with its transpose.
///
/// # Safety
/// As for [`super::product`]; `packed` has [`packed_len`] lines.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in crate::lm::fast::matmul) unsafe fn pack(
    packed: &mut [Line],
    w: *const f32,
    (outputs, inputs): (usize, usize),
) {
    let source = Source {
        data: w,
        lead: inputs,
        depth: 1,
    };
    // SAFETY: promised by the caller.
    unsafe { pack_right(packed.as_mut_ptr(), source, 0..outputs, 0..inputs) };
}

/// Packs rows of the left operand: a tile's rows are the product's, its columns pairs along the depth.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn pack_left(
    to: *mut Line,
    from: Source,
    rows: Range<usize>,
    depth: Range<usize>,
) {
    // SAFETY: promised by the caller.
    unsafe {
        if from.depth == 1 {
            panels::<false, true>(to, from, rows, depth);
        } else {
            panels::<true, false>(to, from, rows, depth);
        }
    }
}

/// Packs columns of the right operand: a tile's rows are pairs along the depth, its columns the product's.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn pack_right(
    to: *mut Line,
    from: Source,
    columns: Range<usize>,
    depth: Range<usize>,
) {
    // SAFETY: promised by the caller.
    unsafe {
        if from.lead == 1 {
            panels::<false, false>(to, from, columns, depth);
        } else {
            panels::<true, true>(to, from, columns, depth);
        }
    }
}

/// Packs panels. `ALONG`: the depth lies along the operand's memory, and a pair is sixteen apart on it; else it lies
/// across. `TURN`: what is read as a row becomes a column.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn panels<const TURN: bool, const ALONG: bool>(
    to: *mut Line,
    from: Source,
    leads: Range<usize>,
    depth: Range<usize>,
) {
    let steps = depth.len().div_ceil(STEP);
    let stride = if ALONG { from.lead } else { from.depth };
    let pack = |(panel, lead): (usize, usize), step: usize| {
        let at = depth.start + step * STEP;
        let deep = (depth.end - at).min(STEP);
        for half in 0..2 {
            let lead = lead + half * SIDE;
            let count = leads.end.saturating_sub(lead).min(SIDE);
            let data = (from.data).wrapping_add(lead * from.lead + at * from.depth);
            // SAFETY: promised by the caller.
            unsafe {
                let to = to.add((panel * steps + step) * STEP_LINES + half * SIDE);
                if (count, deep) == (SIDE, STEP) {
                    tile::<TURN, ALONG, true>(to, (data, stride), (SIDE, STEP));
                } else {
                    tile::<TURN, ALONG, false>(to, (data, stride), (count, deep));
                }
            }
        }
    };
    let panels = leads.clone().step_by(PANEL).enumerate();
    // Either way rows of memory are read straight on.
    if ALONG {
        panels.for_each(|panel| (0..steps).for_each(|step| pack(panel, step)));
    } else {
        (0..steps).for_each(|step| panels.clone().for_each(|panel| pack(panel, step)));
    }
}

/// Packs one tile of each part: `count` leads by `deep` steps, the rest zeros. `WHOLE`: there is no rest.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn tile<const TURN: bool, const ALONG: bool, const WHOLE: bool>(
    to: *mut Line,
    (data, stride): (*const f32, usize),
    (count, deep): (usize, usize),
) {
    let masks = if ALONG {
        (mask(deep), mask(deep.saturating_sub(SIDE)))
    } else {
        (mask(count), mask(count))
    };
    let load = |i: usize| {
        // What the next panel will ask for.
        let ahead = if ALONG { PANEL * stride } else { PANEL };
        let (near, far) = if ALONG {
            (
                data.wrapping_add(i * stride),
                data.wrapping_add(i * stride + SIDE),
            )
        } else {
            (
                data.wrapping_add(i * stride),
                data.wrapping_add((i + SIDE) * stride),
            )
        };
        let there = if ALONG {
            (i < count, i < count)
        } else {
            (i < deep, i + SIDE < deep)
        };
        // SAFETY: lanes past the ends are masked out, and so are rows; what is fetched ahead may lie past the end.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(near.wrapping_add(ahead).cast());
            _mm_prefetch::<_MM_HINT_T0>(far.wrapping_add(ahead).cast());
            if WHOLE {
                return (_mm512_loadu_ps(near), _mm512_loadu_ps(far));
            }
            (
                _mm512_maskz_loadu_ps(if there.0 { masks.0 } else { 0 }, near),
                _mm512_maskz_loadu_ps(if there.1 { masks.1 } else { 0 }, far),
            )
        }
    };
    // SAFETY: the caller made room for the tile of each part.
    unsafe {
        if TURN {
            let mut near = [_mm512_setzero_ps(); SIDE];
            let mut far = [_mm512_setzero_ps(); SIDE];
            for i in 0..SIDE {
                (near[i], far[i]) = load(i);
            }
            let (near, far) = (turn(near), turn(far));
            for (i, (near, far)) in near.into_iter().zip(far).enumerate() {
                split(to.add(i), near, far);
            }
        } else {
            for i in 0..SIDE {
                let (near, far) = load(i);
                split(to.add(i), near, far);
            }
        }
    }
}

/// Splits numbers into the sum of three bf16 and stores each part's pairs (near, far), low half first.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn split(to: *mut Line, near: __m512, far: __m512) {
    let high = (rounded(near), rounded(far));
    let (near, far) = (_mm512_sub_ps(near, high.0), _mm512_sub_ps(far, high.1));
    let middle = (rounded(near), rounded(far));
    let low = (_mm512_sub_ps(near, middle.0), _mm512_sub_ps(far, middle.1));
    for (part, (near, far)) in [high, middle, low].into_iter().enumerate() {
        let near = _mm512_srli_epi32::<16>(_mm512_castps_si512(near));
        let far = _mm512_castps_si512(far);
        // The far number's upper half over the near one's.
        let pairs = _mm512_mask_blend_epi16(0xAAAA_AAAA, near, far);
        // SAFETY: promised by the caller.
        unsafe { _mm512_store_si512(to.add(part * 2 * SIDE).cast(), pairs) };
    }
}

/// The nearest number that fits into the upper half.
#[inline]
#[target_feature(enable = "avx512f")]
fn rounded(x: __m512) -> __m512 {
    let half = _mm512_set1_epi32(0x8000);
    let upper = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
    let bits = _mm512_add_epi32(_mm512_castps_si512(x), half);
    _mm512_castsi512_ps(_mm512_and_si512(bits, upper))
}
