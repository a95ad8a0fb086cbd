//! What must hold of the keys before anything can flow, and mending it. Whoever can write to Redis
//! can put anything there; none of it may stop settlement for ever.
//!
//! | what is found | what is done |
//! |---|---|
//! | no group, no stream | made, from the first entry on |
//! | a key that holds no stream, or one whose last id leaves no room for another | renamed to `<key>:aside`, so that somebody can look at it; the sweep rings again for what was in it |
//! | entries that the group was made to skip | the group goes back to the first entry |

use std::collections::HashMap;

use redis::{Value, cmd, pipe};

use super::{GROUP, Ringer, text};
use crate::StoreError;

/// What an exhausted stream's last id begins with.
const LAST_POSSIBLE: &str = "18446744073709551615-";

impl Ringer {
    /// Makes stream and group if they are missing, and mends what would keep entries from being
    /// added or read. From `0`: what is in the stream already must be read, not skipped.
    pub async fn ensure_group(&mut self) -> Result<(), StoreError> {
        self.make_room().await?;
        let made: Result<(), _> = cmd("XGROUP")
            .arg("CREATE")
            .arg(&self.keys.events)
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM")
            .query_async(&mut self.conn)
            .await;
        match made {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error.into()),
            _ => {}
        }
        self.go_back_to_skipped().await
    }

    /// Sets aside what can take no entries. Two workers at once may set aside the new stream too:
    /// that costs latency, like every loss of Redis.
    pub(super) async fn make_room(&mut self) -> Result<(), StoreError> {
        for key in [self.keys.events.clone(), self.keys.outcomes.clone()] {
            if self.takes_entries(&key).await? {
                continue;
            }
            let aside = format!("{key}:aside");
            let moved: Result<(), _> =
                cmd("RENAME").arg(&key).arg(&aside).query_async(&mut self.conn).await;
            match moved {
                Ok(()) => tracing::warn!(key, aside, "set aside what can take no entries"),
                // Somebody else has.
                Err(error) if error.code() == Some("ERR") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn takes_entries(&mut self, key: &str) -> Result<bool, StoreError> {
        let kind: String = cmd("TYPE").arg(key).query_async(&mut self.conn).await?;
        if kind != "stream" {
            return Ok(kind == "none");
        }
        let stream: HashMap<String, Value> =
            cmd("XINFO").arg("STREAM").arg(key).query_async(&mut self.conn).await?;
        let last = stream.get("last-generated-id").and_then(text);
        Ok(last.is_none_or(|last| !last.starts_with(LAST_POSSIBLE)))
    }

    /// Entries before the group's place that nobody holds are never delivered; the protocol leaves
    /// none. Somebody made the group at another place, or moved it.
    async fn go_back_to_skipped(&mut self) -> Result<(), StoreError> {
        let (stream, groups): (HashMap<String, Value>, Vec<HashMap<String, Value>>) = pipe()
            .atomic()
            .cmd("XINFO")
            .arg("STREAM")
            .arg(&self.keys.events)
            .cmd("XINFO")
            .arg("GROUPS")
            .arg(&self.keys.events)
            .query_async(&mut self.conn)
            .await?;
        let is_ours = |group: &&HashMap<String, Value>| {
            group.get("name").and_then(text).as_deref() == Some(GROUP)
        };
        let Some(group) = groups.iter().find(is_ours) else { return Ok(()) };
        let number = |value: Option<&Value>| match value {
            Some(Value::Int(number)) => *number,
            _ => 0,
        };
        let place = |value: Option<&Value>| value.and_then(text).and_then(|id| position(&id));
        let has_read_to_the_end =
            place(group.get("last-delivered-id")) >= place(stream.get("last-generated-id"));
        let (length, held) = (number(stream.get("length")), number(group.get("pending")));
        if !has_read_to_the_end || length <= held {
            return Ok(());
        }
        tracing::warn!(
            entries = length - held,
            "the group has skipped entries; going back to them"
        );
        let mut command = cmd("XGROUP");
        command.arg("SETID").arg(&self.keys.events).arg(GROUP).arg("0");
        Ok(command.query_async(&mut self.conn).await?)
    }
}

/// An entry's id as numbers to compare.
fn position(id: &str) -> Option<(u64, u64)> {
    let (milliseconds, sequence) = id.split_once('-')?;
    Some((milliseconds.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_compared_as_numbers() {
        assert!(position("9-1") < position("10-0"));
        assert!(position("18446744073709551615-18446744073709551615") > position("10-0"));
        assert_eq!(position("10"), None);
    }
}
