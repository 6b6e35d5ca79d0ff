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
    engine::{Command, check_file},
    experiment::{
        self, Arms, BanditSpec, Edit, LanguageSpec, ModeSpec, Preset, Role, Source, repeated,
    },
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
        match Document::open(preset, origin.clone()) {
            Ok(document) => self.put(ctx, document),
            Err(error) => self.notify(ctx, Notice::Error(placed(&origin, error))),
        }
    }

    /// Puts an experiment in the place of the one that is open, which can be reopened as it is, undo included.
    pub(super) fn put(&mut self, ctx: &Context, document: Document) {
        let run = self.is_to_run();
        if let Origin::File(path) | Origin::Table(path) = document.origin() {
            remember(&mut self.recent, path);
        }
        let old = std::mem::replace(&mut self.document, document);
        if old.is_dirty() {
            self.notify(
                ctx,
                Notice::Info("File, Reopen previous has your changes".to_owned()),
            );
        }
        self.previous = Some(Box::new(old));
        self.load(run);
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
                Ok(preset) => self.replace(ctx, Box::new(preset), Origin::Table(path)),
                Err(error) => {
                    self.recent.retain(|recent| *recent != path);
                    self.notify(ctx, Notice::Error(error));
                }
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

    /// Reads a bandit's reference or rewards from a table. On a line there are as many arms as the table has rows then.
    pub(super) fn take_table(&mut self, ctx: &Context, role: Role, path: &Path) {
        let Head { headers, rows, .. } = match read_head(path) {
            Ok(head) => head,
            Err(error) => return self.notify(ctx, Notice::Error(error)),
        };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // A table beside the preset's file stays beside it when both move.
        let written = (self.document.base_dir())
            .and_then(|folder| {
                absolute
                    .strip_prefix(std::path::absolute(folder).ok()?)
                    .ok()
            })
            .map_or_else(|| absolute.clone(), Path::to_owned);
        let source = Source::Csv {
            path: written,
            column: column_for(role, &headers),
        };
        let bandit = &self.document.preset().bandit;
        self.panels.controls.propose(role, &source);
        let mut spec = bandit.with_source(role, source);
        let mut cut = Vec::new();
        if let Some(arms) = with_count(&spec.arms, rows) {
            (spec, cut) = spec.with_arms(arms);
            cut.insert(
                0,
                format!("The table has {rows} rows, so there are {rows} arms now"),
            );
        }
        let edit = Edit::Problem(Box::new(spec));
        let mut actions = vec![Action::Edit { edit, done: true }];
        actions.extend(
            cut.into_iter()
                .map(|text| Action::Notify(Notice::Info(text))),
        );
        self.perform(ctx, actions);
    }
}

/// Arms on a line as many as the rows of a table, where they are not already.
fn with_count(arms: &Arms, count: usize) -> Option<Arms> {
    if count == arms.count() || count == 0 {
        return None;
    }
    match arms {
        Arms::Line { range, .. } => Some(Arms::Line {
            count,
            range: *range,
        }),
        Arms::Named(names) => {
            let further = (names.len()..count).map(|arm| format!("arm {arm}"));
            Some(Arms::Named(
                names.iter().cloned().chain(further).take(count).collect(),
            ))
        }
        Arms::Grid { .. } => None,
    }
}

fn open_named_file(path: &Path) -> Result<Preset, String> {
    let preset = experiment::load_preset(path).map_err(|error| error.to_string())?;
    // What does not fit the embedded model shows before the trainer asks for it.
    match &preset.language {
        Some(_) => check_file(path).map_err(|error| error.to_string()),
        None => Ok(preset),
    }
}

/// The error of an experiment with its place in the file that it came from, if the file is at fault.
pub(super) fn placed(origin: &Origin, error: String) -> String {
    match origin {
        Origin::File(path) => check_file(path).map_or_else(|found| found.to_string(), |_| error),
        Origin::Untitled | Origin::Builtin(_) | Origin::Table(_) => error,
    }
}

