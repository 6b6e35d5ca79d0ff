//! Reading and writing presets: text in, checked preset or located mistakes out.

use std::ops::Range;

use ron::extensions::Extensions;

use super::{
    layout::lay_out,
    locate::located,
    mistake::{Mistake, Place, PresetErrors},
    preset::Preset,
    recover, schema,
    structure::{self, Findings},
    tree::{Kind, SyntaxError, Tree},
    validate::{arm_count, validate, validate_for},
};

/// Largest accepted preset file, in bytes.
pub const MAX_PRESET_BYTES: u64 = 64 << 20;

/// Of one text so many mistakes are told.
pub(super) const MOST_TOLD: usize = 100;

/// The version of the file format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// What a text says, as far as that can be told.
pub(crate) struct Examined {
    /// The preset, wrong values mended, where the text can be read as one at all.
    pub(crate) preset: Option<Preset>,
    /// Every mistake that shows without evaluating formulas or files, not in order.
    pub(crate) mistakes: Vec<Mistake>,
    /// Fields of which the preset has not what its author wrote.
    pub(crate) mended_fields: Vec<String>,
}

/// Reads a preset from RON text and checks everything that can be checked without evaluating formulas or files.
///
/// # Errors
/// Every mistake found, with line and column where it can be located. A preset of another format version gets that one
/// message.
pub fn parse_preset(text: &str) -> Result<Preset, PresetErrors> {
    let Examined {
        preset, mistakes, ..
    } = examine(text)?;
    match (PresetErrors::collect(mistakes), preset) {
        (Some(errors), _) => Err(errors),
        (None, Some(preset)) => Ok(preset),
        (None, None) => decode(text),
    }
}

/// As [`parse_preset`], with the preset even if there are mistakes in it.
///
/// # Errors
/// A text that is no preset of this format at all.
pub(crate) fn examine(text: &str) -> Result<Examined, PresetErrors> {
    if text.len() as u64 > MAX_PRESET_BYTES {
        let message = format!(
            "the text has {} bytes; a preset has at most {MAX_PRESET_BYTES}",
            text.len()
        );
        return Err(Mistake::new("", message).into());
    }
    check_format(text, format_field(text))?;
    match Tree::parse(text) {
        Ok(tree) => examine_tree(&tree, &Trust::default()),
        Err(error) => recover::examine(text, error),
    }
}

/// What of a text is not what its author wrote, as it was mended.
#[derive(Default)]
pub(super) struct Trust<'a> {
    /// Fields whose values are not to be held against others.
    but: &'a [&'a str],
}

impl<'a> Trust<'a> {
    pub(super) fn but(fields: &'a [&'a str]) -> Self {
        Self { but: fields }
    }
}

/// As [`examine`], of a text that is a tree.
///
/// # Errors
/// Another version of the format, or what only the decoder finds.
pub(super) fn examine_tree(tree: &Tree<'_>, trust: &Trust<'_>) -> Result<Examined, PresetErrors> {
    let text = tree.text;
    check_format(text, written_format(tree))?;
    let findings = if tree.has_attributes {
        // `#![enable(…)]` may change what shapes mean; the decoder alone knows.
        Findings::default()
    } else {
        structure::check(tree, &schema::PRESET)
    };
    if findings.mistakes.is_empty() && trust.but.is_empty() {
        let preset = decode_at(text, Some(tree))?;
        let mistakes = located(validate(&preset), tree);
        return Ok(Examined {
            preset: Some(preset),
            mistakes,
            mended_fields: Vec::new(),
        });
    }
    // The rest of the text is checked too, with the mistakes found so far mended.
    let mut mistakes = findings.mistakes;
    let mended_fields = (mistakes.iter())
        .map(|mistake| mistake.field.clone())
        .collect();
    // What is no preset at all has no fields to look at.
    let is_none = mistakes.iter().any(|mistake| mistake.field.is_empty());
    let preset = match findings.is_cut || is_none {
        true => None,
        false => decode(&mended(text, findings.repairs)).ok(),
    };
    if let Some(preset) = &preset {
        let is_counted = !mistakes.iter().any(tells_arms)
            && !trust.but.iter().any(|field| field_tells_arms(field));
        let arms = arm_count(&preset.bandit.arms).filter(|_| is_counted);
        let further = validate_for(preset, arms)
            .into_iter()
            .filter(|further| !follows(further, &mistakes))
            .collect();
        mistakes.extend(located(further, tree));
    }
    Ok(Examined {
        preset,
        mistakes,
        mended_fields,
    })
}

