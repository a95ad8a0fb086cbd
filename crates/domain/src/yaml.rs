//! Reading YAML files that people write, and naming the place of what does not fit.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Largest plan, ladder or scenario file that is read, in bytes.
pub const FILE_SIZE_MAX: usize = 1 << 20;
/// Longest path or message, in characters: both repeat what the file says.
const REPEATED_MAX: usize = 1_000;
/// Deepest nesting of brackets that is read.
const NESTING_MAX: usize = 200;

/// Where and why a YAML file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct FileError {
    /// The place inside the document, such as `rules[0].calculation.levels[1].percentage`.
    pub path: String,
    /// The line, counted from 1, where the reader knows it.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl FileError {
    /// An error of the document as a whole.
    #[must_use]
    pub fn whole(message: &impl ToString) -> Self {
        Self { path: String::new(), line: None, message: message.to_string() }
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() && self.path != "." {
            write!(f, "{}: ", cut(&self.path))?;
        }
        f.write_str(&cut(&self.message))
    }
}

/// Reads a YAML document, naming line and path of what does not fit.
pub(crate) fn read_yaml<T: DeserializeOwned>(yaml: &str) -> Result<T, FileError> {
    // Some editors begin a file with a mark of its byte order.
    let yaml = yaml.strip_prefix('\u{feff}').unwrap_or(yaml);
    if yaml.len() > FILE_SIZE_MAX {
        return Err(FileError::whole(&format!("the file is larger than {FILE_SIZE_MAX} bytes")));
    }
    if is_too_deep(yaml) {
        let message = format!("has more than {NESTING_MAX} brackets inside one another");
        return Err(FileError::whole(&message));
    }
    serde_path_to_error::deserialize(yaml_serde::Deserializer::from_str(yaml)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let line = inner.location().map(|location| location.line());
        // The reader repeats the place inside its message; it is printed once, in front.
        let text = inner.to_string();
        let text = text.split(" at line ").next().unwrap_or(&text);
        let message = text.strip_prefix(&format!("{path}: ")).unwrap_or(text).to_owned();
        FileError { path: cut(&path).into_owned(), line, message: cut(&message).into_owned() }
    })
}

/// The text, or its beginning when it is long.
fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(REPEATED_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Whether brackets are nested so deep that reading would take minutes before it is refused.
/// Brackets in texts count too: nobody writes so many that are not closed.
fn is_too_deep(yaml: &str) -> bool {
    let mut depth = 0_usize;
    yaml.bytes().any(|byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > NESTING_MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_document() {
        let read = read_yaml::<Vec<u8>>("\u{feff}[1, 2]");
        assert_eq!(read, Ok(vec![1, 2]));
    }

    #[test]
    fn a_message_does_not_repeat_a_file() {
        let error = read_yaml::<u8>(&"9".repeat(100_000)).unwrap_err();
        assert!(error.message.starts_with("invalid") && error.to_string().len() < 2_000, "{error}");
    }

    #[test]
    fn what_is_nested_beyond_sense_is_refused_at_once() {
        let nested = |depth: usize| {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            read_yaml::<serde::de::IgnoredAny>(&text).map(drop).unwrap_err().message
        };
        assert!(nested(400_000).contains("brackets inside one another"));
        assert!(nested(NESTING_MAX + 1).contains("brackets inside one another"));
        let wide = format!("[{}]", vec!["[1]"; 1_000].join(","));
        assert!(read_yaml::<serde::de::IgnoredAny>(&wide).is_ok());
    }
}
