//! Row-major matrix products in the three forms that a linear layer needs.
//!
//! Where the processor has a matrix unit they run on that, with AVX-512 on tiles of our own, which neither pack nor copy
//! weights for the few rows that a tree of samples has; elsewhere on the `gemm` crate.

use std::{cell::Cell, ops::Range};

use super::kernels;
use gemm::Parallelism;
#[cfg(target_arch = "x86_64")]
use operand::{Left, Out, Right};
pub(super) use spread::Spread;
use spread::{Shared, SharedConst, WORTH_A_THREAD, split};
use unit::Unit;
pub(super) use update::{Piece, TALL, update};

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod operand;
mod spread;
#[cfg(test)]
mod tests;
mod unit;
mod update;

/// Numbers in the widest register.
pub(super) const LANES: usize = 16;
/// Registers in a row of a tile.
const TILE: usize = 4;

/// One register's worth of numbers, aligned as loads like it.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Line(pub(super) [f32; LANES]);

/// Floating-point operations a second that one core of this machine reaches over whole steps of training, roughly: for
/// telling how long a step will take before a model is loaded.
#[must_use]
pub fn training_rate() -> f64 {
    Unit::best().rate()
}

/// y [n, out] (+)= x [n, in] · wᵀ, with w [out, in].
pub(super) fn forward(
    y: &mut [f32],
    x: &[f32],
    w: &[f32],
    sizes: (usize, usize, usize),
    add: bool,
    spread: Spread,
) {
    forward_on(Unit::best(), y, x, w, sizes, add, spread);
}

fn forward_on(
    unit: Unit,
    y: &mut [f32],
    x: &[f32],
    w: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
    spread: Spread,
) {
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Portable {
        assert!(
            y.len() >= n * outputs && x.len() >= n * inputs && w.len() >= outputs * inputs,
            "a matrix product reaches past its operands"
        );
        let unit = unit.worth((n, outputs, inputs));
        let borders = if unit == Unit::Vectors {
            FEW_OUTPUTS
        } else {
            unit.borders().0
        };
        let (y, x) = (Shared(y.as_mut_ptr()), SharedConst(x.as_ptr()));
        let w = SharedConst(w.as_ptr());
        // A row or two wait for the weights, which two threads bring sooner.
        let work = n.max(4) * inputs * outputs;
        split(outputs, borders, work, spread, |part| {
            #[expect(unsafe_code, reason = "vector instructions and strided operands")]
            // SAFETY: the instructions were found, the lengths checked; parts are columns of y that no other part writes.
            unsafe {
                let w = w.at(part.start * inputs);
                if unit == Unit::Matrix {
                    // Weights are read once, straight on, as the rows of a product whose columns are the rows of x.
                    let out = Out {
                        data: y.at(part.start),
                        row: outputs,
                        add,
                        factor: 1.0,
                        streamed: false,
                        turned: true,
                    };
                    let weights = Left {
                        data: w,
                        row: inputs,
                        column: 1,
                    };
                    let rows = Right::Strided {
                        data: x.at(0),
                        row: 1,
                        column: inputs,
                    };
                    return unit.product((part.len(), n, inputs), out, weights, rows);
                }
                let sizes = (n, part.len(), inputs);
                let (y, x) = ((y.at(part.start), outputs), (x.at(0), inputs));
                if unit == Unit::Streaming {
                    amx::thin::forward(sizes, y, x, w, add);
                } else if n > FEW_ROWS {
                    avx512::sideways(sizes, y, x, w, add);
                } else {
                    avx512::dots(sizes, y, x, w, add);
                }
            }
            0.0
        });
        return;
    }
    let _ = product_on(
        unit,
        (n, outputs, inputs),
        (y, outputs),
        (x, inputs, 1),
        (w, 1, inputs),
        add,
        1.0,
        spread,
    );
}

/// y [n, out] (+)= x [n, in] · wᵀ, with w [out, in] as [`pack`] left it, on this thread alone.
pub(super) fn forward_packed(
    y: &mut [f32],
    x: &[f32],
    packed: &[Line],
    sizes: (usize, usize, usize),
    add: bool,
) {
    forward_packed_on(Unit::best(), y, x, packed, sizes, add);
}

