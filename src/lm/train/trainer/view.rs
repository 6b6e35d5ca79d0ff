//! What others see of a trainer: exact masses, metrics, the last step, and next tokens on request.

use std::sync::Arc;

use super::{
    LanguageModel, LanguageSpec, LmTrainError, LmTrainer, Metric, Metrics, Objective, PromptState,
    SampleRecord, StepFacts, StepReport, Tape, Trained, Training, Trie, Update,
};
use crate::lm::fast::LoraLayout;

impl LmTrainer {
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
    pub(super) fn effective_beta(&self) -> f64 {
        let beta = self.objective.beta.get();
        if !self.training.update.divides_reward_alone() {
            return beta;
        }
        let deviation = |state: &PromptState| {
            let rewards = &*state.ground.analysis.rewards;
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
            let rewards = &*state.ground.analysis.rewards;
            for (arm, (&mass, &log_mass)) in state.masses.iter().zip(&state.log_masses).enumerate()
            {
                report.expected_reward += share * mass * rewards[arm];
                report.kl_to_target += share * mass * (log_mass - target[arm]);
                report.entropy -= share * mass * log_mass;
            }
        }
        report
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

    /// A completion that is no acceptable answer and that the reward program paid something else than `failure_reward`: its
    /// prompt, text and raw reward.
    #[must_use]
    pub fn paid_other(&self) -> Option<(usize, &str, f64)> {
        let (prompt, text, reward) = self.paid_other.as_ref()?;
        Some((*prompt, text, *reward))
    }

    /// Samples that a step draws of each prompt; none where the update is exact.
    #[must_use]
    pub fn samples_per_step(&self) -> Vec<u32> {
        match self.training.update {
            Update::Exact | Update::NaturalGradient => Vec::new(),
            Update::Sampled { batch, .. } | Update::Dap { batch } => self.counts(batch),
        }
    }

    /// The training description in force.
    #[must_use]
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// The objective in force.
    #[must_use]
    pub fn objective(&self) -> &Objective {
        &self.objective
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
            let mut tape = Tape::inference(&self.model.layout);
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
                let text = self.model.tokenizer.shown(token as u32);
                (text, f64::from(policy[token]), f64::from(reference[token]))
            })
            .collect())
    }
}
