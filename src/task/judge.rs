//! Which of a prompt's answers a completion counts as.

use std::collections::HashMap;

use thiserror::Error;

use crate::experiment::{
    LanguageSpec, Matching, Mistake, PresetErrors, matching::Rule, repeated, validate_language,
};

/// Why a task cannot be used.
#[derive(Debug, Error)]
pub enum TaskError {
    /// The description itself is wrong.
    #[error(transparent)]
    Invalid(#[from] PresetErrors),
    /// Two answers that the model cannot tell apart.
    #[error(
        "answers “{first}” and “{second}” are the same tokens to this model; each answer needs tokens of its own"
    )]
    SameTokens {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// Two answers that begin alike, under a rule that looks at the beginning alone.
    #[error(
        "answers “{first}” and “{second}” begin with the same token “{token}”, which is all that FirstToken looks at; choose Exact or other answers"
    )]
    SameFirstToken {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The token.
        token: String,
    },
    /// An answer without tokens.
    #[error("answer “{0}” has no tokens")]
    NoTokens(String),
}

/// A task's match rule, ready to judge completions.
///
/// Under [`Matching::Exact`] and [`Matching::FirstToken`] an answer is one sequence of tokens (one token), so that the
/// chart's probabilities are complete; under [`Matching::Regex`] and [`Matching::Tagged`] many texts count as the same
/// answer, and the chart shows that of the canonical one, a lower bound ([`Matching::is_exact`]).
#[derive(Debug)]
pub struct Judge {
    matching: Matching,
    rule: Rule,
    prompts: Vec<Answers>,
}

/// The answers of one prompt.
#[derive(Debug)]
struct Answers {
    texts: Vec<String>,
    /// What the rule finds → index of the answer.
    index: HashMap<String, usize>,
}

impl Judge {
    /// Prepares a task.
    ///
    /// # Errors
    /// [`TaskError::Invalid`] with everything that is wrong with the description: no prompt, a prompt without answers, an
    /// answer that is empty or there twice, a reward that is not finite, an invalid or too large pattern, tags that are
    /// empty or equal, an answer that the rule could never find.
    pub fn new(spec: &LanguageSpec) -> Result<Self, TaskError> {
        if let Some(errors) = PresetErrors::collect(validate_language(spec)) {
            return Err(errors.into());
        }
        let rule = Rule::new(&spec.matching)
            .map_err(|why| PresetErrors::from(Mistake::new("language.matching", why)))?;
        let prompts = spec
            .prompts
            .iter()
            .map(|task| {
                let texts: Vec<String> = task.answers.iter().map(|a| a.text.clone()).collect();
                Answers {
                    index: texts.iter().cloned().zip(0..).collect(),
                    texts,
                }
            })
            .collect();
        Ok(Self {
            matching: spec.matching.clone(),
            rule,
            prompts,
        })
    }

    /// Tells the first token of each answer of a prompt as text, by the tokenizer in use: what [`Matching::FirstToken`]
    /// compares. Until then it compares the whole answer, which is right for answers of one token. Other rules need no such
    /// thing.
    ///
    /// # Errors
    /// [`TaskError::SameFirstToken`] when two answers begin alike.
    pub fn set_first_tokens(&mut self, prompt: usize, tokens: &[String]) -> Result<(), TaskError> {
        let Some(answers) = self.prompts.get_mut(prompt) else {
            return Ok(());
        };
        if self.matching != Matching::FirstToken {
            return Ok(());
        }
        let mut index = HashMap::with_capacity(tokens.len());
        for (answer, token) in tokens.iter().enumerate().take(answers.texts.len()) {
            if let Some(first) = index.insert(token.clone(), answer) {
                return Err(TaskError::SameFirstToken {
                    first: repeated(&answers.texts[first]),
                    second: repeated(&answers.texts[answer]),
                    token: repeated(token),
                });
            }
        }
        answers.index = index;
        Ok(())
    }

    /// The answer that a completion counts as, by its place in the prompt's list; `None` is "other".
    ///
    /// `text` is the completion without the end token, `first_token` the text of its first token, and `ended` whether the
    /// model ended it rather than the length limit.
    ///
    /// - `Exact`: the whole text is the answer, and it ended;
    /// - `FirstToken`: the first token is the answer's first token, whatever follows;
    /// - `Regex`: the first capture group of the first match, or the whole match where there is no such group or it took no
    ///   part, is the answer;
    /// - `Tagged`: what stands between the first opening tag and the first closing tag after it is, trimmed, the answer.
    #[must_use]
    pub fn judge(
        &self,
        prompt: usize,
        text: &str,
        first_token: Option<&str>,
        ended: bool,
    ) -> Option<usize> {
        let answers = self.prompts.get(prompt)?;
        let part = self.rule.part(text, first_token, ended)?;
        answers.index.get(part).copied()
    }

    /// The completion that stands for an answer in the chart, to be teacher-forced.
    #[must_use]
    pub fn canonical(&self, prompt: usize, answer: usize) -> Option<String> {
        let text = self.prompts.get(prompt)?.texts.get(answer)?;
        Some(self.matching.canonical(text))
    }

    /// The rule.
    #[must_use]
    pub fn matching(&self) -> &Matching {
        &self.matching
    }
}

/// Checks that the answers of a prompt are different to the model: `tokens` are theirs in the same order, as they are
/// teacher-forced.
///
/// # Errors
/// [`TaskError::SameTokens`] or [`TaskError::NoTokens`].
pub fn check_distinct(tokens: &[Vec<u32>], answers: &[String]) -> Result<(), TaskError> {
    let text = |index: usize| repeated(answers.get(index).map_or("", String::as_str));
    let twins = twins(tokens);
    if let Some(index) = tokens.iter().position(Vec::is_empty)
        && twins.is_none_or(|(_, second)| index < second)
    {
        return Err(TaskError::NoTokens(text(index)));
    }
    match twins {
        Some((first, second)) => Err(TaskError::SameTokens {
            first: text(first),
            second: text(second),
        }),
        None => Ok(()),
    }
}

/// The first two answers with the same tokens, in order.
pub(crate) fn twins(tokens: &[Vec<u32>]) -> Option<(usize, usize)> {
    let mut seen: HashMap<&[u32], usize> = HashMap::with_capacity(tokens.len());
    (tokens.iter().enumerate()).find_map(|(index, ids)| Some((seen.insert(ids, index)?, index)))
}
