//! The formula language of [`Source::Formula`](super::Source): one number per arm from the arm index `i`, the number of
//! arms `n` and the coordinates `x` and `y`.
//!
//! A formula is parsed once into a flat program and run over blocks of arms, so that a million arms take milliseconds.
//! Everything is bounded (length, nesting, number of operations) and there are no loops: every formula ends.

mod lexer;
mod parser;
mod program;

use std::ops::Range;

use thiserror::Error;

use self::{lexer::Lexed, program::Program};
use super::mistake::repeated;

/// Longest accepted formula, in bytes.
pub const MAX_FORMULA_BYTES: usize = 2_000;

/// Most operations on all arms together: a few seconds at worst.
pub const MAX_FORMULA_WORK: usize = 100_000_000;

/// Deepest accepted nesting of brackets, signs and powers.
pub const MAX_FORMULA_DEPTH: usize = 100;

/// The names that a formula may use, for help texts.
pub const FORMULA_HELP: &str = "variables i n x y; constants pi e; + - * / ^; < <= > >= == != && || ! giving 0 or 1; \
    if(c, a, b); exp log log10 sqrt abs sign sin cos tan tanh atan sigmoid floor ceil round; min max (two or more); \
    mod(a, b), pow(a, b), step(x, at), clamp(x, low, high), gauss(x, mean, width)";

/// A parsed formula.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    text: String,
    program: Program,
}

/// Why a text is not a formula, or has no finite value on an arm.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormulaError {
    /// The text is not a formula.
    #[error("column {column}: {message}")]
    Syntax {
        /// Column, counted in characters from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The formula would take too long on so many arms.
    #[error(
        "{operations} operations on {arms} arms are not accepted; operations times arms may be {MAX_FORMULA_WORK} at most, \
         so {} operations",
        MAX_FORMULA_WORK / arms
    )]
    TooLong {
        /// Operations of the formula.
        operations: usize,
        /// Number of arms.
        arms: usize,
    },
    /// The formula has no finite value on an arm.
    #[error("{what} at arm {arm} in `{part}`")]
    NotFinite {
        /// "division by zero", say.
        what: &'static str,
        /// The first such arm.
        arm: usize,
        /// The part of the formula where it happened.
        part: String,
        /// Column of that part, counted in characters from 1.
        column: usize,
    },
}

impl FormulaError {
    /// Column in the formula, counted in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        match self {
            Self::Syntax { column, .. } | Self::NotFinite { column, .. } => *column,
            Self::TooLong { .. } => 1,
        }
    }
}

impl Formula {
    /// Parses a formula.
    ///
    /// # Errors
    /// The column and what is accepted there.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        match read(text) {
            Ok(program) => Ok(Self {
                text: text.to_owned(),
                program,
            }),
            // There is at least one.
            Err(faults) => Err(faults.into_iter().next().unwrap_or(FormulaError::Syntax {
                column: 1,
                message: "the formula cannot be read".to_owned(),
            })),
        }
    }

    /// Everything that keeps a text from being a formula, in its order; nothing where it is one. Reading goes on past
    /// unknown names, wrong numbers of arguments and misspelt operators, and ends where the text makes no sense.
    #[must_use]
    pub fn faults(text: &str) -> Vec<FormulaError> {
        read(text).err().unwrap_or_default()
    }

    /// The value on every arm; `coordinates` gives (x, y) of an arm.
    ///
    /// # Errors
    /// [`FormulaError::NotFinite`] for the first arm without a finite value, [`FormulaError::TooLong`] where there are too
    /// many operations for so many arms.
    pub fn evaluate(
        &self,
        arms: usize,
        coordinates: impl Fn(usize) -> (f64, f64) + Sync,
    ) -> Result<Vec<f64>, FormulaError> {
        let operations = self.program.operations();
        if operations.saturating_mul(arms) > MAX_FORMULA_WORK {
            return Err(FormulaError::TooLong { operations, arms });
        }
        let values = self.program.run(arms, &coordinates);
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(arm) => {
                let (what, span) = self.program.blame(arm, arms, coordinates(arm));
                Err(FormulaError::NotFinite {
                    what,
                    arm,
                    part: repeated(self.text.get(span.clone()).unwrap_or_default()),
                    column: column(&self.text, span.start),
                })
            }
        }
    }
}

