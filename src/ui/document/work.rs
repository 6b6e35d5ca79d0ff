//! Bringing a problem and what its objective asks for in step with an edited preset, wherever that is done.

use std::{path::PathBuf, sync::Arc};

use crate::{
    bandit::{Analysis, Problem, ProblemSource},
    experiment::{BanditSpec, Preset},
    theory::Objective,
};

/// Bringing problem and analysis in step with a preset: at once, or in the background.
#[derive(Clone)]
pub(crate) struct Work {
    pub(super) token: Arc<()>,
    pub(super) source: Arc<ProblemSource>,
    /// The sources are to be evaluated anew: the experiment that `source` is of, and where relative paths start.
    pub(super) evaluate: Option<(Arc<Preset>, Option<PathBuf>)>,
    pub(super) preset: Arc<Preset>,
    /// What there is already, where the problem did not change.
    pub(super) kept: Option<Kept>,
}

/// A problem, and what an earlier objective asked for on it.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) problem: Arc<Problem>,
    pub(super) analysis: Arc<Analysis>,
    pub(super) objective: Objective,
}

/// Why an experiment has no target.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(super) preset: Arc<Preset>,
    /// One line for the user.
    pub(crate) error: String,
}

/// Its result.
pub(crate) struct Solved {
    pub(super) token: Arc<()>,
    pub(super) source: Arc<ProblemSource>,
    pub(super) preset: Arc<Preset>,
    pub(super) problem: Arc<Problem>,
    pub(super) analysis: Arc<Analysis>,
}

impl Work {
    /// Solves; takes tens of milliseconds per million arms.
    ///
    /// # Errors
    /// Why the experiment has no problem, or its objective no target.
    pub(crate) fn run(self) -> Result<Solved, Failed> {
        let preset = self.preset.clone();
        self.solve().map_err(|error| Failed { preset, error })
    }

    fn solve(mut self) -> Result<Solved, String> {
        if let Some((before, base_dir)) = self.evaluate {
            let (before, now) = (&before.bandit, &self.preset.bandit);
            let source = self.source.renewed(before, now, base_dir.as_deref());
            self.source = Arc::new(source.map_err(|error| error.to_string())?);
        }
        let (problem, analysis) = match self.kept {
            Some(kept) => {
                let earlier = (&*kept.analysis, &kept.objective);
                let analysis = Analysis::renewed(&kept.problem, &self.preset.objective, earlier)
                    .map_err(|error| error.to_string())?;
                (kept.problem, Arc::new(analysis))
            }
            None => solve(&self.source, &self.preset)?,
        };
        Ok(Solved {
            token: self.token,
            source: self.source,
            preset: self.preset,
            problem,
            analysis,
        })
    }
}

/// Whether two bandits have the same arms, reference and rewards, so that the same evaluated sources are behind them.
pub(super) fn same_sources(a: &BanditSpec, b: &BanditSpec) -> bool {
    a.arms == b.arms && a.reference == b.reference && a.rewards == b.rewards
}

pub(super) fn solve(
    source: &ProblemSource,
    preset: &Preset,
) -> Result<(Arc<Problem>, Arc<Analysis>), String> {
    let problem = source
        .problem(&preset.bandit, &preset.objective)
        .map_err(|error| error.to_string())?;
    let problem = Arc::new(problem.counted_by(preset.coverage));
    let analysis = Analysis::new(&problem, &preset.objective).map_err(|error| error.to_string())?;
    Ok((problem, Arc::new(analysis)))
}
