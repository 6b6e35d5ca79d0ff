//! A world for panel tests: a preset with its problem, analysis and a hand-made snapshot, and what the shell would do
//! with the actions that panels ask for.

use std::sync::Arc;

use super::{Action, Loading, Pin, PinnedRun, Selection, View};
use crate::{
    bandit::{Analysis, Problem, ProblemSource, measure, mode_masses},
    engine::{
        EditMark, History, Keyframe, LanguageSnapshot, ProbeAnswer, Series, Snapshot, Status,
    },
    experiment::{Preset, apply, builtin_preset, parse_preset},
    lm::{SampleRecord, StepFacts, StepParts},
    theory::Metric,
};

/// Everything that a [`View`] borrows.
pub(crate) struct World {
    pub(crate) preset: Preset,
    source: ProblemSource,
    pub(crate) problem: Arc<Problem>,
    pub(crate) analysis: Arc<Analysis>,
    pub(crate) snapshot: Snapshot,
    pub(crate) scrub: Option<Keyframe>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) selection: Selection,
    pub(crate) probe: Option<Arc<ProbeAnswer>>,
    pub(crate) loading: Option<Loading>,
    pub(crate) stopped: bool,
    /// Every action that panels asked for, in order.
    pub(crate) actions: Vec<Action>,
}

impl World {
    /// The world of an embedded preset.
    pub(crate) fn builtin(name: &str) -> Self {
        Self::new(builtin_preset(name).unwrap())
    }

    /// A problem on a line from lists.
    pub(crate) fn of_lists(reference: &[f64], rewards: &[f64], beta: f64) -> Self {
        Self::new(
            parse_preset(&format!(
                "(format: 1, title: \"Test\", bandit: (arms: Line(count: {}), reference: List({reference:?}), \
                 rewards: List({rewards:?})), objective: (direction: Reverse, beta: {beta:?}))",
                reference.len()
            ))
            .unwrap(),
        )
    }

    /// The world of a language preset in training, its model made up.
    pub(crate) fn language() -> Self {
        let preset = parse_preset(LANGUAGE).unwrap();
        let mut world = Self::new(preset);
        let spec = Arc::new(world.preset.language.clone().unwrap());
        world.snapshot.language = Some(Arc::new(LanguageSnapshot {
            spec,
            model: "made up".into(),
            parameters: 1_234_567,
            trained: 12_345,
            shown_prompt: 0,
            samples: [
                sample(&[" 1", "<end>"], 40, 0, 1.0, -0.7),
                sample(&[" 2", "<end>"], 15, 1, 1.0, -1.6),
                sample(&[" three", "<end>"], 5, 2, 0.0, -3.2),
                sample(&[" I", " think", ",", " one"], 4, 2, 0.0, -5.9),
            ]
            .into(),
            facts: Some(StepFacts {
                gradient_norm: 0.8,
                valid_share: 0.86,
                sampled_tokens: 136,
                tree_nodes: 24,
                flat_tokens: 900,
                learning_rate: 1e-4,
                parts: StepParts {
                    sample: 12.0,
                    reference: 1.5,
                    reward: 0.1,
                    backward: 20.0,
                    optimiser: 4.0,
                    evaluate: 2.0,
                },
            }),
            tokens_per_second: 3_400.0,
            timing: (0..=StepParts::NAMES.len())
                .map(|i| wave(i as f64))
                .collect(),
            generating: Arc::default(),
            reference_valid: 0.77,
        }));
        world.probe = Some(Arc::new(ProbeAnswer {
            text: "<user>Pick 1 or 2.<assistant>".to_owned(),
            tokens: vec![
                ("1".to_owned(), 0.7, 0.6),
                ("2".to_owned(), 0.25, 0.2),
                (" three".to_owned(), 0.01, 0.12),
            ],
        }));
        world
    }

    /// The world of a preset: the policy half way between reference and target, with samples and a history.
    pub(crate) fn new(preset: Preset) -> Self {
        let source = ProblemSource::evaluate(&preset.bandit, None).unwrap();
        let problem = source.problem(&preset.bandit, &preset.objective).unwrap();
        let problem = Arc::new(problem.counted_by(preset.coverage));
        let analysis = Arc::new(Analysis::new(&problem, &preset.objective).unwrap());
        let snapshot = snapshot(&preset, &problem, &analysis);
        Self {
            preset,
            source,
            problem,
            analysis,
            snapshot,
            scrub: None,
            pins: Vec::new(),
            selection: Selection::default(),
            probe: None,
            loading: None,
            stopped: false,
            actions: Vec::new(),
        }
    }

