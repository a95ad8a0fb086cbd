//! Reading one stream from its beginning on, whatever happens to Redis meanwhile.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value, cmd};
use uuid::Uuid;

/// How long a read waits in Redis.
const BLOCK_MS: usize = 300;
/// Longer than a read waits; redis-rs gives up after half a second by itself.
const RESPONSE_MAX: Duration = Duration::from_secs(3);
/// Entries read at a time.
const COUNT: usize = 1_000;

/// A reader of one stream.
pub(super) struct Ears {
    redis_url: String,
    key: String,
    conn: Option<MultiplexedConnection>,
    /// The last entry heard.
    after: String,
}

impl Ears {
    pub(super) fn new(redis_url: String, key: String) -> Self {
        Self { redis_url, key, conn: None, after: "0-0".to_owned() }
    }

    /// Waits a while for new entries; the event ids that they name. After an error, the next call
    /// connects again.
    pub(super) async fn next(&mut self) -> RedisResult<Vec<Uuid>> {
        let read = self.read().await;
        if read.is_err() {
            self.conn = None;
        }
        read
    }

    async fn read(&mut self) -> RedisResult<Vec<Uuid>> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let reply: Value = cmd("XREAD")
            .arg("COUNT")
            .arg(COUNT)
            .arg("BLOCK")
            .arg(BLOCK_MS)
            .arg("STREAMS")
            .arg(&self.key)
            .arg(&self.after)
            .query_async(&mut conn)
            .await?;
        self.conn = Some(conn);
        let mut ids = Vec::new();
        for (entry_id, fields) in entries(&reply) {
            for value in fields {
                ids.extend(value.split(',').filter_map(|id| Uuid::parse_str(id).ok()));
            }
            self.after = entry_id;
        }
        Ok(ids)
    }

    /// A stream that was lost with Redis and made again may begin below what was heard: then all of
    /// it is new.
    async fn connect(&mut self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(RESPONSE_MAX))
            .set_connection_timeout(Some(RESPONSE_MAX));
        let client = Client::open(&*self.redis_url)?;
        let mut conn = client.get_multiplexed_async_connection_with_config(&config).await?;
        let last: Value = cmd("XREVRANGE")
            .arg(&self.key)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1)
            .query_async(&mut conn)
            .await?;
        let last = list(&last).first().and_then(entry).map(|(id, _)| id);
        if last.is_some_and(|last| place(&last) < place(&self.after)) {
            "0-0".clone_into(&mut self.after);
        }
        Ok(conn)
    }
}

/// An entry's id as numbers, which sort as entries do.
fn place(id: &str) -> (u64, u64) {
    let (time, number) = id.split_once('-').unwrap_or((id, "0"));
    (time.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

/// The entries of a reply about one stream: ids, and the values of their fields.
fn entries(reply: &Value) -> Vec<(String, Vec<String>)> {
    let only_stream = match reply {
        Value::Map(streams) => streams.first().map(|(_, entries)| entries),
        reply => list(reply).first().and_then(|stream| list(stream).get(1)),
    };
    only_stream.map(list).unwrap_or_default().iter().filter_map(entry).collect()
}

fn entry(value: &Value) -> Option<(String, Vec<String>)> {
    let [id, fields] = list(value) else { return None };
    Some((text(id)?, list(fields).iter().skip(1).step_by(2).filter_map(text).collect()))
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        _ => &[],
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}
