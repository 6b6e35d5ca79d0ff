//! A language task as the trainer needs it: tokens of prompts and answers, and which completion counts as what.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    experiment::{LanguageSpec, Matching},
    lm::{LanguageModel, LmError, LmTokenizer, PromptSpec},
};

use super::{error::LmTrainError, sampler::Completion};
use crate::task::{Judge, ProgramError, RewardProgram, RewardReply, RewardRequest, twins};

/// A prompt with its answers, as tokens.
#[derive(Debug, Clone)]
pub(super) struct PromptTokens {
    pub(super) prompt: Vec<u32>,
    /// What each answer's probability is the probability of: all its tokens and the end token, or its first token alone.
    pub(super) answers: Vec<Vec<u32>>,
}

/// All prompts, and how completions are judged.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) prompts: Vec<PromptTokens>,
    pub(super) end: Option<u32>,
    pub(super) max_tokens: usize,
    /// Judges by text where tokens do not decide.
    judge: Option<Judge>,
    program: Option<RewardProgram>,
    /// Once set, the program is no longer waited for.
    pub(super) stop: Arc<AtomicBool>,
}

impl Task {
    /// Tokenises a task, checks it against its model and starts its reward program.
    pub(super) fn new(
        model: &LanguageModel,
        spec: &LanguageSpec,
        base_dir: Option<&Path>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, LmTrainError> {
        let task = Self::without_program(model, spec)?;
        let program = (spec.program.as_ref())
            .map(|program| RewardProgram::start(program, base_dir))
            .transpose()
            .map_err(|error| LmTrainError::Reward(error.to_string()))?;
        Ok(Self {
            program,
            stop: Arc::clone(stop),
            ..task
        })
    }

    /// Tokenises a task and checks it against its model.
    pub(super) fn without_program(
        model: &LanguageModel,
        spec: &LanguageSpec,
    ) -> Result<Self, LmTrainError> {
        let reading = Reading::new(model, spec)?;
        let prompts: Vec<PromptTokens> = (0..spec.prompts.len())
            .map(|index| reading.prompt(index))
            .collect::<Result<_, _>>()?;
        let by_tokens = matches!(spec.matching, Matching::Exact | Matching::FirstToken);
        Ok(Self {
            end: reading.end,
            max_tokens: reading.max_tokens,
            judge: (!by_tokens).then_some(reading.judge),
            program: None,
            stop: Arc::default(),
            prompts,
        })
    }

    /// Everything of a task that does not fit its model: one thing for each prompt at most.
    pub(super) fn faults(model: &LanguageModel, spec: &LanguageSpec) -> Vec<LmTrainError> {
        match Reading::new(model, spec) {
            Ok(reading) => (0..spec.prompts.len())
                .filter_map(|index| reading.prompt(index).err())
                .collect(),
            Err(error) => vec![error],
        }
    }

    /// The arm of everything that is no acceptable answer to a prompt.
    pub(super) fn other(&self, prompt: usize) -> usize {
        self.prompts
            .get(prompt)
            .map_or(0, |tokens| tokens.answers.len())
    }

    /// The arm that a completion counts as.
    pub(super) fn arm(&self, completion: &Completion, text: &str) -> usize {
        let answers = &self.prompts[completion.prompt].answers;
        let found = match &self.judge {
            None => answers
                .iter()
                .position(|answer| *answer == completion.tokens),
            Some(judge) => judge.judge(completion.prompt, text, None, completion.ended),
        };
        found
            .filter(|arm| *arm < answers.len())
            .unwrap_or(answers.len())
    }

    /// Raw rewards and labels from the reward program, where there is one. A program that fails is started again for the
    /// same batch until it is given up; the next call begins anew.
    pub(super) fn program_rewards(
        &mut self,
        requests: &[RewardRequest<'_>],
    ) -> Result<Option<Vec<RewardReply>>, LmTrainError> {
        let Some(program) = &mut self.program else {
            return Ok(None);
        };
        loop {
            match program.rewards(requests, &|| self.stop.load(Ordering::Relaxed)) {
                Ok(replies) => return Ok(Some(replies)),
                Err(ProgramError::Stopped) => return Err(LmTrainError::Stopped),
                Err(error @ ProgramError::GivenUp { .. }) => {
                    program.retry();
                    return Err(LmTrainError::Reward(error.to_string()));
                }
                Err(error) => tracing::warn!("{error}; it is started again"),
            }
        }
    }
}

/// Turning prompts and answers into tokens.
struct Reading<'a> {
    model: &'a LanguageModel,
    spec: &'a LanguageSpec,
    judge: Judge,
    end: Option<u32>,
    first_only: bool,
    max_tokens: usize,
}

impl<'a> Reading<'a> {
    fn new(model: &'a LanguageModel, spec: &'a LanguageSpec) -> Result<Self, LmTrainError> {
        let judge = Judge::new(spec).map_err(|error| LmTrainError::Reward(error.to_string()))?;
        let first_only = spec.matching == Matching::FirstToken;
        let end = model.tokenizer.end_token();
        if end.is_none() && !first_only {
            return Err(LmTrainError::field(
                "language.matching",
                "this rule with a tokenizer that has no end token",
                "FirstToken is",
            ));
        }
        let max_tokens = if first_only { 1 } else { spec.max_new_tokens };
        let context = model.layout.config().context;
        if max_tokens > context {
            return Err(LmTrainError::field(
                "language.max_new_tokens",
                max_tokens,
                format!("at most {context} are, the context of the model"),
            ));
        }
        Ok(Self {
            model,
            spec,
            judge,
            end,
            first_only,
            max_tokens,
        })
    }

