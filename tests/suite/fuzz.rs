//! Random texts against the parsers: nothing panics, every error is one located line, everything accepted is sound.
//!
//! `MODESCOPE_FUZZ_CASES` sets the number of cases per test (2,000 by default). Texts that once went wrong are kept in
//! `tests/corpus` and run first.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{fmt::Write as _, path::Path};

use modescope::{
    bandit::ProblemSource,
    experiment::{Formula, FormulaError, MAX_ARMS, builtin, parse_preset, set_path, to_ron},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

fn runner() -> TestRunner {
    let cases = std::env::var("MODESCOPE_FUZZ_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000);
    TestRunner::new(Config {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..Config::default()
    })
}

fn corpus(name: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| {
            String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned()
        })
        .collect()
}

/// Whatever is said about a preset must be one line with a place inside the text.
fn check_preset(text: &str) {
    match parse_preset(text) {
        Ok(preset) => {
            let written = to_ron(&preset);
            let again = parse_preset(&written);
            assert_eq!(
                again.as_ref(),
                Ok(&preset),
                "lost in a round trip:\n{written}"
            );
            let arms =
                match ProblemSource::evaluate(&preset.bandit, Some(Path::new("/nonexistent"))) {
                    Ok(source) => match source.problem(&preset.bandit, &preset.objective) {
                        Ok(problem) => {
                            assert!(problem.rewards.iter().all(|reward| reward.is_finite()));
                            let sum: f64 = problem.reference.masses().iter().sum();
                            assert!((sum - 1.0).abs() < 1e-9, "masses sum to {sum}");
                            problem.arms()
                        }
                        Err(error) => return one_line(&error.to_string()),
                    },
                    Err(error) => return one_line(&error.to_string()),
                };
            assert!((1..=MAX_ARMS).contains(&arms));
        }
        Err(errors) => {
            assert!(!errors.mistakes().is_empty());
            one_line(&errors.to_string());
            let lines = text.lines().count().max(1) + usize::from(text.ends_with('\n'));
            assert!(errors.mistakes().len() <= 250, "more than anybody reads");
            for mistake in errors.mistakes() {
                one_line(&mistake.to_string());
                assert!(!mistake.message.is_empty());
                if let Some(place) = mistake.place {
                    assert!(
                        place.line >= 1 && place.line <= lines,
                        "{mistake} of {lines} lines"
                    );
                    assert!(place.column >= 1, "{mistake}");
                }
            }
        }
    }
}

fn one_line(message: &str) {
    assert!(!message.contains('\n'), "more than a line: {message:?}");
    assert!(message.chars().count() < 2_000, "too long: {message}");
}

/// A change of a text at a place given as a share of its length.
#[derive(Debug, Clone)]
enum Change {
    Delete(f64, usize),
    Insert(f64, String),
    Double(f64, usize),
    Move(f64, usize, f64),
    Truncate(f64),
    Number(f64, String),
}

const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "'",
    "//",
    "/*",
    "*/",
    "#",
    "r#\"",
    "-",
    "1",
    "0",
    "1e999",
    "-1e-999",
    "NaN",
    "inf",
    "-inf",
    "0x",
    "1_0",
    "18446744073709551616",
    "true",
    "None",
    "Some(",
    "Constant(",
    "List([",
    "Reverse",
    "Alpha(",
    "format: 2,",
    "beta",
    "arms: ",
    "Named([\"\"])",
    "Formula(\"",
    "é",
    "β",
    "\u{0}",
    "\n",
    "\t",
    "#![enable(unwrap_newtypes)]",
    "(0, 1)",
    "Random(seed: 1, noise: Normal(mean: 0, std: 1))",
    "Grid(rows: 3, columns: 2)",
];

const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1e-320",
    "1e308",
    "-0.0",
    "NaN",
    "inf",
    "1e6",
    "65536",
    "0.5",
    "3",
    "1000001",
    "4294967296",
    "1.5e-7",
];

fn change() -> impl Strategy<Value = Change> {
    let piece = prop::sample::select(PIECES).prop_map(str::to_owned);
    let number = prop::sample::select(NUMBERS).prop_map(str::to_owned);
    let at = 0.0..1.0_f64;
    prop_oneof![
        3 => (at.clone(), 1..30_usize).prop_map(|(at, n)| Change::Delete(at, n)),
        3 => (at.clone(), piece).prop_map(|(at, s)| Change::Insert(at, s)),
        1 => (at.clone(), ".{1,4}").prop_map(|(at, s)| Change::Insert(at, s)),
        1 => (at.clone(), 1..200_usize).prop_map(|(at, n)| Change::Double(at, n)),
        1 => (at.clone(), 1..60_usize, at.clone()).prop_map(|(at, n, to)| Change::Move(at, n, to)),
        1 => at.clone().prop_map(Change::Truncate),
        5 => (at, number).prop_map(|(at, n)| Change::Number(at, n)),
    ]
}

