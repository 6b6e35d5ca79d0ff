//! Opening what a user names, drops on the window or picks: experiments, tables, models, checkpoints.

use std::path::{Path, PathBuf};

use egui::Context;

use super::{
    action::{Action, Notice},
    app::{Pending, Workbench},
    document::{Document, Origin},
    session::RECENT,
};
use crate::{
    bandit::is_data,
    engine::{Command, Status},
    experiment::{self, LanguageSpec, Preset},
    lm::checkpoint::CHECKPOINT_FILE,
};

impl Workbench {
    /// Opens another experiment, asking first where unsaved changes would be lost.
    pub(super) fn replace(&mut self, ctx: &Context, preset: Box<Preset>, origin: Origin) {
        if self.document.is_dirty() && !matches!(self.document.origin(), Origin::Builtin(_)) {
            self.pending = Some(Pending::Open(preset, origin));
        } else {
            self.leave(ctx, Pending::Open(preset, origin));
        }
    }

    /// Opens another experiment, whatever is unsaved.
    pub(super) fn open_now(&mut self, ctx: &Context, preset: Preset, origin: Origin) {
        match Document::open(preset, origin) {
            Ok(document) => {
                let run = self.snapshot.status == Status::Running;
                if let Origin::File(path) = document.origin() {
                    remember(&mut self.recent, path);
                }
                let old = std::mem::replace(&mut self.document, document);
                if old.is_dirty() {
                    self.notify(
                        ctx,
                        Notice::Info("File, Reopen previous has your changes".to_owned()),
                    );
                }
                let preset = Box::new((**old.preset()).clone());
                self.previous = Some((preset, old.origin().clone(), old.is_dirty()));
                self.load(run);
            }
            Err(error) => self.notify(ctx, Notice::Error(error)),
        }
    }

    pub(super) fn on_files_dropped(&mut self, ctx: &Context, actions: &mut Vec<Action>) {
        let path = ctx.input(|input| {
            input
                .raw
                .dropped_files
                .first()
                .map(|file| file.path().to_owned())
        });
        actions.extend(path.map(Action::OpenFile));
    }

    /// Opens what a file or folder holds: an experiment, a table, a model for the language preset that is open, or a
    /// checkpoint of it to go on from.
    pub(super) fn open_file(&mut self, ctx: &Context, path: PathBuf) {
        if path.join(CHECKPOINT_FILE).is_file() {
            self.link.send(Command::GoOn(path));
            return;
        }
        let ends_in = |ending: &str| {
            path.extension()
                .is_some_and(|found| found.eq_ignore_ascii_case(ending))
        };
        if ends_in("gguf") || path.join("config.json").is_file() {
            self.open_model(ctx, &path);
            return;
        }
        if ends_in("csv") {
            match table_as_preset(&path) {
                Ok(preset) => self.replace(ctx, Box::new(preset), Origin::Untitled),
                Err(error) => self.notify(ctx, Notice::Error(error)),
            }
            return;
        }
        match open_named_file(&path) {
            Ok(preset) => self.replace(ctx, Box::new(preset), Origin::File(path)),
            Err(error) => {
                self.recent.retain(|recent| *recent != path);
                self.notify(ctx, Notice::Error(error));
            }
        }
    }

    /// Begins the language preset that is open anew with another model.
    fn open_model(&mut self, ctx: &Context, path: &Path) {
        let Some(language) = self.document.preset().language.clone() else {
            let text = format!(
                "{} is a language model; open a language preset first (their names begin with lm-), then drop it again",
                path.display()
            );
            self.notify(ctx, Notice::Error(text));
            return;
        };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.retask(
            ctx,
            LanguageSpec {
                model: path.to_string_lossy().into_owned(),
                ..language
            },
        );
    }
}

fn open_named_file(path: &Path) -> Result<Preset, String> {
    experiment::load_preset(path).map_err(|error| error.to_string())
}

/// A table of numbers as an experiment: the columns `reference` and `reward` where there are such, or the only column as
/// rewards on a uniform reference.
fn table_as_preset(path: &Path) -> Result<Preset, String> {
    use crate::experiment::{Arms, BanditSpec, ModeSpec, Source};
    use crate::theory::{Beta, Direction, Objective};
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let first = match reader.records().next() {
        Some(first) => first.map_err(|error| format!("{shown} cannot be read: {error}"))?,
        None => csv::StringRecord::new(),
    };
    let below = reader.records().count();
    let (headers, rows) = if is_data(&first) {
        (csv::StringRecord::new(), below + 1)
    } else {
        (first, below)
    };
    let column = |names: &[&str]| {
        headers
            .iter()
            .find(|header| {
                names
                    .iter()
                    .any(|name| header.trim().eq_ignore_ascii_case(name))
            })
            .map(str::to_owned)
    };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let from = |column| Source::Csv {
        path: absolute.clone(),
        column,
    };
    let rewards = column(&["reward", "rewards", "r"]);
    let reference = column(&["reference", "pi_ref", "ref", "p"]);
    let beta = Beta::new(0.1).map_err(|error| error.to_string())?;
    Ok(Preset {
        format: 1,
        title: path.file_stem().map_or_else(
            || "Table".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
        summary: format!("Read from {shown}."),
        look_for: String::new(),
        bandit: BanditSpec {
            arms: Arms::Line {
                count: rows,
                range: None,
            },
            reference: reference.map_or(Source::Constant(1.0), |name| from(Some(name))),
            rewards: from(rewards),
            modes: ModeSpec::default(),
            reward_edits: Vec::new(),
            reference_edits: Vec::new(),
        },
        language: None,
        objective: Objective::new(Direction::Reverse, beta),
        training: crate::experiment::Training::default(),
        expectations: Vec::new(),
    })
}

pub(super) fn remember(recent: &mut Vec<PathBuf>, path: &Path) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    recent.retain(|other| *other != path);
    recent.insert(0, path);
    recent.truncate(RECENT);
}
