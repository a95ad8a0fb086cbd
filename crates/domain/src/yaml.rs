//! Reading YAML files that people write, and naming the place of what does not fit.

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Largest plan, ladder or scenario file that is read, in bytes.
pub const FILE_SIZE_MAX: usize = 1 << 20;

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
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Reads a YAML document, naming line and path of what does not fit.
pub(crate) fn read_yaml<T: DeserializeOwned>(yaml: &str) -> Result<T, FileError> {
    if yaml.len() > FILE_SIZE_MAX {
        return Err(FileError::whole(&format!("the file is larger than {FILE_SIZE_MAX} bytes")));
    }
    serde_path_to_error::deserialize(yaml_serde::Deserializer::from_str(yaml)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let line = inner.location().map(|location| location.line());
        // The reader repeats the place inside its message; it is printed once, in front.
        let text = inner.to_string();
        let text = text.split(" at line ").next().unwrap_or(&text);
        let message = text.strip_prefix(&format!("{path}: ")).unwrap_or(text).to_owned();
        FileError { path, line, message }
    })
}
