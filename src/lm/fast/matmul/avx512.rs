//! Tiles of matrix products with AVX-512: 24 registers of sums, fed by a few loads each step.
//!
//! Two forms. [`product`] reads its right operand along rows, packed into panels as wide as a tile: for both products of
//! the backward, and for the forward where weights were packed ahead. [`dots`] multiplies rows with rows, so that the
//! forward of a large model reads its weights once, as they lie, however few rows there are.

#![expect(unsafe_code, reason = "vector instructions and strided operands")]

use std::{arch::x86_64::*, cell::RefCell, ops::Range};

use super::{
    LANES, Line,
    operand::{Left, ONE_VISIT, Out, Right},
    panels,
};
use crate::lm::fast::registers::{four_sums, mask};

/// Rows of a tile.
const ROWS: usize = 6;
/// Steps between two visits of a tile's sums: a panel of 160 × 64 numbers stays in the nearest cache.
const DEPTH: usize = ONE_VISIT;
/// Rows between two visits of a panel: 192 × 160 numbers stay in the second cache.
const TALL: usize = 192;
/// Columns of a tile.
const WIDTH: usize = 64;
/// Columns packed at once.
const COLUMNS: usize = 768;

thread_local! {
    static PANELS: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// c [m, n] (+)= factor·a·b, on this thread alone; returns Σ c² where that is streamed, else 0.
///
/// # Safety
/// AVX-512 F and VL are there, and every element that sizes and strides name lies inside its operand.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) unsafe fn product((m, n, k): (usize, usize, usize), out: Out, a: Left, b: Right) -> f64 {
    let mut squares = 0.0;
    let step = match b {
        Right::Strided { .. } => COLUMNS,
        Right::Packed(_) => n,
    };
    PANELS.with_borrow_mut(|scratch| {
        for first in (0..n).step_by(step) {
            let columns = first..n.min(first + step);
            let steps = k.div_ceil(DEPTH);
            for block in 0..steps {
                let depth = k * block / steps..k * (block + 1) / steps;
                let (packed, whole) = match b {
                    Right::Packed(data) => (data, k),
                    Right::Strided { data, row, column } => {
                        // SAFETY: promised by the caller.
                        unsafe { pack(scratch, data, row, column, depth.clone(), columns.clone()) };
                        (scratch.as_ptr().cast::<f32>(), depth.len())
                    }
                };
                let skip = match b {
                    Right::Packed(_) => depth.start,
                    Right::Strided { .. } => 0,
                };
                let out = Out {
                    add: out.add || block > 0,
                    ..out
                };
                let mut next =
                    Ahead::new(b, depth.end..k.min(depth.end + depth.len()), &columns, {
                        m.div_ceil(ROWS) * columns.len().div_ceil(WIDTH)
                    });
                for top in (0..m).step_by(TALL) {
                    let mut total = _mm512_setzero_ps();
                    if a.row == 1 && a.column != 1 {
                        // Down a column the hardware does not look ahead.
                        for p in depth.clone() {
                            for r in (top..m.min(top + TALL)).step_by(LANES) {
                                let at = a.data.wrapping_add(r + p * a.column);
                                _mm_prefetch::<_MM_HINT_T1>(at.cast());
                            }
                        }
                    }
                    for panel in panels(columns.len()) {
                        let vectors = panel.len();
                        // SAFETY: the panel lies inside the packed columns.
                        let b =
                            unsafe { packed.add((panel.start * whole + skip * vectors) * LANES) };
                        let at = first + panel.start * LANES;
                        let width = (columns.end - at).min(vectors * LANES);
                        for row in (top..m.min(top + TALL)).step_by(ROWS) {
                            let rows = (m.min(top + TALL) - row).min(ROWS);
                            next.fetch();
                            // SAFETY: rows, columns and depth lie inside the operands.
                            unsafe {
                                let a_at = a.data.add(row * a.row + depth.start * a.column);
                                let out = Out {
                                    data: out.data.add(row * out.row + at),
                                    ..out
                                };
                                if a.column == 1 {
                                    pick::<false>(
                                        (rows, vectors, width),
                                        depth.len(),
                                        (a_at, a.row),
                                        b,
                                        out,
                                        &mut total,
                                    );
                                } else {
                                    pick::<true>(
                                        (rows, vectors, width),
                                        depth.len(),
                                        (a_at, a.column),
                                        b,
                                        out,
                                        &mut total,
                                    );
                                }
                            }
                        }
                    }
                    squares += f64::from(_mm512_reduce_add_ps(total));
                }
            }
        }
    });
    if out.streamed {
        // What bypassed the caches is there for the other threads from here on.
        _mm_sfence();
    }
    squares
}

