//! What the target looks like and why, in at most two plain sentences with numbers.

use super::Problem;
use crate::theory::{
    Direction, Divergence, MaraAlgorithm, Objective, Target, Tie, Ties, coverage,
    mara::Augmentation,
};

/// What the sentence speaks of.
pub(super) struct Facts<'a> {
    pub(super) problem: &'a Problem,
    pub(super) objective: &'a Objective,
    pub(super) mara: Option<&'a Augmentation>,
    pub(super) target: &'a Target,
    pub(super) target_modes: &'a [f64],
    pub(super) reference_modes: &'a [f64],
    /// KL(G‖π_ref), nats.
    pub(super) kl_to_reference: f64,
    /// Ties between arms; none with MARA, whose sentence needs none.
    pub(super) ties: Option<&'a Ties<'a>>,
    /// Ties of all pairs of modes, where they are known.
    pub(super) mode_ties: Option<&'a [Tie]>,
    /// Rewards as optimised, MARA included.
    pub(super) rewards: &'a [f64],
    /// Log reference as optimised, MARA included.
    pub(super) log_reference: &'a [f64],
}

/// Below this KL to the reference (nats) the target is said to stay there.
const AT_REFERENCE: f64 = 1e-3;
/// Mass off the modes beyond which that is the news.
const OFF_MODES: f64 = 0.5;
/// Mass outside the support worth a sentence.
const OUTSIDE: f64 = 1e-3;

/// Writes the sentence.
pub(super) fn sentence(facts: &Facts) -> String {
    if facts.problem.arms() == 1 {
        return "There is one arm, so the target is that arm at every β.".to_owned();
    }
    if facts.target.outside_support >= OUTSIDE {
        return format!("{} {}", outside(facts), capital(&shape(facts, false)));
    }
    if let Some(mara) = facts.mara {
        return with_mara(facts, mara);
    }
    if facts.kl_to_reference < AT_REFERENCE {
        return format!("{}; {}", stays(facts), shape(facts, false));
    }
    capital(&shape(facts, true))
}

/// Why the target stays at the reference.
fn stays(facts: &Facts) -> String {
    let beta = number(facts.objective.beta.get());
    let bonus = facts.objective.entropy > 0.0;
    let found = within_support(facts);
    if found.equal_rewards {
        let place = if found.whole {
            ""
        } else {
            " within the reference's support"
        };
        let rewards = format!("all rewards{place} are equal");
        return match (bonus, found.level) {
            (true, true) => {
                format!("All arms{place} are alike, so the target is the reference at every β")
            }
            (true, false) => format!(
                "{} and β = {beta} outweighs the entropy bonus, so the target stays at the reference",
                capital(&rewards)
            ),
            (false, _) => format!(
                "{}, so the target is the reference at every β",
                capital(&rewards)
            ),
        };
    }
    if -found.on_best.ln() < AT_REFERENCE {
        return format!(
            "The reference already puts {} on the best reward, so the target stays there",
            percent(found.on_best)
        );
    }
    let what = if bonus {
        "the rewards and the entropy bonus"
    } else {
        "the rewards"
    };
    format!("β = {beta} outweighs {what}, so the target stays at the reference")
}

/// What the arms within the reference's support are like.
struct Support {
    /// The support is all arms.
    whole: bool,
    equal_rewards: bool,
    /// All reference masses are equal.
    level: bool,
    /// Reference mass of the arms with the best reward.
    on_best: f64,
}

fn within_support(facts: &Facts) -> Support {
    let arms = || {
        let pairs = facts.rewards.iter().zip(facts.log_reference);
        pairs.filter(|(_, log_mass)| **log_mass > f64::NEG_INFINITY)
    };
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut rarest, mut likeliest) = (f64::INFINITY, f64::NEG_INFINITY);
    for (&reward, &log_mass) in arms() {
        (low, high) = (low.min(reward), high.max(reward));
        (rarest, likeliest) = (rarest.min(log_mass), likeliest.max(log_mass));
    }
    // Rewards that differ in the last digits are meant to be equal.
    let near = 1e-12 * low.abs().max(high.abs());
    let best = arms().filter(|(reward, _)| **reward >= high - near);
    Support {
        whole: arms().count() == facts.rewards.len(),
        equal_rewards: high - low <= near,
        level: likeliest - rarest <= 1e-9,
        on_best: best.map(|(_, log_mass)| log_mass.exp()).sum(),
    }
}

/// "3.0 % of the mass lies outside the reference's support, on arm 4."
fn outside(facts: &Facts) -> String {
    let reference = facts.problem.reference.log_masses();
    let mut arms = (0..facts.problem.arms())
        .filter(|&arm| reference[arm] == f64::NEG_INFINITY && facts.target.masses[arm] > 0.0);
    let place = match (arms.next(), arms.count()) {
        (Some(arm), 0) => format!(", on {}", arm_name(facts.problem, arm)),
        (_, others) => format!(", spread over {} arms", others + 1),
    };
    format!(
        "{} of the mass lies outside the reference's support{place}.",
        percent(facts.target.outside_support)
    )
}

