//! From a batch of completions to the weighted choices that the backward takes.

use std::sync::Arc;

use super::{
    Choice, Completion, Drawn, LmTrainError, LmTrainer, RewardRequest, Rule, SampleRecord, Start,
    StepFacts, Update, Weighed, sampler,
};

impl LmTrainer {
    /// Samples per prompt: as even as possible.
    pub(super) fn counts(&self, batch: usize) -> Vec<u32> {
        let n = self.prompts.len().max(1);
        (0..self.prompts.len())
            .map(|prompt| (batch / n + usize::from(prompt < batch % n)) as u32)
            .collect()
    }

    pub(super) fn rule(&self) -> Rule {
        Rule {
            end: self.task.end,
            max_tokens: self.task.max_tokens,
            temperature: self.spec.temperature,
            top_p: self.spec.top_p,
        }
    }

    pub(super) fn draw(&mut self, counts: &[u32]) -> Result<Vec<Completion>, LmTrainError> {
        let starts: Vec<Start> = (self.prompts.iter().zip(counts).enumerate())
            .map(|(prompt, (state, &count))| Start {
                prompt,
                node: state.node,
                count,
            })
            .collect();
        let rule = self.rule();
        let generating = &self.generating;
        generating.begin(rule.max_tokens);
        let drawn = sampler::draw(
            self.trained.network(&self.model)?,
            (&mut self.trie, &mut self.tape),
            &starts,
            &rule,
            (&mut self.sampling, &mut self.rows),
            |tokens| generating.reach(tokens),
        );
        generating.end();
        let drawn = drawn?;
        if drawn.iter().any(|c| !c.log_prob().is_finite()) || drawn.is_empty() {
            return Err(self.fall_back("the policy's probabilities"));
        }
        Ok(drawn)
    }

    pub(super) fn score_reference(
        &mut self,
        drawn: &[Completion],
    ) -> Result<Vec<Vec<f32>>, LmTrainError> {
        let sequences: Vec<(usize, &[u32])> = drawn
            .iter()
            .map(|c| (c.prompt, c.tokens.as_slice()))
            .collect();
        let network = self.model.network()?;
        Ok(self.reference.score(network, &sequences, &mut self.rows)?)
    }

    /// From completions to weighted choices; leaves the table of samples.
    pub(super) fn weigh(
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
    pub(super) fn ask_program(
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
        if self.paid_other.is_none() {
            let other = self.task.other(prompt);
            let paid = (batch.iter().zip(&replies).zip(texts)).find(|((drawn, reply), _)| {
                drawn.arm == other && reply.reward != spec.failure_reward
            });
            self.paid_other =
                paid.map(|((_, reply), text)| (prompt, text.as_str().into(), reply.reward));
        }
        for (drawn, reply) in batch.iter_mut().zip(&replies) {
            drawn.reward = Some(reply.reward);
        }
        Ok(replies
            .into_iter()
            .map(|reply| reply.label.map(Arc::from))
            .collect())
    }

    pub(super) fn text(&self, completion: &Completion) -> Result<String, LmTrainError> {
        let tokens = match completion.tokens.split_last() {
            Some((_, before)) if completion.ended => before,
            _ => &completion.tokens,
        };
        Ok(self.model.tokenizer.decode(tokens)?)
    }

    pub(super) fn record(
        &self,
        completion: &Completion,
        drawn: &Drawn,
        weighed: &Weighed,
        references: &[f32],
        text: String,
    ) -> SampleRecord {
        let token = |&id: &u32| self.model.tokenizer.shown(id).into();
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
    pub(super) fn exact_choices(&self) -> Vec<Choice> {
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
    pub(super) fn reference_choices(
        &mut self,
        counts: &[u32],
    ) -> Result<Vec<Choice>, LmTrainError> {
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
}

/// Sums the weights of equal choices, in the order that the backward wants.
pub(super) fn merge(mut choices: Vec<Choice>) -> Vec<Choice> {
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
