//! The outbound stream, as consumers of the platform hear it.

use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use uuid::Uuid;

use super::entries::{decode_entry, entries_of_only_stream};
use super::{BLOCK, Doorbell};
use crate::StoreError;

impl Doorbell {
    /// A connection that hears announcements from now on.
    pub async fn listen(&self) -> Result<Listener, StoreError> {
        let mut conn = self.blocking_connection().await?;
        // Not `$`: what is announced between two reads would be missed.
        let last: Value = cmd("XREVRANGE")
            .arg(&self.outcomes)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1)
            .query_async(&mut conn)
            .await?;
        let last = match &last {
            Value::Array(entries) => entries.first().and_then(decode_entry),
            _ => None,
        };
        let after = last.map_or_else(|| "0-0".to_owned(), |(id, _)| id);
        Ok(Listener { conn, keys: self.clone(), after })
    }
}

/// Hears what is announced on the outbound stream, as a consumer of the platform would.
pub struct Listener {
    conn: MultiplexedConnection,
    keys: Doorbell,
    after: String,
}

impl Listener {
    /// Waits up to [`BLOCK`] for announcements after those heard before.
    pub async fn next(&mut self) -> Result<Vec<Uuid>, StoreError> {
        let reply: Value = cmd("XREAD")
            .arg("BLOCK")
            .arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX))
            .arg("STREAMS")
            .arg(&self.keys.outcomes)
            .arg(&self.after)
            .query_async(&mut self.conn)
            .await?;
        let Some(Value::Array(entries)) = entries_of_only_stream(&reply) else {
            return Ok(Vec::new());
        };
        let mut event_ids = Vec::with_capacity(entries.len());
        for (id, fields) in entries.iter().filter_map(decode_entry) {
            let named = fields.iter().filter(|(name, _)| name == "event_ids");
            let named = named.flat_map(|(_, value)| value.split(','));
            event_ids.extend(named.filter_map(|id| Uuid::parse_str(id).ok()));
            self.after = id;
        }
        Ok(event_ids)
    }
}
