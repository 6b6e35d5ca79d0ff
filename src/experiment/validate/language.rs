//! Ranges, lengths and finiteness of a language part.

use super::{Check, Sign};
use crate::experiment::{
    language::{LanguageSpec, OTHER, PromptTask, Tune},
    matching,
    mistake::{Mistake, repeated},
};

/// Most prompts of a task.
const MAX_PROMPTS: usize = 64;
/// Most answers of a prompt.
const MAX_ANSWERS: usize = 10_000;

pub(super) fn check(language: &LanguageSpec, check: &mut Check) {
    check.filled("language.model", &language.model);
    check.whole("language.prompts", language.prompts.len(), 1, MAX_PROMPTS);
    for (index, task) in language.prompts.iter().enumerate() {
        prompt(index, task, check);
    }
    check.mistakes.extend(matching::mistakes(language));
    let number = |check: &mut Check, name: &str, value, sign| {
        check.number(&format!("language.{name}"), value, sign);
    };
    number(check, "failure_reward", language.failure_reward, Sign::Any);
    if let Some(program) = &language.program {
        if program.command.first().is_none_or(String::is_empty) {
            let message = "is empty; the program and its arguments are needed";
            check
                .mistakes
                .push(Mistake::new("language.program.command", message));
        }
        number(
            check,
            "program.timeout_secs",
            program.timeout_secs,
            Sign::Positive,
        );
    }
    check.whole("language.max_new_tokens", language.max_new_tokens, 1, 4096);
    number(check, "temperature", language.temperature, Sign::Positive);
    number(check, "top_p", language.top_p, Sign::Positive);
    if language.top_p > 1.0 {
        check.refuse(
            "language.top_p",
            language.top_p,
            "a number above 0 and at most 1 is",
        );
    }
    match &language.tune {
        Tune::Full => {}
        Tune::Lora {
            rank,
            alpha,
            modules,
        } => {
            check.whole("language.tune.rank", *rank, 1, 256);
            number(check, "tune.alpha", *alpha, Sign::Positive);
            let mut sorted = modules.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if modules.is_empty() || sorted.len() != modules.len() {
                check.refuse(
                    "language.tune.modules",
                    format_args!("a list of {} modules", modules.len()),
                    "one or more of Q, K, V, O, Gate, Up, Down, each once, are",
                );
            }
        }
    }
    number(
        check,
        "weight_decay",
        language.weight_decay,
        Sign::NotNegative,
    );
    if let Some(clip) = language.clip {
        number(check, "clip", clip, Sign::Positive);
    }
    if language.checkpoints.every == Some(0) {
        check.refuse("language.checkpoints.every", 0, "a whole number from 1 is");
    }
    check.whole(
        "language.checkpoints.keep",
        language.checkpoints.keep,
        1,
        1000,
    );
}

fn prompt(index: usize, task: &PromptTask, check: &mut Check) {
    let field = format!("language.prompts.{index}");
    if task.prompt.is_empty() {
        check.mistakes.push(Mistake::new(
            format!("{field}.prompt"),
            "is empty; what the model is asked is needed",
        ));
    }
    check.whole(
        &format!("{field}.answers"),
        task.answers.len(),
        1,
        MAX_ANSWERS,
    );
    for (at, answer) in task.answers.iter().enumerate() {
        let name = format!("{field}.answers.{at}");
        let text = answer.text.as_str();
        if text.is_empty() {
            check.mistakes.push(Mistake::new(
                format!("{name}.text"),
                "is empty; an answer has at least one character",
            ));
        } else if text == OTHER {
            check.refuse(
                format!("{name}.text"),
                format_args!("“{OTHER}”"),
                "any other text is; it stands for everything that is not an answer",
            );
        } else if task.answers.iter().take(at).any(|other| other.text == text) {
            check.refuse(
                format!("{name}.text"),
                format_args!("“{}” a second time", repeated(text)),
                "each answer once is",
            );
        }
        check.number(&format!("{name}.reward"), answer.reward, Sign::Any);
    }
}
