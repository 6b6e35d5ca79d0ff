//! Behaviour a user can see, as one test program so that it links once: add a module per subject.

mod cli;
mod figures;
mod finding;
mod fuzz;
mod gguf;
mod golden;
mod lm;
mod lm_fast;
mod model_files;
mod model_hub;
mod model_store;
mod models;
mod presets;
mod run;
mod saving;
mod task;
mod tensorboard;
mod window;
mod window_language;
