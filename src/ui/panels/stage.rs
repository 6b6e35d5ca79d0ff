//! A picture of the world for tests of panels: an embedded preset, analysed, with the reference (or given masses) as policy.

use std::sync::Arc;

use crate::ui::{
    Action, Loading, Selection, View,
    theme::{self, ThemeChoice},
};
use crate::{
    bandit::{Analysis, Problem, ProblemSource, measure, mode_masses},
    engine::{History, Snapshot, Status},
    experiment::{Preset, builtin_preset},
    theory::TieList,
};

/// Everything a [`View`] borrows.
pub(crate) struct Stage {
    pub(crate) preset: Preset,
    pub(crate) problem: Arc<Problem>,
    pub(crate) analysis: Arc<Analysis>,
    pub(crate) snapshot: Snapshot,
    pub(crate) selection: Selection,
    pub(crate) loading: Option<Loading>,
    pub(crate) ties: Option<Arc<TieList>>,
}

impl Stage {
    /// The embedded preset of that name, at step 0.
    pub(crate) fn of(name: &str) -> Self {
        Self::with(builtin_preset(name).unwrap())
    }

    /// A preset, at step 0.
    pub(crate) fn with(preset: Preset) -> Self {
        let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
        let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
        let problem = Arc::new(problem.counted_by(preset.coverage));
        let analysis = Arc::new(Analysis::new(&problem, &preset.objective).unwrap());
        let masses = problem.reference.masses();
        let snapshot = Snapshot {
            epoch: 1,
            status: Status::Paused,
            step: 0,
            elapsed_secs: 0.0,
            steps_per_second: 0.0,
            problem: Arc::clone(&problem),
            objective: preset.objective,
            training: Arc::new(preset.training.clone()),
            analysis: Arc::clone(&analysis),
            samples: vec![0; masses.len()].into(),
            sample_count: 0,
            best_fit: None,
            metrics: measure(
                &problem,
                &preset.objective,
                &analysis,
                problem.reference.log_masses(),
            ),
            causes_at: None,
            policy_modes: mode_masses(&problem, &masses).into(),
            policy: masses.into(),
            history: Arc::new(History::default()),
            keyframes: Arc::from([]),
            marks: Arc::from([]),
            language: None,
            collapse: None,
        };
        Self {
            preset,
            problem,
            analysis,
            snapshot,
            selection: Selection::default(),
            loading: None,
            ties: None,
        }
    }

    /// What a panel draws from.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            preset: &self.preset,
            problem: &self.problem,
            analysis: &self.analysis,
            ties: self.ties.as_ref(),
            snapshot: &self.snapshot,
            scrub: None,
            pins: &[],
            selection: &self.selection,
            probe: None,
            loading: self.loading.as_ref(),
            stopped: false,
            checkpoints: None,
        }
    }

    /// The experiment after an edit of its objective or bars, analysed anew.
    pub(crate) fn edited(&self, edit: &crate::experiment::Edit) -> Self {
        let mut preset = self.preset.clone();
        crate::experiment::apply(&mut preset, edit, self.problem.arms()).unwrap();
        Self {
            selection: self.selection.clone(),
            ..Self::with(preset)
        }
    }
}

/// A panel on a stage, with what it asked for since the actions were last taken.
pub(crate) struct Played<P> {
    pub(crate) stage: Stage,
    pub(crate) panel: P,
    pub(crate) actions: Vec<Action>,
}

/// A panel alone in a window of `size` points.
pub(crate) fn play<P>(
    stage: Stage,
    size: (f32, f32),
    panel: P,
    draw: impl Fn(&mut P, &mut egui::Ui, &View, &mut Vec<Action>) + 'static,
) -> egui_kittest::Harness<'static, Played<P>> {
    egui_kittest::Harness::builder()
        .with_size(size)
        .with_context_setup(|context| theme::apply(context, ThemeChoice::Dark))
        .build_ui_state(
            move |ui, played: &mut Played<P>| {
                draw(
                    &mut played.panel,
                    ui,
                    &played.stage.view(),
                    &mut played.actions,
                );
            },
            Played {
                stage,
                panel,
                actions: Vec::new(),
            },
        )
}
