//! The tokenizer that a GGUF file describes, as the JSON that the `tokenizers` crate reads.
//!
//! GGUF names the pre-tokenizer instead of describing it; the few names that the supported families use are spelled out
//! here. "smollm" splits digits one by one and adds no space in front.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::error::LmError;

/// Value of `tokenizer.ggml.model` for SentencePiece-like vocabularies.
pub(super) const SENTENCE_PIECE: &str = "llama";

/// A vocabulary as GGUF metadata holds it.
#[derive(Debug, Clone)]
pub(in super::super) struct GgufVocabulary {
    /// `gpt2` (byte-level BPE) or `llama` (SentencePiece-like BPE).
    pub(in super::super) model: String,
    /// Name of the pre-tokenizer.
    pub(in super::super) pre_tokenizer: String,
    /// Written tokens by id.
    pub(in super::super) tokens: Vec<String>,
    /// Merges in order of rank, `left right`.
    pub(in super::super) merges: Vec<String>,
    /// Scores by id (SentencePiece only).
    pub(in super::super) scores: Vec<f64>,
    /// Kind by id: 3 control, 4 user-defined, 6 byte.
    pub(in super::super) kinds: Vec<u8>,
    /// A space goes in front of the text (SentencePiece only).
    pub(in super::super) add_space_prefix: Option<bool>,
    /// The begin token goes in front.
    pub(in super::super) add_bos: Option<bool>,
    /// Begin token.
    pub(in super::super) bos: Option<u32>,
    /// End token.
    pub(in super::super) eos: Option<u32>,
    /// Unknown token.
    pub(in super::super) unknown: Option<u32>,
}

/// How Llama 3 splits text before merging.
const LLAMA3_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Qwen2 splits text before merging: as Llama 3, digits one by one.
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The tokenizer as `tokenizer.json` would hold it.
///
/// # Errors
/// Names a model or pre-tokenizer that is not known here.
pub(super) fn tokenizer_json(vocabulary: &GgufVocabulary) -> Result<Value, LmError> {
    if vocabulary.tokens.is_empty() {
        return Err(LmError::Tokenizer(
            "the GGUF file holds no tokens".to_owned(),
        ));
    }
    let body = match vocabulary.model.as_str() {
        "gpt2" => byte_level(vocabulary)?,
        SENTENCE_PIECE => sentence_piece(vocabulary),
        other => {
            return Err(LmError::Unsupported {
                field: "tokenizer.ggml.model".to_owned(),
                value: other.to_owned(),
                accepted: "gpt2 or llama".to_owned(),
            });
        }
    };
    Ok(body)
}

fn byte_level(vocabulary: &GgufVocabulary) -> Result<Value, LmError> {
    let bytes = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let (normalizer, parts) = match vocabulary.pre_tokenizer.as_str() {
        "smollm" => (
            Value::Null,
            vec![
                json!({"type": "Digits", "individual_digits": true}),
                bytes(true),
            ],
        ),
        "default" | "gpt-2" => (Value::Null, vec![bytes(true)]),
        "llama-bpe" | "llama3" | "llama-v3" => {
            (Value::Null, vec![split(LLAMA3_SPLIT), bytes(false)])
        }
        "qwen2" => (
            json!({"type": "NFC"}),
            vec![split(QWEN2_SPLIT), bytes(false)],
        ),
        other => {
            return Err(LmError::Unsupported {
                field: "tokenizer.ggml.pre".to_owned(),
                value: other.to_owned(),
                accepted: "smollm, gpt-2, default, llama-bpe or qwen2".to_owned(),
            });
        }
    };
    let mut merges = Vec::with_capacity(vocabulary.merges.len());
    for merge in &vocabulary.merges {
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(LmError::Tokenizer(format!(
                "merge {merge:?} is not two tokens with a space between"
            )));
        };
        merges.push(json!([left, right]));
    }
    Ok(json!({
        "version": "1.0",
        "added_tokens": added_tokens(vocabulary),
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": parts},
        "post_processor": null,
        "decoder": bytes(true),
        "model": {"type": "BPE", "vocab": vocab(vocabulary), "merges": merges,
                  "ignore_merges": vocabulary.pre_tokenizer.starts_with("llama")},
    }))
}

fn sentence_piece(vocabulary: &GgufVocabulary) -> Value {
    let mut normalizers = Vec::new();
    if vocabulary.add_space_prefix.unwrap_or(true) {
        normalizers.push(json!({"type": "Prepend", "prepend": "▁"}));
    }
    normalizers.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}));
    let unknown = vocabulary
        .unknown
        .and_then(|id| vocabulary.tokens.get(id as usize));
    json!({
        "version": "1.0",
        "added_tokens": added_tokens(vocabulary),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {"type": "BPE", "vocab": vocab(vocabulary), "merges": merges_by_score(vocabulary),
                  "unk_token": unknown, "byte_fallback": true, "fuse_unk": true},
    })
}

/// SentencePiece keeps scores instead of merges: every split of a token into two tokens is a merge, ranked by the score
/// of what it makes.
fn merges_by_score(vocabulary: &GgufVocabulary) -> Vec<Value> {
    let ids: HashMap<&str, usize> = vocabulary
        .tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.as_str(), id))
        .collect();
    let score = |id: usize| vocabulary.scores.get(id).copied().unwrap_or(0.0);
    let mut merges: Vec<(f64, usize, usize, &str, &str)> = Vec::new();
    for (id, token) in vocabulary.tokens.iter().enumerate() {
        if vocabulary.kinds.get(id).is_some_and(|&kind| kind != 1) {
            continue;
        }
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                merges.push((score(id), l, r, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    merges
        .into_iter()
        .map(|(_, _, _, left, right)| json!([left, right]))
        .collect()
}

fn vocab(vocabulary: &GgufVocabulary) -> Value {
    Value::Object(
        vocabulary
            .tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), json!(id)))
            .collect(),
    )
}

fn added_tokens(vocabulary: &GgufVocabulary) -> Vec<Value> {
    vocabulary
        .tokens
        .iter()
        .enumerate()
        .filter(|&(id, _)| matches!(vocabulary.kinds.get(id), Some(3 | 4)))
        .map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": vocabulary.kinds.get(id) == Some(&3)})
        })
        .collect()
}