    /// Lets a panel draw, then does what it asked for, as the shell does.
    pub(crate) fn draw(&mut self, panel: impl FnOnce(&View<'_>, &mut Vec<Action>)) {
        let mut actions = Vec::new();
        let view = View {
            preset: &self.preset,
            problem: &self.problem,
            analysis: &self.analysis,
            ties: None,
            snapshot: &self.snapshot,
            scrub: self.scrub.as_ref(),
            pins: &self.pins,
            selection: &self.selection,
            probe: self.probe.as_ref(),
            stopped: self.stopped,
            loading: self.loading.as_ref(),
            checkpoints: None,
        };
        panel(&view, &mut actions);
        for action in &actions {
            self.perform(action);
        }
        self.actions.extend(actions);
    }

    fn perform(&mut self, action: &Action) {
        match action {
            Action::Edit { edit, .. } => {
                apply(&mut self.preset, edit, self.problem.arms()).unwrap();
                let objective = &self.preset.objective;
                let problem = self.source.problem(&self.preset.bandit, objective);
                self.problem = Arc::new(problem.unwrap().counted_by(self.preset.coverage));
                self.analysis = Arc::new(Analysis::new(&self.problem, objective).unwrap());
            }
            Action::Hover(arm) => self.selection.hovered = *arm,
            Action::TogglePin(index) => self.pins[*index].visible ^= true,
            _ => {}
        }
    }

    /// A new snapshot of the same policy, as the trainer publishes 60 times a second.
    pub(crate) fn publish(&mut self) {
        self.snapshot.step += 1;
        self.snapshot.policy = self.snapshot.policy.to_vec().into();
        self.snapshot.samples = self.snapshot.samples.to_vec().into();
    }

    /// The same problem and analysis anew, as in every frame of a drag.
    pub(crate) fn touch(&mut self) {
        self.problem = Arc::new((*self.problem).clone());
        self.analysis = Arc::new((*self.analysis).clone());
    }

    /// Pins the run as it is.
    pub(crate) fn pin(&mut self, label: &str) {
        self.pins.push(Pin {
            label: label.to_owned(),
            visible: true,
            run: Arc::new(PinnedRun::of(&self.snapshot)),
            preset: Arc::new(self.preset.clone()),
            file: None,
        });
    }

    /// Leaves about `count` samples of the policy.
    pub(crate) fn few_samples(&mut self, count: u32) {
        let policy = self.snapshot.policy.iter();
        self.snapshot.samples = policy
            .map(|m| (m * f64::from(count)).round() as u32)
            .collect();
        self.snapshot.sample_count = self.snapshot.samples.iter().map(|c| u64::from(*c)).sum();
    }

    /// Shows the reference as the policy of an earlier step.
    pub(crate) fn scrub_to_start(&mut self) {
        self.scrub = Some(Keyframe {
            step: 3,
            policy: self
                .problem
                .reference
                .masses()
                .iter()
                .map(|m| *m as f32)
                .collect(),
            metrics: self.analysis.reference_metrics,
            objective: self.preset.objective,
            analysis: self.analysis.clone(),
        });
    }

    /// How many edits were final, and how many were on the way.
    pub(crate) fn edits(&self) -> (usize, usize) {
        let count = |wanted: bool| {
            self.actions
                .iter()
                .filter(|a| matches!(a, Action::Edit { done, .. } if *done == wanted))
                .count()
        };
        (count(true), count(false))
    }
}

fn snapshot(preset: &Preset, problem: &Arc<Problem>, analysis: &Arc<Analysis>) -> Snapshot {
    let policy: Vec<f64> = problem
        .reference
        .masses()
        .iter()
        .zip(&analysis.target.masses)
        .map(|(a, b)| 0.5 * (a + b))
        .collect();
    let log_policy: Vec<f64> = policy.iter().map(|m| m.ln()).collect();
    let samples: Arc<[u32]> = policy.iter().map(|m| (m * 4096.0).round() as u32).collect();
    let history = History {
        series: Metric::ALL
            .iter()
            .enumerate()
            .map(|(i, _)| wave(i as f64))
            .collect(),
    };
    Snapshot {
        epoch: 1,
        status: Status::Running,
        step: 12_000,
        elapsed_secs: 3.0,
        steps_per_second: 4_000.0,
        problem: problem.clone(),
        objective: preset.objective,
        training: Arc::new(preset.training.clone()),
        analysis: analysis.clone(),
        sample_count: samples.iter().map(|c| u64::from(*c)).sum(),
        samples,
        best_fit: None,
        metrics: measure(problem, &preset.objective, analysis, &log_policy),
        causes_at: None,
        policy_modes: mode_masses(problem, &policy).into(),
        policy: policy.into(),
        history: Arc::new(history),
        keyframes: Arc::new([]),
        language: None,
        collapse: None,
        marks: Arc::new([EditMark {
            step: 6_000,
            label: "β 0.1 → 0.05".to_owned(),
        }]),
    }
}

/// A language preset.
const LANGUAGE: &str = r#"(
    format: 1,
    title: "Pick one of two",
    language: (
        model: "embedded",
        prompts: [(prompt: "Pick 1 or 2.", answers: [(text: "1"), (text: "2")])],
    ),
    objective: (direction: Reverse, beta: 0.05),
)"#;

/// A completion as a trainer reports it, made likelier token by token.
fn sample(tokens: &[&str], count: u32, arm: usize, reward: f64, log_prob: f64) -> SampleRecord {
    let each = (log_prob / tokens.len() as f64) as f32;
    SampleRecord {
        prompt: 0,
        text: tokens
            .iter()
            .filter(|t| **t != "<end>")
            .copied()
            .collect::<String>()
            .into(),
        tokens: tokens.iter().map(|t| Arc::from(*t)).collect(),
        count,
        ended: tokens.last() == Some(&"<end>"),
        arm,
        reward,
        bonus: 0.0,
        advantage: reward - 0.8,
        log_prob,
        log_reference: log_prob - reward + 0.5,
        token_log_probs: tokens.iter().map(|_| each).collect(),
        token_log_references: (0..tokens.len())
            .map(|i| each - if i == 0 { (reward - 0.5) as f32 } else { 0.0 })
            .collect(),
        label: None,
    }
}

/// A decaying wave of 2,000 buckets over 12,000 steps.
fn wave(phase: f64) -> Series {
    let mean: Vec<f32> = (0..2000)
        .map(|i| {
            let t = f64::from(i) / 200.0;
            (0.5 + 0.4 * (-0.3 * t).exp() * (t + phase).sin()) as f32
        })
        .collect();
    Series {
        steps: (0..2000).map(|i| 6.0 * f64::from(i)).collect(),
        min: mean.iter().map(|v| v - 0.05).collect(),
        max: mean.iter().map(|v| v + 0.05).collect(),
        mean,
    }
}