/// The program of a text, or at least one fault.
fn read(text: &str) -> Result<Program, Vec<FormulaError>> {
    if text.len() > MAX_FORMULA_BYTES {
        return Err(vec![FormulaError::Syntax {
            column: 1,
            message: format!(
                "the formula has {} bytes; at most {MAX_FORMULA_BYTES} are accepted",
                text.len()
            ),
        }]);
    }
    let Lexed { tokens, mut faults } = lexer::tokens(text);
    let is_whole = !faults.iter().any(|fault| fault.is_last);
    let parsed = parser::parse(&tokens, text.len(), &mut faults);
    match parsed {
        Ok(program) if faults.is_empty() => return Ok(program),
        // Where the tokens end too early, that was told.
        Err(fault) if is_whole => {
            // Where brackets do not close, what was counted between them is in doubt.
            faults.retain(|fault| !fault.is_count);
            faults.push(fault);
        }
        Ok(_) | Err(_) => {}
    }
    faults.sort_by_key(|fault| fault.at);
    Err(faults.into_iter().map(|fault| fault.locate(text)).collect())
}

/// A syntax error at bytes of the text.
#[derive(Debug)]
struct Fault {
    at: usize,
    message: String,
    /// Nothing behind it was read.
    is_last: bool,
    /// A wrong number of arguments.
    is_count: bool,
}

impl Fault {
    fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at: span.start,
            message: message.into(),
            is_last: false,
            is_count: false,
        }
    }

    fn locate(self, text: &str) -> FormulaError {
        FormulaError::Syntax {
            column: column(text, self.at),
            message: self.message,
        }
    }
}

