//! An edit in a few words, for the marks on time charts, undo menus and the journal.

use serde::Serialize;

use super::{
    edit::Edit,
    language::{LanguageSpec, OTHER},
    mistake::repeated,
    preset::{Arms, BanditSpec, ModeSpec, Preset, Source},
    read::options,
    training::{StopRule, Training},
};
use crate::theory::{CoverageRule, Direction, Mara, Objective, Threshold};

/// What an edit changes, in a few words: "β 0.1 → 0.05". `before` is the preset as it was.
#[must_use]
pub fn describe_edit(before: &Preset, edit: &Edit) -> String {
    let changes = match edit {
        Edit::Objective(after) => objective(&before.objective, after),
        Edit::Training(after) => training(&before.training, after),
        Edit::Reward { arm, value } => {
            vec![format!(
                "reward of {} → {}",
                label(&before.bandit, *arm),
                short(*value)
            )]
        }
        Edit::Reference { arm, weight } => {
            vec![format!(
                "reference of {} → {}",
                label(&before.bandit, *arm),
                short(*weight)
            )]
        }
        Edit::Problem(after) => problem(&before.bandit, after),
        Edit::Modes(after) if *after == before.bandit.modes => Vec::new(),
        Edit::Modes(after) => vec![modes(after)],
        Edit::Coverage(after) => coverage(before.coverage, *after),
        Edit::Stop(after) => stop(&before.training.stop, after),
        Edit::Language(after) => before
            .language
            .as_ref()
            .map_or_else(Vec::new, |before| language(before, after)),
        Edit::Answers { prompt, rewards } => answers(before, *prompt, rewards),
        Edit::Bars { rewards, reference } => bars(&before.bandit, rewards, reference),
    };
    match changes.as_slice() {
        [] => "no change".to_owned(),
        [only] => only.clone(),
        [first, second] => format!("{first}, {second}"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} more", rest.len()),
    }
}

/// Rewards of a prompt's answers that change.
fn answers(before: &Preset, prompt: usize, rewards: &[f64]) -> Vec<String> {
    let Some(language) = &before.language else {
        return Vec::new();
    };
    let answers = (language.prompts.get(prompt)).map_or(&[][..], |task| &task.answers);
    let known = answers
        .iter()
        .map(|answer| (answer.text.as_str(), answer.reward));
    known
        .chain([(OTHER, language.failure_reward)])
        .zip(rewards)
        .filter(|((_, from), to)| from != *to)
        .map(|((name, _), to)| format!("reward of {name} (prompt {}) → {}", prompt + 1, short(*to)))
        .collect()
}

/// A number in at most four significant digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    if !(1e-4..1e6).contains(&size) {
        return tidy(&format!("{value:.3e}"));
    }
    let decimals = (3 - size.log10().floor() as i64).clamp(0, 8) as usize;
    tidy(&format!("{value:.decimals$}"))
}

/// Without zeros that say nothing.
fn tidy(text: &str) -> String {
    let (number, exponent) = match text.split_once('e') {
        Some((number, exponent)) => (number, format!("e{exponent}")),
        None => (text, String::new()),
    };
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number}{exponent}")
}

fn objective(before: &Objective, after: &Objective) -> Vec<String> {
    let mut changes = Vec::new();
    if before.direction != after.direction {
        let (from, to) = (direction(before.direction), direction(after.direction));
        changes.push(format!("{from} → {to}"));
    }
    for (name, from, to) in [
        ("β", before.beta.get(), after.beta.get()),
        ("reward scale", before.reward_scale, after.reward_scale),
        ("reward offset", before.reward_offset, after.reward_offset),
        ("entropy bonus", before.entropy, after.entropy),
    ] {
        if from != to {
            changes.push(format!("{name} {} → {}", short(from), short(to)));
        }
    }
    match (before.mara, after.mara) {
        (None, Some(mara)) => changes.push(format!("MARA on ({})", threshold(mara))),
        (Some(_), None) => changes.push("MARA off".to_owned()),
        (Some(from), Some(to)) if from.threshold != to.threshold => {
            changes.push(format!("MARA {} → {}", threshold(from), threshold(to)));
        }
        (Some(from), Some(to)) if from.algorithm != to.algorithm => {
            changes.push("MARA algorithm".to_owned());
        }
        (Some(from), Some(to)) if from != to => changes.push("MARA options".to_owned()),
        (None, None) | (Some(_), Some(_)) => {}
    }
    changes
}

