//! Edits on their way into a run: many of one drag become one, and each leaves a labelled mark on the time charts.

use super::snapshot::EditMark;
use crate::{
    experiment::{
        BanditSpec, Edit, LanguageSpec, Optimizer, Preset, ProblemChange, Training, problem_changes,
    },
    theory::{CoverageRule, Direction, Objective},
};

/// Most marks kept; older neighbours give way.
const MARKS: usize = 256;

/// The parts of a preset that edits can change, to go back to when an edit turns out impossible or the run goes back.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    objective: Objective,
    training: Training,
    bandit: BanditSpec,
    language: Option<LanguageSpec>,
    coverage: CoverageRule,
}

impl Live {
    pub(crate) fn of(preset: &Preset) -> Self {
        Self {
            objective: preset.objective,
            training: preset.training.clone(),
            bandit: preset.bandit.clone(),
            language: preset.language.clone(),
            coverage: preset.coverage,
        }
    }

    /// The bandit as it was.
    pub(crate) fn bandit(&self) -> &BanditSpec {
        &self.bandit
    }

    pub(crate) fn restore(&self, preset: &mut Preset) {
        preset.objective = self.objective;
        preset.training = self.training.clone();
        preset.bandit.clone_from(&self.bandit);
        preset.language.clone_from(&self.language);
        preset.coverage = self.coverage;
    }
}

/// Adds an edit to those that wait for the next step boundary. A later edit of the same thing replaces an earlier one.
pub(crate) fn coalesce(waiting: &mut Vec<Edit>, edit: Edit) {
    // A language part holds the rewards as they were when it was made: bars do not change places with it.
    let fixed = if is_bars(&edit) {
        let last = waiting
            .iter()
            .rposition(|earlier| matches!(earlier, Edit::Language(_)));
        last.map_or(0, |at| at + 1)
    } else {
        0
    };
    let mut index = 0;
    waiting.retain(|earlier| {
        index += 1;
        index <= fixed || !replaces(&edit, earlier)
    });
    waiting.push(edit);
}

/// Edits of reward or reference by hand.
fn is_bars(edit: &Edit) -> bool {
    matches!(
        edit,
        Edit::Reward { .. } | Edit::Reference { .. } | Edit::Bars { .. } | Edit::Answers { .. }
    )
}

fn replaces(later: &Edit, earlier: &Edit) -> bool {
    match (later, earlier) {
        // Another family, start or seed begins the policy anew, so that a change there and back is not nothing.
        (Edit::Training(later), Edit::Training(earlier)) => !later.begins_anew_from(earlier),
        _ => later.covers(earlier),
    }
}

/// The marks of a run's edits, and what the next one continues.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    marks: Vec<Marked>,
}

#[derive(Debug, Clone)]
struct Marked {
    mark: EditMark,
    /// What changed, in words.
    subject: String,
    /// Its value before the first and after the last of the merged edits.
    from: String,
    to: String,
    /// Step of the last of the merged edits.
    last_step: u64,
}

impl Marks {
    /// Marks an edit that is about to change `preset`. Edits of one thing in quick succession (as a drag makes) share a mark.
    pub(crate) fn add(&mut self, step: u64, preset: &Preset, edit: &Edit) {
        for (subject, from, to) in changes(preset, edit) {
            let near = (step / 64).max(16);
            match self.marks.last_mut() {
                Some(last) if last.subject == subject && step - last.last_step <= near => {
                    last.to = to;
                    last.last_step = step;
                    last.mark.label = label(&last.subject, &last.from, &last.to);
                }
                _ => self.marks.push(Marked {
                    mark: EditMark {
                        step,
                        label: label(&subject, &from, &to),
                    },
                    subject,
                    from,
                    to,
                    last_step: step,
                }),
            }
        }
        while self.marks.len() > MARKS {
            // Of the closest pair of neighbours the later one goes.
            let gap = |i: usize| self.marks[i + 1].mark.step - self.marks[i].mark.step;
            let closest = (0..self.marks.len() - 1).min_by_key(|&i| gap(i));
            self.marks.remove(closest.map_or(0, |i| i + 1));
        }
    }

    pub(crate) fn truncate(&mut self, step: u64) {
        self.marks.retain(|marked| marked.mark.step < step);
    }

    pub(crate) fn to_vec(&self) -> Vec<EditMark> {
        self.marks
            .iter()
            .map(|marked| marked.mark.clone())
            .collect()
    }
}

fn label(subject: &str, from: &str, to: &str) -> String {
    if to.is_empty() {
        subject.to_owned()
    } else if from.is_empty() {
        format!("{subject} {to}")
    } else {
        format!("{subject} {from} → {to}")
    }
}

