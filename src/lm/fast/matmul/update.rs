//! A step of AdamW on weights whose gradient is formed where it is used.
//!
//! The gradient dyᵀ·x of a tile of the weights is summed in registers and taken from there, so that it is never written.
//! Bound by memory: 12 bytes read and 12 written per weight, which are fetched while the tile before is summed.

use super::{Spread, product};
use crate::lm::fast::{
    buffer::take,
    kernels::{self, AdamStep},
};

/// Rows of a weight matrix that are best updated together: packing x for them pays, and there are enough of them for many
/// threads.
pub(in crate::lm::fast) const TALL: usize = 192;

/// What a step reads and writes of some parameters.
#[derive(Debug)]
pub(in crate::lm::fast) struct Piece<'a> {
    /// The parameters before the step, or their gradient where the step is taken in place.
    pub(in crate::lm::fast) read: &'a [f32],
    pub(in crate::lm::fast) first: &'a mut [f32],
    pub(in crate::lm::fast) second: &'a mut [f32],
    /// The parameters after the step.
    pub(in crate::lm::fast) written: &'a mut [f32],
}

impl Piece<'_> {
    /// The next `len` of them.
    pub(in crate::lm::fast) fn take(&mut self, len: usize) -> Self {
        let (own, later) = self.read.split_at(len);
        self.read = later;
        Self {
            read: own,
            first: take(&mut self.first, len),
            second: take(&mut self.second, len),
            written: take(&mut self.written, len),
        }
    }

    /// The next `len` of them in pieces.
    pub(in crate::lm::fast) fn split(
        &mut self,
        piece: usize,
        len: usize,
    ) -> impl Iterator<Item = Self> {
        (0..len)
            .step_by(piece)
            .map(move |from| self.take(piece.min(len - from)))
    }
}

/// The step of `rows` whole rows of a weight matrix along dyᵀ·x, on this thread alone: dy [depth, outputs] begins at the
/// column of the first row, x is [depth, columns].
pub(in crate::lm::fast) fn update(
    weights: Piece<'_>,
    (dy, outputs): (&[f32], usize),
    x: &[f32],
    (rows, columns, depth): (usize, usize, usize),
    step: AdamStep,
) {
    #[cfg(target_arch = "x86_64")]
    if kernels::level() == kernels::Level::Wide && depth > 0 && rows * columns > 0 {
        let Piece {
            read,
            first,
            second,
            written,
        } = weights;
        let all = rows * columns;
        assert!(
            [read.len(), first.len(), second.len(), written.len()] == [all; 4]
                && (depth - 1) * outputs + rows <= dy.len()
                && depth * columns <= x.len(),
            "an update reaches past its operands"
        );
        let place = wide::Place {
            old: read.as_ptr(),
            first: first.as_mut_ptr(),
            second: second.as_mut_ptr(),
            new: written.as_mut_ptr(),
        };
        let sizes = (rows, columns, depth);
        #[expect(unsafe_code, reason = "vector instructions and strided operands")]
        // SAFETY: the instructions were found and the lengths just checked.
        unsafe {
            wide::update(place, (dy.as_ptr(), outputs), x.as_ptr(), sizes, step);
        }
        return;
    }
    along_formed(weights, (dy, outputs), x, (rows, columns, depth), step);
}

/// [`update`] in two passes: the gradient is formed where the new weights go.
fn along_formed(
    weights: Piece<'_>,
    (dy, outputs): (&[f32], usize),
    x: &[f32],
    sizes: (usize, usize, usize),
    step: AdamStep,
) {
    let Piece {
        read,
        first,
        second,
        written,
    } = weights;
    let (a, b) = ((dy, 1, outputs), (x, sizes.1, 1));
    let _ = product(
        sizes,
        (&mut *written, sizes.1),
        a,
        b,
        false,
        1.0,
        Spread::Alone,
    );
    kernels::adamw_apart(read, first, second, written, step);
}

#[cfg(target_arch = "x86_64")]
mod wide {
    #![expect(unsafe_code, reason = "vector instructions and strided operands")]

    use std::{arch::x86_64::*, cell::RefCell};

    use super::super::{LANES, Line, avx512::pack, panels};
    use crate::lm::fast::{kernels::AdamStep, registers::mask};

    /// Rows of a tile.
    const ROWS: usize = 6;
    /// Weights and moments that are fetched ahead: between sums, the hardware does not.
    const AHEAD: usize = 512;

    /// The first weight of all.
    #[derive(Clone, Copy)]
    pub(super) struct Place {
        pub(super) old: *const f32,
        pub(super) first: *mut f32,
        pub(super) second: *mut f32,
        pub(super) new: *mut f32,
    }