fn direction(direction: Direction) -> String {
    match direction {
        Direction::Reverse => "reverse".to_owned(),
        Direction::Forward => "forward".to_owned(),
        Direction::Alpha(alpha) => format!("α = {}", short(alpha)),
    }
}

fn threshold(mara: Mara) -> String {
    match mara.threshold {
        Threshold::Constant(value) => format!("R ≥ {}", short(value)),
        Threshold::Percentile(value) => format!("top {} %", short(100.0 * (1.0 - value))),
    }
}

fn training(before: &Training, after: &Training) -> Vec<String> {
    let mut changes = Vec::new();
    let mut compare = |name: &str, from: String, to: String| {
        if from != to {
            changes.push(format!("{name} {}", brief(&from, &to)));
        }
    };
    compare("policy", written(&before.policy), written(&after.policy));
    compare("start", written(&before.start), written(&after.start));
    compare("update", written(&before.update), written(&after.update));
    compare(
        "optimiser",
        written(&before.optimizer),
        written(&after.optimizer),
    );
    compare(
        "learning rate",
        short(before.learning_rate),
        short(after.learning_rate),
    );
    changes.extend(stop(&before.stop, &after.stop));
    if before.seed != after.seed {
        changes.push(format!("seed {} → {}", before.seed, after.seed));
    }
    changes
}

/// "from → to" reduced to the part that differs where both are the same variant: "batch:256 → batch:64".
fn brief(from: &str, to: &str) -> String {
    const LONG: usize = 40;
    let (from_name, from_rest) = split_variant(from);
    let (to_name, to_rest) = split_variant(to);
    let (from, to) = if from_name == to_name {
        let differs: Vec<(&str, &str)> = from_rest
            .split(',')
            .zip(to_rest.split(','))
            .filter(|(a, b)| a != b)
            .collect();
        match differs.as_slice() {
            [(a, b)] if from_rest.matches(',').count() == to_rest.matches(',').count() => (*a, *b),
            _ => (from, to),
        }
    } else {
        (from, to)
    };
    // "batch:256 → batch:64" says its field twice.
    let (from, to) = match (from.split_once(':'), to.split_once(':')) {
        (Some((a, x)), Some((b, y))) if a == b && !x.contains(',') => {
            return format!("{a} {x} → {y}");
        }
        _ => (from, to),
    };
    if from.chars().count() + to.chars().count() > LONG {
        format!("→ {to_name}")
    } else {
        format!("{from} → {to}")
    }
}

/// `Name(rest)` as its parts; without brackets all of it is the name.
fn split_variant(text: &str) -> (&str, &str) {
    match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').unwrap_or(rest)),
        None => (text, ""),
    }
}

fn written(value: &impl Serialize) -> String {
    options().to_string(value).unwrap_or_default()
}

fn stop(before: &StopRule, after: &StopRule) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let mut rules = Vec::new();
    if let Some(steps) = after.steps {
        rules.push(format!("{steps} steps"));
    }
    if let Some(converged) = after.converged {
        rules.push(format!("TV ≤ {}", short(converged)));
    }
    if let Some(seconds) = after.seconds {
        rules.push(format!("{} s", short(seconds)));
    }
    vec![if rules.is_empty() {
        "no stop rule".to_owned()
    } else {
        format!("stop at {}", rules.join(" or "))
    }]
}

fn coverage(before: CoverageRule, after: CoverageRule) -> Vec<String> {
    let mut changes = Vec::new();
    if before.epsilon != after.epsilon {
        let (from, to) = (short(before.epsilon), short(after.epsilon));
        changes.push(format!("ε of covered modes {from} → {to}"));
    }
    if before.draws != after.draws {
        changes.push(format!("coverage@{} → @{}", before.draws, after.draws));
    }
    changes
}

fn language(before: &LanguageSpec, after: &LanguageSpec) -> Vec<String> {
    let mut changes = Vec::new();
    if before.model != after.model {
        changes.push(format!("model {}", after.model));
    }
    for (name, from, to) in [
        (
            "failure reward",
            before.failure_reward,
            after.failure_reward,
        ),
        ("temperature", before.temperature, after.temperature),
        ("top-p", before.top_p, after.top_p),
        ("weight decay", before.weight_decay, after.weight_decay),
    ] {
        if from != to {
            changes.push(format!("{name} {} → {}", short(from), short(to)));
        }
    }
    if before.clip != after.clip {
        let words = |clip: Option<f64>| clip.map_or_else(|| "off".to_owned(), short);
        changes.push(format!(
            "clip {} → {}",
            words(before.clip),
            words(after.clip)
        ));
    }
    for (name, differs) in [
        ("prompts", before.prompts != after.prompts),
        ("matching", before.matching != after.matching),
        ("reward program", before.program != after.program),
        (
            "completion length",
            before.max_new_tokens != after.max_new_tokens,
        ),
        ("trained parameters", before.tune != after.tune),
        ("warm-up", before.warm_up != after.warm_up),
        ("checkpoints", before.checkpoints != after.checkpoints),
    ] {
        if differs {
            changes.push(name.to_owned());
        }
    }
    changes
}

