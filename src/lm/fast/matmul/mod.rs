//! Row-major matrix products in the three forms that a linear layer needs.
//!
//! With AVX-512 they run on tiles of our own, which neither pack nor copy weights for the few rows that a tree of samples
//! has; elsewhere on the `gemm` crate.

use std::{cell::Cell, ops::Range};

use gemm::Parallelism;
use rayon::prelude::*;

use super::kernels;

#[cfg(target_arch = "x86_64")]
mod avx512;

/// Multiply-adds below which a second thread costs more than it brings.
const WORTH_A_THREAD: usize = 1 << 20;
/// Numbers in the widest register.
pub(super) const LANES: usize = 16;
/// Registers in a row of a tile.
const TILE: usize = 4;

/// One register's worth of numbers, aligned as loads like it.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Line([f32; LANES]);

/// How a product may spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// Over the threads of the pool, where it is large enough.
    Threads,
    /// Nowhere: the caller already runs on every thread.
    Alone,
}

/// y [n, out] (+)= x [n, in] · wᵀ, with w [out, in].
pub(super) fn forward(
    y: &mut [f32],
    x: &[f32],
    w: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
    spread: Spread,
) {
    #[cfg(target_arch = "x86_64")]
    if kernels::level() == kernels::Level::Wide {
        assert!(
            y.len() >= n * outputs && x.len() >= n * inputs && w.len() >= outputs * inputs,
            "a matrix product reaches past its operands"
        );
        let (y, x) = (Shared(y.as_mut_ptr()), SharedConst(x.as_ptr()));
        let w = SharedConst(w.as_ptr());
        split(outputs, FEW_OUTPUTS, n * inputs * outputs, spread, |part| {
            #[expect(unsafe_code, reason = "vector instructions and strided operands")]
            // SAFETY: the instructions were found, the lengths checked; parts are columns of y that no other part writes.
            unsafe {
                let (sizes, w) = ((n, part.len(), inputs), w.at(part.start * inputs));
                let (y, x) = ((y.at(part.start), outputs), (x.at(0), inputs));
                if n > FEW_ROWS {
                    avx512::sideways(sizes, y, x, w, add);
                } else {
                    avx512::dots(sizes, y, x, w, add);
                }
            }
            0.0
        });
        return;
    }
    let _ = product(
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
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
) {
    assert!(
        y.len() >= n * outputs
            && x.len() >= n * inputs
            && packed.len() == packed_len(outputs, inputs),
        "a matrix product reaches past its operands"
    );
    #[cfg(target_arch = "x86_64")]
    if kernels::level() == kernels::Level::Wide {
        #[expect(unsafe_code, reason = "vector instructions and strided operands")]
        // SAFETY: the instructions were found and the lengths just checked.
        unsafe {
            avx512::product(
                (n, outputs, inputs),
                avx512::Out {
                    data: y.as_mut_ptr(),
                    row: outputs,
                    add,
                    factor: 1.0,
                    streamed: false,
                },
                avx512::Left {
                    data: x.as_ptr(),
                    row: inputs,
                    column: 1,
                },
                avx512::Right::Packed(packed.as_ptr().cast()),
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
    outputs.div_ceil(LANES) * inputs
}

/// Lays w [out, in] out for [`forward_packed`]: panels of up to 64 outputs, within one input by input.
pub(super) fn pack(packed: &mut [Line], w: &[f32], (outputs, inputs): (usize, usize)) {
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
    if kernels::level() == kernels::Level::Wide {
        let c = Shared(c.as_mut_ptr());
        let (a, b) = (SharedConst(a.as_ptr()), SharedConst(b.as_ptr()));
        if spread == Spread::Threads && k >= DEEP && n * k >= LARGE && m < n {
            deep(
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
        let (size, unit) = if by_rows { (m, 6) } else { (n, LANES) };
        let streamed = avx512::streams((m, n, k), c.at(0), c_stride, add);
        let unit = if streamed { unit.max(LANES) } else { unit };
        let squares = split(size, unit, m * n * k, spread, |part| {
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
                avx512::product(
                    (m, n, k),
                    avx512::Out {
                        data: c.at(row * c_stride + column),
                        row: c_stride,
                        add,
                        factor,
                        streamed,
                    },
                    avx512::Left {
                        data: a.at(row * a_row),
                        row: a_row,
                        column: a_column,
                    },
                    avx512::Right::Strided {
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
            avx512::product(
                (m, n, depth.len()),
                avx512::Out {
                    data,
                    row,
                    add: add && parts.start == 0,
                    factor,
                    streamed: false,
                },
                avx512::Left {
                    data: a.at(depth.start * a_column),
                    row: a_row,
                    column: a_column,
                },
                avx512::Right::Strided {
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

/// Runs `run` on parts of `0..size` whose borders are multiples of `unit`, one part per thread where the work is worth it;
/// returns the sum of what it returns.
fn split(
    size: usize,
    unit: usize,
    work: usize,
    spread: Spread,
    run: impl Fn(Range<usize>) -> f64 + Sync,
) -> f64 {
    let threads = match spread {
        Spread::Threads if work >= WORTH_A_THREAD => rayon::current_num_threads(),
        Spread::Threads | Spread::Alone => 1,
    };
    let units = size.div_ceil(unit);
    let threads = threads.min(units);
    if threads < 2 {
        return run(0..size);
    }
    let border = |i: usize| (units * i / threads * unit).min(size);
    // Two threads are the common case and need no list.
    if threads == 2 {
        let (first, second) = rayon::join(|| run(0..border(1)), || run(border(1)..size));
        return first + second;
    }
    let parts: Vec<f64> = (0..threads)
        .into_par_iter()
        .with_max_len(1)
        .map(|i| run(border(i)..border(i + 1)))
        .collect();
    parts.iter().sum()
}

/// A pointer that parts of one product share; each writes places of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
#[derive(Clone, Copy)]
struct SharedConst(*const f32);

#[expect(unsafe_code, reason = "threads write disjoint parts of one matrix")]
// SAFETY: every use writes parts that do not overlap, inside a slice that outlives it.
unsafe impl Sync for Shared {}
#[expect(unsafe_code, reason = "threads read one matrix")]
// SAFETY: only read, inside a slice that outlives it.
unsafe impl Sync for SharedConst {}

impl Shared {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

impl SharedConst {
    fn at(&self, offset: usize) -> *const f32 {
        self.0.wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        (0..count)
            .map(|i| {
                ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32
                    / 16_777_216.0
                    - 0.5
            })
            .collect()
    }

    fn close(ours: &[f32], exact: impl Fn(usize) -> f64) {
        for (i, ours) in ours.iter().enumerate() {
            let exact = exact(i);
            let difference = (f64::from(*ours) - exact).abs();
            let rounding = 1e-5 * exact.abs().max(10.0);
            assert!(difference < rounding, "[{i}] is {ours}, not {exact}");
        }
    }

    #[test]
    fn every_form_equals_the_plain_sums_whatever_the_sizes() {
        for n in [1, 2, 3, 4, 5, 6, 7, 17, 47, 200] {
            for (inputs, outputs) in [
                (13, 21),
                (16, 64),
                (70, 130),
                (330, 5),
                (9, 900),
                (48, 1),
                (1100, 9),
            ] {
                let (x, w, dy) = (
                    numbers(n * inputs, 1),
                    numbers(outputs * inputs, 2),
                    numbers(n * outputs, 3),
                );
                let sum = |count: usize, f: &dyn Fn(usize) -> f32| -> f64 {
                    (0..count).map(|i| f64::from(f(i))).sum()
                };
                let sizes = (n, inputs, outputs);
                let y_exact = |at: usize| {
                    let (r, o) = (at / outputs, at % outputs);
                    sum(inputs, &|i| x[r * inputs + i] * w[o * inputs + i])
                };
                let mut y = vec![1.0; n * outputs];
                forward(&mut y, &x, &w, sizes, true, Spread::Threads);
                close(&y, |at| 1.0 + y_exact(at));
                forward(&mut y, &x, &w, sizes, false, Spread::Alone);
                close(&y, y_exact);
                let mut packed = vec![Line::default(); packed_len(outputs, inputs)];
                pack(&mut packed, &w, (outputs, inputs));
                let mut y = vec![1.0; n * outputs];
                forward_packed(&mut y, &x, &packed, sizes, true);
                close(&y, |at| 1.0 + y_exact(at));
                forward_packed(&mut y, &x, &packed, sizes, false);
                close(&y, y_exact);
                let mut dx = vec![9.0; n * inputs];
                backward_input(&mut dx, &dy, &w, sizes, false);
                close(&dx, |at| {
                    let (r, i) = (at / inputs, at % inputs);
                    sum(outputs, &|o| dy[r * outputs + o] * w[o * inputs + i])
                });
                let mut dw = vec![2.0; outputs * inputs];
                backward_weight(&mut dw, &dy, &x, sizes);
                close(&dw, |at| {
                    let (o, i) = (at / inputs, at % inputs);
                    sum(n, &|r| dy[r * outputs + o] * x[r * inputs + i])
                });
            }
        }
    }

    #[test]
    fn a_large_weight_gradient_is_the_same_beside_the_caches_and_brings_its_squares() {
        let (n, inputs, outputs) = (19, 208, 1000);
        let (x, dy) = (numbers(n * inputs, 1), numbers(n * outputs, 3));
        let mut aligned = crate::lm::fast::Buffer::zeros(inputs * outputs + 1);
        let squares = backward_weight(&mut aligned, &dy, &x, (n, inputs, outputs));
        let mut plain = vec![1.0; inputs * outputs];
        let (a, b) = ((&dy[..], 1, outputs), (&x[..], inputs, 1));
        let sizes = (outputs, inputs, n);
        portable(sizes, (&mut plain, inputs), a, b, false, 1.0, Spread::Alone);
        for (ours, theirs) in aligned.iter().zip(&plain) {
            assert!((ours - theirs).abs() < 1e-4, "{ours} against {theirs}");
        }
        let exact: f64 = plain.iter().map(|v| f64::from(*v).powi(2)).sum();
        if kernels::level() == kernels::Level::Wide {
            assert!((squares.unwrap_or(0.0) / exact - 1.0).abs() < 1e-5);
        }
        let mut ragged = crate::lm::fast::Buffer::zeros(inputs * outputs + 1);
        assert!(backward_weight(&mut ragged[1..], &dy, &x, (n, inputs, outputs)).is_none());
        assert_eq!(aligned[..inputs * outputs], ragged[1..]);
    }

    #[test]
    fn large_products_agree_with_the_gemm_crate_on_every_layout_of_the_operands() {
        let (m, n, k) = (205, 1100, 500);
        let (a, b) = (numbers(m * k, 4), numbers(k * n, 5));
        for (a_row, a_column) in [(k, 1), (1, m)] {
            for (b_row, b_column) in [(n, 1), (1, k)] {
                let (a, b) = ((&a[..], a_row, a_column), (&b[..], b_row, b_column));
                let mut ours = vec![3.0; m * n];
                product((m, n, k), (&mut ours, n), a, b, true, 0.5, Spread::Threads);
                let mut theirs = vec![3.0; m * n];
                portable((m, n, k), (&mut theirs, n), a, b, true, 0.5, Spread::Alone);
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    assert!((ours - theirs).abs() < 1e-3, "{ours} against {theirs}");
                }
            }
        }
    }
}
