//! Problem and target of a language preset's other prompts. The document keeps those of the first prompt in step with every
//! edit; those of another one come with the trainer's snapshots, and are brought in step here while an edit is ahead of them.

use std::sync::Arc;

use crate::{
    bandit::{Analysis, Problem, ProblemSource},
    engine::Snapshot,
    experiment::Preset,
    theory::Objective,
};

/// The prompt shown, unless it is the first.
#[derive(Default)]
pub(super) struct PromptPicture {
    shown: Option<Shown>,
}

struct Shown {
    /// What the snapshot said.
    base: Arc<Problem>,
    rewards: Vec<f64>,
    objective: Objective,
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
}

impl PromptPicture {
    /// Takes what the snapshot has, or works out what the experiment's edits make of it.
    pub(super) fn follow(&mut self, preset: &Preset, snapshot: &Snapshot) {
        let prompt = (snapshot.language.as_ref()).map_or(0, |language| language.shown_prompt);
        let rewards = (preset.language.as_ref()).and_then(|language| language.rewards(prompt));
        let (1.., Some(rewards)) = (prompt, rewards) else {
            self.shown = None;
            return;
        };
        let objective = preset.objective;
        let is_known = self.shown.as_ref().is_some_and(|shown| {
            Arc::ptr_eq(&shown.base, &snapshot.problem)
                && shown.rewards == rewards
                && shown.objective == objective
                && shown.problem.coverage == preset.coverage
        });
        if is_known {
            return;
        }
        let in_step = snapshot.problem.rewards == rewards
            && snapshot.objective == objective
            && snapshot.problem.coverage == preset.coverage;
        let ahead = if in_step {
            None
        } else {
            solve(preset, prompt, snapshot)
        };
        let (problem, analysis) = ahead.unwrap_or_else(|| {
            (
                Arc::clone(&snapshot.problem),
                Arc::clone(&snapshot.analysis),
            )
        });
        self.shown = Some(Shown {
            base: Arc::clone(&snapshot.problem),
            rewards,
            objective,
            problem,
            analysis,
        });
    }

    /// Problem and target of the prompt shown; nothing where it is the first.
    pub(super) fn ground(&self) -> Option<(&Arc<Problem>, &Arc<Analysis>)> {
        let shown = self.shown.as_ref()?;
        Some((&shown.problem, &shown.analysis))
    }
}

/// The prompt's problem as the experiment has it now; nothing where it has no target, which the trainer says.
fn solve(
    preset: &Preset,
    prompt: usize,
    snapshot: &Snapshot,
) -> Option<(Arc<Problem>, Arc<Analysis>)> {
    let masses = snapshot.problem.reference.masses().to_vec();
    let bandit = preset.language.as_ref()?.bandit(prompt, Some(masses))?;
    let source = ProblemSource::evaluate(&bandit, None).ok()?;
    let problem = source.problem(&bandit, &preset.objective).ok()?;
    let problem = problem.counted_by(preset.coverage);
    let analysis = Analysis::new(&problem, &preset.objective).ok()?;
    // An answer more or less: the snapshot is of another task.
    (problem.arms() == snapshot.problem.arms()).then(|| (Arc::new(problem), Arc::new(analysis)))
}
