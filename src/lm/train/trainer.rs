//! The trainer of a language model: one step at a time, nothing here looks at a clock but to tell how long a part took.

mod batch;
mod change;
mod resume;
mod view;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

use self::{
    batch::merge,
    change::{check_training, settings},
};
use super::{
    error::LmTrainError,
    generating::Generating,
    reference::Reference,
    report::{SampleRecord, StepFacts, StepParts},
    sampler::{self, Completion, Rule, Scored, Start},
    state::{LmState, LmStateRef, Trained, lora_layout},
    task::Task,
};
use crate::{
    bandit::{Analysis, Drawn, Problem, StepReport, Weighed, Weigher},
    experiment::{LanguageSpec, Optimizer, PolicyFamily, Start as From, Training, Tune, Update},
    lm::{
        LanguageModel,
        fast::{AdamW, AdamWSettings, Backward, Buffer, Choice, Tape, Trie},
    },
    task::RewardRequest,
    theory::{Metric, Metrics, Objective},
};

/// A prompt's answers as a bandit problem, and what the objective asks of it.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The problem: one arm per answer, the last one for everything else.
    pub problem: Arc<Problem>,
    /// Its analysis under the trainer's objective.
    pub analysis: Arc<Analysis>,
}

/// A model and a task that fit each other, and what the frozen model makes of the answers.
#[derive(Debug)]
pub struct Prepared {
    model: Arc<LanguageModel>,
    spec: Arc<LanguageSpec>,
    task: Task,
    reference: Reference,
    /// Mass of each answer and, last, of everything else; per prompt.
    masses: Vec<Vec<f64>>,
    /// Raw rewards of the answers from the reward program, where there is one.
    rewards: Option<Vec<Vec<f64>>>,
}

/// The mass of everything else is never less than this: 1 − Σ is only known to about a unit of `f32`'s last place.
const OTHER_FLOOR: f64 = 1e-9;
/// Batches whose samples the histogram covers.
const RECENT: usize = 16;
/// Up to this many trained numbers, the whole state before each step is kept to fall back on; beyond it the parameters.
const KEPT: usize = 1 << 22;

