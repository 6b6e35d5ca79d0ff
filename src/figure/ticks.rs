//! Where an axis has its ticks, and what they say.

use super::{Axis, text::superscript};

/// The ticks of one axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ticks {
    /// Positions with labels.
    pub(super) major: Vec<(f64, String)>,
    /// Positions without.
    pub(super) minor: Vec<f64>,
}

/// Ticks of an axis over `bounds`, at most about `count` labels.
pub(super) fn ticks(axis: &Axis, bounds: (f64, f64), count: usize) -> Ticks {
    let count = count.clamp(2, 50);
    if let Some(names) = &axis.names {
        return Ticks {
            major: names
                .iter()
                .filter(|(at, _)| (bounds.0..=bounds.1).contains(at))
                .cloned()
                .collect(),
            minor: Vec::new(),
        };
    }
    if axis.log10 {
        log10(bounds, count)
    } else {
        linear(bounds, count)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear((low, high): (f64, f64), count: usize) -> Ticks {
    let Some(step) = step(high - low, count) else {
        return Ticks::default();
    };
    let first = (low / step - 1e-9).ceil();
    let values: Vec<f64> = (0..=count + 2)
        .map(|i| (first + i as f64) * step)
        .take_while(|v| *v <= high + step * 1e-9)
        .collect();
    let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    Ticks {
        major: values
            .iter()
            .map(|&v| (v, number(v, step, largest)))
            .collect(),
        minor: Vec::new(),
    }
}

fn step(span: f64, count: usize) -> Option<f64> {
    let raw = span / count as f64;
    if !(raw.is_finite() && raw > 0.0) {
        return None;
    }
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|m| m * power)
        .find(|s| *s >= raw * (1.0 - 1e-9))?;
    (step.is_finite() && step > 0.0).then_some(step)
}

/// A tick's number with as many digits as the step needs, in powers of ten where it is very large or small.
fn number(value: f64, step: f64, largest: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    let exponent_of = |v: f64| v.abs().log10().floor();
    let step_exponent = (step.log10() + 1e-9).floor();
    if !(1e-3..1e6).contains(&largest) {
        let exponent = exponent_of(largest * (1.0 + 1e-9));
        let decimals = (exponent - step_exponent).clamp(0.0, 12.0) as usize;
        let mantissa = value / 10_f64.powf(exponent);
        let digits = minus(&format!("{mantissa:.decimals$}"));
        return format!("{digits}×10{}", superscript(exponent as i64));
    }
    let decimals = (-step_exponent).clamp(0.0, 12.0) as usize;
    minus(&format!("{value:.decimals$}"))
}

fn minus(number: &str) -> String {
    number.replace('-', "−")
}

/// Powers of ten, every so many where there are many; the 2s to 9s between them as minor ticks where there are few. Below
/// two decades, round numbers at their logarithms.
fn log10((low, high): (f64, f64), count: usize) -> Ticks {
    let (first, last) = ((low - 1e-9).ceil(), (high + 1e-9).floor());
    let decades = last - first;
    if decades < 1.0 {
        return within_decade((low, high), count);
    }
    let every = ((decades + 1.0) / count as f64).ceil().max(1.0);
    let every = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0]
        .into_iter()
        .find(|e| *e >= every)
        .unwrap_or_else(|| (every / 100.0).ceil() * 100.0);
    let start = (first / every).ceil() * every;
    let major = (0..=count + 2)
        .map(|i| start + i as f64 * every)
        .take_while(|v| *v <= high + 1e-9)
        .map(|v| (v, power(v as i64)))
        .collect();
    let mut minor = Vec::new();
    if every > 1.0 {
        if decades <= 60.0 {
            minor.extend((0..=decades as usize).map(|i| first + i as f64));
        }
    } else if decades <= 8.0 {
        let mut decade = first - 1.0;
        while decade <= last {
            minor.extend(
                (2..10)
                    .map(|m| decade + f64::from(m).log10())
                    .filter(|v| (low..=high).contains(v)),
            );
            decade += 1.0;
        }
    }
    Ticks { major, minor }
}

fn power(exponent: i64) -> String {
    match exponent {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        _ => format!("10{}", superscript(exponent)),
    }
}

fn within_decade((low, high): (f64, f64), count: usize) -> Ticks {
    let (from, to) = (10_f64.powf(low), 10_f64.powf(high));
    if !(from > 1e-300 && to < 1e300 && from < to) {
        return Ticks {
            major: vec![(low, format!("10{}", superscript(low.round() as i64)))],
            minor: Vec::new(),
        };
    }
    let ticks = linear((from, to), count.min(5));
    Ticks {
        major: ticks
            .major
            .into_iter()
            .filter(|(v, _)| *v > 0.0)
            .map(|(v, label)| (v.log10(), label))
            .collect(),
        minor: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(log10: bool) -> Axis {
        Axis {
            label: String::new(),
            log10,
            bounds: None,
            names: None,
        }
    }

    fn labels(log10: bool, bounds: (f64, f64), count: usize) -> Vec<String> {
        ticks(&axis(log10), bounds, count)
            .major
            .into_iter()
            .map(|(_, label)| label)
            .collect()
    }

    #[test]
    fn linear_ticks_are_round_numbers() {
        assert_eq!(
            labels(false, (0.0, 1.0), 5),
            ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(false, (-3.2, 3.1), 4), ["−2", "0", "2"]);
        assert_eq!(
            labels(false, (0.0, 100.0), 5).last().map(String::as_str),
            Some("100")
        );
        assert_eq!(labels(false, (0.0, 2.1e-5), 3), ["0", "1×10⁻⁵", "2×10⁻⁵"]);
        assert_eq!(labels(false, (0.0, 1e6), 2), ["0", "0.5×10⁶", "1.0×10⁶"]);
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        assert_eq!(labels(true, (-3.2, 0.1), 6), ["10⁻³", "10⁻²", "10⁻¹", "1"]);
        let wide = ticks(&axis(true), (-300.0, 0.0), 6);
        assert!(wide.major.len() <= 7 && wide.major.len() >= 3, "{wide:?}");
        let minor = ticks(&axis(true), (-2.0, 0.0), 6).minor;
        assert_eq!(minor.len(), 16);
        assert_eq!(labels(true, (-0.7, -0.3), 4), ["0.2", "0.3", "0.4", "0.5"]);
    }

    #[test]
    fn impossible_bounds_give_no_ticks_and_no_endless_loop() {
        for bounds in [
            (0.0, 0.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
            (1e17, 1e17 + 16.0),
            (-1e308, 1e308),
            (0.0, 5e-324),
        ] {
            assert!(ticks(&axis(false), bounds, 5).major.len() <= 12);
            assert!(ticks(&axis(true), bounds, 5).major.len() <= 12);
        }
    }
}
