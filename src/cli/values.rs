//! Numbers on the command line: what is no number is refused with what is accepted.

/// A whole number: a seed, a number of steps.
pub(super) fn whole(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("a whole number from 0 to {} is accepted", u64::MAX))
}

/// Any number; whether it is finite is looked at with the others.
pub(super) fn number(text: &str) -> Result<f64, String> {
    one(
        text,
        "a finite number is accepted, for example 0.5 or -1e-3",
    )
}

/// A β, whose sign is looked at with the others.
pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    one(
        text,
        "a finite number above 0 is accepted, for example 0.1 or 1e-3",
    )
}

/// A coefficient that may be 0.
pub(super) fn from_zero(text: &str) -> Result<f64, String> {
    one(
        text,
        "a finite number ≥ 0 is accepted, for example 0.1 or 1e-3",
    )
}

/// A share.
pub(super) fn share(text: &str) -> Result<f64, String> {
    one(text, "a number from 0 to 1 is accepted, for example 0.9")
}

fn one(text: &str, accepted: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| accepted.to_owned())
}

/// One number of a list.
pub(super) fn listed(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| {
        "numbers separated by commas are accepted, one for each arm, for example 0.5,0.5".to_owned()
    })
}
