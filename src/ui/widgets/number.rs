//! Numbers as panels write them: few digits, the same everywhere.

use crate::figure::superscript;

/// Four significant digits, in plain notation where that is short; "–" for what is not defined.
pub(crate) fn number(value: f64) -> String {
    significant(value, 4)
}

/// As [`number`], with this many significant digits.
pub(crate) fn significant(value: f64, digits: i32) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    let text = if (1e-4..1e5).contains(&size) {
        let decimals = (digits - 1 - size.log10().floor() as i32).clamp(0, 9) as usize;
        let text = format!("{size:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        let decimals = (digits - 2).max(0) as usize;
        format!("{size:.decimals$e}").replace("e-", "e−")
    };
    format!("{sign}{text}")
}

/// As [`number`], with a plus sign where positive.
pub(crate) fn signed(value: f64) -> String {
    if value > 0.0 {
        format!("+{}", number(value))
    } else {
        number(value)
    }
}

/// The same with 0 for what is rounding noise: for distances and shares, which sums of masses near 1 make.
pub(crate) fn without_noise(value: f64) -> f64 {
    if value.abs() < 1e-12 { 0.0 } else { value }
}

/// A natural-log ratio as a factor: "15 ×", "22 000 ×", "1.2 × 10⁶ ×".
pub(crate) fn factor(log_ratio: f64) -> String {
    if !log_ratio.is_finite() {
        return format!("{} ×", number(log_ratio.exp()));
    }
    let power = log_ratio / std::f64::consts::LN_10;
    let exponent = power.floor();
    // Three significant digits, so that what rounds up to the next power of ten is written as one.
    let mantissa = 10f64.powf(power - exponent);
    let (mantissa, exponent) = if mantissa >= 9.995 {
        (1.0, exponent + 1.0)
    } else {
        (mantissa, exponent)
    };
    if (-4.0..4.0).contains(&exponent) {
        return format!("{} ×", significant(log_ratio.exp(), 3));
    }
    if (4.0..6.0).contains(&exponent) {
        let rounded = (mantissa * 100.0).round() * 10f64.powf(exponent - 2.0);
        return format!("{} ×", grouped(rounded as u64));
    }
    format!(
        "{} × 10{} ×",
        significant(mantissa, 2),
        superscript(exponent as i64)
    )
}

/// "12 345": groups of three, a thin space between.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(0.131_578), "0.1316");
        assert_eq!(number(0.5), "0.5");
        assert_eq!(number(-12_345.6), "−12346");
        assert_eq!(number(1.0e-7), "1.00e−7");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(signed(1.9), "+1.9");
        assert_eq!(factor(15f64.ln()), "15 ×");
        assert_eq!(factor(10.0), "22\u{2009}000 ×");
        assert_eq!(factor(14.0), "1.2 × 10⁶ ×");
        assert_eq!(factor(100.0), "2.7 × 10⁴³ ×");
        assert_eq!(factor(1e6_f64.ln() - 1e-9), "1 × 10⁶ ×");
        assert_eq!(factor(-30.0), "9.4 × 10⁻¹⁴ ×");
        assert_eq!(factor(f64::INFINITY), "∞ ×");
        assert_eq!(without_noise(-8.3e-17), 0.0);
    }
}
