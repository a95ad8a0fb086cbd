//! The words of the command line that stand for an action's arguments.

use std::ffi::OsString;

/// Options with a value that say where servers are: the same action elsewhere has the same digest,
/// and a password in a URL is none of the record's business.
const PLACES: [&str; 4] =
    ["--database-url", "--ops-database-url", "--redis-url", "--stream-prefix"];

/// The words of this process's command line.
pub(super) fn typed() -> Vec<Vec<u8>> {
    words(std::env::args_os().skip(1))
}

/// The words after the program's name, but for where servers are.
fn words(arguments: impl IntoIterator<Item = OsString>) -> Vec<Vec<u8>> {
    let mut arguments = arguments.into_iter();
    let mut words = Vec::new();
    let mut options_have_ended = false;
    while let Some(argument) = arguments.next() {
        let word = argument.into_encoded_bytes();
        if !options_have_ended {
            if PLACES.iter().any(|place| place.as_bytes() == word) {
                arguments.next();
                continue;
            }
            if PLACES.iter().any(|place| word.starts_with(format!("{place}=").as_bytes())) {
                continue;
            }
            options_have_ended = word == b"--";
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(typed: &[&str]) -> String {
        let words = words(typed.iter().map(OsString::from));
        let words = words.into_iter().map(|word| String::from_utf8(word).unwrap());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn where_servers_are_is_no_argument() {
        let plain = ["plan", "retire", "spring", "--from", "2023-06-01"];
        let expected = plain.join(" ");
        assert_eq!(kept(&plain), expected);
        let url = "postgres://lineage:secret@localhost/lineage";
        assert_eq!(kept(&[&["--database-url", url][..], &plain].concat()), expected);
        assert_eq!(kept(&[&plain[..], &["--ops-database-url", url]].concat()), expected);
        let joined = format!("--database-url={url}");
        assert_eq!(kept(&[&plain[..], &[&joined, "--redis-url=redis://x"]].concat()), expected);
        assert_eq!(kept(&[&plain[..], &["--stream-prefix", "x"]].concat()), expected);
    }

    #[test]
    fn what_follows_two_dashes_is_no_option() {
        let after = ["plan", "retire", "--", "--database-url"];
        assert_eq!(kept(&after), "plan retire -- --database-url");
    }
}
