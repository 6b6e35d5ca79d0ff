//! Tells when training has ruined a policy although every number is still finite, as a learning rate far too high does.
//!
//! Regularised training from the reference never does worse than it: the objective only grows, and with it the expected
//! reward. So a policy has collapsed that has lost nine tenths of the expected reward, counted from the worst answer's, or
//! whose objective lies further below than the whole range of rewards: below the reference's, the target's and what the
//! present experiment began with, so that neither a bad start nor an edit that moves the target is taken for it. Nor does
//! training at a sound rate settle on one answer, where the target has many, within some dozens of steps.

use super::snapshot::{Collapse, Fallen};
use crate::{
    lm::Ground,
    theory::{Metric, Metrics},
};

/// What is left of the expected reward where it has collapsed.
const LEFT: f64 = 0.1;
/// What of it has to be back for a policy to be sound again.
const BACK: f64 = 0.5;
/// What is left of the entropy where it has died.
const ENTROPY_LEFT: f64 = 1e-3;
/// What of it has to be back for a policy to be sound again.
const ENTROPY_BACK: f64 = 0.05;
/// Steps within which only a learning rate far too high makes the entropy die.
const SUDDEN: u64 = 50;
/// Least expected reward, of the range of rewards, whose loss is told from rounding.
const LEAST: f64 = 1e-6;
/// Looks in a row that have to find the same.
const LOOKS: u32 = 3;

/// What was seen of a run since its experiment last changed.
#[derive(Debug, Default)]
pub(super) struct CollapseWatch {
    bars: Option<Bars>,
    /// The step of the best objective of a sound policy, and that objective.
    best: Option<(u64, f64)>,
    /// When looks in a row began to find it, and how many have.
    suspected: Option<(u64, u32)>,
    found: Option<Collapse>,
    /// Found and not told yet.
    untold: bool,
    /// The first one of the run.
    first: Option<Collapse>,
}

/// What a sound policy does not fall far below.
#[derive(Debug, Clone, Copy)]
struct Bars {
    reward: f64,
    objective: f64,
    entropy: f64,
    /// The step at which the present experiment began.
    since: u64,
    /// Smallest and largest reward; worked out when it matters.
    range: Option<(f64, f64)>,
}

impl CollapseWatch {
    /// The experiment or the policy is another one from now on.
    pub(super) fn restart(&mut self) {
        *self = Self {
            first: self.first,
            ..Self::default()
        };
    }

    /// Takes the metrics of a step; those of several prompts are means over them.
    pub(super) fn look(&mut self, step: u64, metrics: &Metrics, grounds: &[Ground]) {
        let reward = metrics.get(Metric::ExpectedReward);
        let objective = metrics.get(Metric::Objective);
        let entropy = metrics.get(Metric::Entropy);
        let bars = (self.bars).get_or_insert_with(|| Bars::of(grounds, step, metrics));
        let dead = if self.found.is_some() {
            entropy < ENTROPY_BACK * bars.entropy
        } else {
            // One that begins late enough to be no sudden one is not even suspected.
            let since = self.suspected.map_or(step, |(since, _)| since);
            entropy < ENTROPY_LEFT * bars.entropy && since.saturating_sub(bars.since) <= SUDDEN
        };
        let left = if self.found.is_some() { BACK } else { LEFT };
        let of_entropy = || Fallen::Entropy {
            to: entropy,
            from: bars.entropy,
        };
        let died = dead.then(of_entropy);
        let Some(fallen) = bars.fallen(grounds, reward, objective, left).or(died) else {
            self.suspected = None;
            self.found = None;
            if self.best.is_none_or(|(_, best)| objective > best) {
                self.best = Some((step, objective));
            }
            return;
        };
        let (since, looks) = self.suspected.unwrap_or((step, 0));
        self.suspected = Some((since, looks + 1));
        if looks + 1 >= LOOKS && self.found.is_none() {
            let collapse = Collapse {
                step: since,
                sound_step: self.best.map_or(0, |(step, _)| step),
                fallen,
            };
            self.found = Some(collapse);
            self.first.get_or_insert(collapse);
            self.untold = true;
        }
    }

    /// The policy has collapsed and is not sound again.
    pub(super) fn found(&self) -> Option<Collapse> {
        self.found
    }

    /// The first time that the run collapsed, whatever came after.
    pub(super) fn first(&self) -> Option<Collapse> {
        self.first
    }

    /// What was found, once.
    pub(super) fn take(&mut self) -> Option<Collapse> {
        std::mem::take(&mut self.untold)
            .then_some(self.found)
            .flatten()
    }
}

impl Bars {
    fn of(grounds: &[Ground], since: u64, metrics: &Metrics) -> Self {
        let mean = |of: &dyn Fn(&Ground) -> f64| {
            grounds.iter().map(of).sum::<f64>() / grounds.len().max(1) as f64
        };
        let least = |metric: Metric| {
            let reference = mean(&|ground| ground.analysis.reference_metrics.get(metric));
            let target = mean(&|ground| ground.analysis.target_metrics.get(metric));
            // A metric that is not defined there (NaN) is left out.
            metrics.get(metric).min(reference).min(target)
        };
        Self {
            reward: least(Metric::ExpectedReward),
            objective: least(Metric::Objective),
            entropy: least(Metric::Entropy),
            since,
            range: None,
        }
    }

