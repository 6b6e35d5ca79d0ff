//! Numbers on the command line: what is no number is refused with what is accepted.

/// A whole number: a seed, a number of steps.
pub(super) fn whole(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("a whole number from 0 to {} is accepted", u64::MAX))
}

/// A number; which ones are accepted is looked at with the others.
pub(super) fn number(text: &str) -> Result<f64, String> {
    text.trim()
        .parse()
        .map_err(|_| "a number is accepted, for example 0.1 or 1e-3".to_owned())
}

/// One number of a list.
pub(super) fn listed(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| {
        "numbers separated by commas are accepted, one for each arm, for example 0.5,0.5".to_owned()
    })
}
