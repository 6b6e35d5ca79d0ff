//! Chat templates: from messages to the text a chat model was trained on, with the assistant's first words if wanted.

use std::path::Path;

use minijinja::{Environment, ErrorKind, context, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;
use serde_json::Value;

use super::error::LmError;

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// A model's own chat template (Jinja) with the tokens it refers to.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

const NAME: &str = "chat";

impl ChatTemplate {
    /// Compiles a template; `begin` and `end` are what it calls `bos_token` and `eos_token`.
    ///
    /// # Errors
    /// When the template is not valid Jinja.
    pub fn new(source: &str, begin: String, end: String) -> Result<Self, LmError> {
        let mut environment = Environment::new();
        // The setting that chat templates are written for.
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(|e| LmError::Template(one_line(&e)))?,
        );
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|e| LmError::Template(one_line(&e)))?;
        Ok(Self {
            environment,
            begin,
            end,
        })
    }

    /// Reads the template of a Hugging Face folder, from `chat_template.jinja` or `tokenizer_config.json`; none if it has
    /// neither.
    ///
    /// # Errors
    /// When the file is there and cannot be used.
    pub(super) fn from_folder(folder: &Path) -> Result<Option<Self>, LmError> {
        let config: Option<Value> = std::fs::read_to_string(folder.join("tokenizer_config.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let token = |key: &str| -> String {
            let value = config.as_ref().and_then(|c| c.get(key));
            value
                .and_then(|v| {
                    v.as_str()
                        .or_else(|| v.get("content").and_then(Value::as_str))
                })
                .unwrap_or_default()
                .to_owned()
        };
        let source = match std::fs::read_to_string(folder.join("chat_template.jinja")) {
            Ok(source) => source,
            Err(_) => match config
                .as_ref()
                .and_then(|c| c.get("chat_template"))
                .and_then(Value::as_str)
            {
                Some(source) => source.to_owned(),
                None => return Ok(None),
            },
        };
        Self::new(&source, token("bos_token"), token("eos_token")).map(Some)
    }

    /// The template's own text.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        Some(
            self.environment
                .get_template(NAME)
                .ok()?
                .source()
                .to_owned(),
        )
    }

    /// What it calls `bos_token`; may be empty.
    #[must_use]
    pub fn begin(&self) -> &str {
        &self.begin
    }

    /// The text of a chat up to where the assistant begins to speak, followed by `prefill`, its first words.
    ///
    /// # Errors
    /// With the template's own words, when it refuses the messages.
    pub fn render(&self, messages: &[Message], prefill: &str) -> Result<String, LmError> {
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|e| LmError::Template(one_line(&e)))?;
        let mut text = template
            .render(context! {
                messages => minijinja::Value::from(Serde(messages)),
                add_generation_prompt => true,
                bos_token => &self.begin,
                eos_token => &self.end,
            })
            .map_err(|e| LmError::Template(one_line(&e)))?;
        text.push_str(prefill);
        Ok(text)
    }
}

fn one_line(error: &minijinja::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn user(content: &str) -> Vec<Message> {
        vec![Message {
            role: "user".to_owned(),
            content: content.to_owned(),
        }]
    }

    #[test]
    fn a_chatml_template_ends_where_the_assistant_speaks_with_its_prefill() {
        let source = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + \
                      '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
        let template = ChatTemplate::new(source, String::new(), "<|im_end|>".to_owned()).unwrap();
        assert_eq!(
            template.render(&user("hi"), "My pick: ").unwrap(),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nMy pick: "
        );
    }

    #[test]
    fn python_string_methods_and_raised_exceptions_work() {
        let source = "{% if messages[0]['content'].startswith('x') %}{{ raise_exception('no x please') }}{% endif %}{{ messages[0]['content'].strip() }}";
        let template = ChatTemplate::new(source, String::new(), String::new()).unwrap();
        assert_eq!(template.render(&user(" hi "), "").unwrap(), "hi");
        let message = template.render(&user("xyz"), "").unwrap_err().to_string();
        assert!(message.contains("no x please"), "{message}");
    }

    #[test]
    fn a_broken_template_is_an_error() {
        assert!(ChatTemplate::new("{% if %}", String::new(), String::new()).is_err());
    }
}
