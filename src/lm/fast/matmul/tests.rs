use super::*;

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|i| {
            ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / 16_777_216.0
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

/// Every unit that this processor has.
fn units() -> Vec<Unit> {
    let mut units = vec![Unit::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        let best = Unit::best();
        if best == Unit::Matrix {
            units.push(Unit::Vectors);
        }
        if best != Unit::Portable {
            units.push(best);
        }
    }
    units
}

#[test]
fn every_form_equals_the_plain_sums_whatever_the_sizes() {
    for n in [1, 2, 3, 4, 5, 6, 7, 17, 31, 47, 200] {
        for (inputs, outputs) in [
            (13, 21),
            (16, 64),
            (70, 130),
            (330, 5),
            (9, 900),
            (48, 1),
            (96, 600),
            (1100, 39),
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
            for unit in units() {
                let mut y = vec![1.0; n * outputs];
                forward_on(unit, &mut y, &x, &w, sizes, true, Spread::Threads);
                close(&y, |at| 1.0 + y_exact(at));
                forward_on(unit, &mut y, &x, &w, sizes, false, Spread::Alone);
                close(&y, y_exact);
                let mut packed = vec![Line::default(); packed_len_on(unit, outputs, inputs)];
                pack_on(unit, &mut packed, &w, (outputs, inputs));
                let mut y = vec![1.0; n * outputs];
                forward_packed_on(unit, &mut y, &x, &packed, sizes, true);
                close(&y, |at| 1.0 + y_exact(at));
                forward_packed_on(unit, &mut y, &x, &packed, sizes, false);
                close(&y, y_exact);
                let mut dx = vec![9.0; n * inputs];
                let (a, b) = ((&dy[..], outputs, 1), (&w[..], inputs, 1));
                let sizes = (n, inputs, outputs);
                product_on(
                    unit,
                    sizes,
                    (&mut dx, inputs),
                    a,
                    b,
                    false,
                    1.0,
                    Spread::Threads,
                );
                close(&dx, |at| {
                    let (r, i) = (at / inputs, at % inputs);
                    sum(outputs, &|o| dy[r * outputs + o] * w[o * inputs + i])
                });
                let mut dw = vec![2.0; outputs * inputs];
                let (a, b) = ((&dy[..], 1, outputs), (&x[..], inputs, 1));
                let sizes = (outputs, inputs, n);
                product_on(
                    unit,
                    sizes,
                    (&mut dw, inputs),
                    a,
                    b,
                    false,
                    1.0,
                    Spread::Threads,
                );
                close(&dw, |at| {
                    let (o, i) = (at / inputs, at % inputs);
                    sum(n, &|r| dy[r * outputs + o] * x[r * inputs + i])
                });
            }
        }
    }
}

#[test]
fn a_number_survives_being_split_into_parts() {
    // Sums of one product each: nothing but the split can be wrong. Half the last bit of f32 is 2⁻²⁵.
    let (n, outputs, inputs) = (64, 64, 32);
    let scales = [1e-20, 1e-6, 1.0, 3e4, 1e18];
    for unit in units() {
        for scale in scales {
            let x: Vec<f32> = numbers(n * inputs, 7).iter().map(|x| x * scale).collect();
            let mut w = vec![0.0; outputs * inputs];
            for o in 0..outputs {
                w[o * inputs + o % inputs] = 1.0 + o as f32 / 3.0;
            }
            let mut packed = vec![Line::default(); packed_len_on(unit, outputs, inputs)];
            pack_on(unit, &mut packed, &w, (outputs, inputs));
            let mut y = vec![0.0; n * outputs];
            forward_packed_on(unit, &mut y, &x, &packed, (n, inputs, outputs), false);
            for r in 0..n {
                for o in 0..outputs {
                    let (x, w) = (x[r * inputs + o % inputs], w[o * inputs + o % inputs]);
                    let exact = f64::from(x) * f64::from(w);
                    let error = (f64::from(y[r * outputs + o]) - exact).abs();
                    assert!(
                        error <= exact.abs() * 1.2e-7,
                        "{unit:?}: {x} · {w} is {exact}, not {}",
                        y[r * outputs + o]
                    );
                }
            }
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

#[test]
fn few_rows_of_large_weights_equal_the_plain_sums_whatever_the_sizes() {
    for n in [12, 16, 17, 31, 33, 47, 48, 49, 65, 81, 95, 96] {
        for (inputs, outputs) in [(330, 700), (70, 1000), (1000, 200), (577, 193)] {
            let (x, w, dy) = (
                numbers(n * inputs, 1),
                numbers(outputs * inputs, 2),
                numbers(n * outputs, 3),
            );
            for (spread, add) in [(Spread::Threads, true), (Spread::Alone, false)] {
                let (mut ours, mut theirs) = (vec![1.0; n * outputs], vec![1.0; n * outputs]);
                let sizes = (n, inputs, outputs);
                forward_on(Unit::best(), &mut ours, &x, &w, sizes, add, spread);
                forward_on(Unit::Portable, &mut theirs, &x, &w, sizes, add, spread);
                close(&ours, |at| f64::from(theirs[at]));
                let (mut ours, mut theirs) = (vec![1.0; n * inputs], vec![1.0; n * inputs]);
                let (a, b) = ((&dy[..], outputs, 1), (&w[..], inputs, 1));
                let sizes = (n, inputs, outputs);
                for (unit, to) in [(Unit::best(), &mut ours), (Unit::Portable, &mut theirs)] {
                    product_on(unit, sizes, (to, inputs), a, b, add, 0.5, spread);
                }
                close(&ours, |at| f64::from(theirs[at]));
            }
        }
    }
}
