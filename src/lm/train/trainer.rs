//! The trainer of a language model: one step at a time, nothing here looks at a clock but to tell how long a part took.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

use super::{
    error::LmTrainError,
    reference::Reference,
    report::{SampleRecord, StepFacts, StepParts},
    sampler::{self, Completion, Rule, Scored, Start},
    state::{LmState, Trained},
    task::Task,
};
use crate::{
    bandit::{Analysis, Drawn, Problem, StepReport, Weighed, Weigher},
    experiment::{
        Advantage, KlPenalty, LanguageSpec, Optimizer, PolicyFamily, Start as From, Training,
        Update,
    },
    lm::{
        LanguageModel,
        fast::{AdamW, AdamWSettings, Backward, Choice, LoraLayout, Tape, Trie},
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
/// Up to this many trained numbers, the parameters before each step are kept to fall back on.
const KEPT: usize = 1 << 22;

impl Prepared {
    /// Tokenises the task and scores all answers under the frozen model.
    ///
    /// # Errors
    /// A task that does not fit the model; see [`LmTrainError`].
    pub fn new(
        model: Arc<LanguageModel>,
        spec: Arc<LanguageSpec>,
        base_dir: Option<&Path>,
    ) -> Result<Self, LmTrainError> {
        let mut task = Task::new(&model, &spec, base_dir)?;
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
    gradient: Vec<f32>,
    rows: Vec<f32>,
    sampling: ChaCha8Rng,
    reference_sampling: ChaCha8Rng,
    step: u64,
    records: Arc<[SampleRecord]>,
    facts: Option<StepFacts>,
    /// Batches in a row, and samples in them, without a single acceptable answer.
    barren: (u32, u64),
    /// The state before the last step, while that is small enough.
    kept: Option<LmState>,
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
            optimiser: AdamW::new(count, settings(&training, &spec)),
            gradient: vec![0.0; count],
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
            kept: None,
        };
        trainer.evaluate()?;
        Ok(trainer)
    }

    /// Does one step.
    ///
    /// # Errors
    /// [`LmTrainError::NotFinite`] if it leaves the finite numbers; parameters and optimiser are then as before the step
    /// (on models too large to keep a copy: as at the last restored state).
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
            Update::Exact | Update::NaturalGradient => self.exact_choices(),
            update @ (Update::Sampled { batch, .. } | Update::Dap { batch }) => {
                let counts = self.counts(batch);
                let drawn = self.draw(&counts)?;
                parts.sample = lap();
                let references = self.score_reference(&drawn)?;
                parts.reference = lap();
                let mut choices = self.weigh(update, &drawn, &references, &mut facts)?;
                parts.reward = lap();
                if from_reference(update) {
                    choices.extend(self.reference_choices(&counts)?);
                    parts.reference += lap();
                }
                merge(choices)
            }
        };
        facts.tree_nodes = self.trie.len();
        let network = self.trained.network(&self.model)?;
        self.backward.run(
            network,
            &self.trie,
            &self.tape,
            &choices,
            &mut self.gradient,
        );
        parts.backward = lap();
        facts.gradient_norm =
            self.optimiser
                .step(self.trained.values_mut(), &self.gradient, learning_rate);
        if !facts.gradient_norm.is_finite() {
            return Err(self.fall_back("the gradient"));
        }
        parts.optimiser = lap();
        self.step += 1;
        if self.evaluate().is_err() || !self.is_finite() {
            self.step -= 1;
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

    /// Samples per prompt: as even as possible.
    fn counts(&self, batch: usize) -> Vec<u32> {
        let n = self.prompts.len().max(1);
        (0..self.prompts.len())
            .map(|prompt| (batch / n + usize::from(prompt < batch % n)) as u32)
            .collect()
    }

    fn rule(&self) -> Rule {
        Rule {
            end: self.task.end,
            max_tokens: self.task.max_tokens,
            temperature: self.spec.temperature,
            top_p: self.spec.top_p,
        }
    }

    fn draw(&mut self, counts: &[u32]) -> Result<Vec<Completion>, LmTrainError> {
        let starts: Vec<Start> = (self.prompts.iter().zip(counts).enumerate())
            .map(|(prompt, (state, &count))| Start {
                prompt,
                node: state.node,
                count,
            })
            .collect();
        let rule = self.rule();
        let drawn = sampler::draw(
            self.trained.network(&self.model)?,
            (&mut self.trie, &mut self.tape),
            &starts,
            &rule,
            &mut self.sampling,
            &mut self.rows,
        )?;
        if drawn.iter().any(|c| !c.log_prob().is_finite()) || drawn.is_empty() {
            return Err(self.fall_back("the policy's probabilities"));
        }
        Ok(drawn)
    }

    fn score_reference(&mut self, drawn: &[Completion]) -> Result<Vec<Vec<f32>>, LmTrainError> {
        let sequences: Vec<(usize, &[u32])> = drawn
            .iter()
            .map(|c| (c.prompt, c.tokens.as_slice()))
            .collect();
        let network = self.model.network()?;
        Ok(self.reference.score(network, &sequences, &mut self.rows)?)
    }

    /// From completions to weighted choices; leaves the table of samples.
    fn weigh(
        &mut self,
        update: Update,
        drawn: &[Completion],
        references: &[Vec<f32>],
        facts: &mut StepFacts,
    ) -> Result<Vec<Choice>, LmTrainError> {
        let total: u32 = drawn.iter().map(|c| c.count).sum();
        let mut choices = Vec::new();
        let mut records = Vec::with_capacity(drawn.len());
        let mut valid = 0;
        for prompt in 0..self.prompts.len() {
            let own: Vec<usize> = (0..drawn.len())
                .filter(|&i| drawn[i].prompt == prompt)
                .collect();
            let mut batch = Vec::with_capacity(own.len());
            let mut texts = Vec::with_capacity(own.len());
            for &i in &own {
                let completion = &drawn[i];
                let text = self.text(completion)?;
                let arm = self.task.arm(completion, &text);
                valid += if arm + 1 < self.prompts[prompt].masses.len() {
                    completion.count
                } else {
                    0
                };
                batch.push(Drawn {
                    arm,
                    count: completion.count,
                    reward: None,
                    log_prob: completion.log_prob(),
                    log_reference: references[i].iter().map(|&p| f64::from(p)).sum(),
                });
                texts.push(text);
            }
            let labels = self.ask_program(prompt, &mut batch, &texts)?;
            let state = &mut self.prompts[prompt];
            let weighed = state.weigher.weigh(update, &batch);
            state.remember(&batch);
            for (slot, ((&i, drawn_arm), weighed)) in
                own.iter().zip(&batch).zip(&weighed).enumerate()
            {
                let text = std::mem::take(&mut texts[slot]);
                let completion = &drawn[i];
                if !weighed.weight.is_finite() {
                    return Err(self.fall_back("a sample's weight"));
                }
                let share = f64::from(completion.count) / f64::from(total.max(1));
                let weight = -(weighed.weight * share) as f32;
                for (&node, &token) in completion.nodes.iter().zip(&completion.tokens) {
                    choices.push(Choice {
                        node,
                        token,
                        weight,
                    });
                }
                records.push(SampleRecord {
                    label: labels.get(slot).cloned().flatten(),
                    ..self.record(completion, drawn_arm, weighed, &references[i], text)
                });
            }
        }
        records.sort_by_key(|record| std::cmp::Reverse(record.count));
        self.barren = match valid {
            0 => (self.barren.0 + 1, self.barren.1 + u64::from(total)),
            _ => (0, 0),
        };
        facts.valid_share = f64::from(valid) / f64::from(total.max(1));
        let lengths = |c: &Completion| c.count as usize * c.tokens.len();
        facts.sampled_tokens = drawn.iter().map(lengths).sum();
        facts.flat_tokens = drawn
            .iter()
            .map(|c| {
                c.count as usize * (self.task.prompts[c.prompt].prompt.len() + c.tokens.len() - 1)
            })
            .sum();
        self.records = records.into();
        Ok(choices)
    }

    /// Puts the reward program's rewards into a batch; returns its labels. Nothing where there is no program.
    fn ask_program(
        &mut self,
        prompt: usize,
        batch: &mut [Drawn],
        texts: &[String],
    ) -> Result<Vec<Option<Arc<str>>>, LmTrainError> {
        let spec = Arc::clone(&self.spec);
        let asked = spec.prompts.get(prompt).map_or("", |task| &task.prompt);
        let requests: Vec<RewardRequest<'_>> = (batch.iter().zip(texts))
            .map(|(drawn, text)| RewardRequest {
                prompt: asked,
                completion: text,
                log_prob: drawn.log_prob,
                log_reference: drawn.log_reference,
            })
            .collect();
        let Some(replies) = self.task.program_rewards(&requests)? else {
            return Ok(Vec::new());
        };
        for (drawn, reply) in batch.iter_mut().zip(&replies) {
            drawn.reward = Some(self.objective.effective_reward(reply.reward));
        }
        Ok(replies
            .into_iter()
            .map(|reply| reply.label.map(Arc::from))
            .collect())
    }

    fn text(&self, completion: &Completion) -> Result<String, LmTrainError> {
        let tokens = match completion.tokens.split_last() {
            Some((_, before)) if completion.ended => before,
            _ => &completion.tokens,
        };
        Ok(self.model.tokenizer.decode(tokens)?)
    }

    fn record(
        &self,
        completion: &Completion,
        drawn: &Drawn,
        weighed: &Weighed,
        references: &[f32],
        text: String,
    ) -> SampleRecord {
        let token = |&id: &u32| {
            let text = self.model.tokenizer.decode(&[id]).unwrap_or_default();
            match text.is_empty() {
                true => self.model.tokenizer.token(id).unwrap_or_default().into(),
                false => text.into(),
            }
        };
        SampleRecord {
            prompt: completion.prompt,
            text: text.into(),
            tokens: completion.tokens.iter().map(token).collect(),
            count: completion.count,
            ended: completion.ended,
            arm: drawn.arm,
            reward: weighed.reward,
            bonus: weighed.bonus,
            advantage: weighed.weight,
            log_prob: drawn.log_prob,
            log_reference: drawn.log_reference,
            token_log_probs: completion.log_probs.as_slice().into(),
            token_log_references: references.into(),
            label: None,
        }
    }

    /// Choices of the exact gradient: every answer's tokens.
    fn exact_choices(&self) -> Vec<Choice> {
        let share = 1.0 / self.prompts.len().max(1) as f64;
        let mut choices = Vec::new();
        for (state, tokens) in self.prompts.iter().zip(&self.task.prompts) {
            let weights = state.weigher.exact(&state.log_masses, &state.masses);
            for ((weight, scored), tokens) in
                weights.iter().zip(&state.answers).zip(&tokens.answers)
            {
                for (&node, &token) in scored.nodes.iter().zip(tokens) {
                    choices.push(Choice {
                        node,
                        token,
                        weight: -(weight * share) as f32,
                    });
                }
            }
        }
        merge(choices)
    }

    /// −β log π on as many samples of the reference.
    fn reference_choices(&mut self, counts: &[u32]) -> Result<Vec<Choice>, LmTrainError> {
        let rule = Rule {
            temperature: 1.0,
            top_p: 1.0,
            ..self.rule()
        };
        let drawn = self.reference.draw(
            self.model.network()?,
            counts,
            &rule,
            &mut self.reference_sampling,
            &mut self.rows,
        )?;
        let total: u32 = counts.iter().sum();
        let sequences: Vec<(usize, &[u32])> = drawn
            .iter()
            .map(|c| (self.prompts[c.prompt].node, c.tokens.as_slice()))
            .collect();
        let scored = sampler::score(
            self.trained.network(&self.model)?,
            (&mut self.trie, &mut self.tape),
            &sequences,
            &mut self.rows,
        )?;
        let mut choices = Vec::new();
        for (completion, scored) in drawn.iter().zip(scored) {
            let arm = self.task.arm(completion, &self.text(completion)?);
            let weight = self.prompts[completion.prompt]
                .weigher
                .reference_weight(arm);
            let share = f64::from(completion.count) / f64::from(total.max(1));
            for (&node, &token) in scored.nodes.iter().zip(&completion.tokens) {
                choices.push(Choice {
                    node,
                    token,
                    weight: -(weight * share) as f32,
                });
            }
        }
        Ok(choices)
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

    fn keep(&mut self) {
        if self.trained.values().len() <= KEPT {
            self.kept = Some(self.save_state());
        }
    }

    fn fall_back(&mut self, what: &'static str) -> LmTrainError {
        let step = self.step + 1;
        if let Some(kept) = self.kept.take() {
            // The kept state is this very trainer's, so it fits.
            let _ = self.restore(&kept);
        }
        LmTrainError::NotFinite {
            step,
            what,
            kept: self.step,
            suggested: self.training.learning_rate / 10.0,
        }
    }

    /// Replaces problems, objective and analyses (one per prompt, same arms); the policy and its optimiser go on.
    ///
    /// # Errors
    /// When the number of prompts or arms changes.
    pub fn retarget(
        &mut self,
        grounds: Vec<Ground>,
        objective: Objective,
    ) -> Result<(), LmTrainError> {
        let fits = grounds.len() == self.prompts.len()
            && (grounds.iter().zip(&self.prompts))
                .all(|(ground, state)| ground.problem.arms() == state.masses.len());
        if !fits {
            return Err(LmTrainError::field(
                "language.prompts",
                "another number of prompts or answers",
                "a run keeps those it started with",
            ));
        }
        self.objective = objective;
        for (state, ground) in self.prompts.iter_mut().zip(grounds) {
            let anchor = state.weigher.running_anchor;
            state.weigher = Weigher::new(&ground.problem, &objective, &ground.analysis);
            state.weigher.running_anchor = anchor;
            state.ground = ground;
        }
        Ok(())
    }

    /// Replaces the training description; the policy and its moments go on. (Another seed is the caller's to notice: it
    /// begins anew.)
    ///
    /// # Errors
    /// As [`Self::new`]; the trainer is then as before.
    pub fn retrain(&mut self, training: Arc<Training>) -> Result<(), LmTrainError> {
        check_training(&training, self.prompts.len())?;
        self.training = training;
        self.optimiser
            .set_settings(settings(&self.training, &self.spec));
        Ok(())
    }

    /// Replaces what of the language part may change while a run goes on; [`Self::needs_restart`] tells.
    pub fn respec(&mut self, spec: Arc<LanguageSpec>) {
        self.spec = spec;
        self.optimiser
            .set_settings(settings(&self.training, &self.spec));
    }

    /// Whether a change of the language part begins the policy anew: another model, task or choice of what is trained.
    #[must_use]
    pub fn needs_restart(old: &LanguageSpec, new: &LanguageSpec) -> bool {
        let light = LanguageSpec {
            temperature: old.temperature,
            top_p: old.top_p,
            weight_decay: old.weight_decay,
            clip: old.clip,
            warm_up: old.warm_up,
            checkpoints: old.checkpoints,
            ..new.clone()
        };
        light != *old
    }

    /// The masses of a prompt's answers and, last, of everything else under the policy.
    #[must_use]
    pub fn masses(&self, prompt: usize) -> &[f64] {
        self.prompts.get(prompt).map_or(&[], |state| &state.masses)
    }

    /// Their natural logarithms.
    #[must_use]
    pub fn log_masses(&self, prompt: usize) -> &[f64] {
        self.prompts
            .get(prompt)
            .map_or(&[], |state| &state.log_masses)
    }

    /// How often each arm of a prompt came up in the last batches.
    #[must_use]
    pub fn samples(&self, prompt: usize) -> &[u32] {
        self.prompts.get(prompt).map_or(&[], |state| &state.shown)
    }

    /// Metrics of the policy as it is, means over the prompts. The causes that need companion runs stay NaN.
    #[must_use]
    pub fn measure(&self) -> Metrics {
        let each: Vec<Metrics> = self
            .prompts
            .iter()
            .map(|state| {
                crate::bandit::measure(
                    &state.ground.problem,
                    &self.objective,
                    &state.ground.analysis,
                    &state.log_masses,
                )
            })
            .collect();
        let mut metrics = Metrics::default();
        for &metric in Metric::ALL {
            let sum: f64 = each.iter().map(|m| m.get(metric)).sum();
            metrics.set(metric, sum / each.len().max(1) as f64);
        }
        metrics.set(Metric::EffectiveBeta, self.effective_beta());
        if let Some(facts) = &self.facts {
            metrics.set(Metric::GradientNorm, facts.gradient_norm);
            metrics.set(Metric::ValidShare, facts.valid_share);
        }
        metrics
    }

    /// β, or β·σ where the reward is divided by the batch's standard deviation and the penalty is not (docs/math.md
    /// section 4); σ is the policy's exact one, the mean over the prompts.
    fn effective_beta(&self) -> f64 {
        let beta = self.objective.beta.get();
        let Update::Sampled {
            advantage: Advantage::GroupNormalised,
            kl: KlPenalty::Loss(_) | KlPenalty::ReferenceSamples | KlPenalty::Off,
            ..
        } = self.training.update
        else {
            return beta;
        };
        let deviation = |state: &PromptState| {
            let rewards = &state.ground.analysis.rewards;
            let mean: f64 = state.masses.iter().zip(rewards).map(|(m, r)| m * r).sum();
            let spread = |(m, r): (&f64, &f64)| m * (r - mean) * (r - mean);
            let variance: f64 = state.masses.iter().zip(rewards).map(spread).sum();
            variance.sqrt()
        };
        let sum: f64 = self.prompts.iter().map(deviation).sum();
        beta * sum / self.prompts.len().max(1) as f64
    }

    /// The policy in three numbers, means over the prompts.
    #[must_use]
    pub fn report(&self) -> StepReport {
        let mut report = StepReport::default();
        let share = 1.0 / self.prompts.len().max(1) as f64;
        for state in &self.prompts {
            let target = &state.ground.analysis.target.log_masses;
            let rewards = &state.ground.analysis.rewards;
            for (arm, (&mass, &log_mass)) in state.masses.iter().zip(&state.log_masses).enumerate()
            {
                report.expected_reward += share * mass * rewards[arm];
                report.kl_to_target += share * mass * (log_mass - target[arm]);
                report.entropy -= share * mass * log_mass;
            }
        }
        report
    }

    /// Gives its memory back; the trainer is of no use afterwards.
    pub fn release(&mut self) {
        self.trained = Trained::Full(Vec::new());
        self.optimiser = AdamW::new(0, AdamWSettings::default());
        self.gradient = Vec::new();
        self.tape = Tape::new(&self.model.layout);
        self.kept = None;
    }

    /// Steps done.
    #[must_use]
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// Batches in a row, and samples in them, without a single acceptable answer.
    #[must_use]
    pub fn barren(&self) -> (u32, u64) {
        self.barren
    }

    /// Distinct completions of the last batch, most frequent first.
    #[must_use]
    pub fn records(&self) -> &Arc<[SampleRecord]> {
        &self.records
    }

    /// The last step as a whole.
    #[must_use]
    pub fn facts(&self) -> Option<&StepFacts> {
        self.facts.as_ref()
    }

    /// The frozen model.
    #[must_use]
    pub fn model(&self) -> &Arc<LanguageModel> {
        &self.model
    }

    /// The language part in force.
    #[must_use]
    pub fn spec(&self) -> &Arc<LanguageSpec> {
        &self.spec
    }

    /// The layout of the low-rank factors, where they are what is trained.
    #[must_use]
    pub fn lora(&self) -> Option<&LoraLayout> {
        match &self.trained {
            Trained::Full(_) => None,
            Trained::Lora { layout, .. } => Some(layout),
        }
    }

    /// How many numbers are trained.
    #[must_use]
    pub fn trained(&self) -> usize {
        self.trained.values().len()
    }

    /// Everything needed to go on from here exactly.
    #[must_use]
    pub fn save_state(&self) -> LmState {
        LmState {
            step: self.step,
            parameters: self.trained.values().to_vec(),
            optimiser: self.optimiser.state().clone(),
            drawn_words: self.drawn_words(),
            anchors: self
                .prompts
                .iter()
                .map(|state| state.weigher.running_anchor)
                .collect(),
            known: self.reference.known().to_vec(),
        }
    }

    /// Goes to a saved state of this experiment.
    ///
    /// # Errors
    /// [`LmTrainError::ForeignState`] if it has another number of parameters.
    pub fn restore(&mut self, state: &LmState) -> Result<(), LmTrainError> {
        let expected = self.trained.values().len();
        for found in [state.parameters.len(), state.optimiser.first.len()] {
            if found != expected {
                return Err(LmTrainError::ForeignState { found, expected });
            }
        }
        self.optimiser = AdamW::from_state(
            state.optimiser.clone(),
            settings(&self.training, &self.spec),
        )?;
        self.trained.values_mut().copy_from_slice(&state.parameters);
        self.sampling.set_word_pos(state.drawn_words.0);
        self.reference_sampling.set_word_pos(state.drawn_words.1);
        for (prompt, anchor) in self.prompts.iter_mut().zip(&state.anchors) {
            prompt.weigher.running_anchor = *anchor;
        }
        self.reference.recall(&state.known);
        self.step = state.step;
        self.facts = None;
        self.evaluate()
    }

    /// The most likely next tokens of a text under policy and reference: (token as text, policy, reference), at most
    /// `limit`, most likely under either first.
    ///
    /// # Errors
    /// A text without tokens, or longer than the context.
    pub fn probe(
        &mut self,
        text: &str,
        limit: usize,
    ) -> Result<Vec<(String, f64, f64)>, LmTrainError> {
        let tokens = self.model.tokenizer.encode_prompt(text)?;
        let mut both = Vec::new();
        for network in [self.trained.network(&self.model)?, self.model.network()?] {
            let mut trie = Trie::new();
            let node = trie.insert(None, &tokens)?;
            let mut tape = Tape::new(&self.model.layout);
            tape.extend(network, &trie)?;
            let mut row = Vec::new();
            let _ = tape.distributions(network, &[node], &mut row);
            both.push(row);
        }
        let [policy, reference] = both.as_slice() else {
            return Ok(Vec::new());
        };
        let mut order: Vec<usize> = (0..policy.len()).collect();
        let either = |token: usize| policy[token].max(reference[token]);
        let kept = limit.min(order.len());
        if kept < order.len() {
            order.select_nth_unstable_by(kept, |&a, &b| either(b).total_cmp(&either(a)));
            order.truncate(kept);
        }
        order.sort_by(|&a, &b| either(b).total_cmp(&either(a)));
        Ok(order
            .into_iter()
            .map(|token| {
                let id = token as u32;
                let text = self.model.tokenizer.decode(&[id]).unwrap_or_default();
                let text = if text.is_empty() {
                    self.model.tokenizer.token(id).unwrap_or_default()
                } else {
                    text
                };
                (text, f64::from(policy[token]), f64::from(reference[token]))
            })
            .collect())
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

fn settings(training: &Training, spec: &LanguageSpec) -> AdamWSettings {
    let (beta1, beta2, epsilon) = match training.optimizer {
        Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
        } => (beta1, beta2, epsilon),
        // Refused by `check_training`.
        Optimizer::Sgd | Optimizer::Momentum { .. } => (0.9, 0.999, 1e-8),
    };
    AdamWSettings {
        beta1,
        beta2,
        epsilon,
        weight_decay: spec.weight_decay,
        max_norm: spec.clip,
    }
}

fn from_reference(update: Update) -> bool {
    matches!(
        update,
        Update::Sampled {
            kl: KlPenalty::ReferenceSamples,
            ..
        }
    )
}

/// Sums the weights of equal choices, in the order that the backward wants.
fn merge(mut choices: Vec<Choice>) -> Vec<Choice> {
    choices.sort_by_key(|choice| (choice.node, choice.token));
    choices.dedup_by(|next, kept| {
        let same = next.node == kept.node && next.token == kept.token;
        if same {
            kept.weight += next.weight;
        }
        same
    });
    choices
}

fn check_training(training: &Training, prompts: usize) -> Result<(), LmTrainError> {
    if training.policy != PolicyFamily::SoftmaxTable {
        return Err(LmTrainError::field(
            "training.policy",
            "a restricted family",
            "the language model is the policy: leave it out",
        ));
    }
    if training.start != From::Reference {
        return Err(LmTrainError::field(
            "training.start",
            "another start",
            "Reference is: a fine-tune starts at its model",
        ));
    }
    if !matches!(training.optimizer, Optimizer::Adam { .. }) {
        return Err(LmTrainError::field(
            "training.optimizer",
            "another optimiser",
            "Adam is",
        ));
    }
    match training.update {
        Update::NaturalGradient => Err(LmTrainError::field(
            "training.update",
            "NaturalGradient",
            "Exact, Sampled and Dap are: it needs the softmax table",
        )),
        Update::Sampled { batch, .. } | Update::Dap { batch } if batch < prompts => {
            Err(LmTrainError::field(
                "training.update.batch",
                batch,
                format!("at least {prompts} is, one sample for each prompt"),
            ))
        }
        Update::Exact | Update::Sampled { .. } | Update::Dap { .. } => Ok(()),
    }
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;
