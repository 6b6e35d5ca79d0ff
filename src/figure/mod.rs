//! Figures for papers: a figure description becomes drawing primitives, and these become SVG, PNG or CSV. Never egui.

mod colormap;
mod description;

pub use colormap::viridis;
pub use description::{Axes, Axis, Dash, Figure, Mark, MarkKind, RightAxis};
