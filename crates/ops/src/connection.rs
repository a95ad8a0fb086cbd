//! Where PostgreSQL and Redis are.

use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;
use store::PgPool;
use store::database::{self, Access, Role};
use store::stream::Doorbell;
use uuid::Uuid;

use crate::output::remark;

/// Every command does one thing after the other; a second connection is for reading beside it.
const CONNECTIONS_MAX: u32 = 2;
/// Entries that are published in one round trip.
const RING_CHUNK: usize = 1000;

/// Where PostgreSQL is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct DatabaseArgs {
    /// PostgreSQL URL, used with SET ROLE `lineage_ops` (`migrate`: as the owner)
    ///
    /// Without `sslmode` in it, the connection is encrypted only if the server offers it, and nobody
    /// checks whose it is: write ?sslmode=verify-full, and &sslrootcert=FILE for an own authority.
    #[arg(
        long,
        global = true,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres://localhost/lineage"
    )]
    database_url: SecretString,

    /// URL of an own PostgreSQL login with the rights of `lineage_ops`, used instead where given
    #[arg(
        long = "ops-database-url",
        global = true,
        env = "LINEAGE_OPS_DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) own_database_url: Option<SecretString>,
}

impl DatabaseArgs {
    /// Connects with the rights of `lineage_ops`.
    pub(crate) async fn connect(&self) -> anyhow::Result<PgPool> {
        Ok(self.connect_for(CONNECTIONS_MAX).await?.0)
    }

    /// Connects with the rights of `lineage_ops`, for up to so many connections at the same time.
    /// Says where to, without user and password.
    pub(crate) async fn connect_for(
        &self,
        connections_max: u32,
    ) -> anyhow::Result<(PgPool, String)> {
        let (own, shared) = (self.own_database_url.clone(), self.database_url.clone());
        let access = Access::choose(own, shared, Role::Ops, "lineage").unlimited();
        Ok((open(&access, connections_max).await?, access.place()))
    }

    /// The URL of the owner, who may make databases.
    pub(crate) fn owner_url(&self) -> &SecretString {
        &self.database_url
    }

    /// Connects as the owner of the schema.
    pub(crate) async fn connect_as_owner(&self) -> anyhow::Result<PgPool> {
        open(
            &Access::with_own_login(self.database_url.clone(), "lineage").unlimited(),
            CONNECTIONS_MAX,
        )
        .await
    }
}

/// Connects at once, so that a wrong URL is reported with the place that it leads to.
async fn open(access: &Access, connections_max: u32) -> anyhow::Result<PgPool> {
    let pool = access.pool(connections_max).context(
        "the database URL is not usable; it looks like postgres://user:password@host/database",
    )?;
    database::ping(&pool)
        .await
        .with_context(|| format!("cannot use PostgreSQL at {}", access.place()))?;
    Ok(pool)
}

/// Where Redis is: for commands that make events due.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Redis")]
pub(crate) struct BellArgs {
    /// Redis URL, to wake workers for events that can be settled now
    ///
    /// `rediss://` speaks TLS and checks the certificate, by ?sslrootcert=FILE for an own authority.
    #[arg(
        long,
        env = "REDIS_URL",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379"
    )]
    redis_url: SecretString,

    /// Prefix of the streams' keys in Redis
    #[arg(long, env = "LINEAGE_STREAM_PREFIX", default_value = "lineage")]
    stream_prefix: String,
}

impl BellArgs {
    /// The URL.
    pub(crate) fn redis_url(&self) -> &SecretString {
        &self.redis_url
    }

    /// Wakes workers for these events. PostgreSQL knows that they are due, so a failure costs
    /// latency only: the sweep finds them.
    pub(crate) async fn ring(&self, event_ids: &[Uuid]) {
        if event_ids.is_empty() {
            return;
        }
        let rung = async {
            let mut ringer = Doorbell::new(&self.redis_url, &self.stream_prefix)?.connect()?;
            for chunk in event_ids.chunks(RING_CHUNK) {
                ringer.publish(chunk).await?;
            }
            Ok::<(), store::StoreError>(())
        };
        if let Err(error) = rung.await {
            remark(&format!(
                "warning: Redis did not answer ({error}); the workers' sweep will find the {} \
                 revived event(s) a little later",
                event_ids.len()
            ));
        }
    }
}