impl Prepared {
    /// Tokenises the task and scores all answers under the frozen model. From when `stop` is set, a reward program is no
    /// longer waited for.
    ///
    /// # Errors
    /// A task that does not fit the model; see [`LmTrainError`].
    pub fn new(
        model: Arc<LanguageModel>,
        spec: Arc<LanguageSpec>,
        base_dir: Option<&Path>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, LmTrainError> {
        let mut task = Task::new(&model, &spec, base_dir, stop)?;
        let network = model.network()?;
        let prompts: Vec<Vec<u32>> = task.prompts.iter().map(|p| p.prompt.clone()).collect();
        let mut reference = Reference::new(network, &prompts)?;
        let sequences: Vec<(usize, &[u32])> = (task.prompts.iter().enumerate())
            .flat_map(|(prompt, tokens)| tokens.answers.iter().map(move |a| (prompt, a.as_slice())))
            .collect();
        let mut rows = Vec::new();
        let scored = reference.score(network, &sequences, &mut rows)?;
        let mut masses: Vec<Vec<f64>> = vec![Vec::new(); task.prompts.len()];
        for ((prompt, _), log_probs) in sequences.iter().zip(&scored) {
            let log_prob: f64 = log_probs.iter().map(|&p| f64::from(p)).sum();
            masses[*prompt].push(log_prob.exp());
        }
        let rewards = ask_program(&mut task, &spec, &masses)?;
        for masses in &mut masses {
            masses.push(rest(masses.iter().sum()));
        }
        Ok(Self {
            rewards,
            model,
            spec,
            task,
            reference,
            masses,
        })
    }

    /// Looks whether a task and its training fit a model, without asking the model or a reward program anything.
    ///
    /// # Errors
    /// A task that does not fit the model; see [`LmTrainError`].
    pub fn check(
        model: &LanguageModel,
        spec: &LanguageSpec,
        training: &Training,
    ) -> Result<(), LmTrainError> {
        let faults = Self::faults(model, spec, training);
        faults.into_iter().next().map_or(Ok(()), Err)
    }

    /// As [`Self::check`], everything that does not fit: one thing for each prompt at most.
    #[must_use]
    pub fn faults(
        model: &LanguageModel,
        spec: &LanguageSpec,
        training: &Training,
    ) -> Vec<LmTrainError> {
        let mut faults = Task::faults(model, spec);
        if let Tune::Lora {
            rank,
            alpha,
            modules,
        } = &spec.tune
        {
            faults.extend(lora_layout(model, *rank, *alpha, modules).err());
        }
        faults.extend(check_training(training, spec.prompts.len()).err());
        faults
    }

    /// Raw rewards of each prompt's answers where a program gives them instead of the preset.
    #[must_use]
    pub fn program_rewards(&self) -> Option<&[Vec<f64>]> {
        self.rewards.as_deref()
    }

    /// The reference masses of each prompt's answers and, last, of everything else.
    #[must_use]
    pub fn masses(&self) -> &[Vec<f64>] {
        &self.masses
    }
}

/// The reward program's word on every acceptable answer.
fn ask_program(
    task: &mut Task,
    spec: &LanguageSpec,
    masses: &[Vec<f64>],
) -> Result<Option<Vec<Vec<f64>>>, LmTrainError> {
    let mut asked = Vec::new();
    for (prompt, masses) in spec.prompts.iter().zip(masses) {
        for (answer, mass) in prompt.answers.iter().zip(masses) {
            asked.push((prompt, spec.matching.canonical(&answer.text), mass.ln()));
        }
    }
    let requests: Vec<RewardRequest<'_>> = (asked.iter())
        .map(|(prompt, completion, log_prob)| RewardRequest {
            prompt: &prompt.prompt,
            completion,
            log_prob: *log_prob,
            log_reference: *log_prob,
        })
        .collect();
    let Some(replies) = task.program_rewards(&requests)? else {
        return Ok(None);
    };
    let mut replies = replies.into_iter().map(|reply| reply.reward);
    Ok(Some(
        spec.prompts
            .iter()
            .map(|prompt| replies.by_ref().take(prompt.answers.len()).collect())
            .collect(),
    ))
}

/// What the answers leave.
fn rest(answers: f64) -> f64 {
    (1.0 - answers).max(OTHER_FLOOR)
}

/// One prompt during a run.
#[derive(Debug)]
struct PromptState {
    ground: Ground,
    weigher: Weigher,
    /// The prompt's last node.
    node: usize,
    /// The answers on the tree.
    answers: Vec<Scored>,
    log_masses: Vec<f64>,
    masses: Vec<f64>,
    /// How often each arm came up in each of the last batches.
    recent: Vec<Vec<u32>>,
    shown: Vec<u32>,
}

/// Trains one language model on one task.
#[derive(Debug)]
pub struct LmTrainer {
    model: Arc<LanguageModel>,
    spec: Arc<LanguageSpec>,
    generating: Arc<Generating>,
    task: Task,
    objective: Objective,
    training: Arc<Training>,
    reference: Reference,
    trained: Trained,
    optimiser: AdamW,
    prompts: Vec<PromptState>,
    trie: Trie,
    tape: Tape,
    /// Nodes of prompts and answers, which every step starts with.
    base: usize,
    backward: Backward,
    gradient: Buffer,
    rows: Vec<f32>,
    sampling: ChaCha8Rng,
    reference_sampling: ChaCha8Rng,
    step: u64,
    records: Arc<[SampleRecord]>,
    facts: Option<StepFacts>,
    /// Batches in a row, and samples in them, without a single acceptable answer.
    barren: (u32, u64),
    /// A completion that is no acceptable answer and that the reward program paid something else than `failure_reward`:
    /// its prompt, text and raw reward.
    paid_other: Option<(usize, Arc<str>, f64)>,
    /// The state before the last step, while that is small enough.
    kept: Option<LmState>,
    /// See [`KEPT`].
    keeps: usize,
}

impl LmTrainer {
    /// A trainer at step 0, the policy equal to the reference. `grounds` has one entry per prompt.
    ///
    /// # Errors
    /// A training description that a language model cannot follow.
    pub fn new(
        prepared: Prepared,
        grounds: Vec<Ground>,
        objective: Objective,
        training: Arc<Training>,
    ) -> Result<Self, LmTrainError> {
        let Prepared {
            model,
            spec,
            task,
            reference,
            ..
        } = prepared;
        check_training(&training, task.prompts.len())?;
        let trained = Trained::new(&model, &spec.tune, training.seed)?;
        let count = trained.values().len();
        let mut trie = Trie::new();
        let mut prompts = Vec::with_capacity(grounds.len());
        for (tokens, ground) in task.prompts.iter().zip(grounds) {
            let arms = ground.problem.arms();
            if arms != tokens.answers.len() + 1 {
                return Err(LmTrainError::field(
                    "language.prompts",
                    format!("a problem of {arms} arms"),
                    format!(
                        "{} are, one per answer and one more",
                        tokens.answers.len() + 1
                    ),
                ));
            }
            prompts.push(PromptState {
                weigher: Weigher::new(&ground.problem, &objective, &ground.analysis),
                ground,
                node: trie.insert(None, &tokens.prompt)?,
                answers: Vec::new(),
                log_masses: vec![0.0; arms],
                masses: vec![0.0; arms],
                recent: Vec::new(),
                shown: vec![0; arms],
            });
        }
        let mut trainer = Self {
            generating: Arc::default(),
            optimiser: AdamW::new(count, settings(&training, &spec)),
            gradient: Buffer::zeros(count),
            tape: Tape::new(&model.layout),
            model,
            spec,
            task,
            objective,
            reference,
            trained,
            prompts,
            trie,
            base: 0,
            backward: Backward::default(),
            rows: Vec::new(),
            sampling: stream(training.seed, 1),
            reference_sampling: stream(training.seed, 2),
            training,
            step: 0,
            records: Arc::new([]),
            facts: None,
            barren: (0, 0),
            paid_other: None,
            kept: None,
            keeps: KEPT,
        };
        trainer.evaluate()?;
        Ok(trainer)
    }

