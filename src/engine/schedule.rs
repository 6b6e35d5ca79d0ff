//! What is recorded when: functions of the step number and the size of the problem alone, never of the clock, so that a
//! run watched in the window and the same run headless record the same numbers.

/// Measurements per doubling of the step number: fewer on larger problems, where one costs more than a step.
fn measures_per_octave(arms: usize) -> u64 {
    match arms {
        0..2_000 => 512,
        2_000..10_000 => 128,
        10_000..50_000 => 64,
        _ => 16,
    }
}

/// Bytes that the policies kept for scrubbing may take.
const KEYFRAME_BYTES: usize = 24 << 20;
/// Bytes that the trainer states kept for going back may take.
const STATE_BYTES: usize = 192 << 20;

/// Steps between two measurements around `step`: 1 early, then growing powers of two.
pub(crate) fn measure_stride(step: u64, arms: usize) -> u64 {
    floor_power_of_two(step / measures_per_octave(arms))
}

/// Whether metrics are measured after `step` steps.
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

/// Steps between the first policies kept: on large problems not every one of the first steps.
pub(crate) fn first_keyframe_stride(arms: usize) -> u64 {
    match arms {
        0..10_000 => 1,
        10_000..50_000 => 4,
        _ => 16,
    }
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
            assert!((0..16).all(|step| is_measured(step, arms)));
            let measured =
                |from: u64, to: u64| (from..to).filter(|&s| is_measured(s, arms)).count();
            let (early, late) = (measured(4096, 8192), measured(65_536, 131_072));
            assert_eq!(early, late, "as many per doubling");
            assert!((16..=1024).contains(&early));
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