/// Reads a preset without looking at what its values mean.
///
/// # Errors
/// Another version of the format, and every mistake of its form.
pub(super) fn read_form(text: &str) -> Result<Preset, PresetErrors> {
    let tree = Tree::parse(text).map_err(syntax_mistake_of(text))?;
    check_format(text, written_format(&tree))?;
    match PresetErrors::collect(structure::check(&tree, &schema::PRESET).mistakes) {
        Some(errors) => Err(errors),
        None => decode_at(text, Some(&tree)),
    }
}

fn syntax_mistake_of(text: &str) -> impl Fn(SyntaxError) -> PresetErrors {
    move |error| {
        let mut mistake = Mistake::new(error.field, error.message);
        mistake.place = Some(Place::of_offset(text, error.at));
        mistake.into()
    }
}

/// Refuses another version of the format before anything else is looked at, since everything else may differ.
fn check_format(text: &str, written: Option<(usize, u64)>) -> Result<(), PresetErrors> {
    let Some((at, version)) = written else {
        return Ok(());
    };
    if version == u64::from(FORMAT) {
        return Ok(());
    }
    let message = if version > u64::from(FORMAT) {
        format!(
            "format {version} is from a newer version of Modescope; this one reads format {FORMAT}"
        )
    } else {
        format!("format {version} does not exist; this version of Modescope reads format {FORMAT}")
    };
    let mut mistake = Mistake::new("format", message);
    mistake.place = Some(Place::of_offset(text, at));
    Err(mistake.into())
}

/// The number of the field `format`, with its place.
fn written_format(tree: &Tree<'_>) -> Option<(usize, u64)> {
    let Kind::Struct { fields, .. } = &tree.root.kind else {
        return None;
    };
    let field = fields
        .iter()
        .find(|field| tree.at(&field.name) == "format")?;
    let version = tree.at(&field.value.span).parse().ok()?;
    Some((field.value.span.start, version))
}

/// The number behind `format:` where that is the first field, however the rest of the text looks.
fn format_field(text: &str) -> Option<(usize, u64)> {
    let rest = skip_blank(text);
    let rest = skip_blank(rest.strip_prefix('(')?);
    let rest = skip_blank(rest.strip_prefix("format")?);
    let rest = skip_blank(rest.strip_prefix(':')?);
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let version = rest[..length].parse().ok()?;
    Some((text.len() - rest.len(), version))
}

/// Without leading white space, line comments and attributes.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if !(text.starts_with("//") || text.starts_with("#!")) {
            return text;
        }
        text = text.find('\n').map_or("", |end| &text[end..]);
    }
}

fn decode(text: &str) -> Result<Preset, PresetErrors> {
    decode_at(text, None)
}

/// Decodes; a mistake that only the decoder finds is told with its field where there is a tree.
fn decode_at(text: &str, tree: Option<&Tree<'_>>) -> Result<Preset, PresetErrors> {
    let mut preset: Preset = options().from_str(text).map_err(|error| {
        let place = Place {
            line: error.span.start.line,
            column: error.span.start.col,
        };
        let field = tree.map(|tree| tree.path_at(place.offset(text)));
        let mut mistake = Mistake::new(field.unwrap_or_default(), error.code.to_string());
        mistake.place = Some(place);
        PresetErrors::from(mistake)
    })?;
    if preset.bandit.is_left_out()
        && let Some(language) = &preset.language
        && let Some(bandit) = language.bandit(0, None)
    {
        preset.bandit = bandit;
    }
    Ok(preset)
}

