//! Places of mistakes: where a field stands in the text of its preset.

use super::{
    mistake::{Mistake, Place},
    read::MOST_TOLD,
    tree::{Kind, Node, Tree},
};

/// Gives mistakes their places: so many as anybody reads.
pub(super) fn located(mut mistakes: Vec<Mistake>, tree: &Tree<'_>) -> Vec<Mistake> {
    let more = mistakes.len().saturating_sub(MOST_TOLD);
    mistakes.truncate(MOST_TOLD);
    let mut mistakes: Vec<Mistake> = mistakes
        .into_iter()
        .map(|mistake| locate(mistake, tree))
        .collect();
    if more > 0 {
        mistakes.push(Mistake::new("", format!("… {more} more mistakes")));
    }
    mistakes
}

/// Gives a mistake the place of its field, or of the innermost part of its path that is written down.
fn locate(mut mistake: Mistake, tree: &Tree<'_>) -> Mistake {
    if mistake.field.is_empty() {
        return mistake;
    }
    let node = tree.find(&mistake.field);
    let mut at = node.span.start;
    if let Some(column) = mistake.inner_column
        && let Some(inner) = innermost_text(node)
        && !tree.at(&inner.span).contains(['\\', '\n'])
    {
        // A column of the formula is one of the file too where the text is written without escapes.
        let quoted = tree.at(&inner.span);
        let skipped = quoted.char_indices().nth(column).map_or(0, |(at, _)| at);
        at = inner.span.start + skipped;
        // The place says it already.
        let prefix = format!("column {column}: ");
        if let Some(rest) = mistake.message.strip_prefix(&prefix) {
            mistake.message = rest.to_owned();
        }
    }
    mistake.place = Some(Place::of_offset(tree.text, at));
    mistake
}

/// The one text in a value such as `Formula("…")`.
fn innermost_text(node: &Node) -> Option<&Node> {
    match &node.kind {
        Kind::Text => Some(node),
        Kind::Tuple { items, .. } => match items.as_slice() {
            [only] => innermost_text(only),
            _ => None,
        },
        Kind::Number
        | Kind::Char
        | Kind::Name
        | Kind::Struct { .. }
        | Kind::List(_)
        | Kind::Map => None,
    }
}

/// Gives mistakes that came from evaluating a preset their places in the preset's text.
pub(crate) fn place(mistakes: Vec<Mistake>, text: &str) -> Vec<Mistake> {
    match Tree::parse(text) {
        Ok(tree) => located(mistakes, &tree),
        Err(_) => mistakes,
    }
}