/// The block of a large right operand that comes next, fetched a few lines at a time while this one is multiplied.
struct Ahead {
    data: *const f32,
    stride: usize,
    rows: Range<usize>,
    lines: usize,
    line: usize,
    each: usize,
}

impl Ahead {
    fn new(b: Right, rows: Range<usize>, columns: &Range<usize>, tiles: usize) -> Self {
        let lines = columns.len().div_ceil(LANES);
        match b {
            Right::Strided {
                data,
                row,
                column: 1,
            } => Self {
                data: data.wrapping_add(columns.start),
                stride: row,
                each: (rows.len() * lines).div_ceil(tiles.max(1)),
                rows,
                lines,
                line: 0,
            },
            Right::Strided { data, .. } | Right::Packed(data) => Self {
                data,
                stride: 0,
                rows: 0..0,
                lines,
                line: 0,
                each: 0,
            },
        }
    }

    #[inline]
    fn fetch(&mut self) {
        for _ in 0..self.each {
            if self.rows.is_empty() {
                return;
            }
            let at = (self.data).wrapping_add(self.rows.start * self.stride + self.line * LANES);
            // SAFETY: fetching ahead may reach past the end.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
            self.line += 1;
            if self.line == self.lines {
                self.line = 0;
                self.rows.start += 1;
            }
        }
    }
}

/// Copies a block of the right operand into panels, columns past the end as zeros.
///
/// # Safety
/// AVX-512 F and VL are there, and the block lies inside the operand.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) unsafe fn pack(
    scratch: &mut Vec<Line>,
    data: *const f32,
    row: usize,
    column: usize,
    depth: Range<usize>,
    columns: Range<usize>,
) {
    let vectors = columns.len().div_ceil(LANES);
    let needed = vectors * depth.len();
    if scratch.len() < needed {
        scratch.resize(needed, Line::default());
    }
    let to = scratch.as_mut_ptr().cast::<f32>();
    let ragged = columns.len() % LANES;
    let last = if ragged == 0 {
        !0
    } else {
        (1u16 << ragged) - 1
    };
    for (index, p) in depth.clone().enumerate() {
        // SAFETY: rows `depth` and `columns` lie inside the operand; the scratch was just sized.
        unsafe {
            let from = data.add(p * row + columns.start * column);
            if column == 1 {
                // The rows to come: the hardware does not look ahead over strides.
                let ahead = from.wrapping_add(4 * row);
                for panel in panels(columns.len()) {
                    for v in panel.clone() {
                        _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(v * LANES).cast());
                        let mask = if v + 1 == vectors { last } else { !0 };
                        let value = _mm512_maskz_loadu_ps(mask, from.add(v * LANES));
                        let at = panel.start * depth.len() + index * panel.len() + v - panel.start;
                        _mm512_store_ps(to.add(at * LANES), value);
                    }
                }
            } else {
                for panel in panels(columns.len()) {
                    for v in panel.clone() {
                        let at = panel.start * depth.len() + index * panel.len() + v - panel.start;
                        for lane in 0..LANES {
                            let j = v * LANES + lane;
                            let value = if j < columns.len() {
                                *from.add(j * column)
                            } else {
                                0.0
                            };
                            *to.add(at * LANES + lane) = value;
                        }
                    }
                }
            }
        }
    }
}

/// Runs the tile of a size. `DOWN` says that the left operand's rows, and not its columns, lie next to each other.
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn pick<const DOWN: bool>(
    (rows, vectors, width): (usize, usize, usize),
    depth: usize,
    a: (*const f32, usize),
    b: *const f32,
    out: Out,
    total: &mut __m512,
) {
    macro_rules! tiles {
        ($($r:literal $v:literal)*) => {
            match (rows, vectors) {
                // SAFETY: promised by the caller.
                $(($r, $v) => unsafe { tile::<$r, $v, DOWN>(depth, a, b, out, width, total) },)*
                _ => {}
            }
        };
    }
    tiles!(6 4 6 3 6 2 6 1 5 4 5 3 5 2 5 1 4 4 4 3 4 2 4 1 3 4 3 3 3 2 3 1 2 4 2 3 2 2 2 1 1 4 1 3 1 2 1 1);
}