/// A byte offset on a character's edge.
fn place(text: &str, share: f64) -> usize {
    floor(text, (share * text.len() as f64) as usize)
}

fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn changed(mut text: String, changes: &[Change]) -> String {
    for change in changes {
        match change {
            Change::Delete(at, n) => {
                let at = place(&text, *at);
                let end = floor(&text, at + n);
                text.replace_range(at..end.max(at), "");
            }
            Change::Insert(at, piece) => text.insert_str(place(&text, *at), piece),
            Change::Double(at, n) => {
                let at = place(&text, *at);
                let end = floor(&text, at + n).max(at);
                let piece = text[at..end].to_owned();
                text.insert_str(at, &piece);
            }
            Change::Move(at, n, to) => {
                let at = place(&text, *at);
                let end = floor(&text, at + n).max(at);
                let piece = text[at..end].to_owned();
                text.replace_range(at..end, "");
                text.insert_str(place(&text, *to), &piece);
            }
            Change::Truncate(at) => text.truncate(place(&text, *at)),
            Change::Number(at, number) => {
                let at = place(&text, *at);
                let Some(start) = text[at..].find(|c: char| c.is_ascii_digit()) else {
                    continue;
                };
                let start = at + start;
                let length = text[start..]
                    .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                    .unwrap_or(text.len() - start);
                text.replace_range(start..start + length, number);
            }
        }
    }
    text
}

/// What no embedded preset uses.
const RARE: [&str; 2] = [
    r#"(format: 1, title: "rare", bandit: (arms: Grid(rows: 3, columns: 4, x_range: (-1, 1), y_range: None),
    reference: Csv(path: "a.csv", column: "p"), rewards: Random(seed: 3, noise: LogNormal(mean: 0, std: 1)),
    modes: EachArm(threshold: 0.5), reward_edits: [(3, 0.5)], reference_edits: [(1, 0.25), (2, 0)]),
    objective: (direction: Alpha(0.5), beta: 1e-3, reward_scale: -2, reward_offset: 1, entropy: 0, mara: (
    threshold: Percentile(0.9), algorithm: SwapRewardAndReference, anchor: RunningMaximum, per_class: true)),
    training: (policy: Mlp(features: Fourier(3), hidden: [8, 4]), update: Dap(batch: 16), optimizer: Adam(beta1: 0.9,
    beta2: 0.99, epsilon: 1e-8), stop: (steps: 10, converged: 0.01, seconds: 1.5)))"#,
    r#"(format: 1, title: "more", bandit: (arms: Line(count: 6), reference: Zipf(exponent: 1.5), rewards: Random(seed: 1,
    noise: Uniform(low: -1, high: 1))), objective: (direction: Forward, beta: 2, entropy: 0.1), training: (policy: LinearSoftmax(
    features: Polynomial(2)), start: Given([1, 2, 3, 4, 5, 6]), update: Sampled(batch: 8, advantage: None,
    kl: InReward(K3)), optimizer: Momentum(momentum: 0.9)), expectations: [(says: "s", quantity: TieBeta(0, 1),
    between: (0, 1))])"#,
];

/// Presets of at most a few thousand arms, so that a case takes well under a millisecond.
fn small_presets() -> Vec<String> {
    builtin()
        .iter()
        .map(|builtin| builtin.text)
        .chain(RARE)
        .map(|text| text.replace("count: 100000", "count: 1000"))
        .map(|text| text.replace("rows: 64, columns: 64", "rows: 8, columns: 8"))
        .collect()
}

#[test]
fn mutated_presets_are_read_or_refused_in_words() {
    for text in corpus("preset") {
        check_preset(&text);
    }
    let presets = small_presets();
    let strategy = (0..presets.len(), prop::collection::vec(change(), 1..6));
    runner()
        .run(&strategy, |(index, changes)| {
            check_preset(&changed(presets[index].clone(), &changes));
            Ok(())
        })
        .unwrap();
}

#[test]
fn token_soup_is_no_preset() {
    let strategy = prop::collection::vec(prop::sample::select(PIECES), 0..60);
    runner()
        .run(&strategy, |pieces| {
            check_preset(&pieces.concat());
            Ok(())
        })
        .unwrap();
}