/// What an edit changes: subject, value before, value after.
fn changes(preset: &Preset, edit: &Edit) -> Vec<(String, String, String)> {
    let mut changes = Vec::new();
    let mut change = |subject: &str, from: String, to: String| {
        if from != to || to.is_empty() {
            changes.push((subject.to_owned(), from, to));
        }
    };
    match edit {
        Edit::Objective(new) => {
            let old = &preset.objective;
            change("β", number(old.beta.get()), number(new.beta.get()));
            change(
                "direction",
                direction(old.direction),
                direction(new.direction),
            );
            change(
                "reward scale",
                number(old.reward_scale),
                number(new.reward_scale),
            );
            change(
                "reward offset",
                number(old.reward_offset),
                number(new.reward_offset),
            );
            change("entropy bonus", number(old.entropy), number(new.entropy));
            if old.mara != new.mara {
                match (old.mara, new.mara) {
                    (None, _) => change("MARA", String::new(), "on".to_owned()),
                    (_, None) => change("MARA", String::new(), "off".to_owned()),
                    (Some(_), Some(_)) => change("MARA settings", String::new(), String::new()),
                }
            }
        }
        Edit::Training(new) => {
            let old = &preset.training;
            change(
                "learning rate",
                number(old.learning_rate),
                number(new.learning_rate),
            );
            if old.policy != new.policy {
                change("policy family", String::new(), String::new());
            }
            if old.start != new.start {
                change("start", String::new(), String::new());
            }
            if old.update != new.update {
                change("update", String::new(), String::new());
            }
            if old.optimizer != new.optimizer {
                change(
                    "optimiser",
                    optimizer(&old.optimizer),
                    optimizer(&new.optimizer),
                );
            }
            change("seed", old.seed.to_string(), new.seed.to_string());
        }
        Edit::Reward { arm, value } => {
            change(
                &format!("reward of arm {arm}"),
                String::new(),
                number(*value),
            );
        }
        Edit::Reference { arm, weight } => {
            change(
                &format!("reference of arm {arm}"),
                String::new(),
                number(*weight),
            );
        }
        Edit::Problem(new) => {
            let old = &preset.bandit;
            for ProblemChange { subject, from, to } in problem_changes(old, new) {
                if from == to {
                    change(subject, String::new(), String::new());
                } else {
                    change(subject, from, to);
                }
            }
            if old.modes != new.modes {
                change("modes", String::new(), String::new());
            }
            if old.reward_edits != new.reward_edits || old.reference_edits != new.reference_edits {
                change("bars", String::new(), String::new());
            }
        }
        Edit::Modes(_) => change("modes", String::new(), String::new()),
        Edit::Coverage(new) => {
            let old = preset.coverage;
            change(
                "ε of covered modes",
                number(old.epsilon),
                number(new.epsilon),
            );
            change(
                "draws of coverage",
                old.draws.to_string(),
                new.draws.to_string(),
            );
        }
        Edit::Stop(_) => {}
        Edit::Language(_) => change("language settings", String::new(), String::new()),
        Edit::Answers { prompt, .. } => change(
            &format!("rewards of prompt {}", prompt + 1),
            String::new(),
            String::new(),
        ),
        Edit::Bars { .. } => change("bars", String::new(), String::new()),
    }
    changes
}

/// Three significant digits, as short as they come.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor();
    if (-4.0..6.0).contains(&exponent) {
        let decimals = (2.0 - exponent).clamp(0.0, 6.0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        format!("{value:.2e}")
    }
}

fn direction(direction: Direction) -> String {
    match direction {
        Direction::Reverse => "reverse".to_owned(),
        Direction::Forward => "forward".to_owned(),
        Direction::Alpha(alpha) => format!("α = {}", number(alpha)),
    }
}

fn optimizer(optimizer: &Optimizer) -> String {
    match optimizer {
        Optimizer::Sgd => "SGD",
        Optimizer::Momentum { .. } => "momentum",
        Optimizer::Adam { .. } => "Adam",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::experiment::builtin_preset;

    #[test]
    fn bars_of_a_drag_become_one_and_none_passes_a_language_part() {
        let answers = |value: f64| Edit::Answers {
            prompt: 1,
            rewards: vec![value],
        };
        let language = builtin_preset("lm-die").unwrap().language.unwrap();
        let mut waiting = Vec::new();
        for edit in [
            answers(0.1),
            answers(0.2),
            Edit::Language(Box::new(language)),
            answers(0.3),
            answers(0.4),
        ] {
            coalesce(&mut waiting, edit);
        }
        assert_eq!(waiting.len(), 3);
        assert_eq!((&waiting[0], &waiting[2]), (&answers(0.2), &answers(0.4)));
    }
}