/// The text with some spans replaced.
fn mended(text: &str, mut repairs: Vec<(Range<usize>, String)>) -> String {
    repairs.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (span, replacement) in repairs {
        out.push_str(text.get(done..span.start).unwrap_or_default());
        out.push_str(&replacement);
        done = done.max(span.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Whether a mistake is one in the number of arms, so that lengths cannot be held against it.
pub(crate) fn tells_arms(mistake: &Mistake) -> bool {
    field_tells_arms(&mistake.field)
}

fn field_tells_arms(field: &str) -> bool {
    let parts = ["bandit", "bandit.arms"];
    let counts = ["count", "rows", "columns"];
    parts.contains(&field)
        || field.strip_prefix("bandit.arms.").is_some_and(|part| {
            counts.contains(&part) || part.starts_with(|c: char| c.is_ascii_digit())
        })
}

/// Whether a field is another one or lies around it; the whole text lies around every field.
pub(super) fn is_part_of(inner: &str, outer: &str) -> bool {
    outer.is_empty()
        || inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a mistake of the mended text says nothing new: its field was mended.
pub(crate) fn follows(further: &Mistake, found: &[Mistake]) -> bool {
    found.iter().any(|first| {
        let (first, further) = (first.field.as_str(), further.field.as_str());
        (first == further)
            || (!first.is_empty() && is_part_of(further, first))
            || (!further.is_empty() && is_part_of(first, further))
    })
}

/// Writes a preset as RON that people like to read: pretty, in a stable order, read back to an equal preset.
/// Comments of the file it may have come from are not kept.
#[must_use]
pub fn to_ron(preset: &Preset) -> String {
    // A preset is plain data, which RON can always write, and what RON writes is a tree.
    let text = options()
        .to_string(&preset.as_written())
        .unwrap_or_default();
    match Tree::parse(&text) {
        Ok(tree) => lay_out(&tree),
        Err(_) => text,
    }
}

/// RON as Modescope reads and writes it: `steps: 500` means `steps: Some(500)`.
pub(crate) fn options() -> ron::Options {
    ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME)
        .with_recursion_limit(64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;
    use crate::experiment::{builtin, set_path};

    /// A small preset with some lines replaced: (line from 1, text).
    fn with(lines: &[(usize, &str)]) -> String {
        let base = [
            "(",
            "    format: 1,",
            "    title: \"t\",",
            "    bandit: (",
            "        arms: Line(count: 3),",
            "        reference: Weights([1, 2, 3]),",
            "        rewards: Constant(1),",
            "    ),",
            "    objective: (direction: Reverse, beta: 0.1),",
            "    training: (learning_rate: 0.1, seed: 3),",
            ")",
        ];
        let mut lines_out: Vec<&str> = base.to_vec();
        for (line, text) in lines {
            lines_out[line - 1] = text;
        }
        lines_out.join("\n")
    }

    fn mistakes(text: &str) -> Vec<String> {
        let errors = parse_preset(text).unwrap_err();
        let shown: Vec<String> = errors.mistakes().iter().map(ToString::to_string).collect();
        assert!(shown.iter().all(|line| !line.contains('\n')), "{shown:?}");
        shown
    }

    #[test]
    fn the_smallest_preset_is_read() {
        parse_preset(&with(&[])).unwrap();
    }

    #[test]
    fn each_mistake_is_told_at_its_place() {
        for (line, text, wanted) in [
            (
                5,
                "        arms: Line(count: 0),",
                "5:27: bandit.arms.count: 0 is not accepted",
            ),
            (
                5,
                "        arms: Line(count: 2000000),",
                "5:27: bandit.arms.count: 2000000",
            ),
            (
                5,
                "        arms: Named([]),",
                "5:15: bandit.arms: a list of 0 names",
            ),
            (
                5,
                "        arms: Grid(rows: 5000, columns: 5000),",
                "5:15: bandit.arms: a grid of",
            ),
            (
                5,
                "        arms: Line(count: 3, range: (1, 0)),",
                "5:37: bandit.arms.range: (1, 0)",
            ),
            (
                6,
                "        reference: List([1, 2]),",
                "6:20: bandit.reference: a list of 2 numbers",
            ),
            (
                6,
                "        reference: List([1, -2, 3]),",
                "6:29: bandit.reference.1: -2 is not accepted",
            ),
            (
                6,
                "        reference: List([1, 2, NaN]),",
                "6:32: bandit.reference.2: NaN",
            ),
            (
                6,
                "        reference: List([1, inf, 1]),",
                "6:29: bandit.reference.1: inf",
            ),
            (
                6,
                "        reference: List([0, 0, 0]),",
                "6:20: bandit.reference: all masses are zero",
            ),
            (
                6,
                "        reference: List([0.2, 0.2, 0.2]),",
                "6:20: bandit.reference: masses sum to 0.6000000000000001; they must sum to 1 (within 1e-6); Weights([…]) takes",
            ),
            (
                7,
                "        rewards: Weights([1, 2, 3]),",
                "7:18: bandit.rewards: Weights([…]), which is for the reference, is not accepted; List([…]) is",
            ),
            (
                6,
                "        reference: Weights([1, 2]),",
                "6:20: bandit.reference: a list of 2 weights",
            ),
            (
                10,
                "    training: (update: Sampled(batch: 1, advantage: LeaveOneOut, kl: Matched)),",
                "10:39: training.update.batch: 1 is not accepted; 2 to 65536 are",
            ),
            (
                10,
                "    training: (learning_rate: -1e300),",
                "10:31: training.learning_rate: -1e300 is not accepted",
            ),
            (
                6,
                "        reference: List([1, x, 3]),",
                "6:29: bandit.reference.1: `x` is not accepted; a number is",
            ),
            (
                6,
                "        reference: Lst([1, 2, 3]),",
                "6:20: bandit.reference: `Lst` is not accepted; did you mean `List`?",
            ),
            (
                6,
                "        reference: Zipf(1),",
                "6:20: bandit.reference: `Zipf(1)` is not accepted; `Zipf` is written as Zipf(exponent: 1.0)",
            ),
            (
                6,
                "        reference: Formula(\"1 / (i + )\"),",
                "6:38: bandit.reference: `)` is not expected here",
            ),
            (
                6,
                "        reference: Formula(\"foo + i\"),",
                "6:29: bandit.reference: unknown name `foo`",
            ),
            (
                7,
                "        rewards: Constant(nan),",
                "7:27: bandit.rewards: `nan`",
            ),
            (
                7,
                "        rewards: Blocks(blocks: [(from: 1, to: 1, value: 1)]),",
                "7:48: bandit.rewards.blocks.0.to: 1",
            ),
            (
                7,
                "        rewards: Blocks(blocks: [(from: 1, to: 9, value: 1)]),",
                "7:48: bandit.rewards.blocks.0.to: 9",
            ),
            (
                7,
                "        rewards: Constant(1), modes: Labelled([(label: \"a\", ranges: [(0, 2)]), (label: \"b\", ranges: [(1, 3)])]),",
                "7:80: bandit.modes.1: arm 1 is in",
            ),
            (
                7,
                "        rewards: Constant(1), modes: Labelled([(label: \"a\", ranges: [(0, 4)])]),",
                "7:70: bandit.modes.0.ranges.0: (0, 4)",
            ),
            (
                9,
                "    objective: (direction: Reverse, beta: 0),",
                "9:43: objective.beta: `0` is not accepted",
            ),
            (
                9,
                "    objective: (direction: Reverse, beta: -1),",
                "9:43: objective.beta: `-1`",
            ),
            (
                9,
                "    objective: (direction: Revrse, beta: 1),",
                "9:28: objective.direction: `Revrse` is not accepted; did you mean `Reverse`?",
            ),
            (
                9,
                "    objective: (beta: 1),",
                "9:16: objective.direction: field is missing",
            ),
            (
                9,
                "    objective: (direction: Reverse, beta: 1, beta: 2),",
                "9:46: objective.beta: field is given twice",
            ),
            (
                9,
                "    objective: (direction: Reverse, beta: 1, entropy: -1),",
                "9:55: objective.entropy: -1",
            ),
            (
                10,
                "    training: (lerning_rate: 0.1),",
                "10:16: training.lerning_rate: unknown field; did you mean `learning_rate`?",
            ),
            (
                10,
                "    training: (learning_rate: 0),",
                "10:31: training.learning_rate: 0",
            ),
            (
                10,
                "    training: (learning_rate: true),",
                "10:31: training.learning_rate: `true`",
            ),
            (
                10,
                "    training: (update: Dap(batch: 65537)),",
                "10:35: training.update.batch: 65537",
            ),
            (
                10,
                "    training: (update: Dap(batch: -1)),",
                "10:35: training.update.batch: `-1`",
            ),
            (
                10,
                "    training: (update: Dap(batch: 1.5)),",
                "10:35: training.update.batch: `1.5`",
            ),
            (
                10,
                "    training: (policy: Mlp(features: Fourier(3), hidden: [1025])),",
                "10:59: training.policy.hidden.0: 1025",
            ),
            (
                10,
                "    training: (policy: Mlp(features: Fourier(0), hidden: [])),",
                "10:38: training.policy.features: 0",
            ),
            (
                10,
                "    training: (policy: GaussianMixture(components: 65)),",
                "10:52: training.policy.components: 65",
            ),
            (
                10,
                "    training: (start: Given([1, 2])),",
                "10:23: training.start: a list of 2 masses",
            ),
            (
                10,
                "    training: (optimizer: Adam(beta1: 1, beta2: 0, epsilon: 1)),",
                "10:39: training.optimizer.beta1: 1",
            ),
            (
                10,
                "    training: (stop: (steps: 0)),",
                "10:30: training.stop.steps: 0",
            ),
        ] {
            let found = mistakes(&with(&[(line, text)]));
            assert!(
                found.iter().any(|mistake| mistake.starts_with(wanted)),
                "{text}\n wanted {wanted}\n found {found:#?}"
            );
            // Two mistakes in one line are told as two, one as one.
            assert!(found.len() <= 2, "{found:#?}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once_in_the_order_of_the_text() {
        let text = with(&[
            (3, "    titel: \"t\","),
            (6, "        reference: List([1, -2, 3]),"),
            (9, "    objective: (direction: Reverse, beta: -0.1),"),
            (10, "    training: (learning_rate: 0, sed: 3),"),
        ]);
        let found = mistakes(&text);
        let wanted = [
            "1:1: title: field is missing",
            "3:5: titel: unknown field; did you mean `title`?",
            "6:29: bandit.reference.1: -2",
            "9:43: objective.beta: `-0.1`",
            "10:31: training.learning_rate: 0",
            "10:34: training.sed: unknown field; did you mean `seed`?",
        ];
        assert_eq!(found.len(), wanted.len(), "{found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found} / {wanted}");
        }
        let errors = parse_preset(&text).unwrap_err();
        assert!(errors.to_string().ends_with("(and 5 more)"), "{errors}");
    }

    #[test]
    fn an_unknown_number_of_arms_hides_no_other_mistake() {
        let text = with(&[
            (5, "        arms: Line(cont: 3),"),
            (6, "        reference: List([1, -2]),"),
            (
                10,
                "    training: (start: Given([1, 2]), learning_rate: -1),",
            ),
        ]);
        let found = mistakes(&text);
        let wanted = [
            "5:15: bandit.arms.count: field is missing",
            "5:20: bandit.arms.cont: unknown field; did you mean `count`?",
            "6:29: bandit.reference.1: -2",
            "10:53: training.learning_rate: -1",
        ];
        assert_eq!(found.len(), wanted.len(), "{found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found} / {wanted}");
        }
    }

    #[test]
    fn another_format_is_told_before_anything_else() {
        let text = "// from the future\n( format : 2, title: {, quantum: Yes";
        assert_eq!(
            mistakes(text),
            [
                "2:12: format: format 2 is from a newer version of Modescope; this one reads format 1"
            ]
        );
        assert!(mistakes("(format: 0)")[0].contains("does not exist"));
        let late = mistakes("(title: 3, colour: Red, format: 12)");
        assert!(
            late.len() == 1 && late[0].starts_with("1:33: format: format 12 is from"),
            "{late:?}"
        );
    }

    #[test]
    fn a_truncated_text_tells_which_bracket_is_open() {
        let whole = with(&[]);
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let found = mistakes(&whole[..end]);
            assert_eq!(found.len(), 1, "{found:?}");
        }
        let found = mistakes(whole.trim_end_matches(')'));
        assert!(
            found[0].contains("`)` for the bracket at 1:1 is missing"),
            "{found:?}"
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_overflowing_the_stack() {
        for open in ["(", "[", "{", "Some(", "(a:", "[(", "/*"] {
            let text = open.repeat(2_000_000);
            assert_eq!(mistakes(&text).len(), 1);
            let inside = with(&[(6, &format!("        reference: {text},"))]);
            assert!(!mistakes(&inside).is_empty());
        }
    }

    #[test]
    fn absurd_numbers_are_refused_not_allocated() {
        for line in [
            "    training: (policy: Mlp(features: Fourier(3), hidden: [18446744073709551615])),",
            "    training: (policy: Mlp(features: Fourier(18446744073709551616), hidden: [1])),",
            "    training: (policy: GaussianMixture(components: 18446744073709551615)),",
            "    training: (update: Dap(batch: 99999999999999999999999999)),",
        ] {
            assert!(!mistakes(&with(&[(10, line)])).is_empty());
        }
        for arms in [
            "        arms: Line(count: 18446744073709551615),",
            "        arms: Grid(rows: 18446744073709551615, columns: 18446744073709551615),",
        ] {
            assert!(!mistakes(&with(&[(5, arms)])).is_empty());
        }
        let wide = format!(
            "    training: (policy: Mlp(features: Fourier(3), hidden: [{}])),",
            "8,".repeat(100_000)
        );
        assert!(mistakes(&with(&[(10, &wide)]))[0].contains("100000 layers"));
    }

    #[test]
    fn what_is_written_is_laid_out_and_stable() {
        for builtin in builtin() {
            let preset = parse_preset(builtin.text).unwrap();
            let written = to_ron(&preset);
            let again = parse_preset(&written).unwrap();
            assert_eq!(to_ron(&again), written, "{}", builtin.name);
            let longest = written
                .lines()
                .filter(|line| !line.contains('"'))
                .map(|line| line.chars().count())
                .max();
            assert!(longest.unwrap() <= 110, "{written}");
            assert!(!written.contains("\\'"), "{written}");
            assert!(
                !written.contains("\\u{"),
                "letters are written as they are: {written}"
            );
        }
        let mut preset = parse_preset(&with(&[])).unwrap();
        preset.summary = "It\'s \"quoted\", \\\\\' and \\ and\na second line".to_owned();
        assert_eq!(parse_preset(&to_ron(&preset)).unwrap(), preset);
        set_path(&mut preset, "bandit.arms.count=400").unwrap_err();
        let numbers: Vec<String> = (0..3).map(|i| format!("0.{i}234567890123")).collect();
        set_path(
            &mut preset,
            &format!("bandit.reference=Weights([{}])", numbers.join(",")),
        )
        .unwrap();
        assert_eq!(parse_preset(&to_ron(&preset)).unwrap(), preset);
    }
}
