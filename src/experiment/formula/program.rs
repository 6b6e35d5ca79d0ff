//! A formula as a flat stack program, run over blocks of arms.
//!
//! Every operation works on one block of arms at a time, so that the cost of dispatch is shared by 512 arms and the
//! simple operations vectorise; what bounds it is `exp`, `sin` and the like.

use std::{fmt, ops::Range};

use rayon::prelude::*;

use super::Fault;

/// Arms per block: the blocks of a usual stack stay in the first cache level.
const BLOCK: usize = 512;

/// Most operations a formula may have.
const MAX_OPS: usize = 500;

/// One operation of the stack machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Constant(f64),
    Index,
    Count,
    X,
    Y,
    /// Replaces the topmost `arguments` values by one.
    Call {
        function: Function,
        arguments: usize,
    },
}

/// A compiled formula.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Program {
    ops: Vec<(Op, Range<usize>)>,
    height: usize,
    max_height: usize,
}

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Arity {
    Exactly(usize),
    AtLeast(usize),
}

impl Arity {
    pub(super) fn accepts(self, given: usize) -> bool {
        match self {
            Self::Exactly(wanted) => given == wanted,
            Self::AtLeast(wanted) => given >= wanted,
        }
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(1) => f.write_str("1 argument"),
            Self::Exactly(wanted) => write!(f, "{wanted} arguments"),
            Self::AtLeast(wanted) => write!(f, "{wanted} or more arguments"),
        }
    }
}

macro_rules! functions {
    (operators: [$($operator:ident,)+] named: $($variant:ident, $name:literal, $arity:expr;)+) => {
        /// Everything that can be computed from other values.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function { $($operator,)+ $($variant,)+ }

        impl Function {
            pub(super) fn by_name(name: &str) -> Option<(Self, Arity)> {
                match name { $($name => Some((Self::$variant, $arity)),)+ _ => None }
            }

            pub(super) fn names() -> impl Iterator<Item = &'static str> {
                [$($name),+].into_iter()
            }
        }
    };
}

functions! {
    operators: [Or, And, Less, LessOrEqual, Greater, GreaterOrEqual, Equal, NotEqual, Add, Subtract, Multiply, Divide,
        Negate, Not,]
    named:
    Power, "pow", Arity::Exactly(2);
    If, "if", Arity::Exactly(3);
    Exp, "exp", Arity::Exactly(1);
    Log, "log", Arity::Exactly(1);
    Log10, "log10", Arity::Exactly(1);
    Sqrt, "sqrt", Arity::Exactly(1);
    Abs, "abs", Arity::Exactly(1);
    Sign, "sign", Arity::Exactly(1);
    Sin, "sin", Arity::Exactly(1);
    Cos, "cos", Arity::Exactly(1);
    Tan, "tan", Arity::Exactly(1);
    Tanh, "tanh", Arity::Exactly(1);
    Atan, "atan", Arity::Exactly(1);
    Sigmoid, "sigmoid", Arity::Exactly(1);
    Floor, "floor", Arity::Exactly(1);
    Ceil, "ceil", Arity::Exactly(1);
    Round, "round", Arity::Exactly(1);
    Min, "min", Arity::AtLeast(2);
    Max, "max", Arity::AtLeast(2);
    Mod, "mod", Arity::Exactly(2);
    Step, "step", Arity::Exactly(2);
    Clamp, "clamp", Arity::Exactly(3);
    Gauss, "gauss", Arity::Exactly(3);
}

impl Program {
    /// Appends an operation that pushes a value.
    pub(super) fn push(&mut self, op: Op, span: Range<usize>) -> Result<(), Fault> {
        self.height += 1;
        self.max_height = self.max_height.max(self.height);
        self.append(op, span)
    }

    /// Appends a call that replaces the topmost `arguments` values (at least one) by its result.
    pub(super) fn call(
        &mut self,
        function: Function,
        arguments: usize,
        span: Range<usize>,
    ) -> Result<(), Fault> {
        self.height -= arguments - 1;
        self.append(
            Op::Call {
                function,
                arguments,
            },
            span,
        )
    }

    fn append(&mut self, op: Op, span: Range<usize>) -> Result<(), Fault> {
        if self.ops.len() >= MAX_OPS {
            return Err(Fault::new(
                &span,
                format!("the formula has more than {MAX_OPS} operations"),
            ));
        }
        self.ops.push((op, span));
        Ok(())
    }

