//! Holding a text's tree against the schema: every unknown, missing, doubled or mistyped field at once.

use std::{collections::HashSet, ops::Range};

use super::{
    closest::closest,
    mistake::{Mistake, Place, repeated},
    read::{MOST_TOLD, options},
    schema::{Content, Field, Shape, Variant, metric_names},
    tree::{self, Kind, Node, Tree},
};

/// What was found, and how to mend the text so that the rest of it can still be checked.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) mistakes: Vec<Mistake>,
    /// Replacements of spans, in no order, none overlapping another.
    pub(super) repairs: Vec<(Range<usize>, String)>,
    /// There are more mistakes than anybody reads; the rest was not looked at.
    pub(super) is_cut: bool,
}

/// Every structural mistake of a text.
pub(super) fn check(tree: &Tree<'_>, shape: &Shape) -> Findings {
    let mut checker = Checker {
        tree,
        findings: Findings::default(),
    };
    checker.value(&tree.root, shape, "");
    checker.findings
}

struct Checker<'a, 't> {
    tree: &'a Tree<'t>,
    findings: Findings,
}

impl Checker<'_, '_> {
    fn note(&mut self, at: usize, field: &str, message: String) {
        // Each place costs a pass over the text.
        if self.findings.mistakes.len() >= MOST_TOLD {
            if !self.findings.is_cut {
                self.findings.is_cut = true;
                let message = "… and more mistakes, which are told once these are mended";
                self.findings.mistakes.push(Mistake::new("", message));
            }
            return;
        }
        let mut mistake = Mistake::new(field, message);
        mistake.place = Some(Place::of_offset(self.tree.text, at));
        self.findings.mistakes.push(mistake);
    }

    /// `node` is not what `shape` takes.
    fn refuse(&mut self, node: &Node, shape: &Shape, path: &str) {
        let text = self.tree.at(&node.span);
        let shown = repeated(text);
        let message = format!("`{shown}` is not accepted; {} is", shape.describe());
        self.note(node.span.start, path, message);
        self.findings
            .repairs
            .push((node.span.clone(), shape.example()));
    }

