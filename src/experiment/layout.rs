//! RON laid out for people: short things on one line, long lists wrapped, one field a line otherwise.

use super::tree::{Kind, Node, Tree};

const WIDTH: usize = 100;
const INDENT: usize = 4;
/// The outermost levels always get a line per field.
const OPEN_LEVELS: usize = 2;

/// Lays out a text; values stay as they are written, comments are dropped.
pub(super) fn lay_out(tree: &Tree<'_>) -> String {
    let mut out = String::with_capacity(tree.text.len() * 2);
    write(tree, &tree.root, 0, &mut out);
    out.push('\n');
    out
}

fn write(tree: &Tree<'_>, node: &Node, level: usize, out: &mut String) {
    let is_open = level < OPEN_LEVELS && matches!(node.kind, Kind::Struct { name: None, .. });
    if !is_open {
        let line_start = out.rfind('\n').map_or(0, |at| at + 1);
        let used = out.len() - line_start;
        // A long value cannot fit, and is not worth trying.
        if node.span.len() < 3 * WIDTH {
            let flat = flat(tree, node);
            if used + flat.chars().count() < WIDTH {
                out.push_str(&flat);
                return;
            }
        }
    }
    let inner = level + 1;
    match &node.kind {
        Kind::Struct { name, fields } => {
            out.push_str(tree.name(name).unwrap_or_default());
            out.push('(');
            for field in fields {
                new_line(inner, out);
                out.push_str(tree.at(&field.name));
                out.push_str(": ");
                write(tree, &field.value, inner, out);
                out.push(',');
            }
            new_line(level, out);
            out.push(')');
        }
        Kind::Tuple { name, items } => {
            out.push_str(tree.name(name).unwrap_or_default());
            out.push('(');
            if let [only] = items.as_slice() {
                // `List([…])` and the like: the brackets stay together.
                write(tree, only, level, out);
            } else {
                write_items(tree, items, level, out);
            }
            out.push(')');
        }
        Kind::List(items) => {
            out.push('[');
            write_items(tree, items, level, out);
            out.push(']');
        }
        Kind::Text => out.push_str(&text(tree.at(&node.span))),
        Kind::Number | Kind::Char | Kind::Name | Kind::Map => out.push_str(tree.at(&node.span)),
    }
}

/// A text as people write it: an apostrophe needs no backslash.
fn text(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len());
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('\'') => out.push('\''),
            escaped => {
                out.push('\\');
                out.extend(escaped);
            }
        }
    }
    out
}

/// Items that are plain values share lines; others get a line each.
fn write_items(tree: &Tree<'_>, items: &[Node], level: usize, out: &mut String) {
    let inner = level + 1;
    let mut column = usize::MAX;
    for item in items {
        let is_plain = matches!(
            item.kind,
            Kind::Number | Kind::Text | Kind::Char | Kind::Name
        );
        let length = item.span.len() + 2;
        if is_plain && column < WIDTH && column + length <= WIDTH {
            out.push(' ');
            column += length;
        } else {
            new_line(inner, out);
            column = if is_plain {
                inner * INDENT + length
            } else {
                usize::MAX
            };
        }
        write(tree, item, inner, out);
        out.push(',');
    }
    new_line(level, out);
}

fn new_line(level: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', level * INDENT));
}

fn flat(tree: &Tree<'_>, node: &Node) -> String {
    let joined = |items: &[Node]| {
        let items: Vec<String> = items.iter().map(|item| flat(tree, item)).collect();
        items.join(", ")
    };
    match &node.kind {
        Kind::Struct { name, fields } => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", tree.at(&field.name), flat(tree, &field.value)))
                .collect();
            format!(
                "{}({})",
                tree.name(name).unwrap_or_default(),
                fields.join(", ")
            )
        }
        Kind::Tuple { name, items } => {
            format!("{}({})", tree.name(name).unwrap_or_default(), joined(items))
        }
        Kind::List(items) => format!("[{}]", joined(items)),
        Kind::Text => text(tree.at(&node.span)),
        Kind::Number | Kind::Char | Kind::Name | Kind::Map => tree.at(&node.span).to_owned(),
    }
}
