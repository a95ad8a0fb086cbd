//! What `lineage bench` needs of PostgreSQL: the floors, which are the same rows written with
//! nothing around them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, pool::PoolConnection};
use uuid::Uuid;

use crate::StoreError;

/// How many outcomes and ledger lines there are.
pub async fn settled(pool: &PgPool) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query!(
        r#"select (select count(*) from commission_outcomes) as "outcomes!",
                  (select count(*) from commission_ledger) as "lines!""#
    )
    .fetch_one(pool)
    .await?;
    Ok((row.outcomes, row.lines))
}

/// How many events there are.
pub async fn recorded(pool: &PgPool) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from events"#);
    Ok(count.fetch_one(pool).await?)
}

/// Bytes from which a floor is written by COPY.
const COPY_BYTES_MIN: usize = 100_000;

/// A floor: rows as they are in a table, cut into transactions, to be written into an empty table
/// with the same columns, checks and indexes.
pub struct Floor {
    tables: Vec<FloorTable>,
    /// Per transaction, per table, the rows in COPY's binary form.
    transactions: Vec<Vec<Vec<u8>>>,
}

/// A table of a floor.
#[derive(Clone, Copy, Debug)]
pub struct FloorTable {
    /// The table whose rows are written again.
    pub source: &'static str,
    /// The columns, all that can be written.
    pub columns: &'static str,
    /// The column by which rows belong to a transaction.
    pub key: &'static str,
    /// The order of rows inside a transaction.
    pub order: &'static str,
}

/// Outcomes and ledger lines: what settlement writes.
pub const SETTLEMENT: [FloorTable; 2] = [
    FloorTable {
        source: "commission_outcomes",
        columns: "event_id, settled_in, settled_at, plan_id, semantics, lines, breakage, inputs",
        key: "event_id",
        order: "event_id",
    },
    FloorTable {
        source: "commission_ledger",
        columns: "event_id, member_id, posted_at, earned_period, posted_period, rule_id, \
                  entry_type, line, level, depth, currency, amount, career_points",
        key: "event_id",
        order: "event_id, line",
    },
];

/// Events: what ingest writes.
pub const INGEST: [FloorTable; 1] = [FloorTable {
    source: "events",
    columns: "id, member_id, occurred_at, recorded_at, earned_period, event_type, source_type, \
              currency, source, external_id, amount, volume, product_id, order_kind, market, \
              buyer_type, line_count",
    key: "id",
    order: "id",
}];

/// Members, their history and their closure rows: what an import writes.
pub const IMPORT: [FloorTable; 4] = [
    FloorTable {
        source: "members",
        columns: "id, external_id, name, sponsor_id, status, rank, joined_at",
        key: "id",
        order: "id",
    },
    FloorTable {
        source: "member_sponsors",
        columns: "member_id, effective_at, sponsor_id, actor, reason",
        key: "member_id",
        order: "member_id",
    },
    FloorTable {
        source: "member_states",
        columns: "member_id, effective_at, status, rank, actor, reason",
        key: "member_id",
        order: "member_id",
    },
    FloorTable {
        source: "member_tree_paths",
        columns: "ancestor_id, descendant_id, depth",
        key: "descendant_id",
        order: "descendant_id, depth",
    },
];

impl Floor {
    /// Reads the rows of `tables` that belong to `keys`, a transaction for every `batch` keys.
    pub async fn read(
        pool: &PgPool,
        tables: &[FloorTable],
        keys: &[Uuid],
        batch: usize,
    ) -> Result<Self, StoreError> {
        let mut conn = pool.acquire().await?;
        sqlx::query("drop table if exists floor_keys").execute(&mut *conn).await?;
        sqlx::query("create table floor_keys (transaction integer, key uuid)")
            .execute(&mut *conn)
            .await?;
        let number =
            |place: usize| i32::try_from(place / batch.max(1)).map_err(StoreError::damaged);
        let numbers: Vec<i32> = (0..keys.len()).map(number).collect::<Result<_, _>>()?;
        sqlx::query("insert into floor_keys select * from unnest($1::integer[], $2::uuid[])")
            .bind(&numbers)
            .bind(keys)
            .execute(&mut *conn)
            .await?;
        sqlx::query("create index on floor_keys (transaction)").execute(&mut *conn).await?;
        sqlx::query("analyze floor_keys").execute(&mut *conn).await?;
        let count = numbers.last().map_or(0, |last| last + 1);
        let mut transactions = Vec::new();
        for transaction in 0..count {
            let mut parts = Vec::with_capacity(tables.len());
            for table in tables {
                parts.push(read_rows(&mut conn, table, transaction).await?);
            }
            transactions.push(parts);
        }
        Ok(Self { tables: tables.to_vec(), transactions })
    }