    /// One prompt with its answers.
    fn prompt(&self, index: usize) -> Result<PromptTokens, LmTrainError> {
        let (model, max_tokens) = (self.model, self.max_tokens);
        let Some(task) = self.spec.prompts.get(index) else {
            return Err(LmTrainError::field(
                "language.prompts",
                index,
                format!("a prompt below {} is", self.spec.prompts.len()),
            ));
        };
        let prompt = model.prompt_tokens(&PromptSpec {
            prompt: task.prompt.clone(),
            raw: task.raw,
            prefill: task.prefill.clone(),
        })?;
        let context = model.layout.config().context;
        if prompt.len() + max_tokens > context + 1 {
            return Err(LmTrainError::field(
                format!("language.prompts.{index}.prompt"),
                format!("a prompt of {} tokens", prompt.len()),
                format!(
                    "at most {} are, for {max_tokens} more in a context of {context}: a shorter prompt, or a smaller \
                     language.max_new_tokens",
                    context + 1 - max_tokens
                ),
            ));
        }
        let answers = task
            .answers
            .iter()
            .enumerate()
            .map(|(at, answer)| {
                let field = format!("language.prompts.{index}.answers.{at}.text");
                let text = self
                    .judge
                    .canonical(index, at)
                    .unwrap_or_else(|| answer.text.clone());
                let tokens = answer_tokens(&model.tokenizer, &text, self.end, self.first_only)?;
                if tokens.is_empty() {
                    return Err(LmTrainError::field(
                        field,
                        format!("“{}”", answer.text),
                        "a text with at least one token is",
                    ));
                }
                if tokens.len() > max_tokens {
                    return Err(LmTrainError::field(
                        "language.max_new_tokens",
                        max_tokens,
                        format!(
                            "at least {} is, the tokens of the answer “{}”",
                            tokens.len(),
                            answer.text
                        ),
                    ));
                }
                Ok(tokens)
            })
            .collect::<Result<Vec<_>, _>>()?;
        check_distinct(index, self.spec, &answers)?;
        Ok(PromptTokens { prompt, answers })
    }
}

fn answer_tokens(
    tokenizer: &LmTokenizer,
    text: &str,
    end: Option<u32>,
    first_only: bool,
) -> Result<Vec<u32>, LmError> {
    let mut tokens = tokenizer.encode_continuation(text)?;
    if first_only {
        tokens.truncate(1);
    } else {
        tokens.extend(end);
    }
    Ok(tokens)
}

/// Two answers that are the same to the model cannot be told apart.
fn check_distinct(
    prompt: usize,
    spec: &LanguageSpec,
    answers: &[Vec<u32>],
) -> Result<(), LmTrainError> {
    let Some((twin, at)) = twins(answers) else {
        return Ok(());
    };
    let text = |arm: usize| {
        let answers = spec.prompts.get(prompt).map(|task| &task.answers);
        answers
            .and_then(|answers| answers.get(arm))
            .map_or("", |answer| answer.text.as_str())
    };
    Err(LmTrainError::field(
        format!("language.prompts.{prompt}.answers.{at}.text"),
        format!("“{}”", text(at)),
        format!(
            "an answer whose tokens differ from those of “{}” is",
            text(twin)
        ),
    ))
}
