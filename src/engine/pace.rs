//! How fast training may go, and how fast it goes.

use std::time::{Duration, Instant};

use super::message::Speed;

/// Above 250 steps per second several steps are done per tick of this length.
const TICK: Duration = Duration::from_millis(4);
/// When training cannot keep up, this much of the delay is made up for, no more.
const DEBT: Duration = Duration::from_millis(100);
/// The shown speed is a mean over at least this long.
const WINDOW: Duration = Duration::from_millis(250);

/// Says how many steps are due.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Steps per second; none is as fast as possible.
    limit: Option<f64>,
    origin: Instant,
    done: u64,
}

impl Pacer {
    pub(crate) fn new(speed: Speed) -> Self {
        let limit = match speed {
            Speed::Full => None,
            // Below one step a day a limit is a pause; NaN counts as that, too.
            Speed::StepsPerSecond(limit) => Some(if limit > 1e-5 { limit } else { 1e-5 }),
        };
        Self {
            limit,
            origin: Instant::now(),
            done: 0,
        }
    }

    /// Counts from now on.
    pub(crate) fn restart(&mut self) {
        self.origin = Instant::now();
        self.done = 0;
    }

    /// Steps to do now.
    pub(crate) fn due(&mut self) -> u64 {
        let Some(limit) = self.limit else {
            return u64::MAX;
        };
        let due = |origin: Instant, done: u64| {
            // The first step is due at once.
            let allowed = (origin.elapsed().as_secs_f64() * limit + 1.0 + 1e-6) as u64;
            allowed.saturating_sub(done)
        };
        let steps = due(self.origin, self.done);
        if steps > 1 && steps as f64 > limit * DEBT.as_secs_f64() + 1.0 {
            self.origin = Instant::now();
            self.done = 0;
            return 1;
        }
        steps
    }

    /// Steps were done.
    pub(crate) fn done(&mut self, steps: u64) {
        self.done += steps;
    }

    /// When steps are due next; a moment in the past if some are now.
    pub(crate) fn next_due(&self) -> Instant {
        let Some(limit) = self.limit else {
            return self.origin;
        };
        let together = (limit * TICK.as_secs_f64()).ceil().max(1.0);
        let seconds = (self.done as f64 + together - 1.0) / limit;
        self.origin + Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(TICK)
    }
}

/// Measures the recent speed.
#[derive(Debug)]
pub(crate) struct SpeedMeter {
    from: (u64, Instant),
    shown: f64,
}

impl SpeedMeter {
    pub(crate) fn new() -> Self {
        Self {
            from: (0, Instant::now()),
            shown: 0.0,
        }
    }

    /// Training starts at this step.
    pub(crate) fn restart(&mut self, step: u64) {
        self.from = (step, Instant::now());
        self.shown = 0.0;
    }

    /// The speed at a step and a moment.
    pub(crate) fn steps_per_second(&mut self, step: u64, now: Instant) -> f64 {
        let (from_step, from) = self.from;
        let elapsed = now - from;
        if step < from_step {
            self.restart(step);
        } else if elapsed >= WINDOW {
            self.shown = (step - from_step) as f64 / elapsed.as_secs_f64();
            self.from = (step, now);
        } else if self.shown == 0.0 && !elapsed.is_zero() {
            return (step - from_step) as f64 / elapsed.as_secs_f64();
        }
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_run_keeps_its_speed() {
        for limit in [20.0, 333.0, 5000.0] {
            let mut pacer = Pacer::new(Speed::StepsPerSecond(limit));
            pacer.restart();
            let begun = Instant::now();
            let mut steps = 0;
            while begun.elapsed() < Duration::from_millis(300) {
                let due = pacer.due();
                pacer.done(due);
                steps += due;
                std::thread::sleep(pacer.next_due().saturating_duration_since(Instant::now()));
            }
            let expected = limit * begun.elapsed().as_secs_f64();
            let error = (steps as f64 - expected).abs();
            // One tick at the start and one at the end may be missing or over.
            assert!(
                error <= limit * 0.05 + 2.0,
                "{steps} steps instead of {expected}"
            );
        }
    }

    #[test]
    fn delays_are_not_made_up_for_in_a_rush() {
        let mut pacer = Pacer::new(Speed::StepsPerSecond(1000.0));
        pacer.restart();
        std::thread::sleep(Duration::from_millis(150));
        assert!(pacer.due() <= 101);
    }

    #[test]
    fn nonsense_limits_do_not_hang_or_rush() {
        for limit in [0.0, -3.0, f64::NAN, 1e-300] {
            let mut pacer = Pacer::new(Speed::StepsPerSecond(limit));
            let due = pacer.due();
            assert!(due <= 1);
            pacer.done(due);
            assert!(pacer.next_due() > Instant::now() + Duration::from_secs(3600));
        }
    }
}