    /// Does one step.
    ///
    /// # Errors
    /// [`LmTrainError::NotFinite`] if it leaves the finite numbers; parameters and optimiser are then as before the step
    /// (on models too large to keep a copy of all, the moments have taken in the step's gradient).
    ///
    /// [`LmTrainError::Reward`] and [`LmTrainError::Stopped`] leave everything as before the step, its samples included: the
    /// next call draws the same ones.
    pub fn step(&mut self) -> Result<StepReport, LmTrainError> {
        let words = self.drawn_words();
        let outcome = self.try_step();
        if let Err(LmTrainError::Reward(_) | LmTrainError::Stopped) = outcome {
            self.sampling.set_word_pos(words.0);
            self.reference_sampling.set_word_pos(words.1);
            self.evaluate()?;
        }
        outcome
    }

    /// How far the sampling of the present step has come.
    #[must_use]
    pub fn generating(&self) -> &Arc<Generating> {
        &self.generating
    }

    /// From when `flag` is set, a reward program is no longer waited for.
    pub fn stop_when(&mut self, flag: Arc<AtomicBool>) {
        self.task.stop = flag;
    }

    fn drawn_words(&self) -> (u128, u128) {
        (
            self.sampling.get_word_pos(),
            self.reference_sampling.get_word_pos(),
        )
    }

