//! Fetching a model from the Hugging Face hub, in a thread, under the field that names the model.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use egui::{Button, Context, ProgressBar, TextEdit, Ui};

use super::row::{named_row, note, refusal, row};
use crate::lm::{
    ModelStore,
    store::{FetchProgress, FetchRequest},
};

/// What is typed, and what is on its way.
#[derive(Default)]
pub(super) struct Fetching {
    open: bool,
    repository: String,
    file: String,
    job: Option<Job>,
    /// Why the last one did not come.
    error: Option<String>,
}

/// A fetch in its thread. Dropping this cancels it.
struct Job {
    repository: String,
    at: Arc<Mutex<At>>,
    cancelled: Arc<AtomicBool>,
    done: Receiver<Result<(), String>>,
}

/// How far a fetch has come.
#[derive(Debug, Clone, Default, PartialEq)]
struct At {
    file: String,
    done: u64,
    total: u64,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Fetching {
    /// Shows the fields.
    pub(super) fn open(&mut self) {
        self.open = true;
    }

    /// Draws the fields or how far the fetch has come; the model's name when it is there.
    pub(super) fn ui(&mut self, ui: &mut Ui) -> Option<String> {
        let fetched = self.outcome();
        if self.open {
            self.open_ui(ui);
        }
        fetched
    }

    /// Takes how the fetch ended, if it has.
    fn outcome(&mut self) -> Option<String> {
        let job = self.job.as_ref()?;
        let outcome = match job.done.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err("the fetch ended without a word".to_owned()),
        };
        let name = job.repository.clone();
        self.job = None;
        match outcome {
            Ok(()) => {
                self.open = false;
                Some(name)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    fn open_ui(&mut self, ui: &mut Ui) {
        let busy = self.job.is_some();
        ui.add_enabled_ui(!busy, |ui| {
            row(
                ui,
                "Repository",
                "A model of the Hugging Face hub: ORG/NAME, or ORG/NAME@REVISION. It goes to the cache that other programs share",
                |ui| {
                    ui.add(
                        TextEdit::singleline(&mut self.repository)
                            .hint_text("HuggingFaceTB/SmolLM2-135M-Instruct")
                            .desired_width(ui.available_width()),
                    )
                },
            );
            row(
                ui,
                "GGUF file",
                "The .gguf file to fetch, where the repository has several; else empty",
                |ui| {
                    ui.add(
                        TextEdit::singleline(&mut self.file)
                            .hint_text("where there are several")
                            .desired_width(ui.available_width()),
                    )
                },
            );
        });
        let mut cancelled = false;
        if let Some(job) = &self.job {
            job_ui(ui, job);
        }
        named_row(ui, "", "", |ui| {
            if busy {
                cancelled = ui
                    .button("Cancel")
                    .on_hover_text(
                        "What is here already stays; the next attempt goes on from there",
                    )
                    .clicked();
                return;
            }
            let named = !self.repository.trim().is_empty();
            if ui
                .add_enabled(named, Button::new("Fetch"))
                .on_hover_text("Get it in the background; training goes on")
                .on_disabled_hover_text("Name a repository first")
                .clicked()
            {
                self.start(ui.ctx(), ModelStore::of_user());
            }
            if ui.button("Close").clicked() {
                self.open = false;
                self.error = None;
            }
        });
        if cancelled {
            self.job = None;
        }
        if let Some(error) = &self.error {
            refusal(ui, error);
        }
    }

    fn start(&mut self, ctx: &Context, store: ModelStore) {
        let file = Some(self.file.trim()).filter(|file| !file.is_empty());
        match FetchRequest::of_user(self.repository.trim(), file) {
            Ok(request) => self.fetch(ctx, store, request),
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    fn fetch(&mut self, ctx: &Context, store: ModelStore, request: FetchRequest) {
        self.error = None;
        let (sender, done) = bounded(1);
        let at = Arc::new(Mutex::new(At::default()));
        let cancelled = Arc::new(AtomicBool::new(false));
        let job = Job {
            repository: request.repository.clone(),
            at: Arc::clone(&at),
            cancelled: Arc::clone(&cancelled),
            done,
        };
        let ctx = ctx.clone();
        let started = std::thread::Builder::new()
            .name("modescope-fetch".to_owned())
            .spawn(move || {
                let outcome = store.fetch(&request, |progress| {
                    if cancelled.load(Ordering::Relaxed) {
                        return ControlFlow::Break(());
                    }
                    if tell(&at, progress) {
                        ctx.request_repaint();
                    }
                    ControlFlow::Continue(())
                });
                // Nobody may want it any more.
                let _ = sender.send(outcome.map(drop).map_err(|error| error.to_string()));
                ctx.request_repaint();
            });
        match started {
            Ok(_) => self.job = Some(job),
            Err(error) => self.error = Some(format!("The system has no thread to give: {error}")),
        }
    }
}

/// Writes down how far it is; true where that can be seen on a bar.
fn tell(at: &Mutex<At>, progress: FetchProgress<'_>) -> bool {
    let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
    let pixel = |done: u64, total: u64| done.saturating_mul(200) / total.max(1);
    let seen = at.file != progress.file
        || pixel(at.done, at.total) != pixel(progress.done, progress.total);
    if at.file != progress.file {
        progress.file.clone_into(&mut at.file);
    }
    (at.done, at.total) = (progress.done, progress.total);
    seen
}

fn job_ui(ui: &mut Ui, job: &Job) {
    let at = (job.at.lock().unwrap_or_else(PoisonError::into_inner)).clone();
    if at.file.is_empty() {
        note(ui, &format!("Asking the hub for {}", job.repository));
        return;
    }
    let share = at.done as f32 / at.total.max(1) as f32;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let text = format!(
        "{}, {:.1} of {:.1} MB",
        at.file,
        megabytes(at.done),
        megabytes(at.total)
    );
    ui.add(ProgressBar::new(share).desired_height(8.0));
    note(ui, &text);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        time::{Duration, Instant},
    };

    use egui_kittest::{Harness, kittest::Queryable as _};

    use super::*;

    struct Panel {
        fetching: Fetching,
        fetched: Option<String>,
    }

    /// The fields, with what is typed into them.
    fn panel(repository: &str) -> Harness<'static, Panel> {
        let fetching = Fetching {
            open: true,
            repository: repository.to_owned(),
            ..Fetching::default()
        };
        Harness::builder().with_size((360.0, 240.0)).build_ui_state(
            |ui, panel: &mut Panel| {
                if let Some(name) = panel.fetching.ui(ui) {
                    panel.fetched = Some(name);
                }
            },
            Panel {
                fetching,
                fetched: None,
            },
        )
    }

    fn until(harness: &mut Harness<'_, Panel>, holds: impl Fn(&Harness<'_, Panel>) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !holds(harness) {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
            harness.run_steps(1);
        }
    }

    /// A hub whose one repository has a file that takes for ever to come.
    fn slow_hub() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = (lines.map_while(Result::ok))
                    .take_while(|line| !line.is_empty())
                    .collect();
                if head
                    .first()
                    .is_some_and(|line| line.contains("/api/models/"))
                {
                    let body = r#"{"sha": "c0ffee", "siblings": [{"rfilename": "a.gguf"}]}"#;
                    let length = body.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                    continue;
                }
                let size = 1_000_000;
                let first = head.iter().any(|line| line.ends_with("bytes=0-0"));
                let length = if first { 1 } else { size };
                let _ = write!(
                    stream,
                    "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nConnection: close\r\n\
                     Content-Range: bytes 0-{}/{size}\r\nETag: \"tag\"\r\nX-Repo-Commit: c0ffee\r\n\r\n",
                    length - 1
                );
                std::thread::spawn(move || {
                    for _ in 0..length {
                        if stream.write_all(b"x").is_err() {
                            return;
                        }
                        if length > 1 {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                    }
                });
            }
        });
        endpoint
    }

    #[test]
    fn a_fetch_is_followed_and_cancelled() {
        let home = tempfile::tempdir().unwrap();
        let mut harness = panel("org/slow");
        let store = ModelStore {
            hub_cache: Some(home.path().to_owned()),
            ..ModelStore::default()
        };
        let request = FetchRequest {
            endpoint: slow_hub(),
            ..FetchRequest::of_user("org/slow", None).unwrap()
        };
        let ctx = harness.ctx.clone();
        harness.state_mut().fetching.fetch(&ctx, store, request);
        until(&mut harness, |harness| {
            harness
                .query_by_label_contains("a.gguf, 0.0 of 1.0 MB")
                .is_some()
        });
        let job = harness.state().fetching.job.as_ref().unwrap();
        let done = job.done.clone();
        harness.get_by_label("Cancel").click();
        harness.run_steps(3);
        harness.get_by_label("Fetch");
        let ended = done.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(ended.unwrap_err().contains("it was cancelled"));
        // What came stays, to go on from.
        let blobs = home.path().join("models--org--slow/blobs");
        let parts: Vec<u64> = (std::fs::read_dir(blobs).unwrap())
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let is_part = path.extension().is_some_and(|ending| ending == "part");
                is_part.then(|| std::fs::metadata(path).unwrap().len())
            })
            .collect();
        assert!(
            matches!(parts[..], [some] if (1..1_000_000).contains(&some)),
            "{parts:?}"
        );
    }

    #[test]
    fn what_is_no_repository_is_told_beside_the_field() {
        let mut harness = panel("../etc");
        harness.run_steps(2);
        harness.get_by_label("Fetch").click();
        harness.run_steps(3);
        harness.get_by_label_contains("is no repository of the Hugging Face hub");
    }

    #[test]
    fn what_was_fetched_is_handed_over_and_the_fields_close() {
        let mut harness = panel("org/tiny");
        let (sender, done) = bounded(1);
        harness.state_mut().fetching.job = Some(Job {
            repository: "org/tiny".to_owned(),
            at: Arc::default(),
            cancelled: Arc::default(),
            done,
        });
        harness.run_steps(2);
        harness.get_by_label_contains("Asking the hub for org/tiny");
        sender.send(Ok(())).unwrap();
        harness.run_steps(2);
        assert_eq!(harness.state().fetched.as_deref(), Some("org/tiny"));
        assert!(harness.query_by_label("Fetch").is_none());
    }
}
