//! Figures for papers: a figure description becomes drawing primitives, and these become SVG, PNG or CSV. Never egui.

mod colormap;
mod description;
mod error;
mod save;

pub use colormap::viridis;
pub use description::{Axes, Axis, Dash, Figure, Mark, MarkKind, RightAxis};
pub use error::FigureError;
pub use save::{save, to_csv, to_png, to_rgba, to_svg};
