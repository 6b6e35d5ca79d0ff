//! Text to token ids and back, from `tokenizer.json` or rebuilt from GGUF metadata.

mod gguf;

use std::path::Path;

use tokenizers::{Tokenizer, processors::template::TemplateProcessing};

use super::error::LmError;
pub(super) use gguf::GgufVocabulary;

/// A tokenizer with the special tokens that scoring and sampling need.
#[derive(Debug, Clone)]
pub struct LmTokenizer {
    inner: Tokenizer,
    /// Token that ends a sequence (an answer's last token), if the model names one.
    end: Option<u32>,
    /// Token put before every text, if the model wants one.
    begin: Option<u32>,
}

impl LmTokenizer {
    /// Reads `tokenizer.json`, with the end token from `generation_config.json`, `tokenizer_config.json` or `config.json`.
    ///
    /// # Errors
    /// Names the file that is missing or malformed.
    pub(super) fn from_folder(folder: &Path) -> Result<Self, LmError> {
        let path = folder.join("tokenizer.json");
        if !path.is_file() {
            return Err(LmError::NotAModel {
                path: folder.to_owned(),
                why: "the folder has no tokenizer.json".to_owned(),
            });
        }
        let inner = Tokenizer::from_file(&path)
            .map_err(|e| LmError::Tokenizer(format!("{}: {e}", path.display())))?;
        let end = end_token(folder, &inner);
        // A tokenizer.json adds its own begin token through its post-processor.
        Ok(Self {
            inner,
            end,
            begin: None,
        })
    }

    /// Reads the text of a `tokenizer.json`; `end` is the written form of the token that ends an answer.
    ///
    /// # Errors
    /// When the text is no tokenizer or does not have the end token.
    pub(super) fn from_json(text: &str, end: Option<&str>) -> Result<Self, LmError> {
        let inner = Tokenizer::from_bytes(text)
            .map_err(|e| LmError::Tokenizer(format!("not usable: {e}")))?;
        let end = end
            .map(|token| {
                inner.token_to_id(token).ok_or_else(|| {
                    LmError::Tokenizer(format!("the end token {token:?} is not in it"))
                })
            })
            .transpose()?;
        Ok(Self {
            inner,
            end,
            begin: None,
        })
    }

    /// The tokenizer as a `tokenizer.json`; where the model wants a begin token, a post-processor that adds it.
    #[must_use]
    pub(super) fn to_json(&self) -> String {
        let mut inner = self.inner.clone();
        if let Some((id, token)) = self.begin.and_then(|id| Some((id, self.token(id)?)))
            && let Ok(processor) = TemplateProcessing::builder()
                .try_single(format!("{token} $A"))
                .and_then(|b| b.try_pair(format!("{token} $A {token} $B")))
                .map_err(|e| e.to_string())
                .and_then(|b| {
                    b.special_tokens(vec![(token, id)])
                        .build()
                        .map_err(|e| e.to_string())
                })
        {
            inner.with_post_processor(Some(processor));
        }
        // Only a map with keys that are no strings cannot be written; a tokenizer has none.
        inner.to_string(false).unwrap_or_default()
    }

    /// Rebuilds the tokenizer that GGUF metadata describes.
    ///
    /// # Errors
    /// Names a model or pre-tokenizer that is not known here.
    pub(super) fn from_gguf(vocabulary: &GgufVocabulary) -> Result<Self, LmError> {
        let json = gguf::tokenizer_json(vocabulary)?;
        let inner = Tokenizer::from_bytes(json.to_string())
            .map_err(|e| LmError::Tokenizer(format!("the GGUF vocabulary is not usable: {e}")))?;
        let begin = vocabulary.bos.filter(|_| {
            vocabulary
                .add_bos
                .unwrap_or(vocabulary.model == gguf::SENTENCE_PIECE)
        });
        Ok(Self {
            inner,
            end: vocabulary.eos,
            begin,
        })
    }

    /// A token as people read it: its text, or its name where it has none (special tokens).
    #[must_use]
    pub fn shown(&self, id: u32) -> String {
        let text = self.decode(&[id]).unwrap_or_default();
        if text.is_empty() {
            self.token(id).unwrap_or_default()
        } else {
            text
        }
    }

    /// Token ids of a text that may hold special tokens, with the begin token in front if the model wants one; a chat
    /// template may have written it already.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, LmError> {
        let encode = |special: bool| {
            let encoding = self.inner.encode(text, special);
            encoding.map(|e| e.get_ids().to_vec())
        };
        let refused = |e: tokenizers::Error| LmError::Tokenizer(e.to_string());
        let mut ids = encode(true).map_err(refused)?;
        let plain = encode(false).map_err(refused)?;
        if ids.split_first() == plain.first().map(|first| (first, plain.as_slice())) {
            ids = plain;
        }
        if let Some(begin) = self.begin
            && ids.first() != Some(&begin)
        {
            ids.insert(0, begin);
        }
        Ok(ids)
    }

    /// Token ids of a continuation: nothing is added around it.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, LmError> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| LmError::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of token ids, special tokens shown.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, LmError> {
        self.inner
            .decode(ids, false)
            .map_err(|e| LmError::Tokenizer(e.to_string()))
    }

    /// The written form of one token, if the id is known.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a written token, if there is one.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token that goes before every text, where the tokenizer was rebuilt from a file that names it.
    #[must_use]
    pub fn begin_token(&self) -> Option<u32> {
        self.begin
    }

    /// The token that ends an answer.
    #[must_use]
    pub fn end_token(&self) -> Option<u32> {
        self.end
    }

    /// Number of tokens, added ones included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// The end token by the three places where folders keep it, the most specific first.
fn end_token(folder: &Path, tokenizer: &Tokenizer) -> Option<u32> {
    let json = |name: &str| -> Option<serde_json::Value> {
        serde_json::from_str(&std::fs::read_to_string(folder.join(name)).ok()?).ok()
    };
    if let Some(token) = json("tokenizer_config.json")
        .as_ref()
        .and_then(|c| c.get("eos_token"))
    {
        let text = token
            .as_str()
            .or_else(|| token.get("content").and_then(serde_json::Value::as_str));
        if let Some(id) = text.and_then(|t| tokenizer.token_to_id(t)) {
            return Some(id);
        }
    }
    ["generation_config.json", "config.json"]
        .iter()
        .find_map(|name| {
            let value = json(name)?;
            let id = value.get("eos_token_id")?;
            let id = id
                .as_u64()
                .or_else(|| id.get(0).and_then(serde_json::Value::as_u64))?;
            u32::try_from(id).ok()
        })
}
