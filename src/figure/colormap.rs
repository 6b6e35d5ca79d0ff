//! The colour map of heat maps: viridis, perceptually even, readable in grey and for the colour-blind. The window and the
//! figure writers share it.

/// Twenty even steps of viridis (by Stéfan van der Walt and Nathaniel Smith, released to the public domain).
const STEPS: [[u8; 3]; 20] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x15, 0x68],
    [0x48, 0x26, 0x77],
    [0x45, 0x37, 0x81],
    [0x3F, 0x47, 0x88],
    [0x39, 0x55, 0x8C],
    [0x32, 0x64, 0x8E],
    [0x2D, 0x71, 0x8E],
    [0x28, 0x7D, 0x8E],
    [0x23, 0x8A, 0x8D],
    [0x1F, 0x96, 0x8B],
    [0x20, 0xA3, 0x86],
    [0x29, 0xAF, 0x7F],
    [0x3C, 0xBC, 0x75],
    [0x56, 0xC6, 0x67],
    [0x74, 0xD0, 0x55],
    [0x94, 0xD8, 0x40],
    [0xB8, 0xDE, 0x29],
    [0xDC, 0xE3, 0x18],
    [0xFD, 0xE7, 0x25],
];

/// The sRGB colour of `t` in [0, 1] (outside is clamped, NaN is grey): dark violet, blue, green, yellow.
#[must_use]
pub fn viridis(t: f64) -> [u8; 3] {
    if t.is_nan() {
        return [0x80; 3];
    }
    let at = t.clamp(0.0, 1.0) * (STEPS.len() - 1) as f64;
    let step = (at as usize).min(STEPS.len() - 2);
    let part = at - step as f64;
    std::array::from_fn(|channel| {
        let (from, to) = (
            f64::from(STEPS[step][channel]),
            f64::from(STEPS[step + 1][channel]),
        );
        (from + (to - from) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_nonsense_have_a_colour() {
        assert_eq!(viridis(0.0), [0x44, 0x01, 0x54]);
        assert_eq!(viridis(1.0), [0xFD, 0xE7, 0x25]);
        assert_eq!(viridis(f64::INFINITY), viridis(1.0));
        assert_eq!(viridis(-3.0), viridis(0.0));
        assert_eq!(viridis(f64::NAN), [0x80; 3]);
    }

    #[test]
    fn lightness_grows_all_the_way() {
        let luma = |t: f64| {
            let [r, g, b] = viridis(t).map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let lumas: Vec<f64> = (0..=200).map(|i| luma(f64::from(i) / 200.0)).collect();
        // Neighbours may differ by the rounding of one channel.
        assert!(lumas.windows(2).all(|pair| pair[1] > pair[0] - 0.8));
        assert!(lumas.iter().zip(lumas.iter().skip(10)).all(|(a, b)| b > a));
    }
}