fn problem(before: &BanditSpec, after: &BanditSpec) -> Vec<String> {
    let mut changes: Vec<String> = problem_changes(before, after)
        .into_iter()
        .map(|change| match (change.from.as_str(), change.to.as_str()) {
            (from, to) if from == to => change.subject.to_owned(),
            (from, to) => format!("{} {from} → {to}", change.subject),
        })
        .collect();
    if before.modes != after.modes {
        changes.push(modes(&after.modes));
    }
    changes.extend(bars(before, &after.reward_edits, &after.reference_edits));
    changes
}

/// What an edit of a whole bandit changes of its arms or of one of its sources.
pub(crate) struct ProblemChange {
    /// The part.
    pub(crate) subject: &'static str,
    /// What it was, in a few words.
    pub(crate) from: String,
    /// What it is; the same words where they do not tell the difference.
    pub(crate) to: String,
}

/// Which of arms, reference and rewards differ in two bandits.
pub(crate) fn problem_changes(before: &BanditSpec, after: &BanditSpec) -> Vec<ProblemChange> {
    let mut changes = Vec::new();
    if before.arms != after.arms {
        changes.push(ProblemChange {
            subject: "arms",
            from: arms(&before.arms),
            to: arms(&after.arms),
        });
    }
    for (subject, from, to) in [
        ("reference", &before.reference, &after.reference),
        ("rewards", &before.rewards, &after.rewards),
    ] {
        if from != to {
            changes.push(ProblemChange {
                subject,
                from: source(from),
                to: source(to),
            });
        }
    }
    changes
}

fn arms(arms: &Arms) -> String {
    match arms {
        Arms::Line { count, .. } => count.to_string(),
        Arms::Grid { rows, columns, .. } => format!("{rows} × {columns}"),
        Arms::Named(names) => format!("{} named", names.len()),
    }
}

/// A source in a few words.
fn source(source: &Source) -> String {
    /// Longest piece of a user's own text.
    const LONGEST: usize = 24;
    let piece = |text: &str| {
        let text = repeated(text);
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    };
    let many = |count: usize, one: &str| {
        let s = if count == 1 { "" } else { "s" };
        format!("{count} {one}{s}")
    };
    match source {
        Source::Constant(value) => format!("constant {}", short(*value)),
        Source::List(_) | Source::Weights(_) => "list".to_owned(),
        Source::Csv { path, .. } => {
            let name = path.file_name().unwrap_or(path.as_os_str());
            piece(&name.to_string_lossy())
        }
        Source::Bumps { bumps, .. } => many(bumps.len(), "bump"),
        Source::Blocks { blocks, .. } => many(blocks.len(), "block"),
        Source::PowerLaw { exponent } => format!("power law {}", short(*exponent)),
        Source::Zipf { exponent } => format!("Zipf {}", short(*exponent)),
        Source::Random { seed, .. } => format!("random, seed {seed}"),
        Source::Formula(text) => piece(text),
    }
}

fn modes(after: &ModeSpec) -> String {
    match after {
        ModeSpec::Detected { threshold: None } => "modes detected".to_owned(),
        ModeSpec::Detected {
            threshold: Some(threshold),
        } => format!("modes where R ≥ {}", short(*threshold)),
        ModeSpec::EachArm { threshold } => {
            format!("each arm with R ≥ {} a mode", short(*threshold))
        }
        ModeSpec::Labelled(labelled) => format!("{} labelled modes", labelled.len()),
    }
}

fn bars(before: &BanditSpec, rewards: &[(usize, f64)], reference: &[(usize, f64)]) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, from, to) in [
        ("reward", before.reward_edits.as_slice(), rewards),
        ("reference", before.reference_edits.as_slice(), reference),
    ] {
        if from == to {
            continue;
        }
        changes.push(match (from, to) {
            (_, []) => format!("{name} bars as they were"),
            ([], [(arm, value)]) => {
                format!("{name} of {} → {}", label(before, *arm), short(*value))
            }
            (_, many) => format!("{} {name} bars", many.len()),
        });
    }
    changes
}

