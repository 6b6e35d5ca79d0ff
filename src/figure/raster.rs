//! Scenes as pixels: the SVG rendered with embedded fonts, so that every machine draws the same picture.

use std::sync::{Arc, OnceLock};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

use super::FigureError;

/// Largest accepted side in pixels: a quarter of a gigabyte at most.
const LIMIT: u32 = 8192;

/// The fonts: one for text, one for the signs that it lacks.
fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    FONTS
        .get_or_init(|| {
            let mut fonts = Database::new();
            fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
            fonts.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
            fonts.set_sans_serif_family("Ubuntu");
            Arc::new(fonts)
        })
        .clone()
}

/// Reads an SVG as the renderer sees it.
fn tree(svg: &str) -> Result<Tree, FigureError> {
    let options = Options {
        fontdb: fonts(),
        font_family: "Ubuntu".to_owned(),
        ..Options::default()
    };
    Tree::from_str(svg, &options).map_err(|error| FigureError::Draw(error.to_string()))
}

/// An SVG as pixels, `size` in points at `scale` pixels per point.
pub(super) fn pixels(svg: &str, size: (f64, f64), scale: f64) -> Result<Pixmap, FigureError> {
    let (width, height) = ((size.0 * scale).round(), (size.1 * scale).round());
    let limit = f64::from(LIMIT);
    let fits = |side: f64| (1.0..=limit).contains(&side);
    let pixmap = (fits(width) && fits(height))
        .then(|| Pixmap::new(width as u32, height as u32))
        .flatten();
    let Some(mut pixmap) = pixmap else {
        return Err(FigureError::Size {
            width,
            height,
            limit: LIMIT,
        });
    };
    let tree = tree(svg)?;
    let transform = Transform::from_scale(
        width as f32 / tree.size().width(),
        height as f32 / tree.size().height(),
    );
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    Ok(pixmap)
}

/// Pixels as a PNG file that knows its resolution, `scale` pixels per point.
pub(super) fn png(pixmap: Pixmap, scale: f64) -> Result<Vec<u8>, FigureError> {
    let failed = |error: png::EncodingError| FigureError::Draw(error.to_string());
    let (width, height) = (pixmap.width(), pixmap.height());
    // The background is opaque, so the fourth channel says nothing.
    let rgb: Vec<u8> = pixmap
        .data()
        .chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let per_meter = (scale * 72.0 / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: per_meter,
        yppu: per_meter,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&rgb).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::figure::text;

    /// The width table of `text` against what the renderer measures.
    #[test]
    fn estimated_widths_match_the_embedded_font() {
        for sample in [
            "0123456789",
            "effective modes",
            "WWW",
            "KL (nats)",
            "βηπΛ −0.5",
        ] {
            let svg = format!(
                "<svg xmlns='http://www.w3.org/2000/svg' width='900' height='40'><text y='20' font-size='20' font-family='Ubuntu'>{sample}</text></svg>"
            );
            let tree = tree(&svg).unwrap();
            let measured = f64::from(tree.root().abs_bounding_box().width());
            let estimated = text::width(sample, 20.0);
            assert!(
                (measured - estimated).abs() < 0.06 * estimated + 1.5,
                "{sample}: {measured} measured, {estimated} estimated"
            );
        }
    }

    /// Signs that labels use: each must leave ink, and not the same ink as a sign that no font has.
    #[test]
    fn the_embedded_fonts_have_every_sign_that_labels_use() {
        let ink = |sign: char| {
            let svg = format!(
                "<svg xmlns='http://www.w3.org/2000/svg' width='40pt' height='40pt' viewBox='0 0 40 40'><text x='4' y='28' font-size='20' font-family='Ubuntu'>{sign}</text></svg>"
            );
            pixels(&svg, (40.0, 40.0), 1.0).unwrap().data().to_vec()
        };
        let missing = ink('\u{E123}');
        let blank = vec![0; missing.len()];
        for sign in "πβηαλΛΣσρτε‖−·×½∞≥≤→—–…*#|∼≈".chars() {
            let drawn = ink(sign);
            assert_ne!(drawn, blank, "{sign} leaves no ink");
            assert_ne!(drawn, missing, "{sign} is a missing-glyph box");
        }
    }

    #[test]
    fn sizes_that_no_picture_can_have_are_refused() {
        let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='4' height='4'/>";
        for (size, scale) in [
            ((4.0, 4.0), 1e6),
            ((4.0, 4.0), 0.0),
            ((4.0, 4.0), f64::NAN),
            ((0.0, 4.0), 1.0),
            ((4.0, f64::INFINITY), 1.0),
        ] {
            let error = pixels(svg, size, scale).unwrap_err().to_string();
            assert!(error.contains("8192"), "{error}");
        }
    }
}
