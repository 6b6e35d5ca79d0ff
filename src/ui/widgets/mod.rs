//! Small controls that several panels use. One line per widget.
#![allow(dead_code, reason = "the shell mounts the panels as they land")]

pub(crate) mod beta_slider;
pub(crate) mod icon;
pub(crate) mod number;
pub(crate) mod plot_menu;