#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn tile<const R: usize, const V: usize, const DOWN: bool>(
    depth: usize,
    (a, stride): (*const f32, usize),
    b: *const f32,
    out: Out,
    width: usize,
    total: &mut __m512,
) {
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    // SAFETY: promised by the caller.
    unsafe {
        // Where the sums go is fetched while they are made.
        if !out.streamed {
            for r in 0..R {
                for v in 0..V {
                    let to = out.data.wrapping_add(r * out.row + v * LANES);
                    _mm_prefetch::<_MM_HINT_ET0>(to.cast());
                }
            }
        }
        for p in 0..depth {
            let mut right = [_mm512_setzero_ps(); V];
            for (v, right) in right.iter_mut().enumerate() {
                *right = _mm512_load_ps(b.add((p * V + v) * LANES));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let at = if DOWN { p * stride + r } else { r * stride + p };
                let left = _mm512_set1_ps(*a.add(at));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_fmadd_ps(left, right, *sum);
                }
            }
        }
        let factor = _mm512_set1_ps(out.factor);
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let c = out.data.add(r * out.row + v * LANES);
                let mask = mask(width - v * LANES);
                let value = if out.add {
                    _mm512_fmadd_ps(*sum, factor, _mm512_maskz_loadu_ps(mask, c))
                } else {
                    _mm512_mul_ps(*sum, factor)
                };
                if out.streamed {
                    *total = _mm512_fmadd_ps(value, value, *total);
                    _mm512_stream_ps(c, value);
                } else if mask == !0 {
                    _mm512_storeu_ps(c, value);
                } else {
                    _mm512_mask_storeu_ps(c, mask, value);
                }
            }
        }
    }
}

/// Outputs between two visits of their weights: 32 rows of weights stay in the second cache.
const OUTPUTS: usize = 32;
/// Numbers that weights are fetched ahead: the loads of few rows would wait for them.
const AHEAD: usize = 512;
/// Outputs of a tile of dot products.
const FOUR: usize = 4;
/// Inputs between two visits of a tile's sums, so that its rows stay in the nearest cache.
const INPUTS: usize = 1024;

/// y [n, outputs] (+)= x [n, k]·wᵀ, with w [outputs, k], on this thread alone. Strides are those of rows.
///
/// The four outputs of a tile lie a quarter of all apart: four places of the weights are read straight on, which is what
/// the hardware fetches ahead best.
///
/// # Safety
/// AVX-512 F and VL are there, and the rows lie inside their operands.
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) unsafe fn dots(
    (n, outputs, k): (usize, usize, usize),
    (y, y_row): (*mut f32, usize),
    (x, x_row): (*const f32, usize),
    w: *const f32,
    add: bool,
) {
    let apart = outputs.div_ceil(FOUR);
    let blocks = k.div_ceil(INPUTS);
    for first in (0..apart).step_by(OUTPUTS / FOUR) {
        for block in 0..blocks {
            let inputs = k * block / blocks..k * (block + 1) / blocks;
            let add = add || block > 0;
            for row in (0..n).step_by(ROWS) {
                for o in first..apart.min(first + OUTPUTS / FOUR) {
                    let count = (outputs - o).div_ceil(apart);
                    let tile = Dots {
                        inputs: inputs.len(),
                        x: x.wrapping_add(row * x_row + inputs.start),
                        x_row,
                        w: w.wrapping_add(o * k + inputs.start),
                        w_row: apart * k,
                        y: y.wrapping_add(row * y_row + o),
                        y_row,
                        apart,
                        count,
                        ahead: if row == 0 { AHEAD } else { 0 },
                        add,
                    };
                    // SAFETY: promised by the caller.
                    unsafe {
                        match (n - row).min(ROWS) {
                            1 => dot_tile::<1>(tile),
                            2 => dot_tile::<2>(tile),
                            3 => dot_tile::<3>(tile),
                            4 => dot_tile::<4>(tile),
                            5 => dot_tile::<5>(tile),
                            _ => dot_tile::<6>(tile),
                        }
                    }
                }
            }
        }
    }
}

/// One tile of [`dots`]: up to four outputs, `apart` from each other.
#[derive(Clone, Copy)]
struct Dots {
    inputs: usize,
    x: *const f32,
    x_row: usize,
    w: *const f32,
    w_row: usize,
    y: *mut f32,
    y_row: usize,
    apart: usize,
    count: usize,
    /// How far ahead weights are fetched; not at all when 0.
    ahead: usize,
    add: bool,
}

#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn dot_tile<const R: usize>(tile: Dots) {
    let mut sums = [[_mm512_setzero_ps(); FOUR]; R];
    let weights: [*const f32; FOUR] =
        std::array::from_fn(|o| tile.w.wrapping_add(o.min(tile.count - 1) * tile.w_row));
    let (x, x_row, k) = (tile.x, tile.x_row, tile.inputs);
    // SAFETY: promised by the caller.
    unsafe {
        let mut step = |p: usize, mask: Option<__mmask16>| {
            let load = |from: *const f32| match mask {
                None => _mm512_loadu_ps(from),
                Some(mask) => _mm512_maskz_loadu_ps(mask, from),
            };
            let mut right = [_mm512_setzero_ps(); FOUR];
            for (right, w) in right.iter_mut().zip(weights) {
                if tile.ahead > 0 {
                    _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(p + tile.ahead).cast());
                }
                *right = load(w.add(p));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = load(x.add(r * x_row + p));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_fmadd_ps(left, right, *sum);
                }
            }
        };
        let whole = k / LANES * LANES;
        for p in (0..whole).step_by(LANES) {
            step(p, None);
        }
        if whole < k {
            step(whole, Some(mask(k - whole)));
        }
        for (r, sums) in sums.iter().enumerate() {
            for (o, value) in four_sums(*sums).into_iter().enumerate().take(tile.count) {
                let y = tile.y.add(r * tile.y_row + o * tile.apart);
                *y = if tile.add { *y + value } else { value };
            }
        }
    }
}

