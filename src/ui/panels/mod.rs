//! The panels of the window, one file each; the shell mounts them. One line per panel.

pub(crate) mod about;
pub(crate) mod controls;
pub(crate) mod estimators;
pub(crate) mod gallery;
pub(crate) mod headline;
pub(crate) mod heat_map;
pub(crate) mod inspector;
pub(crate) mod log_panel;
pub(crate) mod main_plot;
pub(crate) mod mode_strip;
mod pair;
pub(crate) mod palette;
pub(crate) mod phase;
pub(crate) mod pins;
pub(crate) mod samples;
pub(crate) mod sandbox;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod stage;
pub(crate) mod time_charts;
pub(crate) mod timeline;
pub(crate) mod tour;
pub(crate) mod transport;

#[cfg(test)]
mod export_tests;
#[cfg(test)]
mod plot_tests;
#[cfg(test)]
mod reading_tests;
