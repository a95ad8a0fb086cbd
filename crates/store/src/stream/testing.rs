//! What tests do to the streams, past the protocol.

use redis::{Value, cmd};
use uuid::Uuid;

use super::Ringer;
use super::entries::decode_entries;
use crate::StoreError;

impl Ringer {
    /// Adds an entry that names no event.
    pub async fn add_noise(&mut self, field: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut command = cmd("XADD");
        command.arg(&self.keys.events).arg("*").arg(field).arg(value);
        Ok(command.query_async::<Value>(&mut self.conn).await.map(|_| ())?)
    }

    /// Any command: its words, the key of the events, then the arguments.
    pub async fn raw(&mut self, words: &str, arguments: &[&[u8]]) -> Result<Value, StoreError> {
        self.raw_at(self.keys.events.clone(), words, arguments).await
    }

    /// The same on the stream of announcements.
    pub async fn raw_on_outcomes(
        &mut self,
        words: &str,
        arguments: &[&[u8]],
    ) -> Result<Value, StoreError> {
        self.raw_at(self.keys.outcomes.clone(), words, arguments).await
    }

    async fn raw_at(
        &mut self,
        key: String,
        words: &str,
        arguments: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap_or_default());
        command.arg(words.collect::<Vec<_>>()).arg(key).arg(arguments);
        Ok(command.query_async(&mut self.conn).await?)
    }

    /// Every event that an entry names, whether somebody holds the entry or not.
    pub async fn event_ids(&mut self) -> Result<Vec<Uuid>, StoreError> {
        let mut command = cmd("XRANGE");
        command.arg(&self.keys.events).arg("-").arg("+");
        let entries: Value = command.query_async(&mut self.conn).await?;
        Ok(decode_entries(&entries).into_iter().filter_map(|entry| entry.event_id).collect())
    }
}