fn with_mara(facts: &Facts, mara: &Augmentation) -> String {
    let per_class = facts.objective.mara.is_some_and(|mara| mara.per_class);
    let reverse = Divergence::from(facts.objective.direction) == Divergence::Reverse;
    let right = reverse || mara.anchored.algorithm == MaraAlgorithm::SwapRewardAndReference;
    if !right {
        let (arm, mass) = likeliest(facts.target);
        return format!(
            "Algorithm 1 of MARA does not make good arms equal under {}; {} holds {} of the target.",
            direction_name(facts.objective.direction),
            arm_name(facts.problem, arm),
            percent(mass)
        );
    }
    if per_class {
        let classes = facts.target_modes.len();
        let mass: f64 = facts.target_modes.iter().sum();
        return format!(
            "MARA makes the {} equal; together they hold {} of the target.",
            counted(classes, "mode"),
            percent(mass)
        );
    }
    // MARA moves good arms within the support only, so that the others are good or not by their own reward.
    let reference = facts.problem.reference.log_masses();
    let good = || {
        let above = |arm: &usize| facts.rewards[*arm] >= mara.anchored.threshold;
        (0..facts.problem.arms()).filter(above)
    };
    let supported = |arm: &usize| reference[*arm] > f64::NEG_INFINITY;
    let mass: f64 = good()
        .filter(supported)
        .map(|arm| facts.target.masses[arm])
        .sum();
    let place = match good().filter(|arm| !supported(arm)).count() {
        0 => String::new(),
        outside => {
            let verb = if outside == 1 { "lies" } else { "lie" };
            format!(" ({} {verb} outside it)", counted(outside, "other"))
        }
    };
    let within = if place.is_empty() {
        ""
    } else {
        " within the reference's support"
    };
    let lead = match mara.good {
        1 => format!("Only one arm{within} is good{place}, so MARA changes nothing"),
        good => format!("MARA makes the {good} good arms{within} equal{place}"),
    };
    let hold = if mara.good == 1 {
        "it holds"
    } else {
        "together they hold"
    };
    format!("{lead}; {hold} {} of the target.", percent(mass))
}

/// The shape of the target over modes; `why` adds the reason where there is one.
fn shape(facts: &Facts, why: bool) -> String {
    let masses = facts.target_modes;
    let Some(found) = coverage::measure(masses, facts.problem.coverage.epsilon) else {
        let (arm, mass) = likeliest(facts.target);
        return format!(
            "no arm counts as a mode; the likeliest, {}, holds {} of the target.",
            arm_name(facts.problem, arm),
            percent(mass)
        );
    };
    let on_modes = found.mass;
    if on_modes < 1.0 - OFF_MODES {
        let (arm, mass) = likeliest(facts.target);
        let share = if on_modes == 0.0 {
            "none".to_owned()
        } else if percent(on_modes).starts_with("under") {
            percent(on_modes)
        } else {
            format!("only {}", percent(on_modes))
        };
        let modes = match masses.len() {
            1 => "only mode".to_owned(),
            count => counted(count, "mode"),
        };
        return format!(
            "{share} of the target sits on the {modes}; the likeliest arm, {}, holds {}.",
            arm_name(facts.problem, arm),
            percent(mass)
        );
    }
    let order = leaders(masses);
    let (top, share) = order[0];
    let Some(&(next, next_mass)) = order.get(1) else {
        return format!(
            "{} of the target sits on the only mode, {}.",
            percent(share),
            facts.problem.modes[top].label
        );
    };
    let count = masses.len();
    let reason = if why { reason(facts, top, next) } else { None };
    let reason = reason.map_or_else(|| ".".to_owned(), |reason| format!("; {reason}."));
    if found.largest_share > coverage::UNIMODAL {
        let name = &facts.problem.modes[top].label;
        return format!(
            "{} of the target sits on one of {count} modes, {name}{reason}",
            percent(share)
        );
    }
    if count == 2 {
        let level = if next_mass > 0.8 * share {
            "almost evenly "
        } else {
            ""
        };
        return format!(
            "the target is split {level}between 2 modes, {} on {} and {} on {}{reason}",
            percent(share),
            facts.problem.modes[top].label,
            percent(next_mass),
            facts.problem.modes[next].label,
        );
    }
    if found.effective > 0.9 * count as f64 {
        return format!(
            "the target covers all {count} modes almost evenly ({} effective modes, {} of the mass).",
            number(found.effective),
            percent(on_modes)
        );
    }
    format!(
        "the target covers {} of {count} modes ({} effective); the largest, {}, holds {}{reason}",
        found.covered,
        number(found.effective),
        facts.problem.modes[top].label,
        percent(share)
    )
}

