//! The experiment as edited in the window: the preset, its problem and what its objective asks for, kept in step within
//! the frame of an edit; undo and redo, where one drag is one step; and whether anything is unsaved.

mod work;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    bandit::{Analysis, Problem, ProblemSource},
    engine,
    experiment::{self, Edit, Preset},
};

pub(crate) use work::{Failed, Solved, Work};
use work::{Kept, same_sources, solve};

/// Problems up to this size are analysed in the frame of the edit; larger ones in the background.
pub(crate) const INLINE_ARMS: usize = 100_000;
/// Sources are evaluated in the frame of the edit up to this size: a formula costs more per arm than an analysis.
const INLINE_SOURCE_ARMS: usize = 10_000;
/// Undo remembers this many steps.
const UNDO_STEPS: usize = 200;

/// Where an experiment came from.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) enum Origin {
    /// Made here, never saved.
    #[default]
    Untitled,
    /// A preset embedded in the program.
    Builtin(String),
    /// A file.
    File(PathBuf),
    /// A table of numbers, which opens as an experiment of its own.
    Table(PathBuf),
}

/// One step of undo: the edit that goes back and the one that goes forth.
#[derive(Debug, Clone)]
struct Step {
    back: Edit,
    forth: Edit,
}

/// Which part of the experiment a gesture changes; edits of one part with the pointer held are one step of undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Objective,
    Training,
    Problem,
    Bars,
    /// Rewards of another prompt than the first.
    Answers(usize),
    Modes,
    Coverage,
    Stop,
    Language,
}

impl Part {
    fn of(edit: &Edit) -> Self {
        match edit {
            Edit::Objective(_) => Self::Objective,
            Edit::Training(_) => Self::Training,
            Edit::Reward { .. } | Edit::Reference { .. } | Edit::Bars { .. } => Self::Bars,
            Edit::Answers { prompt, .. } => Self::Answers(*prompt),
            Edit::Problem(_) => Self::Problem,
            Edit::Modes(_) => Self::Modes,
            Edit::Coverage(_) => Self::Coverage,
            Edit::Stop(_) => Self::Stop,
            Edit::Language(_) => Self::Language,
        }
    }

    /// The edit that brings this part of an experiment back to what it is in `preset`.
    fn capture(self, preset: &Preset) -> Edit {
        match self {
            Self::Objective => Edit::Objective(preset.objective),
            Self::Training => Edit::Training(Box::new(preset.training.clone())),
            Self::Problem => Edit::Problem(Box::new(preset.bandit.clone())),
            Self::Bars => Edit::Bars {
                rewards: preset.bandit.reward_edits.clone(),
                reference: preset.bandit.reference_edits.clone(),
            },
            Self::Answers(prompt) => Edit::Answers {
                prompt,
                rewards: (preset.language.as_ref())
                    .and_then(|language| language.rewards(prompt))
                    .unwrap_or_default(),
            },
            Self::Modes => Edit::Modes(preset.bandit.modes.clone()),
            Self::Coverage => Edit::Coverage(preset.coverage),
            Self::Stop => Edit::Stop(preset.training.stop),
            Self::Language => match &preset.language {
                Some(language) => Edit::Language(Box::new(language.clone())),
                // No edit of a language part is made to a bandit.
                None => Edit::Stop(preset.training.stop),
            },
        }
    }
}

/// What has to be computed again after an edit; each contains the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Stale {
    /// Nothing.
    #[default]
    Nothing,
    /// What the objective asks for.
    Analysis,
    /// The problem too.
    Problem,
    /// The evaluated sources too.
    Source,
}

/// An experiment being edited.
pub(crate) struct Document {
    preset: Arc<Preset>,
    origin: Origin,
    base_dir: Option<PathBuf>,
    source: Arc<ProblemSource>,
    problem: Arc<Problem>,
    analysis: Arc<Analysis>,
    undo: Vec<Step>,
    redo: Vec<Step>,
    /// The gesture going on: its part, and the edit that would take it back.
    gesture: Option<(Part, Edit)>,
    /// Length of `undo` when last saved; none once that state can no longer be reached.
    saved_at: Option<usize>,
    /// What is older than the preset.
    stale: Stale,
    /// What the background is making for the preset, edits on the way included.
    awaited: Stale,
    /// The last preset that had a target, to go back to from an edit that has none; `source` is of its bandit.
    good: Arc<Preset>,
    /// Length of `undo` then.
    good_at: usize,
    /// The arms have been replaced by others since [`Self::take_restart`].
    restart: bool,
    /// What the background works for this experiment carries this.
    token: Arc<()>,
}

