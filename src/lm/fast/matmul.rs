//! Row-major matrix products in the three forms that a linear layer needs.
//!
//! Bound by arithmetic for many rows (the `gemm` crate, AVX-512 through its `x86-v4` feature) and by reading the weights
//! for few, where one pass of dot products over the weights is faster than packing them.

use gemm::Parallelism;
use rayon::prelude::*;

use super::kernels;

/// Fewer rows than this are multiplied by dot products.
const FEW_ROWS: usize = 6;
/// Multiply-adds below which a second thread costs more than it brings.
const WORTH_A_THREAD: usize = 1 << 21;

fn parallelism(work: usize) -> Parallelism {
    if work < WORTH_A_THREAD {
        Parallelism::None
    } else {
        Parallelism::Rayon(0)
    }
}

/// y [n, out] (+)= x [n, in] · wᵀ, with w [out, in].
pub(super) fn forward(
    y: &mut [f32],
    x: &[f32],
    w: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
) {
    if n < FEW_ROWS {
        few_rows(y, x, w, (n, inputs, outputs), add);
        return;
    }
    product(
        (n, outputs, inputs),
        (y, outputs),
        (x, inputs, 1),
        (w, 1, inputs),
        add,
        1.0,
    );
}

/// dx [n, in] (+)= dy [n, out] · w.
pub(super) fn backward_input(
    dx: &mut [f32],
    dy: &[f32],
    w: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
) {
    product(
        (n, inputs, outputs),
        (dx, inputs),
        (dy, outputs, 1),
        (w, inputs, 1),
        add,
        1.0,
    );
}

/// dw [out, in] (+)= dyᵀ · x.
pub(super) fn backward_weight(
    dw: &mut [f32],
    dy: &[f32],
    x: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
) {
    product(
        (outputs, inputs, n),
        (dw, inputs),
        (dy, 1, outputs),
        (x, inputs, 1),
        add,
        1.0,
    );
}

/// c [m, n] (+)= factor·a·b, with a [m, k] and b [k, n]; `a` and `b` come with their (row, column) strides, `c` with its
/// row stride.
#[expect(unsafe_code, reason = "the gemm crate takes pointers")]
pub(super) fn product(
    (m, n, k): (usize, usize, usize),
    (c, c_stride): (&mut [f32], usize),
    (a, a_row, a_column): (&[f32], usize, usize),
    (b, b_row, b_column): (&[f32], usize, usize),
    add: bool,
    factor: f32,
) {
    if m == 0 || n == 0 || k == 0 {
        if !add {
            for row in 0..m {
                c[row * c_stride..][..n].fill(0.0);
            }
        }
        return;
    }
    let last = |rows: usize, columns: usize, row: usize, column: usize| {
        (rows - 1) * row + (columns - 1) * column
    };
    assert!(
        c_stride >= n
            && last(m, n, c_stride, 1) < c.len()
            && last(m, k, a_row, a_column) < a.len()
            && last(k, n, b_row, b_column) < b.len(),
        "a matrix product reaches past its operands"
    );
    // SAFETY: the farthest element of each operand was just checked to lie inside its slice, and rows of `c` do not overlap.
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
            parallelism(m * n * k),
        );
    }
}

/// One pass over the weights; each thread takes a stretch of outputs.
fn few_rows(
    y: &mut [f32],
    x: &[f32],
    w: &[f32],
    (n, inputs, outputs): (usize, usize, usize),
    add: bool,
) {
    let dots = |first: usize, out: &mut [f32]| {
        for row in 0..n {
            let x = &x[row * inputs..(row + 1) * inputs];
            for (o, slot) in out.iter_mut().skip(row).step_by(n).enumerate() {
                let at = (first + o) * inputs;
                *slot = kernels::dot(x, &w[at..at + inputs]);
            }
        }
    };
    // Output-major scratch, so that each thread owns a stretch.
    let mut columns = vec![0.0f32; n * outputs];
    if outputs * inputs * n < WORTH_A_THREAD / 4 {
        dots(0, &mut columns);
    } else {
        let stretch = outputs.div_ceil(rayon::current_num_threads() * 4).max(1);
        columns
            .par_chunks_mut(stretch * n)
            .enumerate()
            .for_each(|(index, out)| {
                // Small tiles keep the weights of a tile in cache while every row uses them.
                let tile = 64;
                for (part, out) in out.chunks_mut(tile * n).enumerate() {
                    dots(index * stretch + part * tile, out);
                }
            });
    }
    for row in 0..n {
        let y = &mut y[row * outputs..(row + 1) * outputs];
        for (slot, value) in y.iter_mut().zip(columns.iter().skip(row).step_by(n)) {
            *slot = if add { *slot + value } else { *value };
        }
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

    #[test]
    fn all_three_forms_equal_the_plain_sums_for_few_and_many_rows() {
        for n in [1, 3, 5, 6, 17] {
            let (inputs, outputs) = (13, 21);
            let (x, w, dy) = (
                numbers(n * inputs, 1),
                numbers(outputs * inputs, 2),
                numbers(n * outputs, 3),
            );
            let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-5, "{a} against {b}");
            let mut y = vec![1.0; n * outputs];
            forward(&mut y, &x, &w, (n, inputs, outputs), true);
            let mut dx = vec![9.0; n * inputs];
            backward_input(&mut dx, &dy, &w, (n, inputs, outputs), false);
            let mut dw = vec![2.0; outputs * inputs];
            backward_weight(&mut dw, &dy, &x, (n, inputs, outputs), true);
            for r in 0..n {
                for o in 0..outputs {
                    close(
                        y[r * outputs + o],
                        1.0 + (0..inputs)
                            .map(|i| x[r * inputs + i] * w[o * inputs + i])
                            .sum::<f32>(),
                    );
                }
                for i in 0..inputs {
                    close(
                        dx[r * inputs + i],
                        (0..outputs)
                            .map(|o| dy[r * outputs + o] * w[o * inputs + i])
                            .sum(),
                    );
                }
            }
            for o in 0..outputs {
                for i in 0..inputs {
                    close(
                        dw[o * inputs + i],
                        2.0 + (0..n)
                            .map(|r| dy[r * outputs + o] * x[r * inputs + i])
                            .sum::<f32>(),
                    );
                }
            }
        }
    }
}