    fn value(&mut self, node: &Node, shape: &Shape, path: &str) {
        if self.findings.is_cut {
            return;
        }
        let text = self.tree.at(&node.span);
        match shape {
            Shape::Number if is_number(node, text) => {}
            Shape::Beta if is_number(node, text) => {
                let beta = text.parse().or_else(|_| options().from_str::<f64>(text));
                if !beta.is_ok_and(|beta| beta.is_finite() && beta > 0.0) {
                    self.refuse(node, shape, path);
                }
            }
            Shape::Whole(limit) if is_whole(node, text, *limit) => {}
            Shape::Count { .. } if is_whole(node, text, u64::MAX) => {}
            // What is escaped in a text is the decoder's business.
            Shape::Text
                if node.kind == Kind::Text
                    && (!text.contains('\\') || options().from_str::<String>(text).is_ok()) => {}
            Shape::Flag if matches!(text, "true" | "false") => {}
            Shape::Maybe(inner) => match &node.kind {
                Kind::Name if text == "None" => {}
                Kind::Tuple { name, items } if self.tree.name(name) == Some("Some") => {
                    match items.as_slice() {
                        [only] => self.value(only, inner, path),
                        _ => self.refuse(node, shape, path),
                    }
                }
                _ => self.value(node, inner, path),
            },
            Shape::List(inner) => match &node.kind {
                Kind::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        // Long lists of plain numbers are the common case; no path is made for what is right.
                        let is_plain = matches!(inner, Shape::Number)
                            && is_number(item, self.tree.at(&item.span));
                        if !is_plain {
                            self.value(item, inner, &format!("{path}.{index}"));
                        }
                    }
                }
                _ => self.refuse(node, shape, path),
            },
            Shape::Tuple(shapes) => match &node.kind {
                Kind::Tuple { name: None, items } if items.len() == shapes.len() => {
                    self.values(items, shapes, path);
                }
                _ => self.refuse(node, shape, path),
            },
            Shape::Struct(fields) => match &node.kind {
                Kind::Struct { fields: given, .. } => self.fields(node, given, fields, path),
                Kind::Tuple { items, .. } if items.is_empty() => {
                    self.fields(node, &[], fields, path);
                }
                _ => self.refuse(node, shape, path),
            },
            Shape::Enum(variants) => self.variant(node, shape, variants, path),
            Shape::Metric if node.kind == Kind::Name => {
                if !metric_names().any(|name| name == text) {
                    let names: Vec<String> = metric_names().collect();
                    self.unknown_name(node, text, names.iter().map(String::as_str), shape, path);
                }
            }
            Shape::Number
            | Shape::Beta
            | Shape::Whole(_)
            | Shape::Count { .. }
            | Shape::Text
            | Shape::Flag
            | Shape::Metric => self.refuse(node, shape, path),
        }
    }

    fn values(&mut self, items: &[Node], shapes: &[Shape], path: &str) {
        for (index, (item, shape)) in items.iter().zip(shapes).enumerate() {
            if shapes.len() == 1 {
                self.value(item, shape, path);
            } else {
                self.value(item, shape, &format!("{path}.{index}"));
            }
        }
    }

    fn fields(&mut self, node: &Node, given: &[tree::Field], fields: &[Field], path: &str) {
        let mut seen = HashSet::new();
        for field in given {
            let name = self.tree.at(&field.name);
            let is_double = !seen.insert(name);
            match fields.iter().find(|known| known.name == name) {
                _ if is_double => {
                    let message = "field is given twice".to_owned();
                    self.note(field.name.start, &join(path, name), message);
                    self.drop_field(field);
                }
                Some(known) => self.value(&field.value, &known.shape, &join(path, name)),
                None => {
                    let names = || fields.iter().map(|known| known.name);
                    let hint = match closest(name, names()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("accepted are {}", names().collect::<Vec<_>>().join(", ")),
                    };
                    let message = format!("unknown field; {hint}");
                    self.note(field.name.start, &join(path, &repeated(name)), message);
                    self.drop_field(field);
                }
            }
        }
        let mut missing = String::new();
        for field in fields.iter().filter(|field| field.required) {
            if !seen.contains(field.name) {
                let message = format!("field is missing; {} is needed", field.shape.describe());
                self.note(node.span.start, &join(path, field.name), message);
                if let Some(noted) = self.findings.mistakes.last_mut() {
                    noted.is_missing = true;
                }
                missing.push_str(&format!("{}: {}, ", field.name, field.shape.example()));
            }
        }
        if !missing.is_empty() {
            // Right behind the opening bracket, where no comma has to be minded.
            let text = self.tree.at(&node.span);
            if let Some(open) = text.find('(') {
                let at = node.span.start + open + 1;
                self.findings.repairs.push((at..at, missing));
            }
        }
    }

    fn drop_field(&mut self, field: &tree::Field) {
        self.findings
            .repairs
            .push((field.name.start..field.end, String::new()));
    }

    fn variant(&mut self, node: &Node, shape: &Shape, variants: &[Variant], path: &str) {
        let name = match &node.kind {
            Kind::Name => Some(self.tree.at(&node.span)),
            Kind::Struct { name, .. } | Kind::Tuple { name, .. } => self.tree.name(name),
            Kind::Number | Kind::Text | Kind::Char | Kind::List(_) | Kind::Map => None,
        };
        let Some(name) = name else {
            return self.refuse(node, shape, path);
        };
        let Some(variant) = variants.iter().find(|variant| variant.name == name) else {
            let names = variants.iter().map(|variant| variant.name);
            return self.unknown_name(node, name, names, shape, path);
        };
        match (variant.content, &node.kind) {
            (Content::Nothing, Kind::Name) => {}
            (Content::Values(shapes), Kind::Tuple { items, .. }) if items.len() == shapes.len() => {
                self.values(items, shapes, path);
            }
            (Content::Fields(fields), Kind::Struct { fields: given, .. }) => {
                self.fields(node, given, fields, path);
            }
            (Content::Fields(fields), Kind::Tuple { items, .. }) if items.is_empty() => {
                self.fields(node, &[], fields, path);
            }
            _ => {
                let message = format!(
                    "`{}` is not accepted; `{name}` is written as {}",
                    repeated(self.tree.at(&node.span)),
                    variant.example()
                );
                self.note(node.span.start, path, message);
                self.findings
                    .repairs
                    .push((node.span.clone(), variant.example()));
            }
        }
    }

    fn unknown_name<'n>(
        &mut self,
        node: &Node,
        name: &str,
        names: impl Iterator<Item = &'n str>,
        shape: &Shape,
        path: &str,
    ) {
        match closest(name, names) {
            None => self.refuse(node, shape, path),
            Some(near) => {
                let message = format!(
                    "`{}` is not accepted; did you mean `{near}`?",
                    repeated(name)
                );
                self.note(node.span.start, path, message);
                self.findings
                    .repairs
                    .push((node.span.clone(), shape.example()));
            }
        }
    }
}

fn is_number(node: &Node, text: &str) -> bool {
    // RON has more ways to write a number, which are rare.
    node.kind == Kind::Number
        && (text.parse::<f64>().is_ok() || options().from_str::<f64>(text).is_ok())
}

fn is_whole(node: &Node, text: &str, limit: u64) -> bool {
    node.kind == Kind::Number
        && (text.parse().or_else(|_| options().from_str::<u64>(text)))
            .is_ok_and(|value| value <= limit)
}

/// `path.name`, or the name alone at the top.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