impl Document {
    /// Checks and analyses an experiment.
    ///
    /// # Errors
    /// One line that says what is wrong with the experiment.
    pub(crate) fn open(preset: Preset, origin: Origin) -> Result<Self, String> {
        let base_dir = match &origin {
            Origin::File(path) => path.parent().map(Path::to_owned),
            Origin::Untitled | Origin::Builtin(_) | Origin::Table(_) => None,
        };
        let source = ProblemSource::evaluate(&preset.bandit, base_dir.as_deref())
            .map_err(|error| error.to_string())?;
        let (problem, analysis) = solve(&source, &preset)?;
        let saved_at = (origin != Origin::Untitled).then_some(0);
        let preset = Arc::new(preset);
        Ok(Self {
            good: preset.clone(),
            preset,
            origin,
            base_dir,
            source: Arc::new(source),
            problem,
            analysis,
            undo: Vec::new(),
            redo: Vec::new(),
            gesture: None,
            saved_at,
            stale: Stale::Nothing,
            awaited: Stale::Nothing,
            good_at: 0,
            restart: false,
            token: Arc::new(()),
        })
    }

    /// The same with its target known, should that have been on the way when another experiment took its place.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn in_step(mut self) -> Result<Self, String> {
        self.end_gesture();
        if self.is_in_step() {
            return Ok(self);
        }
        let opened = Self::open((*self.preset).clone(), self.origin)?;
        Ok(Self {
            good_at: self.undo.len(),
            undo: self.undo,
            redo: self.redo,
            saved_at: self.saved_at,
            ..opened
        })
    }

    /// The experiment as it stands.
    pub(crate) fn preset(&self) -> &Arc<Preset> {
        &self.preset
    }

    /// Its problem.
    pub(crate) fn problem(&self) -> &Arc<Problem> {
        &self.problem
    }

    /// What it asks for.
    pub(crate) fn analysis(&self) -> &Arc<Analysis> {
        &self.analysis
    }

    /// Where it came from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Folder that relative CSV paths start from.
    pub(crate) fn base_dir(&self) -> Option<&Path> {
        self.base_dir.as_deref()
    }

    /// Unsaved changes exist.
    pub(crate) fn is_dirty(&self) -> bool {
        self.gesture.is_some() || self.saved_at != Some(self.undo.len())
    }

    /// Closing the window should ask first: changes of the user's own experiment are not in its file, and those of a
    /// built-in preset come back with the session only where this window keeps one.
    pub(crate) fn asks_before_closing(&self, keeps_session: bool) -> bool {
        let is_own = match self.origin {
            Origin::File(_) | Origin::Untitled | Origin::Table(_) => true,
            Origin::Builtin(_) => false,
        };
        self.is_dirty() && (is_own || !keeps_session)
    }

    /// Says that the present state is now in this file.
    pub(crate) fn mark_saved(&mut self, path: PathBuf) {
        self.end_gesture();
        self.base_dir = path.parent().map(Path::to_owned);
        self.origin = Origin::File(path);
        self.saved_at = Some(self.undo.len());
    }

    /// Says that the present state differs from any file (a restored session with unsaved changes).
    pub(crate) fn mark_dirty(&mut self) {
        self.saved_at = None;
    }

    /// Takes what a language model said of its answers: the reference of a language preset is only known then. That is no
    /// change of the experiment; undo starts afresh.
    ///
    /// # Errors
    /// One line that says what is wrong; nothing has changed then.
    pub(crate) fn resolve(&mut self, preset: Arc<Preset>) -> Result<(), String> {
        if preset == self.preset && self.is_in_step() {
            // Known from the last time that it was open: undo stays.
            return Ok(());
        }
        let source = ProblemSource::evaluate(&preset.bandit, self.base_dir.as_deref())
            .map_err(|error| error.to_string())?;
        let was_saved = self.gesture.is_none() && self.saved_at == Some(self.undo.len());
        self.adopt(Arc::new(source), preset)?;
        self.saved_at = was_saved.then_some(0);
        Ok(())
    }

    /// Takes an earlier state of the same experiment, as the trainer went back to it; undo starts afresh.
    ///
    /// # Errors
    /// One line that says why the objective has no target there; nothing has changed then.
    pub(crate) fn replace(&mut self, preset: Arc<Preset>) -> Result<(), String> {
        let source = self.renewed(&preset)?;
        self.adopt(source, preset)
    }

    fn adopt(&mut self, source: Arc<ProblemSource>, preset: Arc<Preset>) -> Result<(), String> {
        let (problem, analysis) = solve(&source, &preset)?;
        self.source = source;
        self.gesture = None;
        self.undo.clear();
        self.redo.clear();
        if *preset != *self.preset {
            self.saved_at = None;
        }
        self.good = preset.clone();
        self.good_at = 0;
        (self.preset, self.problem, self.analysis) = (preset, problem, analysis);
        self.stale = Stale::Nothing;
        self.awaited = Stale::Nothing;
        self.token = Arc::new(());
        Ok(())
    }

    /// The evaluated sources of another state of the experiment.
    fn renewed(&self, preset: &Preset) -> Result<Arc<ProblemSource>, String> {
        let before = &self.good.bandit;
        if same_sources(before, &preset.bandit) {
            return Ok(self.source.clone());
        }
        let base_dir = self.base_dir.as_deref();
        let source = self.source.renewed(before, &preset.bandit, base_dir);
        source.map(Arc::new).map_err(|error| error.to_string())
    }

    /// Goes back to the last experiment that had a target, if the background found none for the present one; true if so.
    pub(crate) fn go_back(&mut self, failed: &Failed) -> bool {
        let is_present =
            self.awaited != Stale::Nothing && Arc::ptr_eq(&failed.preset, &self.preset);
        if is_present {
            self.awaited = Stale::Nothing;
            self.give_up();
        }
        is_present
    }

    /// The last experiment that had a target takes the place of the present one. A gesture that changed something before
    /// it came to this stays a step of undo.
    fn give_up(&mut self) {
        self.preset = self.good.clone();
        let lost = self.undo.drain(self.good_at.min(self.undo.len())..).next();
        if let Some(step) = lost {
            self.gesture = Some((Part::of(&step.back), step.back));
            self.end_gesture();
        }
    }

    /// What is shown is the state to go back to from now on.
    fn settle(&mut self) {
        if self.is_in_step() {
            self.good = self.preset.clone();
            self.good_at = self.undo.len();
        }
    }

    /// Whether the arms have been replaced by others since the last call, so that training begins anew.
    pub(crate) fn take_restart(&mut self) -> bool {
        std::mem::take(&mut self.restart)
    }

    /// The number of arms of the experiment as it stands, known before its problem is.
    pub(crate) fn arms(&self) -> usize {
        if self.stale.max(self.awaited) == Stale::Source {
            self.preset.bandit.arms.count()
        } else {
            self.problem.arms()
        }
    }

    /// What is shown belongs to the preset as it stands.
    pub(crate) fn is_in_step(&self) -> bool {
        self.stale == Stale::Nothing && self.awaited == Stale::Nothing
    }

    /// Problem and target of a bandit as it stands, for whoever trains it.
    pub(crate) fn solved(&self) -> Option<engine::Solved> {
        let known = self.is_in_step() && self.preset.language.is_none();
        known.then(|| engine::Solved {
            preset: self.preset.clone(),
            source: self.source.clone(),
            problem: self.problem.clone(),
            analysis: self.analysis.clone(),
        })
    }

    /// Something can be undone.
    pub(crate) fn can_undo(&self) -> bool {
        self.gesture.is_some() || !self.undo.is_empty()
    }

    /// Something can be redone.
    pub(crate) fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Applies an edit to the preset. `done` false keeps the gesture open, so that what follows joins the same step of
    /// undo. Call [`Self::refresh`] after the last edit of a frame.
    ///
    /// # Errors
    /// One line that says why the edit was refused; nothing has changed then.
    pub(crate) fn apply(&mut self, edit: &Edit, done: bool) -> Result<(), String> {
        let part = Part::of(edit);
        if self.gesture.as_ref().is_some_and(|(open, _)| *open != part) {
            self.end_gesture();
        }
        let back = part.capture(&self.preset);
        self.change(edit)?;
        if self.gesture.is_none() {
            self.gesture = Some((part, back));
        }
        if done {
            self.end_gesture();
        }
        Ok(())
    }

    /// Closes the gesture going on, if any: the pointer was released.
    pub(crate) fn end_gesture(&mut self) {
        let Some((part, back)) = self.gesture.take() else {
            return;
        };
        let forth = part.capture(&self.preset);
        if back == forth {
            return;
        }
        if self.saved_at.is_some_and(|saved| saved > self.undo.len()) {
            self.saved_at = None;
        }
        self.redo.clear();
        self.undo.push(Step { back, forth });
        if self.undo.len() > UNDO_STEPS {
            self.undo.remove(0);
            self.saved_at = self.saved_at.and_then(|saved| saved.checked_sub(1));
            self.good_at = self.good_at.saturating_sub(1);
        }
        self.settle();
    }

    /// Takes back the last step; the edit that did it, for the trainer.
    pub(crate) fn undo(&mut self) -> Option<Edit> {
        self.end_gesture();
        let step = self.undo.pop()?;
        let back = step.back.clone();
        self.redo.push(step);
        // The edit restores a state that was valid before.
        self.change(&back).ok().map(|()| back)
    }

    /// Does the last undone step again; the edit that did it, for the trainer.
    pub(crate) fn redo(&mut self) -> Option<Edit> {
        self.end_gesture();
        let step = self.redo.pop()?;
        let forth = step.forth.clone();
        self.undo.push(step);
        self.change(&forth).ok().map(|()| forth)
    }

    fn change(&mut self, edit: &Edit) -> Result<(), String> {
        let old = self.preset.objective;
        let arms = self.arms();
        experiment::apply(Arc::make_mut(&mut self.preset), edit, arms)
            .map_err(|error| error.to_string())?;
        self.stale = self.stale.max(match Part::of(edit) {
            Part::Objective if ProblemSource::same_under(&old, &self.preset.objective) => {
                Stale::Analysis
            }
            Part::Problem if same_sources(&self.good.bandit, &self.preset.bandit) => Stale::Problem,
            Part::Problem => Stale::Source,
            Part::Objective | Part::Bars | Part::Answers(_) | Part::Modes | Part::Coverage => {
                Stale::Problem
            }
            Part::Training | Part::Stop | Part::Language => Stale::Nothing,
        });
        Ok(())
    }

    /// Brings problem and analysis in step with the preset: at once on problems of up to [`INLINE_ARMS`] arms; for larger
    /// ones it returns the work, whose result [`Self::accept`] takes.
    ///
    /// # Errors
    /// One line that says why the objective has no target here; the experiment goes back to what it was then.
    pub(crate) fn refresh(&mut self) -> Result<Option<Work>, String> {
        let stale = std::mem::take(&mut self.stale);
        if stale == Stale::Nothing {
            self.settle();
            return Ok(None);
        }
        let arms = self.problem.arms().max(self.preset.bandit.arms.count());
        let inline = match stale {
            Stale::Source => INLINE_SOURCE_ARMS,
            Stale::Nothing | Stale::Analysis | Stale::Problem => INLINE_ARMS,
        };
        if arms > inline || self.awaited != Stale::Nothing {
            // What is still on its way counts as well: this work may take its place.
            self.awaited = self.awaited.max(stale);
            return Ok(Some(self.work(self.awaited)));
        }
        match self.work(stale).run() {
            Ok(solved) => {
                self.take(solved);
                Ok(None)
            }
            Err(failed) => {
                self.give_up();
                Err(failed.error)
            }
        }
    }

    fn work(&self, stale: Stale) -> Work {
        Work {
            token: self.token.clone(),
            source: self.source.clone(),
            evaluate: (stale == Stale::Source).then(|| (self.good.clone(), self.base_dir.clone())),
            preset: self.preset.clone(),
            kept: (stale < Stale::Problem).then(|| Kept {
                problem: self.problem.clone(),
                analysis: self.analysis.clone(),
                objective: self.good.objective,
            }),
        }
    }

    /// Takes a result from the background, unless another experiment or state took its place meanwhile.
    pub(crate) fn accept(&mut self, solved: Solved) {
        if self.awaited == Stale::Nothing || !Arc::ptr_eq(&solved.token, &self.token) {
            return;
        }
        if Arc::ptr_eq(&solved.preset, &self.preset) {
            self.awaited = Stale::Nothing;
        } else if !solved.source.same_layout(&self.source) {
            // Other arms begin a run; those of a moment ago begin none.
            return;
        }
        self.take(solved);
    }

    fn take(&mut self, solved: Solved) {
        self.restart |= !solved.source.same_layout(&self.source);
        self.source = solved.source;
        self.good = solved.preset;
        self.problem = solved.problem;
        self.analysis = solved.analysis;
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::{
        experiment::{Arms, builtin_preset},
        theory::{Beta, Objective},
    };

    /// An experiment too large for a frame.
    fn large() -> Document {
        let mut preset = builtin_preset("many-arms").unwrap();
        preset.bandit.arms = Arms::Line {
            count: INLINE_ARMS + 1,
            range: None,
        };
        Document::open(preset, Origin::Untitled).unwrap()
    }

    fn with_beta(document: &Document, beta: f64) -> Edit {
        Edit::Objective(Objective {
            beta: Beta::new(beta).unwrap(),
            ..document.preset().objective
        })
    }

    #[test]
    fn an_edited_built_in_preset_is_asked_about_unless_the_session_keeps_it() {
        for (origin, kept_asks) in [
            (Origin::Builtin("figure-4".to_owned()), false),
            (Origin::Untitled, true),
        ] {
            let preset = builtin_preset("figure-4").unwrap();
            let is_saved = origin != Origin::Untitled;
            let mut document = Document::open(preset, origin).unwrap();
            assert_eq!(document.asks_before_closing(false), !is_saved);
            let edit = with_beta(&document, 0.2);
            document.apply(&edit, true).unwrap();
            assert!(document.asks_before_closing(false));
            assert_eq!(document.asks_before_closing(true), kept_asks);
        }
    }

    #[test]
    fn what_counts_as_covered_is_undone_and_told_on_the_command_line() {
        let preset = builtin_preset("figure-5").unwrap();
        let origin = Origin::Builtin("figure-5".to_owned());
        let mut document = Document::open(preset, origin).unwrap();
        let rule = crate::theory::CoverageRule {
            epsilon: 0.25,
            draws: 50,
        };
        document.apply(&Edit::Coverage(rule), true).unwrap();
        assert!(document.refresh().unwrap().is_none());
        assert_eq!(document.problem().coverage, rule);
        assert_eq!(
            crate::ui::clipboard::command_line(&document).unwrap(),
            "modescope run figure-5 --set coverage.epsilon=0.25 --set coverage.draws=50"
        );
        let back = document.undo().unwrap();
        assert_eq!(back, Edit::Coverage(crate::theory::CoverageRule::USUAL));
        document.refresh().unwrap();
        assert!(document.problem().coverage.is_usual());
    }

    #[test]
    fn an_edit_of_beta_keeps_a_large_problem() {
        let mut document = large();
        let before = document.problem().clone();
        let edit = with_beta(&document, 0.2);
        document.apply(&edit, true).unwrap();
        let work = document.refresh().unwrap().unwrap();
        assert!(!document.is_in_step());
        document.accept(work.run().unwrap());
        assert!(document.is_in_step() && Arc::ptr_eq(&before, document.problem()));
    }

    #[test]
    fn work_that_takes_the_place_of_waiting_work_solves_what_that_would_have() {
        let mut document = large();
        let reward = Edit::Reward { arm: 7, value: 0.5 };
        document.apply(&reward, true).unwrap();
        let replaced = document.refresh().unwrap().unwrap();
        let edit = with_beta(&document, 0.2);
        document.apply(&edit, true).unwrap();
        let work = document.refresh().unwrap().unwrap();
        drop(replaced);
        document.accept(work.run().unwrap());
        assert!(document.is_in_step());
        assert_eq!(document.problem().rewards[7], 0.5);
        assert_eq!(document.analysis().rewards[7], 0.5);
    }

    #[test]
    fn a_result_that_comes_after_going_back_is_left_alone() {
        let mut document = large();
        let before = document.preset().clone();
        let edit = with_beta(&document, 0.2);
        document.apply(&edit, true).unwrap();
        let work = document.refresh().unwrap().unwrap();
        document.replace(before).unwrap();
        let analysis = document.analysis().clone();
        document.accept(work.run().unwrap());
        assert!(document.is_in_step() && Arc::ptr_eq(&analysis, document.analysis()));
    }

    #[test]
    fn a_drag_on_another_prompt_is_undone_in_one_step() {
        let mut preset = builtin_preset("lm-one-or-two").unwrap();
        let language = preset.language.as_mut().unwrap();
        language.prompts.push(language.prompts[0].clone());
        let mut document = Document::open(preset.clone(), Origin::Untitled).unwrap();
        let to = |value: f64| Edit::Answers {
            prompt: 1,
            rewards: vec![value, 1.0, 0.0],
        };
        document.apply(&to(0.9), false).unwrap();
        document.apply(&to(0.4), true).unwrap();
        assert!(document.refresh().unwrap().is_none());
        assert_eq!(document.undo(), Some(to(1.0)));
        assert_eq!(document.preset().language, preset.language);
        assert_eq!(document.redo(), Some(to(0.4)));
        assert!(!document.can_redo() && document.can_undo());
    }
}
