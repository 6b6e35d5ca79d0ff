//! Applying an edit to a preset, checked as if it had been read from a file.

use thiserror::Error;

use super::{
    edit::Edit,
    mistake::Mistake,
    preset::{Preset, Source},
    validate::{
        Learns, validate_bandit, validate_bars, validate_coverage, validate_language,
        validate_modes, validate_objective, validate_stop, validate_training,
    },
};

/// Why an edit was refused; the preset is then as before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EditError(pub Mistake);

/// Applies an edit to a preset of a problem with `arms` arms.
///
/// # Errors
/// Names the first field whose value is not accepted, and what is; the preset is then unchanged.
pub fn apply(preset: &mut Preset, edit: &Edit, arms: usize) -> Result<(), EditError> {
    let is_language = preset.language.is_some();
    let mistakes = match edit {
        Edit::Reference { .. } if is_language => vec![Mistake::new(
            "bandit.reference_edits",
            "are not accepted; the reference of a language preset is the model's own",
        )],
        Edit::Bars { reference, .. } if is_language && !reference.is_empty() => vec![Mistake::new(
            "bandit.reference_edits",
            "are not accepted; the reference of a language preset is the model's own",
        )],
        Edit::Language(_) if !is_language => vec![Mistake::new(
            "language",
            "is not accepted; this preset is a bandit",
        )],
        Edit::Language(language) => {
            let mut mistakes = validate_language(language);
            let prompts = Some(language.prompts.len());
            let on = Learns::of(preset, None);
            if on.prompts != prompts {
                mistakes.extend(validate_training(
                    &preset.training,
                    Learns { prompts, ..on },
                ));
            }
            mistakes
        }
        Edit::Problem(_) if is_language => vec![Mistake::new(
            "bandit",
            "is not accepted; the arms of a language preset are its answers",
        )],
        Edit::Problem(bandit) => {
            let mut mistakes = validate_bandit(bandit);
            if mistakes.is_empty() && bandit.arms != preset.bandit.arms {
                let on = Learns {
                    arms: Some(bandit.arms.count()),
                    axes: bandit.arms.axes(),
                    prompts: None,
                };
                mistakes = validate_training(&preset.training, on);
            }
            mistakes
        }
        Edit::Objective(objective) => validate_objective(objective),
        Edit::Training(training) => validate_training(training, Learns::of(preset, Some(arms))),
        Edit::Reward { arm, value } => validate_bars(&[(*arm, *value)], &[], arms),
        Edit::Reference { arm, weight } => validate_bars(&[], &[(*arm, *weight)], arms),
        Edit::Modes(modes) => validate_modes(modes, arms),
        Edit::Coverage(coverage) => validate_coverage(*coverage),
        Edit::Stop(stop) => validate_stop(stop),
        Edit::Bars { rewards, reference } => validate_bars(rewards, reference, arms),
        Edit::Answers { prompt, rewards } => validate_answers(preset, *prompt, rewards),
    };
    if let Some(first) = mistakes.into_iter().next() {
        return Err(EditError(first));
    }
    match edit {
        Edit::Objective(objective) => preset.objective = *objective,
        Edit::Training(training) => preset.training = training.as_ref().clone(),
        Edit::Reward { arm, value } => set(&mut preset.bandit.reward_edits, *arm, *value),
        Edit::Reference { arm, weight } => set(&mut preset.bandit.reference_edits, *arm, *weight),
        Edit::Modes(modes) => preset.bandit.modes = modes.clone(),
        Edit::Problem(bandit) => preset.bandit = bandit.as_ref().clone(),
        Edit::Coverage(coverage) => preset.coverage = *coverage,
        Edit::Stop(stop) => preset.training.stop = *stop,
        Edit::Language(language) => preset.language = Some(language.as_ref().clone()),
        Edit::Bars { rewards, reference } => {
            preset.bandit.reward_edits.clone_from(rewards);
            preset.bandit.reference_edits.clone_from(reference);
        }
        Edit::Answers { prompt, rewards } => set_answers(preset, *prompt, rewards, arms),
    }
    if matches!(edit, Edit::Reward { .. } | Edit::Bars { .. }) {
        share_failure_reward(preset, arms);
    }
    Ok(())
}

/// What is wrong with the rewards of a prompt's answers.
fn validate_answers(preset: &Preset, prompt: usize, rewards: &[f64]) -> Vec<Mistake> {
    let field = format!("language.prompts.{prompt}");
    let prompts = (preset.language.as_ref()).map_or(&[][..], |language| &language.prompts);
    let Some(task) = prompts.get(prompt).filter(|_| prompt > 0) else {
        let accepted = match prompts.len() {
            0 | 1 => "is not accepted; this preset has no prompt but the first".to_owned(),
            count => format!("is not accepted; prompts 1 to {} are", count - 1),
        };
        return vec![Mistake::new(&field, accepted)];
    };
    let wanted = task.answers.len() + 1;
    if rewards.len() != wanted {
        let accepted = format!(
            "{} rewards are not accepted; {wanted} are, the last for everything else",
            rewards.len()
        );
        return vec![Mistake::new(&field, accepted)];
    }
    let edits: Vec<(usize, f64)> = rewards.iter().copied().enumerate().collect();
    validate_bars(&edits, &[], wanted)
}

fn set_answers(preset: &mut Preset, prompt: usize, rewards: &[f64], arms: usize) {
    let (Some(language), Some((failure, answers))) = (&mut preset.language, rewards.split_last())
    else {
        return;
    };
    if let Some(task) = language.prompts.get_mut(prompt) {
        for (answer, reward) in task.answers.iter_mut().zip(answers) {
            answer.reward = *reward;
        }
    }
    if language.failure_reward != *failure {
        language.failure_reward = *failure;
        // The first prompt's arms are the preset's own.
        set(&mut preset.bandit.reward_edits, arms - 1, *failure);
    }
}

/// Everything else is worth the same for every prompt: what the first prompt's last arm is worth.
fn share_failure_reward(preset: &mut Preset, arms: usize) {
    let Some(language) = &mut preset.language else {
        return;
    };
    let other = arms.saturating_sub(1);
    let edited = (preset.bandit.reward_edits.iter().rev()).find(|(arm, _)| *arm == other);
    let own = match &preset.bandit.rewards {
        Source::List(rewards) => rewards.get(other).copied(),
        _ => None,
    };
    if let Some(failure) = edited.map(|(_, value)| *value).or(own) {
        language.failure_reward = failure;
    }
}

/// One entry per arm, ascending: a drag of a thousand events leaves one entry.
fn set(edits: &mut Vec<(usize, f64)>, arm: usize, value: f64) {
    match edits.iter_mut().find(|(edited, _)| *edited == arm) {
        Some((_, old)) => *old = value,
        None => {
            let at = edits.partition_point(|(edited, _)| *edited < arm);
            edits.insert(at, (arm, value));
        }
    }
}
