//! Scenes as SVG: self-contained text, no scripts, no external files, fonts by name.

use std::fmt::Write as _;

use super::{
    Dash,
    scene::{Anchor, Item, Paint, Rect, Scene, Stroke},
    text::{Level, SMALL, is_foreign, runs, width},
};

/// Families tried in turn; the first is embedded in this program and used for PNG.
const FONTS: &str = "Ubuntu, 'Helvetica Neue', Helvetica, Arial, sans-serif";

/// Families for signs that the first of those lacks.
const SIGN_FONTS: &str = "Hack, 'DejaVu Sans', 'Noto Sans Math', sans-serif";

/// A scene as the text of an SVG file.
pub(super) fn svg(scene: &Scene) -> String {
    let (wide, high) = (number(scene.size.0), number(scene.size.1));
    let mut writer = Writer {
        out: String::new(),
        id: identifier(&scene.id),
        clips: 0,
    };
    writer.line(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}pt\" height=\"{high}pt\" viewBox=\"0 0 {wide} {high}\" role=\"img\" font-family=\"{FONTS}\">"
    ));
    if !scene.title.is_empty() {
        writer.line(&format!("<title>{}</title>", escaped(&scene.title)));
    }
    writer.line(&format!(
        "<rect width=\"{wide}\" height=\"{high}\" fill=\"{}\"/>",
        hex(scene.background)
    ));
    for item in &scene.items {
        writer.item(item);
    }
    writer.line("</svg>");
    writer.out
}

struct Writer {
    out: String,
    id: String,
    clips: usize,
}

impl Writer {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Lines { runs, stroke } => {
                let mut path = String::new();
                for run in runs {
                    polyline(&mut path, run);
                }
                self.line(&format!(
                    "<path d=\"{path}\" fill=\"none\"{}/>",
                    stroked(stroke)
                ));
            }
            Item::Areas { outlines, paint } => {
                let mut path = String::new();
                for outline in outlines {
                    polyline(&mut path, outline);
                    path.push('Z');
                }
                self.line(&format!("<path d=\"{path}\"{}/>", filled(paint)));
            }
            Item::Cells { cells, color } => {
                let mut path = String::new();
                for cell in cells {
                    let (left, top) = (number(cell.left), number(cell.top));
                    let (right, bottom) = (number(cell.right), number(cell.bottom));
                    let _ = write!(path, "M{left} {top}H{right}V{bottom}H{left}Z");
                }
                self.line(&format!(
                    "<path d=\"{path}\" fill=\"{}\" shape-rendering=\"crispEdges\"/>",
                    hex(*color)
                ));
            }
            Item::Dots {
                centers,
                radius,
                paint,
            } => {
                // Circles as arcs of one path: overlapping markers do not add up their opacity.
                let mut path = String::new();
                let r = number(*radius);
                for center in centers {
                    let (left, y) = (number(center.0 - radius), number(center.1));
                    let across = number(2.0 * radius);
                    let _ = write!(
                        path,
                        "M{left} {y}a{r} {r} 0 1 0 {across} 0a{r} {r} 0 1 0 -{across} 0"
                    );
                }
                self.line(&format!("<path d=\"{path}\"{}/>", filled(paint)));
            }
            Item::Text {
                at,
                text,
                size,
                anchor,
                angle,
                color,
                halo,
            } => {
                // A renderer without system fonts takes a whole text from another font where one sign is missing. Texts
                // with such signs are therefore placed piece by piece, from an estimate of their width.
                let pieces = text.contains(is_foreign).then(|| match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => -width(text, *size) / 2.0,
                    Anchor::End => -width(text, *size),
                });
                let turned = *angle != 0.0;
                let left = pieces.map(|shift| if turned { shift } else { at.0 + shift });
                let place = if turned {
                    format!(
                        "transform=\"translate({} {}) rotate({})\"",
                        number(at.0),
                        number(at.1),
                        number(*angle)
                    )
                } else {
                    format!(
                        "x=\"{}\" y=\"{}\"",
                        number(left.unwrap_or(at.0)),
                        number(at.1)
                    )
                };
                let anchor = match anchor {
                    Anchor::Middle if left.is_none() => " text-anchor=\"middle\"",
                    Anchor::End if left.is_none() => " text-anchor=\"end\"",
                    Anchor::Start | Anchor::Middle | Anchor::End => "",
                };
                let halo = halo.map_or_else(String::new, |halo| {
                    format!(
                        " stroke=\"{}\" stroke-width=\"2.4\" stroke-linejoin=\"round\" paint-order=\"stroke\"",
                        hex(halo)
                    )
                });
                self.line(&format!(
                    "<text {place} font-size=\"{}\"{anchor} fill=\"{}\"{halo}>{}</text>",
                    number(*size),
                    hex(*color),
                    spans(text, *size, left)
                ));
            }
            Item::Clipped { to, items } => self.clipped(to, items),
        }
    }

    fn clipped(&mut self, to: &Rect, items: &[Item]) {
        self.clips += 1;
        let id = format!("{}-clip{}", self.id, self.clips);
        self.line(&format!(
            "<clipPath id=\"{id}\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/></clipPath>",
            number(to.left),
            number(to.top),
            number(to.width()),
            number(to.height())
        ));
        self.line(&format!("<g clip-path=\"url(#{id})\">"));
        for item in items {
            self.item(item);
        }
        self.line("</g>");
    }
}

