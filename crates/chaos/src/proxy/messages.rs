//! What a client says to PostgreSQL, message by message, so that a COMMIT is seen before it is passed on.
//!
//! sqlx ends transactions by a simple query `COMMIT`; a prepared one is known by its text too.

/// A client's bytes as messages of PostgreSQL's protocol.
#[derive(Default)]
pub(super) struct Messages {
    buffer: Vec<u8>,
    /// Whether the start-up message, which has no type, is through.
    started: bool,
}

/// The code of a start-up message: version 3.0. Requests for encryption have other codes.
const PROTOCOL_MAJOR: u16 = 3;

impl Messages {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes whole messages up to a commit, which is left; or all whole ones. Says which.
    pub(super) fn until_commit(&mut self) -> (Vec<u8>, bool) {
        let mut at = 0;
        let mut commits = false;
        while let Some(length) = self.message_length(at) {
            let message = &self.buffer[at..at + length];
            if self.started {
                commits = is_commit(message);
            } else {
                self.started = message.get(4..6) == Some(&PROTOCOL_MAJOR.to_be_bytes());
            }
            if commits {
                break;
            }
            at += length;
        }
        (self.buffer.drain(..at).collect(), commits)
    }

    /// Takes the message that is first.
    pub(super) fn take_one(&mut self) -> Vec<u8> {
        let length = self.message_length(0).unwrap_or(0);
        self.buffer.drain(..length).collect()
    }

    /// Takes everything that is left.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// The length of the message that begins there, once all of it has arrived.
    fn message_length(&self, at: usize) -> Option<usize> {
        let prefix = usize::from(self.started);
        let length = self.buffer.get(at + prefix..at + prefix + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let length = prefix + usize::try_from(length).ok()?.max(4);
        (self.buffer.len() - at >= length).then_some(length)
    }
}

/// A simple query `COMMIT`, or the preparation of one.
fn is_commit(message: &[u8]) -> bool {
    let text = match message.first() {
        Some(b'Q') => message.get(5..),
        // Parse: the statement's name, then its text.
        Some(b'P') => message.get(5..).and_then(|body| body.splitn(2, |byte| *byte == 0).nth(1)),
        _ => None,
    };
    let text = text.and_then(|text| text.split(|byte| *byte == 0).next()).unwrap_or_default();
    let text = text.trim_ascii();
    text.strip_suffix(b";").unwrap_or(text).eq_ignore_ascii_case(b"commit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    fn startup() -> Vec<u8> {
        [12_u32.to_be_bytes(), (3_u32 << 16).to_be_bytes(), [0; 4]].concat()
    }

    #[test]
    fn a_commit_is_found_however_its_bytes_arrive() {
        let ssl_request = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
        let before = [ssl_request, startup(), message(b'Q', b"begin\0")].concat();
        let commit = message(b'Q', b"COMMIT\0");
        let bytes = [before.clone(), commit.clone()].concat();
        for size in 1..bytes.len() {
            let mut messages = Messages::default();
            let mut passed = Vec::new();
            let mut found = false;
            for piece in bytes.chunks(size) {
                messages.push(piece);
                let (whole, commits) = messages.until_commit();
                passed.extend(whole);
                found |= commits;
            }
            assert!(found, "pieces of {size}");
            assert_eq!(passed, before, "pieces of {size}");
            assert_eq!(messages.take_one(), commit, "pieces of {size}");
        }
    }

    #[test]
    fn only_a_commit_is_one() {
        assert!(is_commit(&message(b'Q', b" commit; \0")));
        assert!(is_commit(&message(b'P', b"s1\0COMMIT\0\0\0")));
        assert!(!is_commit(&message(b'Q', b"select 'COMMIT'\0")));
        assert!(!is_commit(&message(b'P', b"COMMIT\0select 1\0\0\0")));
        assert!(!is_commit(&message(b'd', b"COMMIT\0")));
        assert!(!is_commit(b""));
    }
}