    #[derive(Clone, Copy)]
    struct Tile {
        depth: usize,
        /// dy, row below row.
        left: *const f32,
        left_row: usize,
        /// A panel of x.
        right: *const f32,
        /// Where the gradient goes.
        out: *mut f32,
        /// Numbers in a row of it.
        row: usize,
        /// Columns of the tile.
        width: usize,
    }

    /// Weights whose gradient is there, straight on.
    struct Formed {
        place: Place,
        gradient: *const f32,
        len: usize,
        step: AdamStep,
        /// Whether new weights go past the caches.
        streamed: bool,
    }

    thread_local! {
        static SCRATCH: RefCell<[Vec<Line>; 4]> = const { RefCell::new([const { vec![] }; 4]) };
    }

    fn grown(lines: &mut Vec<Line>, len: usize) -> *mut f32 {
        if lines.len() * LANES < len {
            lines.resize(len.div_ceil(LANES), Line::default());
        }
        lines.as_mut_ptr().cast()
    }

    /// # Safety
    /// AVX-512 F and VL are there, and every element that sizes and strides name lies inside its operand.
    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) unsafe fn update(
        place: Place,
        (dy, outputs): (*const f32, usize),
        x: *const f32,
        (rows, columns, depth): (usize, usize, usize),
        step: AdamStep,
    ) {
        let streamed = columns.is_multiple_of(LANES) && (place.new as usize).is_multiple_of(64);
        SCRATCH.with_borrow_mut(|[left, right, even, odd]| {
            // The columns of dy lie far apart, often in the same set of the nearest cache.
            let left = grown(left, depth * rows);
            for p in 0..depth {
                // SAFETY: promised by the caller; the scratch was just sized.
                unsafe {
                    std::ptr::copy_nonoverlapping(dy.add(p * outputs), left.add(p * rows), rows);
                }
            }
            // SAFETY: promised by the caller.
            unsafe { pack(right, x, columns, 1, 0..depth, 0..columns) };
            let right = right.as_ptr().cast::<f32>();
            let mut now = grown(even, ROWS * columns);
            let mut before = grown(odd, ROWS * columns);
            let mut formed = Formed {
                place,
                gradient: before,
                len: 0,
                step,
                streamed,
            };
            for top in (0..rows).step_by(ROWS) {
                let count = (rows - top).min(ROWS);
                for panel in panels(columns) {
                    let at = panel.start * LANES;
                    let tile = Tile {
                        depth,
                        left: left.wrapping_add(top),
                        left_row: rows,
                        right: right.wrapping_add(at * depth),
                        out: now.wrapping_add(at),
                        row: columns,
                        width: (columns - at).min(panel.len() * LANES),
                    };
                    macro_rules! tiles {
                        ($($r:literal $v:literal)*) => {
                            match (count, panel.len()) {
                                // SAFETY: rows and columns lie inside the operands.
                                $(($r, $v) => unsafe { sum::<$r, $v>(tile, &mut formed) },)*
                                _ => {}
                            }
                        };
                    }
                    tiles!(6 4 6 3 6 2 6 1 5 4 5 3 5 2 5 1 4 4 4 3 4 2 4 1 3 4 3 3 3 2 3 1 2 4 2 3 2 2 2 1 1 4 1 3 1 2 1 1);
                }
                // SAFETY: as many weights as the rows before have.
                unsafe { formed.rest() };
                formed.gradient = now;
                formed.len = count * columns;
                std::mem::swap(&mut now, &mut before);
            }
            // SAFETY: as above, of the last rows.
            unsafe { formed.rest() };
        });
        if streamed {
            // What bypassed the caches is there for the other threads from here on.
            _mm_sfence();
        }
    }

    impl Formed {
        /// The step of the next weights, a register of them.
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        unsafe fn next(&mut self) {
            let step = &self.step;
            let all = |value: f32| _mm512_set1_ps(value);
            let mask = mask(self.len);
            let at = self.place;
            for from in [at.old, at.first, at.second] {
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD).cast());
            }
            // SAFETY: promised by whoever made this.
            unsafe {
                // As `kernels::adamw`, operation by operation.
                let g = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, self.gradient), all(step.scale));
                let m = _mm512_add_ps(
                    _mm512_mul_ps(all(step.beta1), _mm512_maskz_loadu_ps(mask, at.first)),
                    _mm512_mul_ps(all(1.0 - step.beta1), g),
                );
                let v = _mm512_add_ps(
                    _mm512_mul_ps(all(step.beta2), _mm512_maskz_loadu_ps(mask, at.second)),
                    _mm512_mul_ps(_mm512_mul_ps(all(1.0 - step.beta2), g), g),
                );
                let below = _mm512_add_ps(
                    _mm512_mul_ps(_mm512_sqrt_ps(v), all(step.second_correction)),
                    all(step.epsilon),
                );
                let change = _mm512_div_ps(_mm512_mul_ps(m, all(step.first_correction)), below);
                let p = _mm512_sub_ps(
                    _mm512_mul_ps(
                        _mm512_maskz_loadu_ps(mask, at.old),
                        all(1.0 - step.rate * step.decay),
                    ),
                    _mm512_mul_ps(all(step.rate), change),
                );
                store(at.first, mask, m);
                store(at.second, mask, v);
                if self.streamed {
                    _mm512_stream_ps(at.new, p);
                } else {
                    store(at.new, mask, p);
                }
            }
            let count = self.len.min(LANES);
            self.len -= count;
            self.gradient = self.gradient.wrapping_add(count);
            self.place = Place {
                old: at.old.wrapping_add(count),
                first: at.first.wrapping_add(count),
                second: at.second.wrapping_add(count),
                new: at.new.wrapping_add(count),
            };
        }

        #[target_feature(enable = "avx512f,avx512vl")]
        unsafe fn rest(&mut self) {
            while self.len > 0 {
                // SAFETY: promised by whoever made this.
                unsafe { self.next() };
            }
        }
    }

    /// A store with a mask is slow even where that is full.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn store(to: *mut f32, mask: __mmask16, values: __m512) {
        // SAFETY: promised by the caller.
        unsafe {
            if mask == !0 {
                _mm512_storeu_ps(to, values);
            } else {
                _mm512_mask_storeu_ps(to, mask, values);
            }
        }
    }

    /// Sums the gradient of a tile, and in between takes the step of as many weights whose gradient is there: these wait for
    /// memory, the sums do not.
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn sum<const R: usize, const V: usize>(tile: Tile, formed: &mut Formed) {
        let mut sums = [[_mm512_setzero_ps(); V]; R];
        // SAFETY: promised by the caller.
        unsafe {
            for part in 0..R * V {
                for p in tile.depth * part / (R * V)..tile.depth * (part + 1) / (R * V) {
                    let mut right = [_mm512_setzero_ps(); V];
                    for (v, right) in right.iter_mut().enumerate() {
                        *right = _mm512_load_ps(tile.right.add((p * V + v) * LANES));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let left = _mm512_set1_ps(*tile.left.add(p * tile.left_row + r));
                        for (sum, right) in sums.iter_mut().zip(right) {
                            *sum = _mm512_fmadd_ps(left, right, *sum);
                        }
                    }
                }
                if formed.len > 0 {
                    formed.next();
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    let to = tile.out.add(r * tile.row + v * LANES);
                    store(to, mask(tile.width - v * LANES), *sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::fast::Buffer;

    #[test]
    fn an_update_is_the_step_along_the_formed_gradient_whatever_the_sizes() {
        let step = AdamStep {
            rate: 0.1,
            decay: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            first_correction: 10.0,
            second_correction: 10.0,
            epsilon: 1e-3,
            scale: 0.5,
        };
        let wave = |len: usize, speed: f32| -> Buffer {
            let values: Vec<f32> = (0..len).map(|i| (i as f32 * speed).sin()).collect();
            Buffer::from(values.as_slice())
        };
        for (rows, columns, depth, outputs) in [
            (1, 1, 1, 1),
            (13, 48, 7, 20),
            (192, 64, 46, 192),
            (25, 130, 3, 40),
            (6, 800, 33, 6),
            (5, 9, 0, 7),
        ] {
            let all = rows * columns;
            let (old, dy, x) = (
                wave(all, 0.3),
                wave(depth * outputs, 0.7),
                wave(depth * columns, 0.2),
            );
            let mut second = wave(all, 0.9);
            second.iter_mut().for_each(|v| *v *= *v);
            let fresh = || (wave(all, 0.5), second.clone(), wave(all, 0.1));
            let (mut ours, mut theirs) = (fresh(), fresh());
            fn place<'a>(old: &'a [f32], to: &'a mut (Buffer, Buffer, Buffer)) -> Piece<'a> {
                Piece {
                    read: old,
                    first: &mut to.0,
                    second: &mut to.1,
                    written: &mut to.2,
                }
            }
            let sizes = (rows, columns, depth);
            update(place(&old, &mut ours), (&dy, outputs), &x, sizes, step);
            along_formed(place(&old, &mut theirs), (&dy, outputs), &x, sizes, step);
            for (ours, theirs) in [
                (&ours.0, &theirs.0),
                (&ours.1, &theirs.1),
                (&ours.2, &theirs.2),
            ] {
                for (own, other) in ours.iter().zip(theirs.iter()) {
                    let apart = (own - other).abs() / other.abs().max(1.0);
                    assert!(apart < 2e-6, "{sizes:?}: {own} against {other}");
                }
            }
        }
    }
}
