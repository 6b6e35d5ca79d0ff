//! Small controls that several panels use. One line per widget.

pub(crate) mod beta_slider;
pub(crate) mod icon;
pub(crate) mod number;
pub(crate) mod plot_menu;
pub(crate) mod together;
