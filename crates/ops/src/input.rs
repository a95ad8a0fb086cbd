//! Files and texts that operators hand over.

use std::io::Read as _;

use anyhow::{Context as _, anyhow};

/// The name that stands for standard input.
const STDIN: &str = "-";

/// What a file is called in messages.
pub(crate) fn name(path: &str) -> &str {
    if path == STDIN { "standard input" } else { path }
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read_bytes(path: &str) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", name(path));
    if path != STDIN {
        return std::fs::read(path).with_context(cannot);
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).with_context(cannot)?;
    Ok(bytes)
}

/// Reads a text file.
pub(crate) fn read_text(path: &str) -> anyhow::Result<String> {
    let text = String::from_utf8(read_bytes(path)?);
    text.map_err(|_| anyhow!("{} is not a text file in UTF-8", name(path)))
}

/// Reads a text that can be shown: what is typed, or a field of a file.
pub(crate) fn printable(text: &str) -> Result<String, String> {
    domain::text::check(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