/// A table of numbers as an experiment: the columns `reference` and `reward` where there are such, or the only column as
/// rewards on a uniform reference.
fn table_as_preset(path: &Path) -> Result<Preset, String> {
    use crate::theory::{Beta, Direction, Objective};
    let shown = path.display();
    let Head {
        headers,
        columns,
        rows,
    } = read_head(path)?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let from = |column| Source::Csv {
        path: absolute.clone(),
        column,
    };
    let rewards = column_named(Role::Rewards, &headers);
    let reference = column_named(Role::Reference, &headers);
    if columns > 1 && rewards.is_none() {
        let found = if headers.is_empty() {
            format!("{columns} columns without names")
        } else {
            let names: Vec<&str> = headers.iter().take(20).collect();
            format!("the columns {}", repeated(&names.join(", ")))
        };
        return Err(format!(
            "{shown} has {found}; accepted: one column of rewards, or several that the first row names, one of them “reward” \
             and, if there is one, “reference” for the reference's weights. Problem, Rewards, Table (CSV)… reads any column"
        ));
    }
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
        coverage: crate::theory::CoverageRule::USUAL,
        expectations: Vec::new(),
    })
}

/// The column called like what it is for, if there is one.
fn column_named(role: Role, headers: &csv::StringRecord) -> Option<String> {
    let names: &[&str] = match role {
        Role::Rewards => &["reward", "rewards", "r"],
        Role::Reference => &["reference", "pi_ref", "ref", "p"],
    };
    let is_one = |header: &&str| names.iter().any(|name| header.eq_ignore_ascii_case(name));
    headers.iter().find(is_one).map(str::to_owned)
}

/// The column to read first: the one called like what it is for, or else the last of several, as numbers follow names.
fn column_for(role: Role, headers: &csv::StringRecord) -> Option<String> {
    let last = headers.iter().next_back().filter(|_| headers.len() > 1);
    column_named(role, headers).or_else(|| last.map(str::to_owned))
}

/// What a table looks like before its numbers are read.
struct Head {
    /// The names of its columns, if it has any.
    headers: csv::StringRecord,
    columns: usize,
    /// Rows below the names.
    rows: usize,
}

fn read_head(path: &Path) -> Result<Head, String> {
    let cannot = |error: csv::Error| format!("{} cannot be read: {error}", path.display());
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(cannot)?;
    let first = match reader.records().next() {
        Some(first) => first.map_err(cannot)?,
        None => csv::StringRecord::new(),
    };
    let below = reader.records().count();
    let columns = first.len();
    Ok(if is_data(&first) {
        Head {
            headers: csv::StringRecord::new(),
            columns,
            rows: below + usize::from(columns > 0),
        }
    } else {
        Head {
            headers: first,
            columns,
            rows: below,
        }
    })
}

pub(super) fn remember(recent: &mut Vec<PathBuf>, path: &Path) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    recent.retain(|other| *other != path);
    recent.insert(0, path);
    recent.truncate(RECENT);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    #[test]
    fn what_has_no_target_is_told_with_its_place_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("late.ron");
        let text = "(format: 1, title: \"t\", objective: (direction: Reverse, beta: 1),\n    bandit: (\n        arms: Line(count: 3), \
                    reference: Constant(1),\n        rewards: Formula(\"2 + 1 / (i - 1)\"),\n    ))";
        std::fs::write(&path, text).unwrap();
        let preset = open_named_file(&path).unwrap();
        let origin = Origin::File(path.clone());
        let Err(error) = Document::open(preset, origin.clone()) else {
            panic!("one arm divides by zero")
        };
        assert_eq!(
            placed(&origin, error.clone()),
            format!(
                "{}:4:31: bandit.rewards: division by zero at arm 1 in `1 / (i - 1)`",
                path.display()
            )
        );
        // What was never a file has no place.
        assert_eq!(placed(&Origin::Untitled, error.clone()), error);
    }
}
