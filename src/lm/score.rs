//! Exact sequence log-probabilities of answers by teacher forcing, end token included (docs/math.md section 6).

use candle_core::{IndexOp, Tensor};
use serde::Serialize;

use super::{
    chat::{ChatTemplate, Message},
    error::LmError,
    model::Model,
    tokenizer::LmTokenizer,
    weights::LoadedModel,
};

/// What the model is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptSpec {
    /// The user's turn, or the whole text when `raw`.
    pub prompt: String,
    /// No chat template: the prompt is the text itself.
    pub raw: bool,
    /// First words of the assistant's turn (or of the continuation).
    pub prefill: String,
}

/// An answer with its exact log-probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerScore {
    /// The answer as written.
    pub text: String,
    /// Its tokens, the end token last (where the model has one); the first token alone where only that counts.
    pub tokens: Vec<u32>,
    /// Natural-log probability of each token given all before it.
    pub token_log_probs: Vec<f64>,
    /// Their sum: the answer's log-probability in nats.
    pub log_prob: f64,
}

impl PromptSpec {
    /// The prompt's tokens as the model sees them.
    ///
    /// # Errors
    /// When the model has no chat template and `raw` is off, or the tokenizer refuses the text.
    pub fn tokens(&self, model: &LoadedModel) -> Result<Vec<u32>, LmError> {
        self.tokenise(&self.text(model.chat.as_ref())?, &model.tokenizer)
    }

    /// The whole text as the model sees it.
    ///
    /// # Errors
    /// When there is no chat template and `raw` is off, or the template refuses the prompt.
    pub fn text(&self, chat: Option<&ChatTemplate>) -> Result<String, LmError> {
        if self.raw {
            return Ok(format!("{}{}", self.prompt, self.prefill));
        }
        let chat = chat.ok_or_else(|| {
            LmError::Request(
                "the model has no chat template; give the whole text with --raw, or `raw: true` in a preset"
                    .to_owned(),
            )
        })?;
        let message = Message {
            role: "user".to_owned(),
            content: self.prompt.clone(),
        };
        chat.render(&[message], &self.prefill)
    }

    pub(super) fn tokenise(
        &self,
        text: &str,
        tokenizer: &LmTokenizer,
    ) -> Result<Vec<u32>, LmError> {
        let tokens = tokenizer.encode_prompt(text)?;
        if tokens.is_empty() {
            return Err(LmError::Request(
                "the prompt is empty; at least one token is needed".to_owned(),
            ));
        }
        Ok(tokens)
    }
}

/// Scores answers to a prompt. Answers of equal length run as one batch.
///
/// # Errors
/// When an answer has no tokens, two answers share a tokenisation, or a sequence is longer than the context.
pub fn score_answers(
    model: &Model,
    loaded: &LoadedModel,
    prompt: &[u32],
    answers: &[String],
) -> Result<Vec<AnswerScore>, LmError> {
    score(model, loaded, prompt, answers, false)
}

/// As [`score_answers`], of each answer's first token alone: what presets with `matching: FirstToken` go by.
///
/// # Errors
/// When an answer has no tokens, two answers share their first one, or the prompt is longer than the context.
pub fn score_first_tokens(
    model: &Model,
    loaded: &LoadedModel,
    prompt: &[u32],
    answers: &[String],
) -> Result<Vec<AnswerScore>, LmError> {
    score(model, loaded, prompt, answers, true)
}

fn score(
    model: &Model,
    loaded: &LoadedModel,
    prompt: &[u32],
    answers: &[String],
    first_only: bool,
) -> Result<Vec<AnswerScore>, LmError> {
    let mut tokens = Vec::with_capacity(answers.len());
    for answer in answers {
        let mut ids = loaded.tokenizer.encode_continuation(answer)?;
        if first_only {
            ids.truncate(1);
        } else {
            ids.extend(loaded.tokenizer.end_token());
        }
        if ids.is_empty() {
            return Err(LmError::Request(format!("answer {answer:?} has no tokens")));
        }
        if let Some(twin) = tokens.iter().position(|other| *other == ids) {
            return Err(LmError::Request(format!(
                "answers {:?} and {answer:?} have the same {}; each answer must differ",
                answers.get(twin).map_or("", String::as_str),
                if first_only { "first token" } else { "tokens" },
            )));
        }
        tokens.push(ids);
    }
    let mut scores: Vec<Option<AnswerScore>> = vec![None; answers.len()];
    let mut lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths.dedup();
    for length in lengths {
        let members: Vec<usize> = (0..tokens.len())
            .filter(|&i| tokens[i].len() == length)
            .collect();
        for group in members.chunks(16) {
            score_group(model, prompt, answers, &tokens, group, length, &mut scores)?;
        }
    }
    Ok(scores.into_iter().flatten().collect())
}

fn score_group(
    model: &Model,
    prompt: &[u32],
    answers: &[String],
    tokens: &[Vec<u32>],
    group: &[usize],
    length: usize,
    scores: &mut [Option<AnswerScore>],
) -> Result<(), LmError> {
    // The last token is never an input: nothing is predicted after it.
    let sequences: Vec<Vec<u32>> = group
        .iter()
        .map(|&i| [prompt, &tokens[i][..length - 1]].concat())
        .collect();
    let views: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let hidden = model.hidden(&views)?;
    for (row, &answer) in group.iter().enumerate() {
        let rows: Tensor = hidden.i((row, prompt.len() - 1.., ..))?;
        let log_probs = model.log_probs(&rows)?;
        let token_log_probs = tokens[answer]
            .iter()
            .enumerate()
            .map(|(position, &token)| {
                Ok(f64::from(
                    log_probs
                        .i((position, token as usize))?
                        .to_scalar::<f32>()?,
                ))
            })
            .collect::<Result<Vec<f64>, LmError>>()?;
        if let Some(value) = token_log_probs.iter().find(|p| !p.is_finite()) {
            return Err(LmError::Request(format!(
                "the model gives answer {:?} the log-probability {value}; its weights hold numbers that are not finite, or \
                 too large ones",
                answers[answer]
            )));
        }
        if let Some(slot) = scores.get_mut(answer) {
            *slot = Some(AnswerScore {
                text: answers[answer].clone(),
                tokens: tokens[answer].clone(),
                log_prob: token_log_probs.iter().sum(),
                token_log_probs,
            });
        }
    }
    Ok(())
}