fn column(text: &str, offset: usize) -> usize {
    1 + text
        .char_indices()
        .take_while(|(at, _)| *at < offset)
        .count()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    fn value(text: &str) -> f64 {
        // Arm 3 of 10 with x = 0.25, y = −2.
        Formula::parse(text)
            .unwrap()
            .evaluate(10, |_| (0.25, -2.0))
            .unwrap()[3]
    }

    #[test]
    fn a_formula_that_takes_too_long_on_so_many_arms_is_refused() {
        let text = vec!["sin(i)"; 60].join("+");
        let formula = Formula::parse(&text).unwrap();
        assert!(formula.evaluate(1_000, |_| (0.0, 0.0)).is_ok());
        let error = formula.evaluate(1_000_000, |_| (0.0, 0.0)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "179 operations on 1000000 arms are not accepted; operations times arms may be 100000000 at most, so 100 \
             operations"
        );
    }

    #[test]
    fn operators_have_the_usual_precedence() {
        for (text, wanted) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("8 / 4 / 2", 1.0),
            ("8 - 4 - 2", 2.0),
            ("-2^2", -4.0),
            ("2^3^2", 512.0),
            ("2^-1", 0.5),
            ("--3", 3.0),
            ("-x * 4", -1.0),
            ("1 < 2 && 2 < 1 || 3 >= 3", 1.0),
            ("!(1 == 1) + 1", 1.0),
            ("1 + 1 == 2", 1.0),
            ("i", 3.0),
            ("n", 10.0),
            ("x + y", -1.75),
            (".5e1 + 1.", 6.0),
        ] {
            assert_eq!(value(text), wanted, "{text}");
        }
    }

    #[test]
    fn functions_compute_what_their_names_say() {
        for (text, wanted) in [
            ("exp(0)", 1.0),
            ("log(e)", 1.0),
            ("log10(1000)", 3.0),
            ("sqrt(abs(-9))", 3.0),
            ("sin(pi / 2)", 1.0),
            ("cos(0)", 1.0),
            ("tanh(0)", 0.0),
            ("min(3, 1, 2)", 1.0),
            ("max(3, 1, 2, 7)", 7.0),
            ("floor(-1.5)", -2.0),
            ("ceil(1.2)", 2.0),
            ("mod(-1, 5)", 4.0),
            ("clamp(9, 0, 2)", 2.0),
            ("step(x, 0.25)", 1.0),
            ("step(x, 0.26)", 0.0),
            ("gauss(1, 1, 0.1)", 1.0),
            ("if(n > 5, 10, 1 / 0)", 10.0),
            ("if(i > 5, 10, 20)", 20.0),
            ("sign(-4)", -1.0),
            ("sigmoid(0)", 0.5),
            ("pow(2, 10)", 1024.0),
        ] {
            assert!(
                (value(text) - wanted).abs() < 1e-12,
                "{text} = {}",
                value(text)
            );
        }
        assert!((value("gauss(2, 1, 1)") - (-0.5f64).exp()).abs() < 1e-15);
    }

    #[test]
    fn an_error_names_column_and_cause() {
        for (text, column, word) in [
            ("", 1, "empty"),
            ("1 +", 4, "ends"),
            ("1 + * 2", 5, "`*`"),
            ("2 $ 3", 3, "`$`"),
            ("foo + 1", 1, "foo"),
            ("sin + 1", 1, "sin("),
            ("x(2)", 1, "x"),
            ("sin(1, 2)", 1, "1 argument"),
            ("clamp(1)", 1, "3 arguments"),
            ("(1 + 2", 7, "`)`"),
            ("1 2", 3, "`2`"),
            ("é + 1 + ß", 1, "é"),
            ("1 < 2 < 3", 7, "&&"),
            ("1.2.3", 4, ""),
            ("i = 3", 3, "=="),
            ("exq(3)", 1, "exp"),
        ] {
            let error = Formula::parse(text).unwrap_err();
            assert_eq!(error.column(), column, "{text}: {error}");
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn every_fault_of_a_formula_is_told_with_its_column() {
        for (text, wanted) in [
            (
                "foo + bar * exq(x)",
                &[(1, "foo"), (7, "bar"), (13, "exp")][..],
            ),
            (
                "sin(1, 2) + clamp(1) - max(foo)",
                &[
                    (1, "1 argument"),
                    (13, "3 arguments"),
                    (24, "2 or more"),
                    (28, "foo"),
                ],
            ),
            (
                "sin + x(2) + pow()",
                &[(1, "sin("), (7, "x *"), (14, "0 given")],
            ),
            (
                "i = 3 & i == 4 | foo",
                &[(3, "=="), (7, "&&"), (16, "||"), (18, "foo")],
            ),
            ("1 < 2 < foo", &[(7, "&&"), (9, "foo")]),
            ("i % 3 + foo", &[(3, "mod(a, b)"), (9, "foo")]),
            // A text that makes no sense ends it, and nothing is made up behind it.
            ("foo + * bar", &[(1, "foo"), (7, "`*`")]),
            ("foo + 1 $ bar", &[(1, "foo"), (9, "`$`")]),
            ("foo(1, 2", &[(1, "foo"), (9, "`)`")]),
            ("(foo + 1", &[(2, "foo"), (9, "`)`")]),
            // A bracket too few: `gauss` has not two arguments, it ends too early.
            (
                "gauss(mod8 * x, 1), 0.5, 0.08)",
                &[(7, "mod8"), (19, "`,`")],
            ),
        ] {
            let found = Formula::faults(text);
            assert_eq!(found.len(), wanted.len(), "{text}: {found:#?}");
            for (found, (column, word)) in found.iter().zip(wanted) {
                assert_eq!(found.column(), *column, "{text}: {found}");
                assert!(found.to_string().contains(word), "{text}: {found}");
            }
            assert_eq!(Formula::parse(text).unwrap_err(), found[0]);
        }
        assert!(Formula::faults("exp(-x^2)").is_empty());
    }

    #[test]
    fn an_arm_without_a_finite_value_is_named_with_the_part_to_blame() {
        let error = |text: &str| {
            Formula::parse(text)
                .unwrap()
                .evaluate(10, |arm| (arm as f64, 0.0))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("2 + 1 / (i - 3)"),
            "division by zero at arm 3 in `1 / (i - 3)`"
        );
        assert_eq!(
            error("log(4 - i) * 2"),
            "logarithm of zero at arm 4 in `log(4 - i)`"
        );
        assert_eq!(
            error("sqrt(2 - x)"),
            "square root of a negative number at arm 3 in `sqrt(2 - x)`"
        );
        assert_eq!(
            error("exp(1000 * i)"),
            "overflow at arm 1 in `exp(1000 * i)`"
        );
        // The branch that is not taken is not to blame.
        assert_eq!(
            error("if(i == 0, 0, 1) + if(i < 7, log(1 + i - i), 1 / 0)"),
            "division by zero at arm 7 in `1 / 0`"
        );
    }

    #[test]
    fn endless_nesting_and_length_are_refused() {
        for text in [
            "(".repeat(1_900),
            "-".repeat(1_900),
            "!".repeat(1_900),
            "2^".repeat(950),
            "sin(".repeat(400),
            "if(1,".repeat(300),
            "x".repeat(3_000),
        ] {
            assert!(Formula::parse(&text).is_err());
        }
        let deep = format!("{}1{}", "(".repeat(90), ")".repeat(90));
        assert_eq!(value(&deep), 1.0);
    }

    #[test]
    fn blocks_do_not_change_the_result() {
        let arms = 100_003;
        let all = Formula::parse("sin(i) * x + mod(i, 7)")
            .unwrap()
            .evaluate(arms, |arm| (arm as f64 * 0.5, 0.0))
            .unwrap();
        assert_eq!(all.len(), arms);
        for arm in [0, 1, 511, 512, 513, 65_535, 65_536, arms - 1] {
            let i = arm as f64;
            assert_eq!(
                all[arm],
                i.sin() * (i * 0.5) + i.rem_euclid(7.0),
                "arm {arm}"
            );
        }
    }
}
