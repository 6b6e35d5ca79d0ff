//! Tokens → program, by recursive descent with a bounded depth.

use std::ops::Range;

use super::{
    Fault, MAX_FORMULA_DEPTH,
    lexer::Token,
    program::{Function, Op, Program},
};
use crate::experiment::{closest::closest, mistake::repeated};

type Parsed<T> = Result<T, Fault>;

/// Binary operators by binding strength, weakest first; `^` and the signs are handled apart.
const LEVELS: [&[(&str, Function)]; 5] = [
    &[("||", Function::Or)],
    &[("&&", Function::And)],
    &[
        ("<", Function::Less),
        ("<=", Function::LessOrEqual),
        (">", Function::Greater),
        (">=", Function::GreaterOrEqual),
        ("==", Function::Equal),
        ("!=", Function::NotEqual),
    ],
    &[("+", Function::Add), ("-", Function::Subtract)],
    &[("*", Function::Multiply), ("/", Function::Divide)],
];
const COMPARISONS: usize = 2;

const NAMED_VALUES: [(&str, Op); 6] = [
    ("i", Op::Index),
    ("n", Op::Count),
    ("x", Op::X),
    ("y", Op::Y),
    ("pi", Op::Constant(std::f64::consts::PI)),
    ("e", Op::Constant(std::f64::consts::E)),
];

/// Parses a whole formula; `end` is the length of its text. What is wrong and can be read past goes to `faults`; the program
/// is of no use then.
///
/// # Errors
/// Where the text makes no sense.
pub(super) fn parse(
    tokens: &[(Token<'_>, Range<usize>)],
    end: usize,
    faults: &mut Vec<Fault>,
) -> Parsed<Program> {
    let mut parser = Parser {
        faults,
        tokens,
        next: 0,
        end,
        depth: 0,
        program: Program::default(),
    };
    if tokens.is_empty() {
        return Err(Fault::new(
            &(0..0),
            "the formula is empty; write an expression such as exp(-x^2)",
        ));
    }
    parser.level(0)?;
    match parser.peek() {
        None => Ok(parser.program),
        Some((token, span)) => Err(Fault::new(
            span,
            format!(
                "{} is not expected here; an operator or the end is",
                show(token)
            ),
        )),
    }
}

struct Parser<'a, 't> {
    faults: &'a mut Vec<Fault>,
    tokens: &'a [(Token<'t>, Range<usize>)],
    next: usize,
    end: usize,
    depth: usize,
    program: Program,
}

