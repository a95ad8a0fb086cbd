//! Redis Streams: the doorbell. PostgreSQL is the truth; losing all of this costs latency only.
//!
//! | key | what |
//! |---|---|
//! | `<prefix>:events` | an entry `id=<event id>` for each event to settle; consumer group `workers` |
//! | `<prefix>:outcomes` | entries `type=COMMISSIONS_CALCULATED event_ids=<id>,<id>,…` of settled ones |
//!
//! The protocol: ingest adds, a worker reads, settles, commits, then acknowledges *and deletes*,
//! so the stream's length is the backlog. Entries of a dead worker stay in its pending list until
//! another claims them. Keeps to the commands of Redis 7.0; Valkey has them too.

mod entries;
mod listener;
#[cfg(feature = "testing")]
mod testing;
mod upkeep;

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Pipeline, Value, cmd};
use secrecy::SecretString;
use uuid::Uuid;

use self::entries::{decode_entries, entries_of_only_stream, text};
pub use self::listener::Listener;
use crate::{StoreError, tls};

/// The group that all workers share.
const GROUP: &str = "workers";
/// The only field of an entry.
const FIELD: &str = "id";
/// How long a blocking read waits in Redis.
pub const BLOCK: Duration = Duration::from_secs(2);
/// redis-rs gives up on a command after half a second by itself, while Redis would go on blocking
/// and hand the next entry to nobody: the wait must be longer than [`BLOCK`].
const READER_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long any other command may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);
/// About how many announcements are kept for consumers that are away; they catch up by the feed.
const OUTCOMES_LENGTH_MAX: usize = 10_000;
/// Most ids of one announcement: about 18 kB.
const ANNOUNCED_TOGETHER_MAX: usize = 500;
/// Where claiming begins, and what Redis says when it has seen every pending entry.
const CLAIM_ENDS: &str = "0-0";

/// An entry read from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the stream.
    pub id: String,
    /// The event that it names; `None`: it names none, so it is noise.
    pub event_id: Option<Uuid>,
}

/// Entries that were taken over from another consumer.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// A page of them; it may be empty though others follow.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<ClaimCursor>,
}

/// Where a page of entries that can be taken over begins.
#[derive(Clone, Debug)]
pub struct ClaimCursor(String);

impl Default for ClaimCursor {
    /// The first page.
    fn default() -> Self {
        Self(CLAIM_ENDS.to_owned())
    }
}

/// Where Redis is, and under which prefix the keys lie.
#[derive(Clone, Debug)]
pub struct Doorbell {
    client: Client,
    events: String,
    outcomes: String,
}

impl Doorbell {
    /// Reads the URL, and the authorities that a `rediss://` names by `?sslrootcert=`; connects to
    /// nothing yet.
    pub fn new(url: &SecretString, prefix: &str) -> Result<Self, StoreError> {
        let settings = TcpSettings::default().set_nodelay(true);
        Ok(Self {
            client: tls::redis_client(url, settings)?,
            events: format!("{prefix}:events"),
            outcomes: format!("{prefix}:outcomes"),
        })
    }

    /// A connection for commands that do not block. It connects, and connects again, by itself.
    pub fn connect(&self) -> Result<Ringer, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT));
        let conn = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        Ok(Ringer { conn, keys: self.clone() })
    }

    /// A connection for one loop of one consumer. Nothing else may use it: a command on a
    /// connection that blocks waits too.
    pub async fn consume(&self, consumer: String) -> Result<Consumer, StoreError> {
        let conn = self.blocking_connection().await?;
        Ok(Consumer { conn, keys: self.clone(), name: consumer })
    }

    async fn blocking_connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(READER_RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT));
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}

/// Adds entries, acknowledges them and looks after the group.
#[derive(Clone)]
pub struct Ringer {
    conn: ConnectionManager,
    keys: Doorbell,
}

