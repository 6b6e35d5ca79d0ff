//! Drawing primitives: what is left of a figure once positions are in points and colours are chosen. The origin is at the
//! top left, y grows downwards, as in SVG.

use super::Dash;

/// A picture made of primitives, first at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    /// Width and height in points.
    pub(super) size: (f64, f64),
    /// What is behind everything.
    pub(super) background: [u8; 3],
    /// Title for readers that cannot see the picture.
    pub(super) title: String,
    /// Prefix of the identifiers inside, so that several pictures fit into one page.
    pub(super) id: String,
    /// The primitives.
    pub(super) items: Vec<Item>,
}

/// One primitive.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// Open lines, each through its points.
    Lines {
        runs: Vec<Vec<(f64, f64)>>,
        stroke: Stroke,
    },
    /// Closed areas, all with the same paint.
    Areas {
        outlines: Vec<Vec<(f64, f64)>>,
        paint: Paint,
    },
    /// Axis-parallel rectangles without soft edges, so that neighbours meet without a seam.
    Cells { cells: Vec<Rect>, color: [u8; 3] },
    /// Filled circles.
    Dots {
        centers: Vec<(f64, f64)>,
        radius: f64,
        paint: Paint,
    },
    /// Text; `at` is on the baseline.
    Text {
        at: (f64, f64),
        text: String,
        size: f64,
        anchor: Anchor,
        /// Clockwise, in degrees.
        angle: f64,
        color: [u8; 3],
        /// Draws a thin edge in this colour behind the letters, so that they stay readable on top of data.
        halo: Option<[u8; 3]>,
    },
    /// Items of which only the part inside the rectangle is seen.
    Clipped { to: Rect, items: Vec<Item> },
}

/// A rectangle by its edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Rect {
    pub(super) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// The same rectangle, larger by `margin` on every side.
    pub(super) fn grown(&self, margin: f64) -> Self {
        Self {
            left: self.left - margin,
            top: self.top - margin,
            right: self.right + margin,
            bottom: self.bottom + margin,
        }
    }
}

/// A colour with its opacity, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Paint {
    pub(super) color: [u8; 3],
    pub(super) opacity: f64,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stroke {
    pub(super) paint: Paint,
    /// In points.
    pub(super) width: f64,
    pub(super) dash: Dash,
}

/// Which end of a text is at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Colours and text sizes of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    /// Text size in points; everything else is measured by it.
    pub(super) font: f64,
    pub(super) background: [u8; 3],
    pub(super) text: [u8; 3],
    pub(super) axis: [u8; 3],
    pub(super) grid: [u8; 3],
}

impl Style {
    /// A mark's colour as ink for small text: on white the colours themselves are too light to be read.
    pub(super) fn ink(&self, color: [u8; 3]) -> [u8; 3] {
        if self.background[0] < 0x80 {
            return color;
        }
        std::array::from_fn(|i| ((u16::from(color[i]) + u16::from(self.text[i])) / 2) as u8)
    }

    /// The style of a figure of this size.
    pub(super) fn new(dark: bool, size: (f64, f64)) -> Self {
        let font = ((size.0 * size.1).sqrt() / 38.0).clamp(7.0, 13.0);
        if dark {
            Self {
                font,
                background: [0x1B, 0x1D, 0x21],
                text: [0xDD, 0xE1, 0xE6],
                axis: [0x8B, 0x93, 0x9D],
                grid: [0x33, 0x37, 0x3D],
            }
        } else {
            Self {
                font,
                background: [0xFF; 3],
                text: [0x1F, 0x23, 0x28],
                axis: [0x6B, 0x72, 0x7A],
                grid: [0xE6, 0xE8, 0xEB],
            }
        }
    }
}
