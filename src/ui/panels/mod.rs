//! The panels of the window, one file each; the shell mounts them. One line per panel.
#![allow(dead_code, reason = "the shell mounts the panels as they land")]

pub(crate) mod estimators;
pub(crate) mod heat_map;
pub(crate) mod inspector;
pub(crate) mod main_plot;
pub(crate) mod mode_strip;
pub(crate) mod phase;
pub(crate) mod time_charts;
