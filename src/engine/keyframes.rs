//! Pictures of the run to scrub back to: a bounded list spread evenly over the steps, thinned as the run grows.

/// Values kept at multiples of a stride; when there are too many, the stride doubles and every other one goes.
#[derive(Debug, Clone)]
pub(crate) struct Thinned<T> {
    most: usize,
    first_stride: u64,
    stride: u64,
    kept: Vec<(u64, T)>,
}

impl<T> Thinned<T> {
    /// Keeps at most `most` (at least two) values, `first_stride` (a power of two) steps apart or more.
    pub(crate) fn new(most: usize, first_stride: u64) -> Self {
        Self {
            most: most.max(2),
            first_stride,
            stride: first_stride,
            kept: Vec::new(),
        }
    }

    /// The first step after `step` at which a value is wanted.
    pub(crate) fn next_after(&self, step: u64) -> u64 {
        (step / self.stride + 1) * self.stride
    }

    /// Whether a value is wanted at this step.
    pub(crate) fn wants(&self, step: u64) -> bool {
        step.is_multiple_of(self.stride) && self.kept.last().is_none_or(|(last, _)| *last < step)
    }

    /// Keeps a value, thinning the others if there are too many.
    pub(crate) fn push(&mut self, step: u64, value: T) {
        self.kept.push((step, value));
        self.thin(step);
    }

    /// The step of the last value.
    pub(crate) fn last_step(&self) -> Option<u64> {
        self.kept.last().map(|(step, _)| *step)
    }

    /// Replaces the last value.
    pub(crate) fn replace_last(&mut self, value: T) {
        if let Some((_, last)) = self.kept.last_mut() {
            *last = value;
        }
    }

    /// Widens the stride to what a run of `step` steps has, which depends on nothing else, so that a run that went back
    /// and one that did not keep the same steps.
    fn thin(&mut self, step: u64) {
        let before = self.stride;
        while step / self.stride + 1 > self.most as u64 {
            self.stride *= 2;
        }
        if self.stride > before {
            let stride = self.stride;
            self.kept.retain(|(step, _)| step.is_multiple_of(stride));
        }
    }

    /// The last value at or before a step.
    pub(crate) fn at_or_before(&self, step: u64) -> Option<&(u64, T)> {
        let after = self.kept.partition_point(|(kept, _)| *kept <= step);
        self.kept.get(after.checked_sub(1)?)
    }

    /// Forgets everything after a step. The stride shrinks to what a run of that length has.
    pub(crate) fn truncate(&mut self, step: u64) {
        self.kept.retain(|(kept, _)| *kept <= step);
        self.stride = self.first_stride;
        self.thin(step);
    }

    /// What is kept, ascending in step.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &(u64, T)> {
        self.kept.iter()
    }

    /// Changes the bound, thinning if needed.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most.max(2);
        self.thin(self.last_step().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn kept_values_are_bounded_even_and_include_the_start(most in 2usize..50, steps in 1u64..5000) {
            let mut thinned = Thinned::new(most, 1);
            for step in 0..steps {
                if thinned.wants(step) {
                    thinned.push(step, step);
                }
            }
            let kept: Vec<u64> = thinned.iter().map(|(step, _)| *step).collect();
            prop_assert!(kept.len() <= most);
            prop_assert!(kept.len() as u64 >= steps.min(most as u64 / 2));
            prop_assert_eq!(kept[0], 0);
            let gaps: Vec<u64> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            prop_assert!(gaps.windows(2).all(|pair| pair[0] == pair[1]));
        }

        #[test]
        fn going_back_and_on_again_keeps_the_bound(back in 0u64..2000) {
            let mut thinned = Thinned::new(16, 1);
            let run = |thinned: &mut Thinned<u64>, from: u64, to: u64| {
                for step in from..to {
                    if thinned.wants(step) {
                        thinned.push(step, step);
                    }
                }
            };
            run(&mut thinned, 0, 2000);
            let reached = thinned.at_or_before(back).map(|(step, _)| *step);
            prop_assert!(reached.is_some_and(|step| step <= back));
            thinned.truncate(back);
            prop_assert!(thinned.iter().all(|(step, _)| *step <= back));
            run(&mut thinned, back + 1, 2500);
            prop_assert!(thinned.iter().len() <= 16);
            let mut straight = Thinned::new(16, 1);
            run(&mut straight, 0, 2500);
            prop_assert_eq!(thinned.next_after(2499), straight.next_after(2499));
        }
    }
}