#[test]
fn assignments_change_a_preset_soundly_or_not_at_all() {
    const PATHS: &[&str] = &[
        "objective.beta",
        "objective.direction",
        "objective.mara",
        "objective.mara.threshold",
        "objective",
        "training",
        "training.update.Sampled.batch",
        "training.update.kl",
        "training.policy.Mlp.hidden",
        "training.start.Given.2",
        "bandit.rewards.0",
        "bandit.arms",
        "bandit.arms.count",
        "bandit.modes.Labelled.0.ranges.0.1",
        "expectations.0",
        "format",
        "title",
        "bandit.reward_edits",
        "training.stop.steps",
        "training.optimizer.Adam.beta1",
        "..",
        "",
    ];
    let values = prop_oneof![
        prop::sample::select(NUMBERS).prop_map(str::to_owned),
        prop::sample::select(PIECES).prop_map(str::to_owned),
        ".{0,12}",
    ];
    let strategy = (
        0..builtin().len() + RARE.len(),
        prop::sample::select(PATHS),
        "[.a-zA-Z0-9_]{0,6}",
        values,
    );
    let presets: Vec<_> = small_presets()
        .iter()
        .map(|text| parse_preset(text).unwrap())
        .collect();
    runner()
        .run(&strategy, |(index, path, more, value)| {
            let mut preset = presets[index].clone();
            match set_path(&mut preset, &format!("{path}{more}={value}")) {
                Ok(()) => prop_assert_eq!(&parse_preset(&to_ron(&preset)).unwrap(), &preset),
                Err(error) => {
                    one_line(&error.to_string());
                    prop_assert_eq!(&preset, &presets[index]);
                }
            }
            Ok(())
        })
        .unwrap();
}

/// Whatever parses has a finite value on every arm, or names one without.
fn check_formula(text: &str) {
    const ARMS: usize = 7;
    match Formula::parse(text) {
        Err(error) => {
            one_line(&error.to_string());
            assert!(
                error.column() >= 1 && error.column() <= text.chars().count() + 1,
                "{error}"
            );
        }
        Ok(formula) => match formula.evaluate(ARMS, |arm| (arm as f64 - 3.0, 0.5)) {
            Ok(values) => assert!(values.len() == ARMS && values.iter().all(|v| v.is_finite())),
            Err(
                ref error @ FormulaError::NotFinite {
                    arm,
                    ref part,
                    column,
                    ..
                },
            ) => {
                one_line(&error.to_string());
                assert!(arm < ARMS);
                assert!(!part.is_empty(), "no part of {text} is to blame");
                assert!(column <= text.chars().count());
            }
            Err(error @ FormulaError::Syntax { .. }) => panic!("late syntax error {error}"),
            Err(error @ FormulaError::TooLong { .. }) => panic!("{ARMS} arms are few: {error}"),
        },
    }
}

const TOKENS: &[&str] = &[
    "+", "-", "*", "/", "^", "(", ")", ",", "<", "<=", "==", "!=", "&&", "||", "!", "i", "n", "x",
    "y", "pi", "e", "0", "1", "2.5", ".5", "1e9", "1e-400", "1e400", "exp(", "log(", "sqrt(",
    "min(", "max(", "if(", "mod(", "gauss(", "clamp(", "=", "é", "foo", "\n", " ", "..", "1e", "&",
    "pow(", "floor(",
];

#[test]
fn formula_soup_is_computed_or_refused_in_words() {
    for text in corpus("formula") {
        check_formula(&text);
    }
    let tokens =
        prop::collection::vec(prop::sample::select(TOKENS), 0..40).prop_map(|t| t.concat());
    let strategy = prop_oneof![4 => tokens, 1 => ".{0,40}"];
    runner()
        .run(&strategy, |text| {
            check_formula(&text);
            Ok(())
        })
        .unwrap();
}

