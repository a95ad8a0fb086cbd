//! Limits on names and identifiers that come from outside.

use thiserror::Error;

/// Characters that an identifier or a name from outside may have.
pub const TEXT_LENGTH_MAX: usize = 200;

/// Why a text cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing in it, or blanks only.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`TEXT_LENGTH_MAX`].
    #[error("must have at most {TEXT_LENGTH_MAX} characters")]
    TooLong,
    /// Control characters cannot be printed, and PostgreSQL does not store a NUL.
    #[error("must not contain control characters")]
    Control,
}

/// Checks an identifier or name from outside: not empty, not too long, printable.
pub fn check(text: &str) -> Result<(), TextError> {
    if text.trim().is_empty() {
        Err(TextError::Empty)
    } else if text.chars().count() > TEXT_LENGTH_MAX {
        Err(TextError::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(TextError::Control)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_short_and_printable() {
        assert_eq!(check("Jana Nováková"), Ok(()));
        assert_eq!(check(""), Err(TextError::Empty));
        assert_eq!(check("a\0b"), Err(TextError::Control));
        assert_eq!(check(&"ž".repeat(200)), Ok(()));
        assert_eq!(check(&"ž".repeat(201)), Err(TextError::TooLong));
    }
}
