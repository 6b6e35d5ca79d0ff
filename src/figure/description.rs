//! What a figure shows, as plain data: axes with marks on them. Panels describe what is on screen with this; writers turn
//! it into SVG, PNG or CSV of exactly that.

/// A figure: one pair of axes, or several side by side, with a title and a legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Title above the axes; empty for none.
    pub title: String,
    /// A short name for files, without extension.
    pub file_stem: String,
    /// Size in points (1/72 inch).
    pub size: (f64, f64),
    /// Light or dark colours.
    pub dark: bool,
    /// The axes, left to right.
    pub axes: Vec<Axes>,
}

/// One pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axes {
    /// Label, scale and bounds of the horizontal axis.
    pub x: Axis,
    /// Label, scale and bounds of the vertical axis.
    pub y: Axis,
    /// What is drawn, first at the bottom.
    pub marks: Vec<Mark>,
    /// A second vertical axis on the right with marks of its own (over the others), sharing the horizontal axis.
    pub right: Option<RightAxis>,
}

/// A second vertical axis and what is drawn against it: the reward beside the masses.
#[derive(Debug, Clone, PartialEq)]
pub struct RightAxis {
    /// Label, scale and bounds.
    pub y: Axis,
    /// What is drawn, first at the bottom.
    pub marks: Vec<Mark>,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it measures, with the unit if there is one.
    pub label: String,
    /// Values are log₁₀ of what is shown; ticks read 10ⁿ.
    pub log10: bool,
    /// Shown interval; absent fits the marks.
    pub bounds: Option<(f64, f64)>,
    /// Names at positions, instead of numbers.
    pub names: Option<Vec<(f64, String)>>,
}

/// Something drawn on axes. Every mark has a name, which the legend shows and the CSV uses as column prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Its name in the legend; empty keeps it out of the legend.
    pub name: String,
    /// Its colour, sRGB.
    pub color: [u8; 3],
    /// Opacity, 0 to 1.
    pub opacity: f64,
    /// What it is.
    pub kind: MarkKind,
}

/// The kinds of marks.
#[derive(Debug, Clone, PartialEq)]
pub enum MarkKind {
    /// A line through points.
    Line {
        /// The points; NaN breaks the line.
        points: Vec<(f64, f64)>,
        /// Width in points.
        width: f64,
        /// Solid, dashed or dotted.
        dash: Dash,
    },
    /// Bars from the baseline 0 (the lower bound on a log axis) to y.
    Bars {
        /// Centres and heights.
        bars: Vec<(f64, f64)>,
        /// Width of each bar in data units.
        width: f64,
    },
    /// The area between two curves over the same x.
    Band {
        /// x, lower y, upper y.
        points: Vec<(f64, f64, f64)>,
    },
    /// Markers.
    Points {
        /// Where.
        points: Vec<(f64, f64)>,
        /// Radius in points.
        radius: f64,
    },
    /// A heat map (viridis), row 0 at the bottom, cells spread evenly over the intervals.
    HeatMap {
        /// Values, row by row; NaN is left blank.
        values: Vec<f64>,
        /// Number of columns.
        columns: usize,
        /// Interval that the columns cover.
        x_range: (f64, f64),
        /// Interval that the rows cover.
        y_range: (f64, f64),
        /// Values at the two ends of the colour scale.
        value_range: (f64, f64),
    },
    /// A vertical line across the axes, labelled at its top.
    VerticalLine {
        /// Where.
        x: f64,
        /// Solid, dashed or dotted.
        dash: Dash,
    },
    /// A short text at a point.
    Text {
        /// Where its centre is.
        at: (f64, f64),
        /// The text.
        text: String,
    },
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// Without gaps.
    Solid,
    /// Dashes.
    Dashed,
    /// Dots.
    Dotted,
}