fn forward_packed_on(
    unit: Unit,
    y: &mut [f32],
    x: &[f32],
    packed: &[Line],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
) {
    assert!(
        y.len() >= n * outputs
            && x.len() >= n * inputs
            && packed.len() == packed_len_on(unit, outputs, inputs),
        "a matrix product reaches past its operands"
    );
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Portable {
        #[expect(unsafe_code, reason = "vector instructions and strided operands")]
        // SAFETY: the instructions were found and the lengths just checked.
        unsafe {
            unit.product(
                (n, outputs, inputs),
                Out {
                    data: y.as_mut_ptr(),
                    row: outputs,
                    add,
                    factor: 1.0,
                    streamed: false,
                    turned: false,
                },
                Left {
                    data: x.as_ptr(),
                    row: inputs,
                    column: 1,
                },
                Right::Packed(packed.as_ptr().cast()),
            );
        }
        return;
    }
    for panel in panels(outputs) {
        for row in 0..n {
            let x = &x[row * inputs..][..inputs];
            for v in panel.clone() {
                let mut sums = [0.0f32; LANES];
                let lines = packed[panel.start * inputs..][..panel.len() * inputs].iter();
                let lines = lines.skip(v - panel.start).step_by(panel.len());
                for (x, line) in x.iter().zip(lines) {
                    for (sum, w) in sums.iter_mut().zip(line.0) {
                        *sum += x * w;
                    }
                }
                let y = &mut y[row * outputs..][..outputs];
                for (y, sum) in y[v * LANES..].iter_mut().zip(sums) {
                    *y = if add { *y + sum } else { sum };
                }
            }
        }
    }
}

/// Lines that [`pack`] fills for a matrix.
pub(super) fn packed_len(outputs: usize, inputs: usize) -> usize {
    packed_len_on(Unit::best(), outputs, inputs)
}

fn packed_len_on(unit: Unit, outputs: usize, inputs: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if unit == Unit::Matrix {
        return amx::packed_len(outputs, inputs);
    }
    let _ = unit;
    outputs.div_ceil(LANES) * inputs
}

/// Lays w [out, in] out for [`forward_packed`].
pub(super) fn pack(packed: &mut [Line], w: &[f32], shape: (usize, usize)) {
    pack_on(Unit::best(), packed, w, shape);
}

/// For the matrix unit as that wants it; else panels of up to 64 outputs, within one input by input.
fn pack_on(unit: Unit, packed: &mut [Line], w: &[f32], (outputs, inputs): (usize, usize)) {
    assert!(
        w.len() >= outputs * inputs && packed.len() == packed_len_on(unit, outputs, inputs),
        "packing reaches past its operands"
    );
    #[cfg(target_arch = "x86_64")]
    if unit == Unit::Matrix {
        #[expect(unsafe_code, reason = "vector instructions and strided operands")]
        // SAFETY: the instructions were found and the lengths just checked.
        unsafe {
            amx::pack(packed, w.as_ptr(), (outputs, inputs));
        }
        return;
    }
    for panel in panels(outputs) {
        for v in panel.clone() {
            let lines = &mut packed[panel.start * inputs..][..panel.len() * inputs];
            for lane in 0..LANES {
                let o = v * LANES + lane;
                let row = (o < outputs).then(|| &w[o * inputs..][..inputs]);
                let lines = lines.iter_mut().skip(v - panel.start);
                for (i, line) in lines.step_by(panel.len()).enumerate() {
                    line.0[lane] = row.map_or(0.0, |row| row[i]);
                }
            }
        }
    }
}

/// The columns of a matrix in registers, dealt evenly over panels of at most four registers.
fn panels(columns: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let vectors = columns.div_ceil(LANES);
    let count = vectors.div_ceil(TILE);
    (0..count).map(move |i| vectors * i / count..vectors * (i + 1) / count)
}

