//! Connections to PostgreSQL, each with the least rights and with limits on everything.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgConnection, PgPool};

use crate::{StoreError, connection_url, tls};

/// The schema, as the files under `migrations/`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How long one statement may take before the server gives up. The longest honest ones belong to
/// the operator's tool, which sets its own limit.
const STATEMENT_TIMEOUT: &str = "30s";
/// How long to wait for a row or table lock.
const LOCK_TIMEOUT: &str = "10s";
/// How long a transaction of a server may sit without a statement before PostgreSQL ends it. Ours
/// compute for milliseconds between two statements, so only a stopped process, or one whose machine
/// is gone, sits for seconds; while it does, it shares the `history` lock and holds its claims, and
/// changes of history wait for it, ten seconds at most. This is half of that. Whoever only was slow
/// tries again: no attempt is counted.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "5s";
/// How long a server waits for a connection. A request waits for one more than once (for its key,
/// then for its work), and whoever sent it should hear soon that PostgreSQL is away; connecting
/// takes milliseconds, and a pool that has none free for so long is overloaded.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the operator's tool waits for one: a person rather waits than starts it again.
const ACQUIRE_TIMEOUT_PATIENT: Duration = Duration::from_secs(5);

/// A database role with the rights of one binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `lineage_ingest`
    Ingest,
    /// `lineage_worker`
    Worker,
    /// `lineage_ops`
    Ops,
}

impl Role {
    /// The role's name in PostgreSQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "lineage_ingest",
            Self::Worker => "lineage_worker",
            Self::Ops => "lineage_ops",
        }
    }
}

/// Where the database is and as whom to use it.
#[derive(Clone, Debug)]
pub struct Access {
    url: SecretString,
    assume: Option<Role>,
    application_name: &'static str,
    unlimited: bool,
}

impl Access {
    /// As the login of the URL, which is a binary's own.
    #[must_use]
    pub fn with_own_login(url: SecretString, application_name: &'static str) -> Self {
        Self { url, assume: None, application_name, unlimited: false }
    }

    /// As `role`, by `SET ROLE` from a login that may do more. Meant for development.
    #[must_use]
    pub fn assuming(role: Role, url: SecretString, application_name: &'static str) -> Self {
        Self { url, assume: Some(role), application_name, unlimited: false }
    }

    /// With the binary's own URL when there is one, else by assuming its role.
    #[must_use]
    pub fn choose(
        own: Option<SecretString>,
        shared: SecretString,
        role: Role,
        application_name: &'static str,
    ) -> Self {
        match own {
            Some(own) => Self::with_own_login(own, application_name),
            None => Self::assuming(role, shared, application_name),
        }
    }

    /// Without limits on the time of statements, for the operator's long ones, and with more patience
    /// for a connection.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.unlimited = true;
        self
    }

    /// Server and database for messages, without user and password.
    #[must_use]
    pub fn place(&self) -> String {
        match connection_url::read(&self.url) {
            Ok(options) => {
                let host = options.get_socket().map_or_else(
                    || format!("{}:{}", options.get_host(), options.get_port()),
                    |socket| socket.display().to_string(),
                );
                let database = options.get_database().unwrap_or_else(|| options.get_username());
                format!("{host}, database {database}")
            }
            Err(_) => "an unreadable URL".to_owned(),
        }
    }

    fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let options = connection_url::read(&self.url)?;
        tls::check_postgres(self.url.expose_secret(), &options)?;
        let mut options = options.application_name(self.application_name).options([
            ("timezone", "UTC"),
            ("lock_timeout", LOCK_TIMEOUT),
            // Warnings are for people at a prompt; errors arrive as errors.
            ("client_min_messages", "error"),
        ]);
        if !self.unlimited {
            options = options.options([
                // Servers repeat a few statements for ever, all of them lookups by key. Planning
                // the settlement's query anew costs 3 ms each time; but a plan made once while a
                // table is empty would read all of it for ever, if it could.
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("statement_timeout", STATEMENT_TIMEOUT),
                ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
            ]);
        }
        if let Some(role) = self.assume {
            options = options.options([("role", role.name())]);
        }
        Ok(options)
    }

    /// A pool of at most so many connections. Connects when first used, so that a process can
    /// start, and say that it is not ready, while PostgreSQL is away.
    pub fn pool(&self, connections_max: u32) -> Result<PgPool, StoreError> {
        let patience = if self.unlimited { ACQUIRE_TIMEOUT_PATIENT } else { ACQUIRE_TIMEOUT };
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(patience)
            // A dead connection shows at its first statement, which every caller handles.
            .test_before_acquire(false)
            // Whatever a cancelled caller left open must not reach the next one.
            .after_release(|connection, _| {
                Box::pin(async move {
                    connection.execute("rollback").await?;
                    Ok(true)
                })
            });
        Ok(pool.connect_lazy_with(self.options()?))
    }
}

/// Brings the schema up to date.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    MIGRATIONS.run(pool).await?;
    Ok(())
}

/// How many migrations are applied, and how many there are.
pub async fn migration_state(pool: &PgPool) -> Result<(usize, usize), StoreError> {
    let table = sqlx::query_scalar!(
        r#"select to_regclass('public._sqlx_migrations') is not null as "exists!""#
    );
    if !table.fetch_one(pool).await? {
        return Ok((0, MIGRATIONS.iter().count()));
    }
    let applied: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where success")
        .fetch_one(pool)
        .await?;
    Ok((usize::try_from(applied).unwrap_or(0), MIGRATIONS.iter().count()))
}

/// Whether PostgreSQL answers.
pub async fn ping(pool: &PgPool) -> Result<(), StoreError> {
    sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(pool).await?;
    Ok(())
}

/// Who is logged in, whatever role was assumed since.
pub async fn session_user(conn: &mut PgConnection) -> Result<String, StoreError> {
    let user = sqlx::query_scalar!(r#"select session_user::text as "user!""#);
    Ok(user.fetch_one(conn).await?)
}

/// The URL of another database on the same server, for benchmarks and tests.
#[must_use]
pub fn url_beside(server: &SecretString, name: &str) -> SecretString {
    let url = server.expose_secret();
    let (base, parameters) = match url.split_once('?') {
        Some((base, parameters)) => (base, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let after_scheme = base.find("://").map_or(0, |at| at + 3);
    let base = match base[after_scheme..].find('/') {
        Some(slash) => &base[..after_scheme + slash],
        None => base,
    };
    format!("{base}/{name}{parameters}").into()
}
