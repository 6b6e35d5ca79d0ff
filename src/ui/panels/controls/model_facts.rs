//! What a model is and what training it takes, told before it is loaded. Files are looked at in a thread.

use crossbeam_channel::{Receiver, bounded};
use egui::Context;

use crate::{
    experiment::{LanguageSpec, Matching, Tune},
    lm::{self, BatchSize, ModelConfig, ModelInfo, ModelStore, TuneSize},
    ui::widgets::number::significant,
};

/// Operations per parameter and token of a step: forward of policy and reference 2 each, backward 4.
const OPERATIONS: f64 = 8.0;
/// Seconds that the optimiser takes per trained parameter: 28 bytes go to and from memory.
const OPTIMISER_SECS: f64 = 0.6e-9;
/// Tokens of a chat template around a prompt, roughly.
const TEMPLATE_TOKENS: usize = 30;

/// Finds models and remembers what was found.
#[derive(Default)]
pub(super) struct ModelFacts {
    names: Vec<String>,
    /// The model looked at last.
    asked: Option<String>,
    coming: Option<Receiver<Found>>,
    found: Option<Result<ModelInfo, String>>,
}

struct Found {
    names: Vec<String>,
    info: Result<ModelInfo, String>,
}

impl ModelFacts {
    /// Looks at a model, unless it is the one looked at last.
    pub(super) fn look_at(&mut self, ctx: &Context, model: &str) {
        if let Some(found) = self
            .coming
            .as_ref()
            .and_then(|coming| coming.try_recv().ok())
        {
            self.names = found.names;
            self.found = Some(found.info);
            self.coming = None;
        }
        if self.asked.as_deref() == Some(model) || self.coming.is_some() {
            return;
        }
        self.asked = Some(model.to_owned());
        self.found = None;
        let (sender, receiver) = bounded(1);
        let (ctx, model) = (ctx.clone(), model.to_owned());
        let started = std::thread::Builder::new()
            .name("modescope-models".to_owned())
            .spawn(move || {
                let store = ModelStore::of_user();
                let info = store
                    .resolve(&model, None)
                    .and_then(|source| source.inspect())
                    .map_err(|error| error.to_string());
                let names = store.list().into_iter().map(|model| model.name).collect();
                // The window may be gone by now.
                let _ = sender.send(Found { names, info });
                ctx.request_repaint();
            });
        if started.is_ok() {
            self.coming = Some(receiver);
        }
    }

    /// Another model has come: looks again at the next occasion.
    pub(super) fn forget(&mut self) {
        self.asked = None;
        self.found = None;
    }

    /// Models that have a name.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// What the model is and what training it as `spec` says takes, or why it cannot be read; nothing while that is
    /// being found out.
    pub(super) fn text(&self, spec: &LanguageSpec, batch: usize) -> Option<Result<String, String>> {
        match self.found.as_ref()? {
            Ok(info) => Some(Ok(describe(&info.config, spec, batch))),
            Err(error) => Some(Err(error.clone())),
        }
    }
}

fn describe(config: &ModelConfig, spec: &LanguageSpec, batch: usize) -> String {
    let tokens = |text: &str| text.len() / 3;
    let size = BatchSize {
        prompt_tokens: spec
            .prompts
            .iter()
            .map(|task| tokens(&task.prompt) + tokens(&task.prefill) + TEMPLATE_TOKENS)
            .sum(),
        samples: batch,
        new_tokens: match spec.matching {
            Matching::FirstToken => 1,
            Matching::Exact | Matching::Regex(_) | Matching::Tagged { .. } => spec.max_new_tokens,
        },
    };
    let tune = match &spec.tune {
        Tune::Full => TuneSize::Full,
        Tune::Lora { rank, modules, .. } => TuneSize::Lora {
            rank: *rank,
            modules,
        },
    };
    let memory = lm::estimate(config, tune, size);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let trained = memory.weights / size_of::<f32>() as u64;
    // The last token of a sample is chosen and never read.
    let read = size.new_tokens.saturating_sub(1);
    let step = |sequences: usize| {
        let nodes = (size.prompt_tokens + sequences * read) as f64;
        let work = OPERATIONS * config.parameters() as f64 * nodes;
        work / (lm::fast::training_rate() * cores as f64) + OPTIMISER_SECS * trained as f64
    };
    let (least, most) = (seconds(step(1)), seconds(step(size.samples)));
    let time = if least == most {
        format!("roughly {most} a step")
    } else {
        format!("roughly {least} a step where samples are equal to {most} where all differ")
    };
    format!(
        "{} parameters, {} trained. Up to {} of memory and, on {cores} {}, {time}",
        millions(config.parameters() as u64),
        millions(trained),
        bytes(memory.total()),
        if cores == 1 { "core" } else { "cores" },
    )
}

/// "135 M".
fn millions(count: u64) -> String {
    if count >= 1_000_000 {
        format!("{} M", significant(count as f64 / 1e6, 3))
    } else if count >= 1000 {
        format!("{} k", significant(count as f64 / 1e3, 3))
    } else {
        count.to_string()
    }
}

/// "1.2 GB".
pub(super) fn bytes(count: u64) -> String {
    if count >= 1_000_000_000 {
        format!("{} GB", significant(count as f64 / 1e9, 2))
    } else {
        format!("{} MB", significant((count as f64 / 1e6).max(1.0), 2))
    }
}

/// "40 ms", "3.1 s".
fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{} ms", significant((1e3 * value).max(1.0), 2))
    } else {
        format!("{} s", significant(value, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, millions, seconds};

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(millions(134_515_008), "135 M");
        assert_eq!(millions(460_800), "461 k");
        assert_eq!(bytes(1_240_000_000), "1.2 GB");
        assert_eq!(bytes(3_000_000), "3 MB");
        assert_eq!(seconds(0.0412), "41 ms");
        assert_eq!(seconds(3.07), "3.1 s");
    }
}