    /// How many operations an arm takes.
    pub(super) fn operations(&self) -> usize {
        self.ops.len()
    }

    /// The value on every arm, finite or not.
    pub(super) fn run(
        &self,
        arms: usize,
        coordinates: &(impl Fn(usize) -> (f64, f64) + Sync),
    ) -> Vec<f64> {
        let mut values = vec![0.0; arms];
        let stack = || vec![0.0; self.max_height.max(1) * BLOCK];
        values
            .par_chunks_mut(BLOCK)
            .enumerate()
            .with_min_len(16)
            .for_each_init(stack, |stack, (block, out)| {
                self.run_block(stack, block * BLOCK, arms, coordinates, out);
            });
        values
    }

    fn run_block(
        &self,
        stack: &mut [f64],
        first: usize,
        arms: usize,
        coordinates: &impl Fn(usize) -> (f64, f64),
        out: &mut [f64],
    ) {
        let mut height = 0;
        for (op, _) in &self.ops {
            if let Op::Call {
                function,
                arguments,
            } = *op
            {
                height -= arguments;
                let operands = &mut stack[height * BLOCK..(height + arguments) * BLOCK];
                function.on_blocks(operands);
            } else {
                let top = &mut stack[height * BLOCK..(height + 1) * BLOCK];
                for (offset, value) in top.iter_mut().enumerate() {
                    *value = op.leaf(first + offset, arms, coordinates);
                }
            }
            height += 1;
        }
        let length = out.len();
        out.copy_from_slice(&stack[..length]);
    }