    /// Writes everything into new empty tables over so many connections; how long that took.
    pub async fn write(&self, pool: &PgPool, connections: usize) -> Result<Duration, StoreError> {
        for FloorTable { source, .. } in &self.tables {
            for statement in [
                format!("drop table if exists floor_{source}"),
                format!("create table floor_{source} (like {source} including all)"),
            ] {
                sqlx::query(AssertSqlSafe(statement)).execute(pool).await?;
            }
        }
        sqlx::query("checkpoint").execute(pool).await?;
        let next = Arc::new(AtomicUsize::new(0));
        let mut writers: Vec<PoolConnection<Postgres>> = Vec::with_capacity(connections);
        for _ in 0..connections {
            writers.push(pool.acquire().await?);
        }
        let begun = Instant::now();
        let write = async |mut conn: PoolConnection<Postgres>| {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some(parts) = self.transactions.get(turn) else { return Ok(()) };
                self.write_transaction(&mut conn, turn, parts).await?;
            }
        };
        let all = writers.into_iter().map(write);
        let ended: Vec<Result<(), StoreError>> = futures_util::future::join_all(all).await;
        let time = begun.elapsed();
        ended.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(time)
    }

    /// By COPY, unless there is so little that the end of a COPY would wait for Nagle's algorithm
    /// (see `settling`): then the server copies the rows itself, which is faster still.
    async fn write_transaction(
        &self,
        conn: &mut PgConnection,
        number: usize,
        parts: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let mut tx = conn.begin().await?;
        for (table, rows) in self.tables.iter().zip(parts) {
            let FloorTable { source, columns, key, .. } = table;
            if rows.len() < COPY_BYTES_MIN {
                let statement = format!(
                    "insert into floor_{source} ({columns}) select {columns} from {source} \
                     where {key} in (select key from floor_keys where transaction = $1)"
                );
                let number = i32::try_from(number).map_err(StoreError::damaged)?;
                sqlx::query(AssertSqlSafe(statement)).bind(number).execute(&mut *tx).await?;
                continue;
            }
            let statement = format!("copy floor_{source} ({columns}) from stdin (format binary)");
            let mut copy = tx.copy_in_raw(&statement).await?;
            copy.send(rows.as_slice()).await?;
            copy.finish().await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn read_rows(
    conn: &mut PgConnection,
    table: &FloorTable,
    transaction: i32,
) -> Result<Vec<u8>, StoreError> {
    let FloorTable { source, columns, key, order } = table;
    let statement = format!(
        "copy (select {columns} from {source} where {key} in \
         (select key from floor_keys where transaction = {transaction}) order by {order}) \
         to stdout (format binary)"
    );
    let mut chunks = conn.copy_out_raw(&statement).await?;
    let mut rows = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        rows.extend_from_slice(&chunk);
    }
    Ok(rows)
}

/// The two commits that a sale cannot do without, with nothing around them: its event, then its
/// outcome and lines, each copied inside the server from the row that settlement wrote. How long
/// both took, for each of these sales.
pub async fn bare_commits(pool: &PgPool, event_ids: &[Uuid]) -> Result<Vec<Duration>, StoreError> {
    let mut conn = pool.acquire().await?;
    for FloorTable { source, .. } in INGEST.iter().chain(&SETTLEMENT) {
        let statement = format!("create table floor_{source} (like {source} including all)");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *conn).await?;
    }
    let mut times = Vec::with_capacity(event_ids.len());
    for event_id in event_ids {
        let begun = Instant::now();
        for tables in [&INGEST[..], &SETTLEMENT[..]] {
            let mut tx = conn.begin().await?;
            for FloorTable { source, columns, key, .. } in tables {
                let statement = format!(
                    "insert into floor_{source} ({columns}) \
                     select {columns} from {source} where {key} = $1"
                );
                sqlx::query(AssertSqlSafe(statement)).bind(event_id).execute(&mut *tx).await?;
            }
            tx.commit().await?;
        }
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// The bare lookup of an upline: the floor of what settlement reads.
pub async fn bare_upline(
    conn: &mut PgConnection,
    member_id: Uuid,
    depth_max: i16,
) -> Result<usize, StoreError> {
    let rows = sqlx::query_scalar!(
        "select ancestor_id from member_tree_paths
          where descendant_id = $1 and depth between 1 and $2 order by depth",
        member_id,
        depth_max,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.len())
}