impl Ringer {
    /// Adds an entry for each event, in one round trip.
    pub async fn publish(&mut self, event_ids: &[Uuid]) -> Result<(), StoreError> {
        if event_ids.is_empty() {
            return Ok(());
        }
        let mut pipe = Pipeline::with_capacity(event_ids.len());
        for event_id in event_ids {
            let mut text = Uuid::encode_buffer();
            let text = event_id.hyphenated().encode_lower(&mut text);
            pipe.cmd("XADD").arg(&self.keys.events).arg("*").arg(FIELD).arg(&*text).ignore();
        }
        match pipe.query_async(&mut self.conn).await {
            // A connection that was cut shows at its first command, and the next one has a new
            // connection. Without it these events would wait for the sweep; ringing twice does no
            // harm.
            Err(error) if error.is_connection_dropped() => {
                Ok(pipe.query_async(&mut self.conn).await?)
            }
            rung => Ok(rung?),
        }
    }

    /// Announces settled events and removes the entries that named them, in one round trip.
    pub async fn finish(&mut self, settled: &[Uuid], entries: &[String]) -> Result<(), StoreError> {
        let mut pipe = Pipeline::with_capacity(3);
        for settled in settled.chunks(ANNOUNCED_TOGETHER_MAX) {
            pipe.cmd("XADD")
                .arg(&self.keys.outcomes)
                .arg("MAXLEN")
                .arg("~")
                .arg(OUTCOMES_LENGTH_MAX)
                .arg("*")
                .arg("type")
                .arg("COMMISSIONS_CALCULATED")
                .arg("event_ids")
                .arg(joined(settled))
                .ignore();
        }
        if !entries.is_empty() {
            pipe.cmd("XACK").arg(&self.keys.events).arg(GROUP).arg(entries).ignore();
            pipe.cmd("XDEL").arg(&self.keys.events).arg(entries).ignore();
        }
        let done: Result<(), redis::RedisError> = pipe.query_async(&mut self.conn).await;
        if done.as_ref().is_err_and(|error| error.kind() != redis::ErrorKind::Io) {
            // Something stands at a key that takes no entries, most likely: mended for the next time.
            self.make_room().await?;
        }
        Ok(done?)
    }

    /// How many entries are in the stream: not yet read, or read and not yet settled.
    pub async fn length(&mut self) -> Result<u64, StoreError> {
        Ok(cmd("XLEN").arg(&self.keys.events).query_async(&mut self.conn).await?)
    }

