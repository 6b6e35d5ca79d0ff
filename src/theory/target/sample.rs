//! A first look at so many arms that a pass over all of them costs milliseconds: every n-th arm tells the multiplier to a
//! percent or so, and the search over all arms starts there.

/// Which arms are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Each arm stands for this many.
    pub(super) stride: usize,
}

/// Arms in a sample.
const ARMS: usize = 4096;

impl Sample {
    /// Relative step at which a search on a sample has come as far as the sample can tell.
    pub(super) const TOLERANCE: f64 = 1e-2;

    /// The sample of so many arms; none where all of them are soon looked at.
    pub(super) fn of(arms: usize) -> Option<Self> {
        (arms > 4 * ARMS).then_some(Self {
            stride: arms / ARMS,
        })
    }

    /// Its part of one number per arm.
    pub(super) fn pick(self, values: &[f64]) -> Vec<f64> {
        values.iter().step_by(self.stride).copied().collect()
    }
}