/// dx [n, in] (+)= dy [n, out] · w.
pub(super) fn backward_input(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
) {
    let _ = product(
        (n, inputs, outputs),
        (dx, inputs),
        (dy, outputs, 1),
        (w, inputs, 1),
        add,
        1.0,
        Spread::Threads,
    );
}

/// dw [out, in] = dyᵀ · x; returns Σ dw² where that came for free.
pub(super) fn backward_weight(
    dw: &mut [f32],
    dy: &[f32],
    x: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
) -> Option<f64> {
    product(
        (outputs, inputs, n),
        (dw, inputs),
        (dy, 1, outputs),
        (x, inputs, 1),
        false,
        1.0,
        Spread::Threads,
    )
}

/// c [m, n] (+)= factor·a·b, with a [m, k] and b [k, n]; `a` and `b` come with their (row, column) strides, `c` with its
/// row stride. One of the strides of `a` is 1. A large result that lies on cache lines and takes one visit bypasses the
/// caches; the sum of its squares is then returned.
pub(super) fn product(
    sizes: (usize, usize, usize),
    c: (&mut [f32], usize),
    a: (&[f32], usize, usize),
    b: (&[f32], usize, usize),
    add: bool,
    factor: f32,
    spread: Spread,
) -> Option<f64> {
    product_on(Unit::best(), sizes, c, a, b, add, factor, spread)
}

#[expect(clippy::too_many_arguments, reason = "a product has that many")]
fn product_on(
    unit: Unit,
    (m, n, k): (usize, usize, usize),
    (c, c_stride): (&mut [f32], usize),
    (a, a_row, a_column): (&[f32], usize, usize),
    (b, b_row, b_column): (&[f32], usize, usize),
    add: bool,
    factor: f32,
    spread: Spread,
) -> Option<f64> {
    if m == 0 || n == 0 || k == 0 {
        if !add {
            for row in 0..m {
                c[row * c_stride..][..n].fill(0.0);
            }
        }
        return None;
    }
    let last = |rows: usize, columns: usize, row: usize, column: usize| {
        (rows - 1) * row + (columns - 1) * column
    };
    assert!(
        c_stride >= n
            && last(m, n, c_stride, 1) < c.len()
            && last(m, k, a_row, a_column) < a.len()
            && last(k, n, b_row, b_column) < b.len()
            && (a_row == 1 || a_column == 1),
        "a matrix product reaches past its operands"
    );
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Portable {
        let unit = unit.worth((m, n, k));
        let c = Shared(c.as_mut_ptr());
        let (a, b) = (SharedConst(a.as_ptr()), SharedConst(b.as_ptr()));
        if spread == Spread::Threads
            && (unit == Unit::Streaming || k >= DEEP && n * k >= LARGE && m < n)
        {
            deep(
                unit,
                (m, n, k),
                (c, c_stride),
                (a, a_row, a_column),
                (b, b_row, b_column),
                add,
                factor,
            );
            return None;
        }
        // Tall results are dealt by rows, wide ones by columns: then a large right operand is read once in all.
        let by_rows = m >= n;
        let borders = unit.borders();
        let (size, border) = if by_rows {
            (m, borders.0)
        } else {
            (n, borders.1)
        };
        let streamed = operand::streams((m, n, k), c.at(0), c_stride, add);
        let border = if streamed { border.max(LANES) } else { border };
        let squares = split(size, border, m * n * k, spread, |part| {
            let (row, column) = if by_rows {
                (part.start, 0)
            } else {
                (0, part.start)
            };
            let (m, n) = if by_rows {
                (part.len(), n)
            } else {
                (m, part.len())
            };
            #[expect(unsafe_code, reason = "vector instructions and strided operands")]
            // SAFETY: the instructions were found, the farthest elements checked; parts write rows or columns of their own.
            unsafe {
                unit.product(
                    (m, n, k),
                    Out {
                        data: c.at(row * c_stride + column),
                        row: c_stride,
                        add,
                        factor,
                        streamed,
                        turned: false,
                    },
                    Left {
                        data: a.at(row * a_row),
                        row: a_row,
                        column: a_column,
                    },
                    Right::Strided {
                        data: b.at(column * b_column),
                        row: b_row,
                        column: b_column,
                    },
                )
            }
        });
        return streamed.then_some(squares);
    }
    portable(
        (m, n, k),
        (c, c_stride),
        (a, a_row, a_column),
        (b, b_row, b_column),
        add,
        factor,
        spread,
    );
    None
}

