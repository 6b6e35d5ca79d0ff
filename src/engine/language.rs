//! The part of a session that only a language model's run has.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak, atomic::AtomicBool},
    time::Instant,
};

use super::{
    history::Extra,
    session::SessionError,
    snapshot::{LanguageSnapshot, Series},
};
use crate::{
    bandit::ProblemSource,
    experiment::{BanditSpec, LanguageSpec, Matching, Preset, Source},
    lm::{self, LanguageModel, LmTrainer, Prepared, StepParts},
};

/// Batches without any acceptable answer after which the user is told.
const BARREN: u32 = 10;
/// Below this many acceptable answers per batch, most batches hold none for a long time.
const RARE: f64 = 0.1;
/// A policy with less than this share of the reference's acceptable mass has left the answers.
const LEFT: f64 = 0.1;
/// Steps over which tokens per second are averaged.
const RECENT: usize = 32;

/// What a session remembers beside the trainer.
#[derive(Debug)]
pub(super) struct LanguageRun {
    pub(super) model: Arc<LanguageModel>,
    /// The prompt that the session's problem, analysis and policy belong to.
    pub(super) shown: usize,
    /// Reference masses of the prompts' answers and everything else.
    masses: Vec<Vec<f64>>,
    timing: Extra,
    /// Sampled tokens and seconds of the last steps.
    recent: VecDeque<(usize, f64)>,
    series: Arc<[Series]>,
    series_at: Option<(u64, Instant)>,
    /// The user has been told that no answer comes up.
    told_barren: bool,
    /// The user has been told, if it is so, that batches will hardly hold an answer.
    told_rare: Option<bool>,
    /// The user has been told that the reward program pays for something that is no answer.
    told_paid: bool,
}

/// An experiment on a language model, ready for its trainer.
pub(super) struct Resolved {
    pub(super) run: LanguageRun,
    pub(super) prepared: Prepared,
    /// The experiment with the first prompt's answers as its bandit.
    pub(super) preset: Preset,
    pub(super) sources: Vec<Arc<ProblemSource>>,
}

