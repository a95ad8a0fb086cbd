//! Databases for the demo and for benchmarks: made, migrated, used, removed. A server that is in use
//! for something else keeps its data.

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::StoreError;
use crate::database::{self, Access};

/// A database that is made for one purpose and removed afterwards.
pub struct ScratchDatabase {
    /// As the owner.
    pub pool: PgPool,
    /// Its URL.
    pub url: SecretString,
    name: String,
    server: SecretString,
}

impl ScratchDatabase {
    /// Makes and migrates a database beside the one of the URL. The process id keeps runs at the
    /// same time apart; what a killed run left under the same name is removed.
    pub async fn create(
        server: &SecretString,
        purpose: &str,
        connections: u32,
    ) -> Result<Self, StoreError> {
        let name = format!("lineage_{purpose}_{}", std::process::id());
        let mut admin = PgConnection::connect(server.expose_secret()).await?;
        for statement in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name} template template0"),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await?;
        }
        let url = database::url_beside(server, &name);
        let access = Access::with_own_login(url.clone(), "lineage").unlimited();
        let pool = access.pool(connections)?;
        database::migrate(&pool).await?;
        Ok(Self { pool, url, name, server: server.clone() })
    }

    /// Removes it.
    pub async fn remove(self) -> Result<(), StoreError> {
        self.pool.close().await;
        let mut admin = PgConnection::connect(self.server.expose_secret()).await?;
        let statement = format!("drop database if exists {} with (force)", self.name);
        sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await?;
        Ok(())
    }

    /// Brings every table into the state that autovacuum and checkpoints keep it in, so that they
    /// do not run in the middle of a measurement.
    pub async fn settle_down(&self) -> Result<(), StoreError> {
        sqlx::query("vacuum analyze").execute(&self.pool).await?;
        sqlx::query("checkpoint").execute(&self.pool).await?;
        Ok(())
    }
}
