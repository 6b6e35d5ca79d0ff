//! The match rules of a language task: which part of a completion is held against the answers, and what each rule asks of
//! the answers themselves.

use regex::{Regex, RegexBuilder};

use super::{
    language::{LanguageSpec, Matching},
    mistake::{Mistake, repeated},
};

/// Most memory that a compiled pattern may take, in bytes; also the bound of its lazily built automaton.
const PATTERN_BYTES: usize = 1 << 20;

impl Matching {
    /// Whether the chart's probability of an answer, which is that of one sequence, is all of what the rule accepts as that
    /// answer. Under the other rules it is a lower bound: a pattern or tags accept more texts than the canonical one that
    /// is teacher-forced ([`Matching::canonical`]).
    #[must_use]
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Exact | Self::FirstToken => true,
            Self::Regex(_) | Self::Tagged { .. } => false,
        }
    }

    /// The completion whose probability stands for an answer in the chart: the answer itself, or the answer between its
    /// tags, ended by the end token; under [`Matching::FirstToken`] only its first token counts.
    #[must_use]
    pub fn canonical(&self, answer: &str) -> String {
        match self {
            Self::Exact | Self::FirstToken | Self::Regex(_) => answer.to_owned(),
            Self::Tagged { open, close } => format!("{open}{answer}{close}"),
        }
    }
}

/// A match rule ready for use.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// The whole completion, ended.
    Exact,
    /// The first token.
    FirstToken,
    /// The first capture group, else the whole match.
    Regex(Regex),
    /// Between the first opening tag and the closing one after it.
    Tagged {
        /// The opening tag.
        open: String,
        /// The closing tag.
        close: String,
    },
}

impl Rule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// One line on what is wrong with the pattern.
    pub(crate) fn new(matching: &Matching) -> Result<Self, String> {
        Ok(match matching {
            Matching::Exact => Self::Exact,
            Matching::FirstToken => Self::FirstToken,
            Matching::Regex(pattern) => Self::Regex(compile(pattern)?),
            Matching::Tagged { open, close } => Self::Tagged {
                open: open.clone(),
                close: close.clone(),
            },
        })
    }

    /// The part of a completion that has to be an answer. `text` is without its end token, which `ended` tells of.
    pub(crate) fn part<'a>(
        &self,
        text: &'a str,
        first_token: Option<&'a str>,
        ended: bool,
    ) -> Option<&'a str> {
        match self {
            Self::Exact => ended.then_some(text),
            Self::FirstToken => first_token,
            Self::Regex(pattern) => {
                let found = pattern.captures(text)?;
                found.get(1).or_else(|| found.get(0)).map(|m| m.as_str())
            }
            Self::Tagged { open, close } => {
                let (_, after) = text.split_once(open.as_str())?;
                let (inside, _) = after.split_once(close.as_str())?;
                Some(inside.trim())
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err(
            "is empty; a regular expression such as (\\d+) is needed, its first group the answer"
                .to_owned(),
        );
    }
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!(
                "“{}” takes more than {PATTERN_BYTES} bytes when compiled; a simpler pattern is needed",
                repeated(pattern)
            ),
            // The last line says what is wrong; those above it draw where.
            error => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                format!(
                    "“{}” is not a regular expression ({})",
                    repeated(pattern),
                    reason.trim_start_matches("error: ")
                )
            }
        })
}

/// Everything that is wrong with a task's match rule and with its answers under it; paths start with `language`.
pub(crate) fn mistakes(language: &LanguageSpec) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    match &language.matching {
        Matching::Exact | Matching::FirstToken => return mistakes,
        Matching::Regex(_) => {}
        Matching::Tagged { open, close } => {
            for (name, tag) in [("open", open), ("close", close)] {
                if tag.is_empty() {
                    let message = "is empty; a tag such as <answer> is needed";
                    mistakes.push(Mistake::new(format!("language.matching.{name}"), message));
                }
            }
            if open == close && !open.is_empty() {
                mistakes.push(Mistake::new(
                    "language.matching.close",
                    format!(
                        "“{}” opens too; two different tags are needed",
                        repeated(open)
                    ),
                ));
            }
        }
    }
    let rule = match Rule::new(&language.matching) {
        Ok(rule) => rule,
        Err(why) => {
            mistakes.push(Mistake::new("language.matching", why));
            return mistakes;
        }
    };
    if !mistakes.is_empty() {
        return mistakes;
    }
    for (prompt, task) in language.prompts.iter().enumerate() {
        for (at, answer) in task.answers.iter().enumerate() {
            let text = answer.text.as_str();
            let canonical = language.matching.canonical(text);
            let part = rule.part(&canonical, None, true);
            if text.is_empty() || part == Some(text) {
                continue;
            }
            let found = part.map_or_else(
                || "finds nothing".to_owned(),
                |part| format!("finds “{}”", repeated(part)),
            );
            mistakes.push(Mistake::new(
                format!("language.prompts.{prompt}.answers.{at}.text"),
                format!(
                    "“{}” could never be found: the match rule {found} in “{}”, which stands for it in the chart",
                    repeated(text),
                    repeated(&canonical)
                ),
            ));
        }
    }
    mistakes
}