impl<'a, 't> Parser<'a, 't> {
    fn peek(&self) -> Option<&'a (Token<'t>, Range<usize>)> {
        self.tokens.get(self.next)
    }

    /// Takes the next token if it is this mark.
    fn take(&mut self, mark: &str) -> Option<Range<usize>> {
        match self.peek() {
            Some((Token::Mark(found), span)) if *found == mark => {
                self.next += 1;
                Some(span.clone())
            }
            _ => None,
        }
    }

    fn expect(&mut self, mark: &str) -> Parsed<Range<usize>> {
        if let Some(span) = self.take(mark) {
            return Ok(span);
        }
        Err(match self.peek() {
            None => Fault::new(
                &(self.end..self.end),
                format!("the formula ends here; `{mark}` is missing"),
            ),
            Some((token, span)) => Fault::new(
                span,
                format!("{} is not expected here; `{mark}` is", show(token)),
            ),
        })
    }

    /// Where the last taken token ends.
    fn last_end(&self) -> usize {
        match self
            .next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
        {
            Some((_, span)) => span.end,
            None => 0,
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_FORMULA_DEPTH {
            let at = self.peek().map_or(self.end, |(_, span)| span.start);
            return Err(Fault::new(
                &(at..at),
                format!("nested deeper than {MAX_FORMULA_DEPTH} levels"),
            ));
        }
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    /// Binary operators of this level and everything that binds tighter. Returns where the expression starts.
    fn level(&mut self, level: usize) -> Parsed<usize> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let start = self.level(level + 1)?;
        let mut compared = false;
        loop {
            let found = operators
                .iter()
                .find_map(|(mark, function)| Some((self.take(mark)?, *function)));
            let Some((span, function)) = found else {
                return Ok(start);
            };
            if compared {
                self.note(&span, "comparisons do not chain; write a < b && b < c");
            }
            compared = level == COMPARISONS;
            self.level(level + 1)?;
            let span = start..self.last_end();
            self.call(function, 2, span)?;
        }
    }

    fn unary(&mut self) -> Parsed<usize> {
        for (mark, function) in [("-", Function::Negate), ("!", Function::Not)] {
            if let Some(span) = self.take(mark) {
                self.deeper(Self::unary)?;
                let whole = span.start..self.last_end();
                self.call(function, 1, whole)?;
                return Ok(span.start);
            }
        }
        if self.take("+").is_some() {
            return self.deeper(Self::unary);
        }
        self.power()
    }

    /// `a ^ b`, which binds to the right and tighter than a sign on its left: −2^2 is −4.
    fn power(&mut self) -> Parsed<usize> {
        let start = self.primary()?;
        if self.take("^").is_some() {
            self.deeper(Self::unary)?;
            let span = start..self.last_end();
            self.call(Function::Power, 2, span)?;
        }
        Ok(start)
    }

    fn primary(&mut self) -> Parsed<usize> {
        let Some((token, span)) = self.peek() else {
            return Err(Fault::new(
                &(self.end..self.end),
                "the formula ends here; a number, a name or `(` is missing",
            ));
        };
        self.next += 1;
        match *token {
            Token::Number(value) => self.push(Op::Constant(value), span)?,
            Token::Name(name) => self.named(name, span)?,
            Token::Mark("(") => {
                self.deeper(|parser| parser.level(0))?;
                self.expect(")")?;
            }
            Token::Mark(_) => {
                return Err(Fault::new(
                    span,
                    format!(
                        "{} is not expected here; a number, a name or `(` is",
                        show(token)
                    ),
                ));
            }
        }
        Ok(span.start)
    }

    /// A variable, a constant or a call.
    fn named(&mut self, name: &str, span: &Range<usize>) -> Parsed<()> {
        let is_call = self.take("(").is_some();
        if let Some((_, op)) = NAMED_VALUES.iter().find(|(known, _)| *known == name) {
            if is_call {
                let message =
                    format!("`{name}` is a value, not a function; write {name} * (…) to multiply");
                self.note(span, message);
                self.arguments()?;
            }
            return self.push(*op, span);
        }
        let Some((function, arity)) = Function::by_name(name) else {
            let known = || {
                let values = NAMED_VALUES.iter().map(|(known, _)| *known);
                values.chain(Function::names())
            };
            let hint = match closest(name, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", super::FORMULA_HELP),
            };
            let name = repeated(name);
            self.note(span, format!("unknown name `{name}`; {hint}"));
            if is_call {
                self.arguments()?;
            }
            return Ok(());
        };
        if !is_call {
            self.note(span, format!("`{name}` is a function; write {name}(…)"));
            return Ok(());
        }
        let given = self.arguments()?;
        if !arity.accepts(given) {
            self.note(span, format!("`{name}` takes {arity}, {given} given"));
            if let Some(noted) = self.faults.last_mut() {
                noted.is_count = true;
            }
            return Ok(());
        }
        let whole = span.start..self.last_end();
        self.call(function, given, whole)
    }

    /// What stands in the brackets of a call; how many there are.
    fn arguments(&mut self) -> Parsed<usize> {
        let mut given = 0;
        if self.take(")").is_none() {
            loop {
                self.deeper(|parser| parser.level(0))?;
                given += 1;
                if self.take(",").is_none() {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(given)
    }

    /// Notes what is wrong; the program stays as it is from then on.
    fn note(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault::new(span, message));
    }

    fn push(&mut self, op: Op, span: &Range<usize>) -> Parsed<()> {
        match self.faults.is_empty() {
            true => self.program.push(op, span.clone()),
            false => Ok(()),
        }
    }

    fn call(&mut self, function: Function, given: usize, span: Range<usize>) -> Parsed<()> {
        match self.faults.is_empty() {
            true => self.program.call(function, given, span),
            false => Ok(()),
        }
    }
}

fn show(token: &Token<'_>) -> String {
    match token {
        Token::Number(value) => format!("`{value}`"),
        Token::Name(name) => format!("`{}`", repeated(name)),
        Token::Mark(mark) => format!("`{mark}`"),
    }
}