fn label(bandit: &BanditSpec, arm: usize) -> String {
    match &bandit.arms {
        Arms::Named(names) => match names.get(arm) {
            Some(name) => format!("“{name}”"),
            None => format!("arm {arm}"),
        },
        Arms::Line { .. } | Arms::Grid { .. } => format!("arm {arm}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::{
        experiment::{builtin_preset, set_path},
        theory::Beta,
    };

    fn figure_5() -> Preset {
        builtin_preset("figure-5").unwrap()
    }

    #[test]
    fn objectives_tell_what_changed() {
        let before = figure_5();
        for (changes, wanted) in [
            (&["objective.beta=0.05"][..], "β 0.01 → 0.05"),
            (&["objective.direction=Forward"], "reverse → forward"),
            (&["objective.direction=Alpha(0.5)"], "reverse → α = 0.5"),
            (
                &["objective.mara.threshold=Constant(0.8)"],
                "MARA on (R ≥ 0.8)",
            ),
            (
                &["objective.beta=1e-5", "objective.reward_scale=2"],
                "β 0.01 → 1e-5, reward scale 1 → 2",
            ),
            (
                &[
                    "objective.beta=1",
                    "objective.reward_scale=2",
                    "objective.entropy=0.1",
                ],
                "β 0.01 → 1, reward scale 1 → 2 and 1 more",
            ),
            (&[], "no change"),
        ] {
            let mut after = before.clone();
            for change in changes {
                set_path(&mut after, change).unwrap();
            }
            let edit = Edit::Objective(after.objective);
            assert_eq!(describe_edit(&before, &edit), wanted);
        }
    }

    #[test]
    fn problems_tell_what_changed() {
        let before = figure_5();
        for (changes, wanted) in [
            (
                &["bandit.reference=Zipf(exponent: 1.5)"][..],
                "reference power law 4 → Zipf 1.5",
            ),
            (
                &["bandit.rewards=Formula(\"gauss(x, 0.25, 0.05) + gauss(x, 0.75, 0.05)\")"],
                "rewards 2 blocks → gauss(x, 0.25, 0.05) + g…",
            ),
            (&["bandit.rewards.blocks.0.value=0.5"], "rewards"),
            (
                &[
                    "bandit.arms.count=200",
                    "bandit.modes=EachArm(threshold: 0.5)",
                ],
                "arms 100 → 200, each arm with R ≥ 0.5 a mode",
            ),
        ] {
            let mut after = before.clone();
            for change in changes {
                set_path(&mut after, change).unwrap();
            }
            let edit = Edit::Problem(Box::new(after.bandit));
            assert_eq!(describe_edit(&before, &edit), wanted);
        }
    }

    #[test]
    fn training_and_bars_tell_what_changed() {
        let before = figure_5();
        for (change, wanted) in [
            ("training.learning_rate=0.1", "learning rate 0.02 → 0.1"),
            ("training.update.batch=64", "update batch 256 → 64"),
            ("training.update.kl=Off", "update kl Matched → Off"),
            ("training.policy=Gaussian", "policy SoftmaxTable → Gaussian"),
            ("training.optimizer=Sgd", "optimiser → Sgd"),
            ("training.seed=7", "seed 1 → 7"),
            ("training.stop.steps=100", "stop at 100 steps"),
        ] {
            let mut after = before.clone();
            set_path(&mut after, change).unwrap();
            let edit = Edit::Training(Box::new(after.training));
            assert_eq!(describe_edit(&before, &edit), wanted);
        }
        let one = Edit::Reward {
            arm: 3,
            value: 0.123_456,
        };
        assert_eq!(describe_edit(&before, &one), "reward of arm 3 → 0.1235");
        let named = builtin_preset("figure-4").unwrap();
        let one = Edit::Reference {
            arm: 2,
            weight: 0.5,
        };
        assert_eq!(describe_edit(&named, &one), "reference of “rare” → 0.5");
        let many = Edit::Bars {
            rewards: vec![(0, 1.0), (1, 2.0)],
            reference: Vec::new(),
        };
        assert_eq!(describe_edit(&before, &many), "2 reward bars");
        let mut objective = before.objective;
        objective.beta = Beta::new(123_456.0).unwrap();
        assert_eq!(
            describe_edit(&before, &Edit::Objective(objective)),
            "β 0.01 → 123456"
        );
    }
}