    /// What of the reward or the objective is lost, if no more than `left` of it is left.
    fn fallen(
        &mut self,
        grounds: &[Ground],
        reward: f64,
        objective: f64,
        left: f64,
    ) -> Option<Fallen> {
        if reward >= self.reward && objective >= self.objective {
            return None;
        }
        let (low, high) = *self.range.get_or_insert_with(|| range(grounds));
        let lost =
            self.reward - low > LEAST * (high - low) && reward - low < left * (self.reward - low);
        let depth = (self.objective - objective) / (high - low);
        if lost {
            Some(Fallen::Reward {
                to: reward,
                from: self.reward,
            })
        } else if high > low && depth > (1.0 - left) / (1.0 - LEFT) {
            Some(Fallen::Objective {
                to: objective,
                from: self.objective,
            })
        } else {
            None
        }
    }
}

/// The smallest and the largest reward, the mean over prompts.
fn range(grounds: &[Ground]) -> (f64, f64) {
    let count = grounds.len().max(1) as f64;
    grounds.iter().fold((0.0, 0.0), |(low, high), ground| {
        let rewards = &ground.analysis.rewards;
        let least = rewards.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (low + least / count, high + most / count)
    })
}

impl Collapse {
    /// What happened and what to do about it, in a line; learning rate and β are the present ones.
    #[must_use]
    pub fn message(&self, learning_rate: f64, beta: f64) -> String {
        format!(
            "{}; most often the learning rate is too high: begin anew or go back to step {} with a smaller \
             training.learning_rate (now {learning_rate}), or a larger objective.beta (now {beta})",
            self.says(),
            self.sound_step
        )
    }

    /// What happened, in a few words.
    #[must_use]
    pub fn says(&self) -> String {
        let (name, to, from) = match self.fallen {
            Fallen::Reward { to, from } => ("E[R]", to, from),
            Fallen::Objective { to, from } => ("J", to, from),
            Fallen::Entropy { to, from } => ("the entropy", to, from),
        };
        format!(
            "The policy has collapsed at step {}: {name} fell to {}, far below the {} it should not fall under",
            self.step,
            short(to),
            short(from)
        )
    }
}

/// Three significant digits, or an exponent.
fn short(value: f64) -> String {
    if !value.is_finite() {
        return if value < 0.0 { "−∞" } else { "∞" }.to_owned();
    }
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e4).contains(&size) => {
            let decimals = (2.0 - size.log10().floor()).clamp(0.0, 5.0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.1e}"),
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::{
        engine::{Budget, Session},
        experiment::{builtin_preset, set_path},
    };

    fn run(name: &str, sets: &[&str], steps: u64) -> Session {
        let mut preset = builtin_preset(name).unwrap();
        for set in sets {
            set_path(&mut preset, set).unwrap();
        }
        let mut session = Session::new(preset, None).unwrap();
        session.advance(Budget::steps(steps), &|| false).unwrap();
        session
    }

    #[test]
    fn an_absurd_learning_rate_collapses_and_a_lower_one_does_not() {
        let mut session = run("lm-one-or-two", &["training.learning_rate=0.3"], 60);
        let found = session.collapse().unwrap();
        assert!(
            found.sound_step < found.step && found.step < 60,
            "{found:?}"
        );
        let told = session.take_notice().unwrap();
        assert!(
            told.contains("has collapsed") && told.contains("(now 0.3)"),
            "{told}"
        );
        let again = std::iter::from_fn(|| session.take_notice());
        assert_eq!(again.filter(|told| told.contains("collapsed")).count(), 0);

        session.reset(None).unwrap();
        assert_eq!(session.collapse(), None);
        assert_eq!(run("lm-one-or-two", &[], 60).collapse(), None);
    }

    #[test]
    fn an_entropy_that_dies_in_a_few_steps_is_told_and_one_that_dwindles_is_not() {
        for (name, rate) in [("figure-5", 1e3), ("many-arms", 1e3), ("figure-2", 1e5)] {
            let set = format!("training.learning_rate={rate}");
            let found = run(name, &[&set], 100).collapse();
            let is_entropy =
                found.is_some_and(|found| matches!(found.fallen, Fallen::Entropy { .. }));
            assert!(is_entropy, "{name}: {found:?}");
        }
        // One answer eats the others, over thousands of steps.
        assert_eq!(run("dynamics-collapse", &[], 2_000).first_collapse(), None);
    }

    #[test]
    fn an_edit_that_moves_the_target_is_no_collapse() {
        let mut session = run("figure-4", &[], 2_000);
        let rewards = session.analysis().rewards.to_vec();
        let most = rewards.iter().copied().fold(f64::MIN, f64::max);
        // What was right is wrong, and the other way round.
        let edits = rewards.iter().enumerate().map(|(arm, reward)| {
            let value = most - reward;
            crate::experiment::Edit::Reward { arm, value }
        });
        assert!(session.edit(edits.collect::<Vec<_>>()).is_empty());
        session.advance(Budget::steps(50), &|| false).unwrap();
        assert_eq!(session.collapse(), None);
    }

    #[test]
    fn it_is_told_after_three_looks_and_over_when_half_is_back() {
        let session = run("figure-4", &[], 1);
        let mut watch = CollapseWatch::default();
        let mut look = |step: u64, reward: f64| {
            let mut metrics = Metrics::default();
            metrics.set(Metric::ExpectedReward, reward);
            metrics.set(Metric::Objective, reward);
            metrics.set(Metric::Entropy, 1.0);
            watch.look(step, &metrics, session.grounds());
            watch.found().map(|found| (found.sound_step, found.step))
        };
        let start = session
            .analysis()
            .reference_metrics
            .get(Metric::ExpectedReward);
        for (step, share, found) in [
            (0, 1.0, None),
            (1, 1.01, None),
            (2, 0.05, None),
            (3, 1.0, None),
            (4, 0.05, None),
            (5, 0.05, None),
            (6, 0.05, Some((1, 4))),
            (7, 0.3, Some((1, 4))),
            (8, 0.6, None),
        ] {
            assert_eq!(look(step, share * start), found, "step {step}");
        }
        assert!(watch.first().is_some());
    }
}
