//! Text of figures: subscripts and superscripts, and how wide a text will be.

/// A stretch of text on one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) level: Level,
}

/// Where a stretch of text sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Base,
    Raised,
    Lowered,
}

/// Size of raised and lowered text, of the base size.
pub(super) const SMALL: f64 = 0.72;

/// Splits a text into levels: Unicode superscript and subscript digits become plain digits on their level, and so does
/// what follows the underscore of a one-letter symbol (`π_ref`).
pub(super) fn runs(text: &str) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    let mut push = |c: char, level: Level| match out.last_mut() {
        Some(run) if run.level == level => run.text.push(c),
        _ => out.push(Run {
            text: c.to_string(),
            level,
        }),
    };
    let chars: Vec<char> = text
        .chars()
        .filter(|c| !c.is_control())
        // The text font lacks the double bar; two bars of its own look the same.
        .flat_map(|c| if c == '‖' { vec!['|', '|'] } else { vec![c] })
        .collect();
    let mut lowering = false;
    for (i, &c) in chars.iter().enumerate() {
        lowering &= c.is_alphanumeric();
        if let Some(plain) = raised(c) {
            push(plain, Level::Raised);
        } else if let Some(plain) = lowered(c) {
            push(plain, Level::Lowered);
        } else if lowering {
            push(c, Level::Lowered);
        } else if c == '_' && is_symbol_end(&chars, i) {
            lowering = true;
        } else {
            push(c, Level::Base);
        }
    }
    out
}

/// Whether the underscore at `i` follows a one-letter symbol and is followed by a name.
fn is_symbol_end(chars: &[char], i: usize) -> bool {
    let letter = |j: Option<usize>| {
        j.and_then(|j| chars.get(j))
            .is_some_and(|c| c.is_alphanumeric())
    };
    letter(i.checked_sub(1)) && !letter(i.checked_sub(2)) && letter(Some(i + 1))
}

fn raised(c: char) -> Option<char> {
    Some(match c {
        '⁰' => '0',
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        '⁴' => '4',
        '⁵' => '5',
        '⁶' => '6',
        '⁷' => '7',
        '⁸' => '8',
        '⁹' => '9',
        '⁻' => '−',
        '⁺' => '+',
        'ⁿ' => 'n',
        _ => return None,
    })
}

fn lowered(c: char) -> Option<char> {
    ('₀'..='₉')
        .contains(&c)
        .then(|| char::from(b'0' + (c as u32 - '₀' as u32) as u8))
}

/// Signs that the embedded text font lacks; they come from another one, and alone: a renderer that misses one sign takes
/// the whole stretch of text from elsewhere.
pub(super) fn is_foreign(c: char) -> bool {
    let drawn_otherwise = c == '‖' || raised(c).is_some() || lowered(c).is_some();
    !drawn_otherwise
        && !matches!(c, ' '..='\u{17F}' | '\u{384}'..='\u{3CE}' | '\u{400}'..='\u{4FF}'
        | '–' | '—' | '‘'..='”' | '•' | '…' | '−' | '∞' | '≈' | '≤' | '≥' | '≠')
}

/// An integer as Unicode superscript: the form in which tick labels carry exponents.
pub(crate) fn superscript(number: i64) -> String {
    number
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '0' => '⁰',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            _ => '⁹',
        })
        .collect()
}

/// Advance widths of ' ' to '~' in thousandths of the text size, as measured on the embedded font.
const WIDTHS: [u16; 95] = [
    228, 274, 392, 653, 564, 831, 648, 240, 310, 310, 472, 564, 246, 282, 246, 359, 564, 564, 564,
    564, 564, 564, 564, 564, 564, 564, 246, 246, 564, 564, 564, 380, 940, 641, 630, 609, 702, 555,
    520, 658, 692, 248, 487, 599, 502, 865, 709, 774, 592, 774, 618, 517, 548, 680, 624, 921, 608,
    569, 560, 310, 359, 310, 564, 490, 376, 509, 583, 460, 583, 548, 376, 573, 569, 237, 237, 495,
    255, 863, 569, 582, 583, 583, 374, 428, 387, 569, 480, 775, 499, 474, 455, 319, 262, 319, 564,
];

/// Width of a text in points; readers with other fonts see it a few per cent wider or narrower.
pub(super) fn width(text: &str, size: f64) -> f64 {
    runs(text)
        .iter()
        .map(|run| {
            let size = if run.level == Level::Base {
                size
            } else {
                size * SMALL
            };
            run.text.chars().map(advance).sum::<f64>() * size
        })
        .sum()
}

fn advance(c: char) -> f64 {
    let thousandths = (c as usize)
        .checked_sub(' ' as usize)
        .and_then(|i| WIDTHS.get(i))
        .copied()
        .unwrap_or(match c {
            '\u{300}'..='\u{36F}' => 0,
            '·' => 246,
            '—' | '½' | '…' | '\u{2E80}'.. => 1000,
            _ => 580,
        });
    f64::from(thousandths) / 1000.0
}

/// The text, cut with an ellipsis where it is wider than `limit` points.
pub(super) fn shortened(text: &str, size: f64, limit: f64) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = width("…", size);
    for c in text.chars() {
        used += advance(c) * size;
        if used > limit {
            break;
        }
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}

/// The text in lines of at most `limit` points, broken at spaces, at most `lines` of them (the last one cut).
pub(super) fn wrapped(text: &str, size: f64, limit: f64, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match out.last_mut() {
            Some(line) if width(line, size) + width(" ", size) + width(word, size) <= limit => {
                line.push(' ');
                line.push_str(word);
            }
            _ => out.push(word.to_owned()),
        }
    }
    if out.len() > lines {
        let rest = out.split_off(lines.saturating_sub(1)).join(" ");
        out.push(rest);
    }
    out.iter()
        .map(|line| shortened(line, size, limit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> Vec<(String, Level)> {
        runs(text).into_iter().map(|r| (r.text, r.level)).collect()
    }

    #[test]
    fn powers_and_symbols_get_levels() {
        assert_eq!(
            levels("10⁻³"),
            [
                ("10".to_owned(), Level::Base),
                ("−3".to_owned(), Level::Raised)
            ]
        );
        assert_eq!(
            levels("KL(π‖π_ref)"),
            [
                ("KL(π||π".to_owned(), Level::Base),
                ("ref".to_owned(), Level::Lowered),
                (")".to_owned(), Level::Base)
            ]
        );
        assert_eq!(
            levels("log₁₀ mass"),
            [
                ("log".to_owned(), Level::Base),
                ("10".to_owned(), Level::Lowered),
                (" mass".to_owned(), Level::Base)
            ]
        );
    }

    #[test]
    fn names_with_underscores_stay_as_they_are() {
        assert_eq!(levels("my_run_2").len(), 1);
        assert_eq!(levels("trailing_").len(), 1);
        assert_eq!(levels("_").len(), 1);
        assert!(levels("").is_empty());
    }

    #[test]
    fn long_text_is_cut_and_wrapped_within_its_limit() {
        let long = "the quick brown fox jumps over the lazy dog and goes on";
        let cut = shortened(long, 10.0, 80.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 80.0);
        let lines = wrapped(long, 10.0, 80.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| width(line, 10.0) <= 80.0));
        assert_eq!(wrapped("one", 10.0, 80.0, 2), ["one"]);
        assert!(wrapped("  ", 10.0, 80.0, 2).is_empty());
    }
}
