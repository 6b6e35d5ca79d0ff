//! From data to pixels and back, ticks at round numbers, and numbers as short text.

/// A linear map of a data interval onto pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// Data value at `from`.
    pub(crate) low: f64,
    /// Data value at `to`.
    pub(crate) high: f64,
    /// Pixel of `low`.
    pub(crate) from: f32,
    /// Pixel of `high`.
    pub(crate) to: f32,
}

impl Scale {
    /// A scale that is never empty: an interval without length or with NaN is widened.
    pub(crate) fn new(low: f64, high: f64, from: f32, to: f32) -> Self {
        let (mut low, mut high) = if low.is_finite() && high.is_finite() {
            (low.min(high), low.max(high))
        } else {
            (0.0, 1.0)
        };
        let least = 1e-9 * low.abs().max(high.abs()).max(1e-290);
        if high - low < least {
            let pad = if low == 0.0 { 0.5 } else { 0.05 * low.abs() };
            low -= pad;
            high += pad;
        }
        Self {
            low,
            high,
            from,
            to,
        }
    }

    /// Where a value is; far outside is clamped so that drawing never sees huge numbers. NaN goes to `from`.
    pub(crate) fn at(self, value: f64) -> f32 {
        let share = (value - self.low) / (self.high - self.low);
        if share.is_nan() {
            return self.from;
        }
        self.from + (self.to - self.from) * share.clamp(-4.0, 5.0) as f32
    }

    /// The value at a pixel.
    pub(crate) fn value(self, pixel: f32) -> f64 {
        let length = self.to - self.from;
        if length == 0.0 {
            return self.low;
        }
        self.low + (self.high - self.low) * f64::from((pixel - self.from) / length)
    }
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// Where, in data units.
    pub(crate) value: f64,
    /// What it reads.
    pub(crate) label: String,
}

/// About `wanted` ticks at multiples of 1, 2 or 5 times a power of ten; none for an interval that is empty or not finite.
pub(crate) fn ticks(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let Some(step) = round_step(low, high, wanted) else {
        return Vec::new();
    };
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    let large = low.abs().max(high.abs());
    positions(low, high, step)
        .map(|value| Tick {
            value,
            label: if decimals > 4 && large < 1e-2 {
                short_power(value, step)
            } else if decimals > 6 || large >= 1e6 {
                number(value)
            } else {
                format!("{value:.decimals$}").replace('-', "−")
            },
        })
        .collect()
}

/// "5e−8": as many digits as tell neighbours `step` apart.
fn short_power(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = |of: f64| (of.abs().log10() + 1e-9).floor();
    let decimals = (exponent(value) - exponent(step)).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$e}").replace('-', "−")
}

/// Ticks at whole steps, written with a thousands separator ("12 000").
pub(crate) fn time_ticks(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let Some(step) = round_step(low, high, wanted) else {
        return Vec::new();
    };
    positions(low, high, step.max(1.0))
        .map(|value| Tick {
            value,
            label: steps_label(value),
        })
        .collect()
}

/// Ticks for values that are log₁₀ of what is shown: powers of ten, thinned to about `wanted`.
pub(crate) fn decades(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return Vec::new();
    }
    if span < 1.5 {
        // Less than two powers of ten: round numbers in between read better.
        return ticks(10f64.powf(low), 10f64.powf(high), wanted)
            .into_iter()
            .filter(|tick| tick.value > 0.0)
            .map(|tick| Tick {
                value: tick.value.log10(),
                label: tick.label,
            })
            .collect();
    }
    let step = (span / wanted.max(1) as f64).ceil().max(1.0);
    positions(low, high, step)
        .map(|value| Tick {
            value,
            label: power_of_ten(value.round() as i32),
        })
        .collect()
}

fn round_step(low: f64, high: f64, wanted: usize) -> Option<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return None;
    }
    let raw = span / wanted.max(1) as f64;
    let base = 10f64.powf(raw.log10().floor());
    if !base.is_finite() || base == 0.0 {
        return None;
    }
    let factor = raw / base;
    Some(if factor <= 1.0 {
        base
    } else if factor <= 2.0 {
        2.0 * base
    } else if factor <= 5.0 {
        5.0 * base
    } else {
        10.0 * base
    })
}

fn positions(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (low / step - 1e-6).ceil();
    (0..64)
        .map(move |i| (first + f64::from(i)) * step)
        .take_while(move |value| *value <= high + 1e-6 * step)
        .map(|value| if value == 0.0 { 0.0 } else { value })
}

/// "10⁻³"; small powers as plain numbers would be shorter but harder to compare.
fn power_of_ten(exponent: i32) -> String {
    match exponent {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        _ => format!("1e{exponent}").replace('-', "−"),
    }
}

/// A number with four significant digits: "0.01234", "12.34", "1.234e−7"; "−∞", "∞" and "–" (undefined) included.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "−inf" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    let text = if !(1e-4..1e6).contains(&size) {
        format!("{value:.3e}")
    } else {
        let decimals = (3.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
        format!("{value:.decimals$}")
    };
    text.replace('-', "−")
}