/// As [`dots`], for more rows: x is packed on its side, so that a tile's registers run over rows of x and each weight is
/// read once, straight on, and multiplied with all of them.
///
/// # Safety
/// As for [`dots`].
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) unsafe fn sideways(
    (n, outputs, k): (usize, usize, usize),
    (y, y_row): (*mut f32, usize),
    (x, x_row): (*const f32, usize),
    w: *const f32,
    add: bool,
) {
    PANELS.with_borrow_mut(|scratch| {
        let vectors = n.div_ceil(LANES);
        if scratch.len() < vectors * k {
            scratch.resize(vectors * k, Line::default());
        }
        let packed = scratch.as_mut_ptr().cast::<f32>();
        for panel in panels(n) {
            for row in panel.start * LANES..panel.end * LANES {
                let at = panel.start * k * LANES + row - panel.start * LANES;
                for p in 0..k {
                    // SAFETY: the scratch was just sized; rows of x are read only where there are some.
                    unsafe {
                        let value = if row < n { *x.add(row * x_row + p) } else { 0.0 };
                        *packed.add(at + p * panel.len() * LANES) = value;
                    }
                }
            }
        }
        for o in (0..outputs).step_by(ROWS) {
            for panel in panels(n) {
                let tile = Sideways {
                    k,
                    w: w.wrapping_add(o * k),
                    x: packed.wrapping_add(panel.start * k * LANES),
                    y: y.wrapping_add(panel.start * LANES * y_row + o),
                    y_row,
                    rows: n.min(panel.end * LANES) - panel.start * LANES,
                    ahead: if panel.start == 0 { ROWS * k } else { 0 },
                    add,
                };
                macro_rules! tiles {
                    ($($r:literal $v:literal)*) => {
                        match ((outputs - o).min(ROWS), panel.len()) {
                            // SAFETY: promised by the caller.
                            $(($r, $v) => unsafe { side_tile::<$r, $v>(tile) },)*
                            _ => {}
                        }
                    };
                }
                tiles!(6 4 6 3 6 2 6 1 5 4 5 3 5 2 5 1 4 4 4 3 4 2 4 1 3 4 3 3 3 2 3 1 2 4 2 3 2 2 2 1 1 4 1 3 1 2 1 1);
            }
        }
    });
}

/// One tile of [`sideways`].
#[derive(Clone, Copy)]
struct Sideways {
    k: usize,
    w: *const f32,
    x: *const f32,
    y: *mut f32,
    y_row: usize,
    rows: usize,
    /// How far ahead weights are fetched; not at all when 0.
    ahead: usize,
    add: bool,
}

#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn side_tile<const R: usize, const V: usize>(tile: Sideways) {
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    // SAFETY: promised by the caller; what is fetched ahead may lie past the end.
    unsafe {
        for first in (0..tile.k).step_by(LANES) {
            if tile.ahead > 0 {
                for r in 0..R {
                    let next = tile.w.wrapping_add(tile.ahead + r * tile.k + first);
                    _mm_prefetch::<_MM_HINT_T0>(next.cast());
                }
            }
            for p in first..tile.k.min(first + LANES) {
                let mut right = [_mm512_setzero_ps(); V];
                for (v, right) in right.iter_mut().enumerate() {
                    *right = _mm512_load_ps(tile.x.add((p * V + v) * LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let left = _mm512_set1_ps(*tile.w.add(r * tile.k + p));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = _mm512_fmadd_ps(left, right, *sum);
                    }
                }
            }
        }
        let mut turned = [[Line::default(); V]; R];
        for (turned, sums) in turned.iter_mut().zip(sums) {
            for (line, sum) in turned.iter_mut().zip(sums) {
                _mm512_store_ps(line.0.as_mut_ptr(), sum);
            }
        }
        for row in 0..tile.rows {
            for (r, turned) in turned.iter().enumerate() {
                let value = turned[row / LANES].0[row % LANES];
                let y = tile.y.add(row * tile.y_row + r);
                *y = if tile.add { *y + value } else { value };
            }
        }
    }
}