/// An expression with its value computed beside the parser, as a second opinion on precedence and functions.
#[derive(Debug, Clone)]
enum Expression {
    Number(f64),
    X,
    I,
    Negative(Box<Expression>),
    Binary(&'static str, Box<Expression>, Box<Expression>),
    Call(&'static str, Vec<Expression>),
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        (0..40_u32).prop_map(|n| Expression::Number(f64::from(n) / 4.0)),
        Just(Expression::X),
        Just(Expression::I),
    ];
    leaf.prop_recursive(6, 40, 3, |inner| {
        const OPERATORS: &[&str] = &["+", "-", "*", "/", "^", "<", ">=", "==", "&&", "||"];
        prop_oneof![
            inner
                .clone()
                .prop_map(|a| Expression::Negative(Box::new(a))),
            (
                prop::sample::select(OPERATORS),
                inner.clone(),
                inner.clone()
            )
                .prop_map(|(op, a, b)| Expression::Binary(
                    op,
                    Box::new(a),
                    Box::new(b)
                )),
            inner.clone().prop_map(|a| Expression::Call("abs", vec![a])),
            inner.clone().prop_map(|a| Expression::Call("exp", vec![a])),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Expression::Call("max", vec![a, b])),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| Expression::Call("if", vec![a, b, c])),
        ]
    })
}

impl Expression {
    fn strength(&self) -> u8 {
        match self {
            Self::Number(_) | Self::X | Self::I | Self::Call(..) => 9,
            Self::Negative(_) => 7,
            Self::Binary(op, ..) => match *op {
                "^" => 8,
                "*" | "/" => 6,
                "+" | "-" => 5,
                "&&" => 3,
                "||" => 2,
                _ => 4,
            },
        }
    }

    /// Writes with as few brackets as the grammar allows.
    fn write(&self, out: &mut String) {
        let part = |inner: &Self, least: u8, out: &mut String| {
            if inner.strength() < least {
                out.push('(');
                inner.write(out);
                out.push(')');
            } else {
                inner.write(out);
            }
        };
        match self {
            Self::Number(value) => write!(out, "{value}").unwrap(),
            Self::X => out.push('x'),
            Self::I => out.push('i'),
            Self::Negative(inner) => {
                out.push('-');
                part(inner, 7, out);
            }
            Self::Binary("^", a, b) => {
                part(a, 9, out);
                out.push('^');
                part(b, 7, out);
            }
            Self::Binary(op, a, b) => {
                let own = self.strength();
                // Comparisons do not chain.
                part(a, own + u8::from(own == 4), out);
                write!(out, " {op} ").unwrap();
                part(b, own + 1, out);
            }
            Self::Call(name, arguments) => {
                write!(out, "{name}(").unwrap();
                for (index, argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    argument.write(out);
                }
                out.push(')');
            }
        }
    }

    fn value(&self, i: f64, x: f64) -> f64 {
        let truth = |holds: bool| f64::from(u8::from(holds));
        match self {
            Self::Number(value) => *value,
            Self::X => x,
            Self::I => i,
            Self::Negative(inner) => -inner.value(i, x),
            Self::Binary(op, a, b) => {
                let (a, b) = (a.value(i, x), b.value(i, x));
                match *op {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a * b,
                    "/" => a / b,
                    "^" => a.powf(b),
                    "<" => truth(a < b),
                    ">=" => truth(a >= b),
                    "==" => truth(a == b),
                    "&&" => truth(a != 0.0 && b != 0.0),
                    _ => truth(a != 0.0 || b != 0.0),
                }
            }
            Self::Call("abs", arguments) => arguments[0].value(i, x).abs(),
            Self::Call("exp", arguments) => arguments[0].value(i, x).exp(),
            Self::Call("max", arguments) => {
                let (a, b) = (arguments[0].value(i, x), arguments[1].value(i, x));
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else {
                    a.max(b)
                }
            }
            Self::Call(_, arguments) => {
                let condition = arguments[0].value(i, x);
                if condition.is_nan() {
                    condition
                } else {
                    arguments[if condition == 0.0 { 2 } else { 1 }].value(i, x)
                }
            }
        }
    }
}

#[test]
fn formulas_have_the_value_that_their_tree_has() {
    runner()
        .run(&expression(), |expression| {
            let mut text = String::new();
            expression.write(&mut text);
            let x = |arm: usize| arm as f64 * 0.75 - 1.0;
            let wanted: Vec<f64> = (0..5)
                .map(|arm| expression.value(arm as f64, x(arm)))
                .collect();
            match Formula::parse(&text)
                .unwrap()
                .evaluate(5, |arm| (x(arm), 0.0))
            {
                Ok(values) => prop_assert_eq!(values, wanted, "{}", text),
                Err(FormulaError::NotFinite { arm, .. }) => {
                    prop_assert!(!wanted[arm].is_finite(), "{} at {}", text, arm);
                    prop_assert!(wanted[..arm].iter().all(|v| v.is_finite()), "{}", text);
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            Ok(())
        })
        .unwrap();
}
