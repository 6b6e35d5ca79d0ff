//! The tokenizer of a grammar: its words and characters, as a `tokenizer.json`.

use serde_json::{Value, json};

use super::{
    super::{error::LmError, tokenizer::LmTokenizer},
    grammar::Grammar,
};

/// Stands for what the alphabet lacks.
const UNKNOWN: &str = "<unk>";
/// Ends every completion.
const END: &str = "<end>";

/// A tokenizer that takes the fewest pieces: a unigram model in which every piece costs the same.
///
/// # Errors
/// When words or characters repeat.
pub(super) fn tokenizer(grammar: &Grammar) -> Result<LmTokenizer, LmError> {
    let mut pieces: Vec<String> = vec![UNKNOWN.to_owned(), END.to_owned()];
    pieces.extend(grammar.characters.chars().map(String::from));
    pieces.extend(grammar.words.iter().cloned());
    for (at, piece) in pieces.iter().enumerate() {
        if pieces.iter().take(at).any(|other| other == piece) {
            return Err(LmError::Tokenizer(format!(
                "{piece:?} is listed twice among the grammar's characters and words"
            )));
        }
    }
    let vocab: Vec<Value> = pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| json!([piece, if id < 2 { 0.0 } else { -1.0 }]))
        .collect();
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let body = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0, UNKNOWN), special(1, END)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Fuse"},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": false},
    });
    LmTokenizer::from_json(&body.to_string(), Some(END))
}
