//! Checking a preset file to the end: its text, then everything that shows only when formulas and tables are evaluated, the
//! target is solved and the learner is built; the same for every change under which the preset states an expectation.

use std::path::Path;

use candle_core::Device;

use crate::{
    bandit::{
        ProblemSource,
        check::{Evaluated, build, evaluate_all, solve},
    },
    experiment::{
        Examined, LanguageSpec, LoadError, Mistake, Preset, PresetErrors, examine, follows, place,
        read_text, refusal, responsible, tells_arms, try_paths, validate,
    },
    lm::{self, LanguageModel, LmTrainError, Prepared, store::EMBEDDED},
};

/// Loads a preset file and checks all that can be checked without training it.
///
/// # Errors
/// Every mistake with its place in the file.
pub fn check_file(path: &Path) -> Result<Preset, LoadError> {
    let text = read_text(path)?;
    let refuse = |errors| LoadError::Preset {
        path: path.to_owned(),
        errors,
    };
    let Examined {
        preset,
        mut mistakes,
        mended_fields,
    } = examine(&text).map_err(refuse)?;
    // With a number of arms that is a mistake, nothing can be evaluated.
    if let Some(preset) = &preset
        && !mistakes.iter().any(tells_arms)
    {
        let late: Vec<Mistake> = late_mistakes(preset, path.parent(), &mistakes, &mended_fields)
            .into_iter()
            .filter(|late| !follows(late, &mistakes))
            .collect();
        mistakes.extend(place(late, &text));
    }
    match (PresetErrors::collect(mistakes), preset) {
        (Some(errors), _) => Err(refuse(errors)),
        (None, Some(preset)) => Ok(preset),
        (None, None) => crate::experiment::parse_preset(&text).map_err(refuse),
    }
}

/// What is wrong with an experiment once it is evaluated; `found` is what its text told already, `unsure` are fields that it
/// has not as its author wrote them.
fn late_mistakes(
    preset: &Preset,
    base_dir: Option<&Path>,
    found: &[Mistake],
    unsure: &[String],
) -> Vec<Mistake> {
    let bare = Preset {
        expectations: Vec::new(),
        ..preset.clone()
    };
    let (source, mut mistakes) = of_experiment(&bare, base_dir, found, None);
    let like = source.as_ref().map(|source| Evaluated {
        bandit: &bare.bandit,
        source,
    });
    let base: Vec<Mistake> = found.iter().chain(&mistakes).cloned().collect();
    let mut known: Vec<(&[String], Changed)> = Vec::new();
    for (index, expectation) in preset.expectations.iter().enumerate() {
        let given = expectation.given.as_slice();
        let part = |path: &str| {
            let first = path.split(['.', '=']).next();
            first.map(|part| part.trim().to_owned())
        };
        let is_unsure = |set: &String| unsure.iter().any(|field| part(field) == part(set));
        if given.is_empty() || given.iter().any(is_unsure) {
            continue;
        }
        let at = match known.iter().position(|(other, _)| *other == given) {
            Some(at) => at,
            None => {
                let changed = of_changed(&bare, given, base_dir, &base, like.as_ref());
                known.push((given, changed));
                known.len() - 1
            }
        };
        let Some((_, changed)) = known.get(at) else {
            continue;
        };
        mistakes.extend(changed.mistakes.iter().map(|(at, message)| {
            Mistake::new(format!("expectations.{index}.given.{at}"), message.clone())
        }));
        let (field, arms) = (format!("expectations.{index}.quantity"), changed.arms);
        let missing = (expectation.quantity.arms()).filter(|arm| *arm >= arms);
        mistakes.extend(missing.map(|arm| {
            let last = arms.saturating_sub(1);
            Mistake::new(
                &field,
                format!("arm {arm} is not accepted; arms 0 to {last} are"),
            )
        }));
    }
    mistakes
}

/// An experiment under some changes.
struct Changed {
    /// What they bring about, by index of the change.
    mistakes: Vec<(usize, String)>,
    /// The number of arms then.
    arms: usize,
}