fn polyline(path: &mut String, points: &[(f64, f64)]) {
    let mut last: Option<(String, String)> = None;
    for point in points {
        let (x, y) = (number(point.0), number(point.1));
        let _ = match &last {
            None => write!(path, "M{x} {y}"),
            Some((old_x, old_y)) => match (*old_x == x, *old_y == y) {
                (true, true) => Ok(()),
                (true, false) => write!(path, "V{y}"),
                (false, true) => write!(path, "H{x}"),
                (false, false) => write!(path, "L{x} {y}"),
            },
        };
        last = Some((x, y));
    }
}

fn filled(paint: &Paint) -> String {
    let mut text = format!(" fill=\"{}\"", hex(paint.color));
    if paint.opacity < 1.0 {
        let _ = write!(text, " fill-opacity=\"{}\"", number(paint.opacity));
    }
    text
}

fn stroked(stroke: &Stroke) -> String {
    let width = stroke.width;
    let mut text = format!(
        " stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"",
        hex(stroke.paint.color),
        number(width)
    );
    match stroke.dash {
        Dash::Solid => {}
        Dash::Dashed => {
            let _ = write!(
                text,
                " stroke-dasharray=\"{} {}\"",
                number(3.0 * width + 1.0),
                number(1.6 * width + 1.0)
            );
        }
        Dash::DashDotted => {
            let gap = number(1.6 * width + 0.8);
            let _ = write!(
                text,
                " stroke-dasharray=\"{} {gap} {} {gap}\"",
                number(4.0 * width + 2.0),
                number(width)
            );
        }
        Dash::Dotted => {
            let _ = write!(
                text,
                " stroke-dasharray=\"0 {}\" stroke-linecap=\"round\"",
                number(2.0 * width + 0.6)
            );
        }
    }
    if stroke.paint.opacity < 1.0 {
        let _ = write!(text, " stroke-opacity=\"{}\"", number(stroke.paint.opacity));
    }
    text
}

/// Text with its raised and lowered parts; placed piece by piece from `left` on, where that is given.
fn spans(text: &str, size: f64, mut left: Option<f64>) -> String {
    let mut out = String::new();
    let mut shift = 0.0;
    let whole = left.is_none();
    for run in runs(text) {
        let (wanted, font) = match run.level {
            Level::Base => (0.0, size),
            Level::Raised => (-0.36 * size, SMALL * size),
            Level::Lowered => (0.2 * size, SMALL * size),
        };
        let chars: Vec<char> = run.text.chars().collect();
        for part in chars.chunk_by(|a, b| whole || is_foreign(*a) == is_foreign(*b)) {
            let foreign = !whole && part.first().copied().is_some_and(is_foreign);
            let part: String = part.iter().collect();
            let mut attributes = String::new();
            if let Some(x) = &mut left {
                let _ = write!(attributes, " x=\"{}\"", number(*x));
                // As wide as in the font that has such signs.
                *x += if foreign {
                    0.602 * font * part.chars().count() as f64
                } else {
                    width(&part, font)
                };
            }
            let step = number(wanted - shift);
            if step != "0" {
                let _ = write!(attributes, " dy=\"{step}\"");
            }
            if run.level != Level::Base {
                let _ = write!(attributes, " font-size=\"{}\"", number(font));
            }
            if foreign {
                let _ = write!(attributes, " font-family=\"{SIGN_FONTS}\"");
            }
            let part = escaped(&part);
            if attributes.is_empty() {
                out.push_str(&part);
            } else {
                let _ = write!(out, "<tspan{attributes}>{part}</tspan>");
            }
            shift = wanted;
        }
    }
    out
}

/// At most two decimals, none where they are zero.
fn number(value: f64) -> String {
    let mut text = format!("{value:.2}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" || text == "NaN" {
        text = "0".to_owned();
    }
    text
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no place for these.
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {}
            c => out.push(c),
        }
    }
    out
}

fn identifier(name: &str) -> String {
    let kept: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("m-{kept}")
}