/// A step count with thousands separators; in millions when long.
pub(crate) fn steps_label(step: f64) -> String {
    if !step.is_finite() {
        return String::new();
    }
    if step.abs() >= 1e7 {
        return format!("{} M", number(step / 1e6));
    }
    let digits = format!("{:.0}", step.abs());
    let mut text = String::with_capacity(digits.len() + 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    if step < -0.5 {
        text.insert(0, '−');
    }
    text
}

/// A number as text, right-aligned for a column of monospaced text.
pub(crate) fn align(text: &str, letters: usize) -> String {
    format!("{text:>letters$}")
}

/// The first `letters` letters of a text, with "…" where some are cut.
pub(crate) fn elide(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(letters.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The upper end of an axis that holds still: a round number above `wanted`, kept from frame to frame until it is too
/// small or more than about twice too large.
pub(crate) fn settle(current: Option<f64>, wanted: f64) -> f64 {
    if !wanted.is_finite() || wanted <= 0.0 {
        return current.unwrap_or(1.0);
    }
    if let Some(current) = current
        && current >= wanted
        && current <= 2.2 * wanted
    {
        return current;
    }
    let base = 10f64.powf(wanted.log10().floor());
    if base == 0.0 || !base.is_finite() {
        return wanted;
    }
    [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .iter()
        .map(|factor| factor * base)
        .find(|bound| *bound >= wanted)
        .unwrap_or(10.0 * base)
}

/// Bounds of a log₁₀ mass axis: whole powers of ten around the largest and the smallest mass, never above 1, at least two,
/// at most twelve apart; smaller masses are drawn at the lower edge.
pub(crate) fn settle_decades(largest: f64, smallest: f64) -> (f64, f64) {
    if !largest.is_finite() || largest <= 0.0 {
        return (-4.0, 0.0);
    }
    let top = (largest.log10() + 0.05).ceil().min(0.0);
    let low = if smallest.is_finite() && smallest > 0.0 {
        smallest.log10().floor()
    } else {
        top - 12.0
    };
    (low.clamp(top - 12.0, top - 2.0), top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let labels: Vec<String> = ticks(0.0, 0.063, 5).into_iter().map(|t| t.label).collect();
        assert_eq!(labels, ["0.00", "0.02", "0.04", "0.06"]);
        assert!(ticks(1.0, 1.0, 5).is_empty());
        assert!(ticks(f64::NAN, 1.0, 5).is_empty());
        assert!(ticks(-1e300, 1e300, 5).len() < 64);
    }

    #[test]
    fn decades_are_thinned() {
        let labels: Vec<String> = decades(-12.0, 0.0, 4)
            .into_iter()
            .map(|t| t.label)
            .collect();
        assert_eq!(labels, ["1e−12", "1e−9", "1e−6", "1e−3", "1"]);
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!(number(0.061_83), "0.06183");
        assert_eq!(number(-12.345), "−12.35");
        assert_eq!(number(1.23e-9), "1.230e−9");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(number(f64::NEG_INFINITY), "−inf");
        assert_eq!(steps_label(1_234_567.0), "1\u{a0}234\u{a0}567");
        assert_eq!(steps_label(999.0), "999");
    }

    #[test]
    fn tiny_ticks_are_short_and_differ() {
        let labels: Vec<String> = ticks(0.0, 1.6e-7, 4).into_iter().map(|t| t.label).collect();
        assert_eq!(labels[0], "0");
        assert!(
            labels.iter().all(|label| label.chars().count() <= 6),
            "{labels:?}"
        );
        assert!(
            labels.windows(2).all(|pair| pair[0] != pair[1]),
            "{labels:?}"
        );
    }

    #[test]
    fn an_axis_holds_still_under_small_changes() {
        let first = settle(None, 0.058);
        assert!(first >= 0.058);
        assert_eq!(settle(Some(first), 0.055), first);
        assert!(settle(Some(first), 0.02) < first);
        assert!(settle(Some(first), 0.2) >= 0.2);
        assert_eq!(settle(Some(0.5), f64::NAN), 0.5);
    }

    #[test]
    fn a_log_axis_of_masses_ends_at_one() {
        assert_eq!(settle_decades(1.0, 1e-3), (-3.0, 0.0));
        assert_eq!(settle_decades(0.93, 0.02), (-2.0, 0.0));
        assert_eq!(settle_decades(0.05, 1e-40), (-13.0, -1.0));
    }

    #[test]
    fn a_scale_goes_there_and_back_and_survives_nonsense() {
        let scale = Scale::new(2.0, 4.0, 100.0, 300.0);
        assert!((scale.value(scale.at(3.3)) - 3.3).abs() < 1e-6);
        for (low, high) in [
            (f64::NAN, 1.0),
            (0.0, 0.0),
            (5.0, 5.0),
            (f64::MIN, f64::MAX),
        ] {
            let scale = Scale::new(low, high, 0.0, 0.0);
            assert!(scale.at(1.0).is_finite() && scale.at(f64::NAN).is_finite());
        }
    }
}