/// Why the top mode outweighs the next, told by their best arms.
fn reason(facts: &Facts, top: usize, next: usize) -> Option<String> {
    let modes = &facts.problem.modes;
    let ties = facts.ties?;
    let first = ties.best_arm(&modes[top].arms)?;
    let second = ties.best_arm(&modes[next].arms)?;
    let single = modes[top].arms.len() == 1 && modes[next].arms.len() == 1;
    let gap = facts.rewards[first] - facts.rewards[second];
    let support = facts.log_reference[first] - facts.log_reference[second];
    let scale = facts.rewards[first].abs().max(facts.rewards[second].abs());
    let equal_rewards = gap.abs() <= 1e-12 * scale;
    let whom = if modes.len() == 2 {
        "they".to_owned()
    } else {
        format!("{} and {}", modes[top].label, modes[next].label)
    };
    if equal_rewards {
        // Flat modes keep the ratio of their masses, peaked ones that of their best arms.
        let flat = |mode: usize, reward: f64| {
            modes[mode]
                .arms
                .iter()
                .all(|&arm| facts.rewards[arm as usize] == reward)
        };
        let whole = flat(top, facts.rewards[first]) && flat(next, facts.rewards[second]);
        let ratio = if whole {
            facts.reference_modes[top] / facts.reference_modes[next]
        } else {
            support.exp()
        };
        let subject = if whole { "rewards" } else { "best rewards" };
        return if facts.objective.entropy > 0.0 {
            Some(format!(
                "equal {subject}, so the reference alone tells them apart"
            ))
        } else if (ratio - 1.0).abs() < 1e-9 {
            Some(format!("equal {subject} and equal reference"))
        } else if ratio > 1.0 {
            Some(format!(
                "equal {subject}, so the {} gap in reference mass stays at every β",
                times(ratio)
            ))
        } else {
            None
        };
    }
    let tie = match facts.mode_ties {
        Some(known) => known.iter().copied().find(|tie| {
            let pair = (tie.better_reward, tie.better_support);
            pair == (top, next) || pair == (next, top)
        }),
        None => ties.between(first, second),
    };
    if let Some(tie) = tie {
        let beta = facts.objective.beta.get();
        let near = (tie.beta / beta).ln().abs() < 0.05;
        let best = if single {
            whom
        } else if modes.len() == 2 {
            "their best arms".to_owned()
        } else {
            format!("the best arms of {whom}")
        };
        let verb = if near { "tie" } else { "would tie" };
        return Some(format!("{best} {verb} at β = {}", number(tie.beta)));
    }
    let beta = facts.objective.beta.get();
    if gap > 0.0 && support.abs() < 1e-9 {
        Some(format!(
            "equal reference, so a reward gap of {} decides at β = {}",
            number(gap),
            number(beta)
        ))
    } else if gap > 0.0 && support > 0.0 {
        Some("it leads in reward and in reference mass, so no β makes them tie".to_owned())
    } else {
        None
    }
}

/// The two modes with the most mass, the first of equals first.
fn leaders(masses: &[f64]) -> Vec<(usize, f64)> {
    let mut order: Vec<(usize, f64)> = Vec::with_capacity(3);
    for (mode, &mass) in masses.iter().enumerate() {
        let place = order.iter().position(|&(_, other)| mass > other);
        order.insert(place.unwrap_or(order.len()), (mode, mass));
        order.truncate(2);
    }
    order
}

fn likeliest(target: &Target) -> (usize, f64) {
    target
        .masses
        .iter()
        .copied()
        .enumerate()
        .fold(
            (0, 0.0),
            |best, (arm, mass)| if mass > best.1 { (arm, mass) } else { best },
        )
}

fn arm_name(problem: &Problem, arm: usize) -> String {
    if problem.names.is_some() {
        problem.arm_label(arm)
    } else {
        format!("arm {arm}")
    }
}

fn direction_name(direction: Direction) -> &'static str {
    match Divergence::from(direction) {
        Divergence::Reverse => "reverse KL",
        Divergence::Forward => "forward KL",
        Divergence::Alpha(_) => "this divergence",
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

/// "98.7 %", never rounded to a false 100 or 0.
fn percent(share: f64) -> String {
    let value = 100.0 * share;
    if value >= 100.0 - 1e-9 {
        "100 %".to_owned()
    } else if value >= 99.95 {
        "over 99.9 %".to_owned()
    } else if value >= 0.05 {
        format!("{value:.1} %")
    } else if value > 0.0 {
        "under 0.1 %".to_owned()
    } else {
        "0 %".to_owned()
    }
}

/// Three significant digits, plain where readable.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor();
    if (-4.0..5.0).contains(&exponent) {
        let digits = (2.0 - exponent).max(0.0) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        format!("{value:.2e}")
    }
}

/// "15×".
fn times(ratio: f64) -> String {
    if ratio.is_finite() {
        format!("{}×", number(ratio))
    } else {
        "boundless".to_owned()
    }
}

#[cfg(test)]
#[path = "sentence_tests.rs"]
mod tests;
