//! Products of large weights with few rows, 12 to 96 of them.
//!
//! So few rows do not repay a pass that packs the weights. Here they are split into their bf16 parts as they stream by: the
//! vector registers split what the next step needs between the products of the present one, which keep the matrix unit
//! busy for sixteen cycles each. What is left is the time that the unit takes, or memory.

#![expect(unsafe_code, reason = "tile and vector instructions, strided operands")]

use std::{
    arch::{asm, x86_64::*},
    cell::RefCell,
};

use super::{
    WHOLE_TILES, fit,
    packing::{SIDE, STEP, STEP_LINES, Source, pack_left, pack_right, packed_len, split},
};
use crate::lm::fast::{
    matmul::{
        LANES, Line,
        operand::{Left, Out},
    },
    registers::{mask, turn},
};

/// Rows that one visit of the weights can serve: six tiles of sums leave two for the operands.
pub(in crate::lm::fast::matmul) const MOST_ROWS: usize = SUMS * SIDE;
/// Tiles of sums.
const SUMS: usize = 6;
/// Weights that are visited once for all columns, while the next ones are fetched into the second cache beside them.
const BLOCK: usize = 1 << 16;

thread_local! {
    /// The packed rows, and sums.
    static SCRATCH: RefCell<[Vec<Line>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Tiles of the weights beside so many tiles of rows.
fn beside(tiles: usize) -> usize {
    if 2 * tiles <= SUMS { 2 } else { 1 }
}

/// One step of weights as it is split: what comes next, a pair of registers at a time.
///
/// `ALONG`: the depth lies along the memory of the weights, whose rows are leads; else it lies across, and leads are
/// columns.
struct Stream<const ALONG: bool> {
    data: *const f32,
    stride: usize,
    /// Leads and depth that are there; the rest are zeros.
    leads: usize,
    deep: usize,
    /// Memory that is read much later and is fetched meanwhile: two lines for each pair, which lie `fetch_stride` apart.
    fetch: *const f32,
    fetch_stride: usize,
    to: *mut Line,
    /// Pairs done, of how many.
    done: usize,
    of: usize,
    /// How many are done at once.
    each: usize,
}

impl<const ALONG: bool> Stream<ALONG> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn some(&mut self) {
        for _ in 0..self.each {
            if self.done < self.of {
                // SAFETY: promised by the caller.
                unsafe { self.one() };
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn one(&mut self) {
        let i = self.done;
        self.done += 1;
        // SAFETY: lanes past the ends are masked out; what is fetched may lie past the end.
        unsafe {
            let fetch = self.fetch.wrapping_add(i * self.fetch_stride);
            _mm_prefetch::<_MM_HINT_T1>(fetch.cast());
            _mm_prefetch::<_MM_HINT_T1>(fetch.wrapping_add(LANES).cast());
            let (near, far) = if ALONG {
                let near = self.data.wrapping_add(i * self.stride);
                (near, near.wrapping_add(SIDE))
            } else {
                let near = (self.data).wrapping_add(i % SIDE * self.stride + i / SIDE * SIDE);
                (near, near.wrapping_add(SIDE * self.stride))
            };
            let (near, far) = if self.leads >= self.of && self.deep >= STEP {
                (_mm512_loadu_ps(near), _mm512_loadu_ps(far))
            } else {
                let masks = self.masks(i);
                (
                    _mm512_maskz_loadu_ps(masks.0, near),
                    _mm512_maskz_loadu_ps(masks.1, far),
                )
            };
            split(self.to.add(i), near, far);
        }
    }

    /// What is there of a pair.
    #[cold]
    fn masks(&self, i: usize) -> (__mmask16, __mmask16) {
        let if_there = |there: bool, mask: __mmask16| if there { mask } else { 0 };
        if ALONG {
            let there = i < self.leads;
            (
                if_there(there, mask(self.deep)),
                if_there(there, mask(self.deep.saturating_sub(SIDE))),
            )
        } else {
            let (columns, i) = (mask(self.leads.saturating_sub(i / SIDE * SIDE)), i % SIDE);
            (
                if_there(i < self.deep, columns),
                if_there(i + SIDE < self.deep, columns),
            )
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn rest(&mut self) {
        while self.done < self.of {
            // SAFETY: promised by the caller.
            unsafe { self.one() };
        }
    }
}

/// Fetches what is read first.
fn fetch_first(from: *const f32, count: usize) {
    for at in (0..count).step_by(LANES) {
        // SAFETY: what is fetched may lie anywhere.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(at).cast()) };
    }
}

/// Two tiles of each part of an operand, per place.
type Tiles = [*const Line; 3];

/// One instruction of a step: `A i` and `B i` load a tile of an operand's part, `P i` adds their product to sums i and
/// splits some of what comes next.
macro_rules! instruction {
    ($o:ident $a:ident A $i:literal $pa:literal $pb:literal) => {
        load!(
            "tmm6",
            $o.0[$i / 2].wrapping_add($pa * 2 * SIDE + $i % 2 * SIDE)
        )
    };
    ($o:ident $a:ident B $i:literal $pa:literal $pb:literal) => {
        load!(
            "tmm7",
            $o.1[$i / 2].wrapping_add($pb * 2 * SIDE + $i % 2 * SIDE)
        )
    };
    ($o:ident $a:ident P $i:literal $pa:literal $pb:literal) => {
        asm!(
            concat!("tdpbf16ps tmm", $i, ", tmm6, tmm7"),
            options(nomem, nostack, preserves_flags)
        );
        $a.some();
    };
}

macro_rules! load {
    ($tile:expr, $at:expr) => {
        asm!(
            concat!("tileloadd ", $tile, ", [{at} + {line}*1]"),
            at = in(reg) $at, line = in(reg) size_of::<Line>(),
            options(nostack, preserves_flags),
        )
    };
}

/// Steps by tiles of the left and of the right operand. Products of parts come in the order of `super::sum_two`; within
/// one, each needs one new tile.
macro_rules! steps {
    ($($name:ident: $($kind:ident $i:literal)*;)*) => {$(
        #[target_feature(enable = "avx512f,avx512bw")]
        unsafe fn $name<const ALONG: bool>(operands: (Tiles, Tiles), next: &mut Stream<ALONG>) {
            // SAFETY: promised by the caller.
            unsafe {
                $(instruction!(operands next $kind $i 0 2);)*
                $(instruction!(operands next $kind $i 0 1);)*
                $(instruction!(operands next $kind $i 1 1);)*
                $(instruction!(operands next $kind $i 1 0);)*
                $(instruction!(operands next $kind $i 2 0);)*
                $(instruction!(operands next $kind $i 0 0);)*
                next.rest();
            }
        }
    )*};
}

steps! {
    two_by_one: A 0 B 0 P 0 A 1 P 1;
    two_by_two: A 0 B 0 P 0 B 1 P 1 A 1 P 3 B 0 P 2;
    two_by_three: A 0 B 0 P 0 B 1 P 1 B 2 P 2 A 1 P 5 B 1 P 4 B 0 P 3;
    three_by_two: A 0 B 0 P 0 B 1 P 1 A 1 P 3 B 0 P 2 A 2 P 4 B 1 P 5;
    one_by_two: A 0 B 0 P 0 B 1 P 1;
    one_by_four: A 0 B 0 P 0 B 1 P 1 B 2 P 2 B 3 P 3;
    one_by_five: A 0 B 0 P 0 B 1 P 1 B 2 P 2 B 3 P 3 B 4 P 4;
    one_by_six: A 0 B 0 P 0 B 1 P 1 B 2 P 2 B 3 P 3 B 4 P 4 B 5 P 5;
    four_by_one: B 0 A 0 P 0 A 1 P 1 A 2 P 2 A 3 P 3;
    five_by_one: B 0 A 0 P 0 A 1 P 1 A 2 P 2 A 3 P 3 A 4 P 4;
    six_by_one: B 0 A 0 P 0 A 1 P 1 A 2 P 2 A 3 P 3 A 4 P 4 A 5 P 5;
}

macro_rules! each_sum {
    ($($i:literal)*) => {
        /// Sums start from nothing.
        unsafe fn clear() {
            // SAFETY: the tiles are configured.
            unsafe { $(asm!(concat!("tilezero tmm", $i), options(nomem, nostack, preserves_flags));)* }
        }

        /// Sums go on from what lies at `from`, tile by tile.
        unsafe fn fetch(from: *const Line) {
            // SAFETY: promised by the caller: six tiles lie there.
            unsafe { $(load!(concat!("tmm", $i), from.add($i * SIDE));)* }
        }

        /// Sums to `to`, tile by tile.
        unsafe fn keep(to: *mut Line) {
            // SAFETY: promised by the caller: there is room for six tiles.
            unsafe {
                $(asm!(
                    concat!("tilestored [{to} + {line}*1], tmm", $i),
                    to = in(reg) to.add($i * SIDE), line = in(reg) size_of::<Line>(),
                    options(nostack, preserves_flags),
                );)*
            }
        }
    };
}

each_sum!(0 1 2 3 4 5);

/// After more than five steps without a store of a tile the next one takes as long as two steps: one that nobody needs is
/// made now and then, see `super::sum_two`.
unsafe fn unneeded(step: usize, to: *mut Line) {
    if step % 4 == 3 {
        // SAFETY: promised by the caller: there is room for a tile.
        unsafe {
            asm!(
                "tilestored [{to} + {line}*1], tmm6",
                to = in(reg) to, line = in(reg) size_of::<Line>(),
                options(nostack, preserves_flags),
            );
        }
    }
}

/// Room for a step of weights, twice: one is read while the other is written.
#[repr(C, align(64))]
struct Steps([[Line; STEP_LINES]; 2], [Line; SIDE]);

impl Steps {
    fn new() -> Self {
        Self([[Line::default(); STEP_LINES]; 2], [Line::default(); SIDE])
    }
}

/// y [n, outputs] (+)= x [n, k]·wᵀ with w [outputs, k] and n at most [`MOST_ROWS`], on this thread alone.
///
/// # Safety
/// `super::available` said yes, and the rows lie inside their operands.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in crate::lm::fast::matmul) unsafe fn forward(
    (n, outputs, k): (usize, usize, usize),
    (y, y_row): (*mut f32, usize),
    (x, x_row): (*const f32, usize),
    w: *const f32,
    add: bool,
) {
    let tiles = n.div_ceil(SIDE);
    let tall = beside(tiles);
    let steps = k.div_ceil(STEP);
    let step: unsafe fn(_, &mut Stream<true>) = match tiles {
        1 => two_by_one,
        2 => two_by_two,
        3 => two_by_three,
        4 => one_by_four,
        5 => one_by_five,
        _ => one_by_six,
    };
    let products = 6 * tall * tiles;
    let of = tall * SIDE;
    let mut split_steps = Steps::new();
    let Steps(buffers, spare) = &mut split_steps;
    let buffers = buffers.each_mut().map(|lines| lines.as_mut_ptr());
    // The step that comes after `at`, counted over all strips of outputs.
    let stream = |at: usize| {
        let (first, depth) = (at / steps * of, at % steps * STEP);
        Stream::<true> {
            data: w.wrapping_add(first * k + depth),
            stride: k,
            leads: outputs.saturating_sub(first),
            deep: k - depth,
            fetch: w.wrapping_add((first + of) * k + depth),
            fetch_stride: k,
            to: buffers[at % 2],
            done: 0,
            of: if first < outputs { of } else { 0 },
            each: of.div_ceil(products),
        }
    };
    // SAFETY: promised by the caller; the tiles are configured before and given back after they are used.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE_TILES);
        SCRATCH.with_borrow_mut(|[packed, sums]| {
            fit(packed, packed_len(n, k));
            fit(sums, SUMS * SIDE);
            let source = Source {
                data: x,
                lead: x_row,
                depth: 1,
            };
            fetch_first(w, (of * k).min(outputs * k));
            pack_right(packed.as_mut_ptr(), source, 0..n, 0..k);
            stream(0).rest();
            let mut at = 0;
            for first in (0..outputs).step_by(of) {
                clear();
                for depth in 0..steps {
                    let mut next = stream(at + 1);
                    let rows = std::array::from_fn(|panel| {
                        packed
                            .as_ptr()
                            .wrapping_add((panel * steps + depth) * STEP_LINES)
                    });
                    step(([buffers[at % 2].cast_const(); 3], rows), &mut next);
                    unneeded(depth, spare.as_mut_ptr());
                    at += 1;
                }
                keep(sums.as_mut_ptr());
                for tile in 0..tall * tiles {
                    let (top, left) = (first + tile / tiles * SIDE, tile % tiles * SIDE);
                    if top < outputs {
                        let from = sums.as_ptr().add(tile * SIDE);
                        let to = y.wrapping_add(left * y_row + top);
                        turned(from, (to, y_row), (outputs - top, n - left), add);
                    }
                }
            }
        });
        asm!("tilerelease");
    }
}

/// One tile of sums to a place whose rows are the tile's columns.
#[target_feature(enable = "avx512f")]
unsafe fn turned(
    from: *const Line,
    (to, row): (*mut f32, usize),
    (rows, columns): (usize, usize),
    add: bool,
) {
    let mask = mask(rows);
    // SAFETY: promised by the caller; the mask leaves out what is past the last row.
    unsafe {
        let tile = std::array::from_fn(|i| _mm512_load_ps(from.add(i).cast()));
        for (j, sum) in turn(tile).into_iter().enumerate().take(columns) {
            let to = to.add(j * row);
            let value = if add {
                _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to))
            } else {
                sum
            };
            _mm512_mask_storeu_ps(to, mask, value);
        }
    }
}

/// c [m, n] (+)= factor·a·b with rows of b next to each other in memory and m at most [`MOST_ROWS`], on this thread alone.
///
/// # Safety
/// `super::available` said yes, and every element that sizes and strides name lies inside its operand.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in crate::lm::fast::matmul) unsafe fn product(
    (m, n, k): (usize, usize, usize),
    out: Out,
    a: Left,
    (b, b_row): (*const f32, usize),
) {
    let tiles = m.div_ceil(SIDE);
    let wide = beside(tiles);
    let steps = k.div_ceil(STEP);
    let step: unsafe fn(_, &mut Stream<false>) = match tiles {
        1 => one_by_two,
        2 => two_by_two,
        3 => three_by_two,
        4 => four_by_one,
        5 => five_by_one,
        _ => six_by_one,
    };
    let products = 6 * wide * tiles;
    let of = wide * SIDE;
    let strips = n.div_ceil(of);
    // Steps of one visit.
    let deep = (BLOCK / n / STEP).clamp(2, steps.max(2));
    let mut split_steps = Steps::new();
    let Steps(buffers, spare) = &mut split_steps;
    let buffers = buffers.each_mut().map(|lines| lines.as_mut_ptr());
    let stream = |(block, strip, depth_in): (usize, usize, usize), at: usize| {
        let (first, depth) = (strip * of, (block * deep + depth_in) * STEP);
        Stream::<false> {
            data: b.wrapping_add(depth * b_row + first),
            stride: b_row,
            leads: n - first,
            deep: k.saturating_sub(depth),
            fetch: b.wrapping_add(
                (block + 1) * deep * STEP * b_row + (strip * deep + depth_in) * of * STEP,
            ),
            fetch_stride: STEP,
            to: buffers[at % 2],
            done: 0,
            of: if depth < k { of } else { 0 },
            each: of.div_ceil(products),
        }
    };
    // SAFETY: promised by the caller; the tiles are configured before and given back after they are used.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE_TILES);
        SCRATCH.with_borrow_mut(|[packed, sums]| {
            fit(packed, packed_len(m, k));
            fit(sums, strips * SUMS * SIDE);
            let source = Source {
                data: a.data,
                lead: a.row,
                depth: a.column,
            };
            fetch_first(b, (deep * STEP).min(k) * b_row);
            pack_left(packed.as_mut_ptr(), source, 0..m, 0..k);
            stream((0, 0, 0), 0).rest();
            let mut at = 0;
            for block in 0..steps.div_ceil(deep) {
                let visit = deep.min(steps - block * deep);
                for strip in 0..strips {
                    let own = sums.as_mut_ptr().add(strip * SUMS * SIDE);
                    if block == 0 {
                        clear();
                    } else {
                        fetch(own);
                    }
                    for depth in 0..visit {
                        let place = if depth + 1 < visit {
                            (block, strip, depth + 1)
                        } else if strip + 1 < strips {
                            (block, strip + 1, 0)
                        } else {
                            (block + 1, 0, 0)
                        };
                        let mut next = stream(place, at + 1);
                        let rows = std::array::from_fn(|panel| {
                            let depth = block * deep + depth;
                            packed
                                .as_ptr()
                                .wrapping_add((panel * steps + depth) * STEP_LINES)
                        });
                        step((rows, [buffers[at % 2].cast_const(); 3]), &mut next);
                        unneeded(depth, spare.as_mut_ptr());
                        at += 1;
                    }
                    keep(own);
                }
            }
            for strip in 0..strips {
                for tile in 0..tiles * wide {
                    let (row, column) = (tile / wide * SIDE, strip * of + tile % wide * SIDE);
                    if column < n {
                        let from = sums.as_ptr().add((strip * SUMS + tile) * SIDE);
                        straight(from, out.at(row, column), (m - row, n - column));
                    }
                }
            }
        });
        asm!("tilerelease");
    }
}

/// One tile of sums to its place.
#[target_feature(enable = "avx512f")]
unsafe fn straight(from: *const Line, out: Out, (rows, columns): (usize, usize)) {
    let (mask, factor) = (mask(columns), _mm512_set1_ps(out.factor));
    for i in 0..rows.min(SIDE) {
        // SAFETY: promised by the caller; the mask leaves out what is past the last column.
        unsafe {
            let to = out.data.add(i * out.row);
            let sum = _mm512_load_ps(from.add(i).cast());
            let value = if out.add {
                _mm512_fmadd_ps(sum, factor, _mm512_maskz_loadu_ps(mask, to))
            } else {
                _mm512_mul_ps(sum, factor)
            };
            _mm512_mask_storeu_ps(to, mask, value);
        }
    }
}

const _: () = assert!(SIDE == LANES);