    /// What first went wrong on an arm whose value is not finite, and in which part of the text.
    pub(super) fn blame(
        &self,
        arm: usize,
        arms: usize,
        coordinates: (f64, f64),
    ) -> (&'static str, Range<usize>) {
        // Each value carries what spoilt it, so that a branch not taken is never blamed.
        type Spoilt = Option<(usize, &'static str)>;
        let mut stack: Vec<(f64, Spoilt)> = Vec::with_capacity(self.max_height);
        for (index, (op, _)) in self.ops.iter().enumerate() {
            let Op::Call {
                function,
                arguments,
            } = *op
            else {
                let value = op.leaf(arm, arms, &|_| coordinates);
                stack.push((value, (!value.is_finite()).then_some((index, "overflow"))));
                continue;
            };
            let operands = stack.split_off(stack.len().saturating_sub(arguments));
            let values: Vec<f64> = operands.iter().map(|(value, _)| *value).collect();
            let value = function.on(&values);
            let mut sources = operands.iter().map(|(_, spoilt)| *spoilt);
            let inherited = match (function, values.as_slice()) {
                (Function::If, [condition, ..]) if condition.is_finite() => {
                    sources.nth(if *condition == 0.0 { 2 } else { 1 }).flatten()
                }
                _ => sources.flatten().next(),
            };
            let spoilt = if value.is_finite() {
                None
            } else {
                inherited.or_else(|| Some((index, function.failure(&values))))
            };
            stack.push((value, spoilt));
        }
        match stack.pop() {
            Some((_, Some((index, what)))) => (what, self.ops[index].1.clone()),
            _ => ("no finite value", 0..0),
        }
    }
}

impl Op {
    /// Value of an operation that takes none from the stack.
    fn leaf(self, arm: usize, arms: usize, coordinates: &impl Fn(usize) -> (f64, f64)) -> f64 {
        match self {
            Self::Constant(value) => value,
            Self::Index => arm as f64,
            Self::Count => arms as f64,
            Self::X => coordinates(arm).0,
            Self::Y => coordinates(arm).1,
            // A call takes its operands from the stack.
            Self::Call { .. } => f64::NAN,
        }
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

impl Function {
    /// Replaces the first of the operand blocks by the result.
    fn on_blocks(self, operands: &mut [f64]) {
        let (first, rest) = operands.split_at_mut(BLOCK);
        // The frequent cheap ones get loops of their own that vectorise.
        match self {
            Self::Add => combine(first, rest, |a, b| a + b),
            Self::Subtract => combine(first, rest, |a, b| a - b),
            Self::Multiply => combine(first, rest, |a, b| a * b),
            Self::Divide => combine(first, rest, |a, b| a / b),
            Self::Less => combine(first, rest, |a, b| truth(a < b)),
            Self::Greater => combine(first, rest, |a, b| truth(a > b)),
            Self::Exp => first.iter_mut().for_each(|a| *a = a.exp()),
            Self::Sin => first.iter_mut().for_each(|a| *a = a.sin()),
            Self::Cos => first.iter_mut().for_each(|a| *a = a.cos()),
            _ => {
                let mut values = [0.0; 3];
                let more = rest.len() / BLOCK;
                for (offset, a) in first.iter_mut().enumerate() {
                    if more <= 2 {
                        values[0] = *a;
                        for (value, block) in values[1..].iter_mut().zip(rest.chunks(BLOCK)) {
                            *value = block[offset];
                        }
                        *a = self.on(&values[..=more]);
                    } else {
                        // Only min and max take more than three.
                        for block in rest.chunks(BLOCK) {
                            *a = self.on(&[*a, block[offset]]);
                        }
                    }
                }
            }
        }
    }

    /// Why finite operands gave no finite value.
    fn failure(self, values: &[f64]) -> &'static str {
        let (first, last) = match values {
            [first, .., last] => (*first, *last),
            [only] => (*only, *only),
            [] => return "no defined value",
        };
        match self {
            Self::Divide | Self::Mod if last == 0.0 => "division by zero",
            Self::Log | Self::Log10 if first < 0.0 => "logarithm of a negative number",
            Self::Log | Self::Log10 => "logarithm of zero",
            Self::Sqrt => "square root of a negative number",
            Self::Power if first == 0.0 => "division by zero",
            Self::Power if first < 0.0 && last.fract() != 0.0 => {
                "fractional power of a negative number"
            }
            Self::Gauss => "a gauss of width zero",
            _ => "overflow",
        }
    }

    /// The function of one arm's operands; as many as its arity says.
    fn on(self, values: &[f64]) -> f64 {
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let (a, b, c) = (at(0), at(1), at(2));
        match self {
            Self::Or => truth(a != 0.0 || b != 0.0),
            Self::And => truth(a != 0.0 && b != 0.0),
            Self::Less => truth(a < b),
            Self::LessOrEqual => truth(a <= b),
            Self::Greater => truth(a > b),
            Self::GreaterOrEqual => truth(a >= b),
            Self::Equal => truth(a == b),
            Self::NotEqual => truth(a != b),
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Negate => -a,
            Self::Not => truth(a == 0.0),
            Self::Power => a.powf(b),
            Self::If => {
                if a.is_nan() {
                    a
                } else if a != 0.0 {
                    b
                } else {
                    c
                }
            }
            Self::Exp => a.exp(),
            Self::Log => a.ln(),
            Self::Log10 => a.log10(),
            Self::Sqrt => a.sqrt(),
            Self::Abs => a.abs(),
            Self::Sign => truth(a > 0.0) - truth(a < 0.0),
            Self::Sin => a.sin(),
            Self::Cos => a.cos(),
            Self::Tan => a.tan(),
            Self::Tanh => a.tanh(),
            Self::Atan => a.atan(),
            Self::Sigmoid => 1.0 / (1.0 + (-a).exp()),
            Self::Floor => a.floor(),
            Self::Ceil => a.ceil(),
            Self::Round => a.round(),
            // f64::min would hide a NaN.
            Self::Min => {
                values.iter().copied().fold(
                    f64::INFINITY,
                    |m, v| if v < m || v.is_nan() { v } else { m },
                )
            }
            Self::Max => values.iter().copied().fold(f64::NEG_INFINITY, |m, v| {
                if v > m || v.is_nan() { v } else { m }
            }),
            Self::Mod => a.rem_euclid(b),
            Self::Step => truth(a >= b),
            Self::Clamp => {
                if a < b {
                    b
                } else if a > c {
                    c
                } else {
                    a
                }
            }
            Self::Gauss => {
                if c == 0.0 {
                    return f64::NAN;
                }
                let z = (a - b) / c;
                (-0.5 * z * z).exp()
            }
        }
    }
}

fn combine(first: &mut [f64], rest: &[f64], f: impl Fn(f64, f64) -> f64) {
    for (a, b) in first.iter_mut().zip(rest) {
        *a = f(*a, *b);
    }
}
