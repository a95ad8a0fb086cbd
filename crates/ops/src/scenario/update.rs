//! Putting another `expect:` block in the place of the one in a file, byte for byte beside that.

use std::path::Path;

use anyhow::Context as _;

use crate::input;

/// The file's text with another block.
pub(super) fn rewrite(path: &Path, block: &str) -> anyhow::Result<String> {
    let text = input::read_text(&path.to_string_lossy())?;
    Ok(replace(&text, block))
}

/// Writes the file.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Replaces the block, or adds it at the end where there is none. What follows it (empty lines and
/// comments before the next key included) stays.
fn replace(text: &str, block: &str) -> String {
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let block = block.replace('\n', ending);
    let mut begin = None;
    let mut end = 0;
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        let after = place + line.len();
        if begin.is_none() {
            if line.starts_with("expect:") {
                (begin, end) = (Some(place), after);
            }
        } else if line.starts_with([' ', '\t', '}']) {
            if !line.trim().is_empty() {
                end = after;
            }
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            break;
        }
        place = after;
    }
    match begin {
        Some(begin) => format!("{}{block}{}", &text[..begin], &text[end..]),
        None if text.is_empty() || text.ends_with('\n') => format!("{text}{block}"),
        None => format!("{text}{ending}{block}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "expect:\n  complete: true\n";

    #[test]
    fn everything_beside_the_block_stays_byte_for_byte() {
        let cases = [
            ("a: 1\nexpect:\n  x: 1\n\n  y: 2\n", "a: 1\nexpect:\n  complete: true\n"),
            ("a: 1\nexpect: {x: 1}\n# end\n", "a: 1\nexpect:\n  complete: true\n# end\n"),
            (
                "expect:\n  x: 1 # why\n\n# next\nb:   2\n",
                "expect:\n  complete: true\n\n# next\nb:   2\n",
            ),
            ("a: 1", "a: 1\nexpect:\n  complete: true\n"),
            ("a: 1\r\nexpect:\r\n  x: 1\r\nb: 2", "a: 1\r\nexpect:\r\n  complete: true\r\nb: 2"),
        ];
        for (text, expected) in cases {
            assert_eq!(replace(text, BLOCK), expected, "{text:?}");
        }
    }

    #[test]
    fn rewriting_twice_is_rewriting_once() {
        let once = replace("a: 1\n\nexpect:\n  x: 1\n", BLOCK);
        assert_eq!(replace(&once, BLOCK), once);
    }
}
