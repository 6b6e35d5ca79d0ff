//! Behaviour a user can see, as one test program so that it links once: add a module per subject.

/// Says on standard error that a test is skipped, and why: where the test harness does not swallow it.
fn say_skipped(why: &str) {
    use std::io::Write as _;
    // A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

mod cli;
mod coverage;
mod figures;
mod finding;
mod fuzz;
mod gguf;
mod golden;
mod language_messages;
mod lm;
mod lm_fast;
mod model_files;
mod model_hub;
mod model_store;
mod models;
mod presets;
mod refusals;
mod run;
mod run_folder;
mod saving;
mod task;
mod tensorboard;
mod window;
mod window_keeping;
mod window_language;
mod window_opening;
mod window_problem;
mod window_start;