/// Depth and size of a right operand that is worth reading straight on.
const DEEP: usize = 256;
const LARGE: usize = 1 << 18;

/// [`product`] with few rows and a large right operand: each thread takes a stretch of the depth, so that it reads memory
/// straight on, and the sums of all are added at the end.
#[cfg(target_arch = "x86_64")]
fn deep(
    unit: Unit,
    (m, n, k): (usize, usize, usize),
    (c, c_stride): (Shared, usize),
    (a, a_row, a_column): (SharedConst, usize, usize),
    (b, b_row, b_column): (SharedConst, usize, usize),
    add: bool,
    factor: f32,
) {
    thread_local! {
        static SUMS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    }
    let threads = rayon::current_num_threads().min(k / 64);
    let others = threads.saturating_sub(1);
    let mut sums = SUMS.take();
    sums.resize(sums.len().max(others * m * n), 0.0);
    let shared = Shared(sums.as_mut_ptr());
    split(threads, 1, m * n * k, Spread::Threads, |parts| {
        let depth = k * parts.start / threads..k * parts.end / threads;
        let (data, row) = match parts.start {
            0 => (c.at(0), c_stride),
            other => (shared.at((other - 1) * m * n), n),
        };
        #[expect(unsafe_code, reason = "vector instructions and strided operands")]
        // SAFETY: as for `product`; the first part writes the result, every other one sums of its own.
        unsafe {
            unit.product(
                (m, n, depth.len()),
                Out {
                    data,
                    row,
                    add: add && parts.start == 0,
                    factor,
                    streamed: false,
                    turned: false,
                },
                Left {
                    data: a.at(depth.start * a_column),
                    row: a_row,
                    column: a_column,
                },
                Right::Strided {
                    data: b.at(depth.start * b_row),
                    row: b_row,
                    column: b_column,
                },
            )
        }
    });
    // One part may have done it all.
    let done = if m * n * k >= WORTH_A_THREAD {
        others
    } else {
        0
    };
    for sums in sums.chunks_exact(m * n).take(done) {
        for (row, sums) in sums.chunks_exact(n).enumerate() {
            #[expect(
                unsafe_code,
                reason = "the result is shared with the threads above, which are done"
            )]
            // SAFETY: the row lies inside the result, whose farthest element `product` checked.
            let c = unsafe { std::slice::from_raw_parts_mut(c.at(row * c_stride), n) };
            kernels::add_scaled(c, sums, 1.0);
        }
    }
    SUMS.set(sums);
}

/// [`product`] by the gemm crate, where there is no AVX-512.
fn portable(
    (m, n, k): (usize, usize, usize),
    (c, c_stride): (&mut [f32], usize),
    (a, a_row, a_column): (&[f32], usize, usize),
    (b, b_row, b_column): (&[f32], usize, usize),
    add: bool,
    factor: f32,
    spread: Spread,
) {
    let parallelism = match spread {
        Spread::Threads if m * n * k >= WORTH_A_THREAD => Parallelism::Rayon(0),
        Spread::Threads | Spread::Alone => Parallelism::None,
    };
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    // SAFETY: `product` checked the farthest element of each operand, and rows of `c` do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_stride as isize,
            add,
            a.as_ptr(),
            a_column as isize,
            a_row as isize,
            b.as_ptr(),
            b_column as isize,
            b_row as isize,
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Outputs that both forms of the forward finish together.
const FEW_OUTPUTS: usize = 12;
/// Rows up to which a forward is best made of dot products.
const FEW_ROWS: usize = 24;
