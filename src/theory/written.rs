//! Numbers as messages repeat them.

use std::fmt;

/// A number that a message repeats: as usual, but huge and tiny ones with an exponent in place of hundreds of digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Written(pub f64);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = *self;
        if value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs()) {
            value.fmt(f)
        } else {
            fmt::LowerExp::fmt(&value, f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_long() {
        for (value, wanted) in [
            (0.0, "0"),
            (-0.1, "-0.1"),
            (1e15, "1000000000000000"),
            (1e300, "1e300"),
            (-2.5e-300, "-2.5e-300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(Written(value).to_string(), wanted);
        }
    }
}
