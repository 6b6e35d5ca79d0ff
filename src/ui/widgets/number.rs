//! Numbers as panels write them: few digits, the same everywhere.

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

/// A natural-log ratio as a factor: "15 ×", or a power of ten where that would be long.
pub(crate) fn factor(log_ratio: f64) -> String {
    if log_ratio.is_nan() {
        return "–".to_owned();
    }
    if log_ratio.abs() < 9.0 {
        format!("{} ×", significant(log_ratio.exp(), 3))
    } else {
        format!(
            "10^{} ×",
            significant(log_ratio / std::f64::consts::LN_10, 3)
        )
    }
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
        assert_eq!(factor(100.0), "10^43.4 ×");
    }
}