    /// How many entries are read and not yet settled.
    pub async fn pending(&mut self) -> Result<u64, StoreError> {
        let summary: Result<Value, _> =
            cmd("XPENDING").arg(&self.keys.events).arg(GROUP).query_async(&mut self.conn).await;
        match summary {
            Ok(Value::Array(fields)) => match fields.first() {
                Some(Value::Int(count)) => Ok(u64::try_from(*count).unwrap_or(0)),
                _ => Ok(0),
            },
            Ok(_) => Ok(0),
            Err(error) if error.code() == Some("NOGROUP") => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether Redis answers.
    pub async fn ping(&mut self) -> Result<(), StoreError> {
        Ok(cmd("PING").query_async(&mut self.conn).await?)
    }

    /// Takes over entries that their consumer has held for too long: the next page of them after
    /// `cursor`, in which at most `count` are. All of them at once would be a memory without end,
    /// and entries held again long before their turn comes.
    pub async fn claim_stale(
        &mut self,
        consumer: &str,
        held_for: Duration,
        cursor: &ClaimCursor,
        count: usize,
    ) -> Result<Claimed, StoreError> {
        let (next, entries, _deleted): (String, Value, Value) = cmd("XAUTOCLAIM")
            .arg(&self.keys.events)
            .arg(GROUP)
            .arg(consumer)
            .arg(u64::try_from(held_for.as_millis()).unwrap_or(u64::MAX))
            .arg(&cursor.0)
            .arg("COUNT")
            .arg(count)
            .query_async(&mut self.conn)
            .await?;
        let next = (next != CLAIM_ENDS).then_some(ClaimCursor(next));
        Ok(Claimed { entries: decode_entries(&entries), next })
    }

    /// Removes a consumer from the group if it holds nothing. Entries of a consumer that is removed
    /// while holding some could never be claimed.
    pub async fn leave(&mut self, consumer: &str) -> Result<(), StoreError> {
        for other in self.consumers().await? {
            if other.name == consumer && other.pending == 0 {
                self.remove(consumer).await?;
            }
        }
        Ok(())
    }

    /// Removes consumers that have been silent for so long and hold nothing.
    pub async fn remove_silent(&mut self, silent_for: Duration) -> Result<u64, StoreError> {
        let mut removed = 0;
        for consumer in self.consumers().await? {
            if consumer.pending == 0 && consumer.idle > silent_for {
                self.remove(&consumer.name).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn remove(&mut self, consumer: &str) -> Result<(), StoreError> {
        let mut command = cmd("XGROUP");
        command.arg("DELCONSUMER").arg(&self.keys.events).arg(GROUP).arg(consumer);
        Ok(command.query_async::<Value>(&mut self.conn).await.map(|_| ())?)
    }

    /// How many consumers the group has.
    pub async fn consumer_count(&mut self) -> Result<usize, StoreError> {
        Ok(self.consumers().await?.len())
    }

    async fn consumers(&mut self) -> Result<Vec<ConsumerInfo>, StoreError> {
        let mut command = cmd("XINFO");
        command.arg("CONSUMERS").arg(&self.keys.events).arg(GROUP);
        let rows: Vec<std::collections::HashMap<String, Value>> =
            command.query_async(&mut self.conn).await?;
        Ok(rows.iter().filter_map(ConsumerInfo::decode).collect())
    }

    /// Removes both streams. For benchmarks and tests, which use a prefix of their own.
    pub async fn remove_streams(&mut self) -> Result<(), StoreError> {
        Ok(cmd("DEL")
            .arg(&self.keys.events)
            .arg(&self.keys.outcomes)
            .arg(format!("{}:aside", self.keys.events))
            .arg(format!("{}:aside", self.keys.outcomes))
            .query_async::<Value>(&mut self.conn)
            .await
            .map(|_| ())?)
    }
}

/// Reads entries as one consumer of the group.
pub struct Consumer {
    conn: MultiplexedConnection,
    keys: Doorbell,
    name: String,
}

impl Consumer {
    /// Waits up to [`BLOCK`] for entries that nobody has read.
    pub async fn read_new(&mut self, count: usize) -> Result<Vec<Entry>, StoreError> {
        self.read(count, ">").await
    }

    /// Entries that this consumer has read and not yet finished, from the oldest on.
    pub async fn read_own_pending(&mut self, count: usize) -> Result<Vec<Entry>, StoreError> {
        self.read(count, "0").await
    }

    async fn read(&mut self, count: usize, from: &str) -> Result<Vec<Entry>, StoreError> {
        let reply: Value = cmd("XREADGROUP")
            .arg("GROUP")
            .arg(GROUP)
            .arg(&self.name)
            .arg("COUNT")
            .arg(count)
            .arg("BLOCK")
            .arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX))
            .arg("STREAMS")
            .arg(&self.keys.events)
            .arg(from)
            .query_async(&mut self.conn)
            .await?;
        Ok(entries_of_only_stream(&reply).map(decode_entries).unwrap_or_default())
    }
}

/// Whether an error says that the group is gone: Redis was flushed, or lost its memory.
#[must_use]
pub fn is_group_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::Stream(error) if error.code() == Some("NOGROUP"))
}

/// Ids in a row, separated by commas.
fn joined(ids: &[Uuid]) -> String {
    let mut text = String::with_capacity(ids.len() * 37);
    let mut buffer = Uuid::encode_buffer();
    for id in ids {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(id.hyphenated().encode_lower(&mut buffer));
    }
    text
}

struct ConsumerInfo {
    name: String,
    pending: u64,
    idle: Duration,
}

impl ConsumerInfo {
    fn decode(fields: &std::collections::HashMap<String, Value>) -> Option<Self> {
        let number = |name| match fields.get(name) {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        Some(Self {
            name: text(fields.get("name")?)?,
            pending: number("pending")?,
            idle: Duration::from_millis(number("idle")?),
        })
    }
}