/// What some changes of an experiment bring about.
fn of_changed(
    bare: &Preset,
    given: &[String],
    base_dir: Option<&Path>,
    base: &[Mistake],
    like: Option<&Evaluated<'_>>,
) -> Changed {
    let (changed, refused) = try_paths(bare, given);
    let is_new = |mistake: &Mistake| {
        let is_known = (base.iter())
            .any(|known| known.field == mistake.field && known.message == mistake.message);
        !is_known
    };
    let mut mistakes: Vec<Mistake> = validate(&changed).into_iter().filter(is_new).collect();
    if mistakes.is_empty() && refused.is_empty() {
        mistakes = of_experiment(&changed, base_dir, base, like).1;
        mistakes.retain(is_new);
    }
    let mut told: Vec<(usize, String)> = (refused.iter())
        .map(|(index, error)| (*index, refusal(given, *index, error)))
        .collect();
    told.extend(mistakes.iter().map(|mistake| {
        let index = responsible(given, &mistake.field);
        (index, refusal(given, index, mistake))
    }));
    Changed {
        mistakes: told,
        arms: changed.bandit.arms.count(),
    }
}

/// What is wrong with one experiment once it is evaluated, with its evaluated sources.
fn of_experiment(
    preset: &Preset,
    base_dir: Option<&Path>,
    found: &[Mistake],
    like: Option<&Evaluated<'_>>,
) -> (Option<ProblemSource>, Vec<Mistake>) {
    if let Some(language) = &preset.language {
        // What its text tells is not told again by the model.
        let is_sound = !(found.iter()).any(|mistake| mistake.field.starts_with("language"));
        let mistakes = is_sound.then(|| of_language(preset, language));
        return (None, mistakes.unwrap_or_default());
    }
    let (source, problem) = match evaluate_all(&preset.bandit, &preset.objective, base_dir, like) {
        Ok(evaluated) => evaluated,
        Err(mistakes) => return (None, mistakes),
    };
    let mistakes = match solve(&problem, &preset.objective) {
        Err(mistake) => vec![mistake],
        // What the text tells of a learner is why it cannot be built.
        Ok(_) if (found.iter()).any(|mistake| mistake.field.starts_with("training")) => Vec::new(),
        Ok(analysis) => build(problem, analysis, preset).into_iter().collect(),
    };
    (Some(source), mistakes)
}

/// What of a language task shows without training: rewards that have no target, and what does not fit the model that is
/// always there and read in no time, where that is the preset's.
fn of_language(preset: &Preset, language: &LanguageSpec) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut spec = language.clone();
    spec.absorb_rewards(&preset.bandit.reward_edits);
    // A program's rewards are only known when it is asked.
    let prompts = if spec.program.is_some() {
        0
    } else {
        spec.prompts.len()
    };
    for prompt in 0..prompts {
        let Some(bandit) = spec.bandit(prompt, None) else {
            continue;
        };
        let problem = evaluate_all(&bandit, &preset.objective, None, None);
        if let Err(mut mistake) = problem.and_then(|(_, problem)| {
            solve(&problem, &preset.objective)
                .map(drop)
                .map_err(|mistake| vec![mistake])
        }) {
            for one in &mut mistake {
                if one.field.starts_with("bandit") {
                    one.field = format!("language.prompts.{prompt}.answers");
                }
            }
            mistakes.append(&mut mistake);
        }
    }
    mistakes.extend(of_prompts(language, preset));
    mistakes
}

/// The first that does not fit of prompts and answers and the embedded model, where that is the preset's.
#[cfg(feature = "gui")]
pub(crate) fn check_prompts(language: &LanguageSpec, preset: &Preset) -> Option<Mistake> {
    of_prompts(language, preset).into_iter().next()
}

/// Prompts and answers against the embedded model, where that is the preset's.
fn of_prompts(language: &LanguageSpec, preset: &Preset) -> Vec<Mistake> {
    if language.model != EMBEDDED {
        return Vec::new();
    }
    let model = lm::embedded(&Device::Cpu).and_then(LanguageModel::new);
    match model {
        Err(error) => vec![Mistake::new("language.model", error.to_string())],
        Ok(model) => Prepared::faults(&model, language, &preset.training)
            .iter()
            .map(of_task)
            .collect(),
    }
}

fn of_task(error: &LmTrainError) -> Mistake {
    match error {
        LmTrainError::Field {
            field,
            value,
            accepted,
        } => Mistake::new(field, format!("{value} is not accepted; {accepted}")),
        other => Mistake::new("language.prompts", other.to_string()),
    }
}