impl LanguageRun {
    /// Asks the model what it makes of the answers, and fills the bandit in.
    pub(super) fn resolve(
        mut preset: Preset,
        model: Arc<LanguageModel>,
        base_dir: Option<&Path>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Resolved, SessionError> {
        let modes = preset.bandit.modes.clone();
        let edits = std::mem::take(&mut preset.bandit.reward_edits);
        let Some(language) = &mut preset.language else {
            return Err(SessionError::NoLanguage);
        };
        language.absorb_rewards(&edits);
        let prepared = Prepared::new(
            Arc::clone(&model),
            Arc::new(language.clone()),
            base_dir,
            stop,
        )?;
        if let Some(rewards) = prepared.program_rewards() {
            for (task, rewards) in language.prompts.iter_mut().zip(rewards) {
                for (answer, reward) in task.answers.iter_mut().zip(rewards) {
                    answer.reward = *reward;
                }
            }
        }
        let spec = language.clone();
        let masses = prepared.masses().to_vec();
        let mut sources = Vec::with_capacity(masses.len());
        for (prompt, masses) in masses.iter().enumerate() {
            let bandit = spec
                .bandit(prompt, Some(masses.clone()))
                .unwrap_or_default();
            sources.push(Arc::new(ProblemSource::evaluate(&bandit, None)?));
            if prompt == 0 {
                preset.bandit = BanditSpec {
                    modes: modes.clone(),
                    ..bandit
                };
            }
        }
        Ok(Resolved {
            run: Self {
                model,
                shown: 0,
                masses,
                timing: Extra::new(StepParts::NAMES.len() + 1),
                recent: VecDeque::new(),
                series: Arc::new([]),
                series_at: None,
                told_barren: false,
                told_rare: None,
                told_paid: false,
            },
            prepared,
            preset,
            sources,
        })
    }

    /// Notes what a step took.
    pub(super) fn record(&mut self, step: u64, trainer: &LmTrainer) {
        let Some(facts) = trainer.facts() else {
            return;
        };
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent
            .push_back((facts.sampled_tokens, facts.parts.total() / 1e3));
        let speed = self.tokens_per_second();
        self.timing
            .record(step, facts.parts.values().into_iter().chain([speed]));
    }

    fn tokens_per_second(&self) -> f64 {
        let tokens: usize = self.recent.iter().map(|(tokens, _)| tokens).sum();
        let seconds: f64 = self.recent.iter().map(|(_, seconds)| seconds).sum();
        if seconds > 0.0 {
            tokens as f64 / seconds
        } else {
            0.0
        }
    }

    /// The next thing that the user should know and has not been told.
    /// `collapsed`: that the policy has left the answers was told already.
    pub(super) fn notice(&mut self, trainer: &LmTrainer, collapsed: bool) -> Option<String> {
        if self.told_rare.is_none() {
            let rare = self.rare(trainer);
            self.told_rare = Some(rare.is_some());
            if rare.is_some() {
                return rare;
            }
        }
        if !self.told_paid
            && let Some((prompt, text, reward)) = trainer.paid_other()
        {
            self.told_paid = true;
            let failure = trainer.spec().failure_reward;
            return Some(format!(
                "the reward program gives {reward} to {text:?}, which is not among the answers: E[R], J, the target and the \
                 distance to it count it as “other”, with language.failure_reward = {failure}; add it to \
                 language.prompts.{prompt}.answers, or set language.failure_reward to what it gives everything else"
            ));
        }
        self.barren(trainer, collapsed)
    }

    /// Before the first step: which prompt's batches will hardly hold an acceptable answer, and what to change.
    fn rare(&self, trainer: &LmTrainer) -> Option<String> {
        let samples = trainer.samples_per_step();
        let expected = |prompt: usize, count: u32| {
            let valid = self.masses.get(prompt).map_or(0.0, |masses| valid(masses));
            (prompt, count, valid, f64::from(count) * valid)
        };
        let (prompt, count, valid, expected) = (samples.iter().enumerate())
            .map(|(prompt, &count)| expected(prompt, count))
            .min_by(|a, b| a.3.total_cmp(&b.3))
            .filter(|(.., expected)| *expected < RARE)?;
        let named = match samples.len() {
            1 => String::new(),
            _ => format!(" to language.prompts.{prompt}"),
        };
        Some(format!(
            "under the reference P(valid){named} is {valid:.1e}: of the {count} samples of a step about {expected:.1e} are \
             acceptable answers, so training will hardly see one; {}",
            advice(trainer)
        ))
    }

    /// Once no acceptable answer has come up for some time: why, and what to change.
    fn barren(&mut self, trainer: &LmTrainer, collapsed: bool) -> Option<String> {
        let (batches, samples) = trainer.barren();
        if batches == 0 {
            self.told_barren = false;
        }
        if self.told_barren || batches < BARREN {
            return None;
        }
        self.told_barren = true;
        if self.told_rare == Some(true) {
            return None;
        }
        let reference = self
            .masses
            .iter()
            .map(|masses| valid(masses))
            .fold(0.0, f64::max);
        let policy = (0..self.masses.len())
            .map(|prompt| valid(trainer.masses(prompt)))
            .fold(0.0, f64::max);
        let has_left = policy < LEFT * reference;
        if has_left && collapsed {
            return None;
        }
        if has_left {
            return Some(format!(
                "no acceptable answer in {samples} samples: the policy has left the answers, P(valid) is {policy:.1e} now and \
                 {reference:.1e} under the reference; go back to an earlier step or reset, then take a smaller \
                 training.learning_rate (now {}) or a larger objective.beta (now {})",
                trainer.training().learning_rate,
                trainer.objective().beta.get(),
            ));
        }
        Some(format!(
            "no acceptable answer in {samples} samples; under the reference P(valid) is {reference:.1e}: {}",
            advice(trainer)
        ))
    }

    /// What the window draws; the time series are renewed only when `fresh`.
    pub(super) fn snapshot(&mut self, trainer: &LmTrainer, fresh: bool) -> LanguageSnapshot {
        let step = trainer.step_count();
        let renew = match self.series_at {
            None => true,
            Some((at, when)) => {
                at != step && (fresh || when.elapsed() >= super::session::HISTORY_PERIOD)
            }
        };
        if renew {
            self.series = self.timing.series().into();
            self.series_at = Some((step, Instant::now()));
        }
        let valid = self
            .masses
            .get(self.shown)
            .map_or(0.0, |masses| valid(masses));
        LanguageSnapshot {
            spec: Arc::clone(trainer.spec()),
            model: self.model.info.name.as_str().into(),
            parameters: self.model.layout.len(),
            trained: trainer.trained(),
            shown_prompt: self.shown,
            samples: Arc::clone(trainer.records()),
            facts: trainer.facts().cloned(),
            tokens_per_second: self.tokens_per_second(),
            timing: Arc::clone(&self.series),
            generating: Arc::clone(trainer.generating()),
            reference_valid: valid,
        }
    }
}

/// The mass of all arms but the last, which is everything else.
fn valid(masses: &[f64]) -> f64 {
    masses.iter().rev().skip(1).sum()
}

/// What makes acceptable answers more frequent.
fn advice(trainer: &LmTrainer) -> &'static str {
    match trainer.spec().matching {
        Matching::FirstToken => {
            "let the prompt or its prefill lead to an answer, or take a larger training.update.batch"
        }
        Matching::Exact | Matching::Regex(_) | Matching::Tagged { .. } => {
            "let the prompt or its prefill lead to an answer, use matching FirstToken, raise max_new_tokens or take a larger \
             training.update.batch"
        }
    }
}

/// The bandits of an experiment's prompts: the preset's own first, hand-made changes included.
pub(super) fn bandit_of(
    preset: &Preset,
    language: Option<&LanguageSpec>,
    prompt: usize,
) -> BanditSpec {
    match language {
        Some(language) if prompt > 0 => {
            let mut bandit = language.bandit(prompt, None).unwrap_or_default();
            // What was evaluated at the start may have been changed by hand since.
            if let Source::List(rewards) = &bandit.rewards {
                bandit.reward_edits = rewards.iter().copied().enumerate().collect();
            }
            bandit
        }
        Some(_) | None => preset.bandit.clone(),
    }
}

/// The last model that was loaded, while anybody still has it.
static LOADED: Mutex<Option<(PathBuf, Weak<LanguageModel>)>> = Mutex::new(None);

/// Loads a model by the name a preset gives, or takes the one that is in memory.
pub(super) fn load(
    name: &str,
    base_dir: Option<&Path>,
    progress: lm::Progress<'_>,
) -> Result<Arc<LanguageModel>, SessionError> {
    let key = base_dir.map_or_else(|| PathBuf::from(name), |base| base.join(name));
    let mut loaded = LOADED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((known, model)) = &*loaded
        && *known == key
        && let Some(model) = model.upgrade()
    {
        return Ok(model);
    }
    let model = Arc::new(LanguageModel::new(lm::open(name, base_dir, progress)?)?);
    *loaded = Some((key, Arc::downgrade(&model)));
    Ok(model)
}
