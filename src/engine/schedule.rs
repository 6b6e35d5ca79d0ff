//! What is recorded when: functions of the step number and the size of the problem alone, never of the clock, so that a
//! run watched in the window and the same run headless record the same numbers.

/// Full measurements per doubling of the step number, for small and for large problems.
const MEASURES_PER_OCTAVE: u64 = 512;
const MEASURES_PER_OCTAVE_LARGE: u64 = 128;
/// From how many arms on a problem counts as large: measuring it costs about as much as a step.
const LARGE: usize = 10_000;

/// Bytes that the policies kept for scrubbing may take.
const KEYFRAME_BYTES: usize = 24 << 20;
/// Bytes that the trainer states kept for going back may take.
const STATE_BYTES: usize = 192 << 20;

/// Steps between two full measurements around `step`: 1 early, then growing powers of two.
pub(crate) fn measure_stride(step: u64, arms: usize) -> u64 {
    let per_octave = if arms < LARGE {
        MEASURES_PER_OCTAVE
    } else {
        MEASURES_PER_OCTAVE_LARGE
    };
    floor_power_of_two(step / per_octave)
}

/// Whether every metric is measured after `step` steps.
pub(crate) fn is_measured(step: u64, arms: usize) -> bool {
    step.is_multiple_of(measure_stride(step, arms))
}

/// The first measured step after `step`.
pub(crate) fn next_measured(step: u64, arms: usize) -> u64 {
    let stride = measure_stride(step + 1, arms);
    (step / stride + 1) * stride
}

/// How many policies are kept for scrubbing.
pub(crate) fn max_keyframes(arms: usize) -> usize {
    (KEYFRAME_BYTES / (4 * arms.max(1))).clamp(8, 240)
}

/// How many trainer states of `bytes` each are kept for going back.
pub(crate) fn max_states(bytes: usize) -> usize {
    (STATE_BYTES / bytes.max(1)).clamp(3, 240)
}

fn floor_power_of_two(value: u64) -> u64 {
    if value <= 1 { 1 } else { 1 << value.ilog2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_steps_are_all_measured_and_later_ones_thin_out() {
        for arms in [3, 100_000] {
            assert!((0..128).all(|step| is_measured(step, arms)));
            let measured =
                |from: u64, to: u64| (from..to).filter(|&s| is_measured(s, arms)).count();
            let (early, late) = (measured(4096, 8192), measured(65_536, 131_072));
            assert_eq!(early, late, "as many per doubling");
            assert!((128..=1024).contains(&early));
        }
    }

    #[test]
    fn the_next_measured_step_is_the_next_one() {
        for arms in [3, 100_000] {
            let mut expected = (1..70_000).filter(|&step| is_measured(step, arms));
            let mut step = 0;
            while step < 60_000 {
                let next = next_measured(step, arms);
                assert_eq!(Some(next), expected.next());
                step = next;
            }
        }
    }

    #[test]
    fn memory_for_scrubbing_is_bounded() {
        for arms in [1, 100, 10_000, 100_000, 1_000_000] {
            let frames = max_keyframes(arms);
            assert!((8..=240).contains(&frames));
            assert!(frames * arms * 4 <= KEYFRAME_BYTES.max(8 * arms * 4));
        }
    }
}