    fn try_step(&mut self) -> Result<StepReport, LmTrainError> {
        let mut parts = StepParts::default();
        let mut clock = Instant::now();
        let mut lap = || {
            let now = Instant::now();
            let spent = (now - clock).as_secs_f64() * 1e3;
            clock = now;
            spent
        };
        self.keep();
        let learning_rate = self.learning_rate();
        let mut facts = StepFacts {
            learning_rate,
            ..StepFacts::default()
        };
        let choices = match self.training.update {
            Update::Exact | Update::NaturalGradient => {
                self.records = Arc::new([]);
                self.exact_choices()
            }
            update @ (Update::Sampled { batch, .. } | Update::Dap { batch }) => {
                let counts = self.counts(batch);
                let drawn = self.draw(&counts)?;
                parts.sample = lap();
                let references = self.score_reference(&drawn)?;
                parts.reference = lap();
                let mut choices = self.weigh(update, &drawn, &references, &mut facts)?;
                parts.reward = lap();
                if update.draws_from_reference() {
                    choices.extend(self.reference_choices(&counts)?);
                    parts.reference += lap();
                }
                merge(choices)
            }
        };
        facts.tree_nodes = self.trie.len();
        let network = self.trained.network(&self.model)?;
        // Of a large model the gradient's buffer keeps the parameters before the step until the next one needs it.
        let apart = self.kept.is_none();
        let (backward, gradient) = (&mut self.backward, &mut self.gradient);
        let norm = if apart {
            backward.run_unformed(network, &self.trie, &self.tape, &choices, gradient)
        } else {
            backward.run(network, &self.trie, &self.tape, &choices, gradient)
        };
        facts.gradient_norm = norm;
        parts.backward = lap();
        if apart {
            let outers = backward.outers(&self.model.layout, &self.tape);
            let parameters = self.trained.values();
            (self.optimiser).step_apart(parameters, (gradient, &outers), norm, learning_rate);
        } else {
            let parameters = self.trained.values_mut();
            (self.optimiser).step_with_norm(parameters, gradient, norm, learning_rate);
        }
        if !norm.is_finite() {
            return Err(self.fall_back("the gradient"));
        }
        if apart {
            self.trained.exchange(&mut self.gradient);
        }
        parts.optimiser = lap();
        self.step += 1;
        if self.evaluate().is_err() || !self.is_finite() {
            self.step -= 1;
            if apart {
                self.trained.exchange(&mut self.gradient);
                self.optimiser.uncount();
            }
            return Err(self.fall_back("the policy's probabilities after the update"));
        }
        parts.evaluate = lap();
        facts.parts = parts;
        self.facts = Some(facts);
        Ok(self.report())
    }

    /// The learning rate of the next step: it rises linearly over the first `warm_up` steps.
    fn learning_rate(&self) -> f64 {
        let full = self.training.learning_rate;
        match self.spec.warm_up {
            0 => full,
            steps => full * ((self.step + 1) as f64 / steps as f64).min(1.0),
        }
    }

    /// Runs prompts and answers anew: the exact masses of the present policy, and the tree that the next step extends.
    fn evaluate(&mut self) -> Result<(), LmTrainError> {
        let network = self.trained.network(&self.model)?;
        self.tape.truncate(0);
        if self.base > 0 {
            self.trie.truncate(self.base);
        }
        let sequences: Vec<(usize, &[u32])> = self
            .prompts
            .iter()
            .zip(&self.task.prompts)
            .flat_map(|(state, tokens)| tokens.answers.iter().map(|a| (state.node, a.as_slice())))
            .collect();
        let pair = (&mut self.trie, &mut self.tape);
        let mut scored = sampler::score(network, pair, &sequences, &mut self.rows)?.into_iter();
        self.base = self.trie.len();
        for (state, tokens) in self.prompts.iter_mut().zip(&self.task.prompts) {
            state.answers = scored.by_ref().take(tokens.answers.len()).collect();
            state.fill_masses();
        }
        Ok(())
    }

    fn is_finite(&self) -> bool {
        self.prompts
            .iter()
            .all(|state| state.masses.iter().all(|mass| mass.is_finite()))
    }
}

impl PromptState {
    fn fill_masses(&mut self) {
        let last = self.masses.len() - 1;
        let mut sum = 0.0;
        for (arm, scored) in self.answers.iter().enumerate() {
            self.log_masses[arm] = scored.log_prob();
            self.masses[arm] = self.log_masses[arm].exp();
            sum += self.masses[arm];
        }
        // NaN passes through `max` and would be hidden.
        self.masses[last] = if sum.is_finite() { rest(sum) } else { sum };
        self.log_masses[last] = self.masses[last].ln();
    }

    fn remember(&mut self, batch: &[Drawn]) {
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        let mut counts = vec![0; self.masses.len()];
        for drawn in batch {
            counts[drawn.arm] += drawn.count;
        }
        self.recent.push(counts);
        self.shown.fill(0);
        for counts in &self.recent {
            for (shown, count) in self.shown.iter_mut().zip(counts) {
                *shown += count;
            }
        }
    }
}

fn stream(seed: u64, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose);
    rng
}

#[cfg(test)]
mod tests;
