//! One sitting of `verify`: one moment of the database for all its connections, and who sees it.
//!
//! The first transaction exports its snapshot and the others join it, so that all of them see the
//! same rows, whatever is settled meanwhile. The first must stay open until the last has joined.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::StoreError;

/// The name of a snapshot that other transactions can join.
#[derive(Clone, Debug)]
pub struct Snapshot(String);

/// What a verification is of, and who asked for it.
#[derive(Clone, Debug)]
pub struct Sitting {
    /// What is joined.
    pub snapshot: Snapshot,
    /// What is seen: PostgreSQL's `xmin:xmax:running`. Transactions from `xmax` on, and those that
    /// were running, are not in it.
    pub horizon: String,
    /// The login.
    pub login: String,
    /// The role whose rights are used.
    pub role: String,
    /// When it began, by PostgreSQL's clock.
    pub begun_at: DateTime<Utc>,
    /// The database's name.
    pub database: String,
    /// The cluster's identifier, the same for its standbys and physical copies.
    pub system_identifier: String,
    /// PostgreSQL's version.
    pub server_version: String,
    /// The newest migration; `None` where nothing says so.
    pub schema_version: Option<i64>,
}

/// Makes the transaction that has just begun see one moment, read only, and exports it.
pub async fn begin_sitting(conn: &mut PgConnection) -> Result<Sitting, StoreError> {
    hold_snapshot(conn).await?;
    let row = sqlx::query!(
        r#"
        select pg_export_snapshot() as "snapshot!", pg_current_snapshot()::text as "horizon!",
               session_user::text as "login!", current_user::text as "role!",
               now() as "begun_at!", current_database()::text as "database!",
               (select system_identifier::text from pg_control_system()) as "system_identifier!",
               current_setting('server_version') as "server_version!",
               coalesce(has_table_privilege(to_regclass('public._sqlx_migrations'), 'select'),
                        false) as "says_version!"
        "#
    )
    .fetch_one(&mut *conn)
    .await?;
    // Not checked when this is built: the table is the migrations' own.
    let schema_version = if row.says_version {
        sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
            .fetch_one(conn)
            .await?
    } else {
        None
    };
    Ok(Sitting {
        snapshot: Snapshot(row.snapshot),
        horizon: row.horizon,
        login: row.login,
        role: row.role,
        begun_at: row.begun_at,
        database: row.database,
        system_identifier: row.system_identifier,
        server_version: row.server_version,
        schema_version,
    })
}

/// Makes the transaction that has just begun see what the sitting's first one sees.
pub async fn join_snapshot(
    conn: &mut PgConnection,
    Snapshot(name): &Snapshot,
) -> Result<(), StoreError> {
    hold_snapshot(conn).await?;
    if !name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(StoreError::damaged(format!("{name:?} is no name of a snapshot")));
    }
    let join = format!("set transaction snapshot '{name}'");
    sqlx::query(AssertSqlSafe(join)).execute(conn).await?;
    Ok(())
}

/// One moment for the whole transaction, in which nothing can be written; it may wait between its
/// statements, while others compute, for as long as that takes.
async fn hold_snapshot(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("set transaction isolation level repeatable read, read only")
        .execute(&mut *conn)
        .await?;
    sqlx::query("set local idle_in_transaction_session_timeout = 0").execute(conn).await?;
    Ok(())
}

/// PostgreSQL's clock, inside of transactions too.
pub async fn clock(conn: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#);
    Ok(now.fetch_one(conn).await?)
}
