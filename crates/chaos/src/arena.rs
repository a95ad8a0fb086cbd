//! Everything that a fault can reach: servers, processes, and the ways between them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio::sync::Mutex;

use crate::children;
use crate::processes::{Installation, Place, Program, STREAM_PREFIX};
use crate::proxy::Mode;
use crate::servers::{Postgres, RedisServer, SmallDisk};
use crate::workspace::Workspace;

/// How many ingests there are.
const INGESTS: usize = 2;
/// How many workers there are at most.
pub(crate) const WORKERS_MAX: usize = 4;
/// How many workers usually run.
pub(crate) const WORKERS: usize = 2;

/// A whole installation.
pub(crate) struct Arena {
    /// PostgreSQL.
    pub(crate) postgres: Mutex<Postgres>,
    /// Redis.
    pub(crate) redis: Mutex<RedisServer>,
    /// PostgreSQL's file system, or why there is none.
    pub(crate) disk: Result<SmallDisk, String>,
    /// The ingests.
    pub(crate) ingests: Vec<Place>,
    /// The places of workers; some may be empty.
    pub(crate) workers: Vec<Place>,
    /// The direct URL of the database.
    pub(crate) database_url: String,
    /// The direct URL of Redis.
    pub(crate) redis_url: String,
    installation: Arc<Installation>,
    /// Where everything lies. Last: it goes when nobody needs it any more.
    pub(crate) workspace: Workspace,
}

impl Arena {
    /// Starts the servers and makes the places; no process runs yet.
    pub(crate) async fn new(
        workspace: Workspace,
        sabotage: Option<String>,
        disk_mebibytes: u64,
    ) -> anyhow::Result<Self> {
        let installation = Arc::new(Installation::find(sabotage).await?);

        let disk = SmallDisk::mount(workspace.path.join("disk"), disk_mebibytes).await;
        let above = disk.as_ref().map_or(workspace.path.as_path(), |disk| disk.path.as_path());
        let started = async {
            let postgres = Postgres::start(above, &workspace).await?;
            anyhow::Ok((postgres, RedisServer::start(&workspace).await?))
        };
        let (postgres, redis) = started.await.inspect_err(|_| {
            workspace.keep_logs();
            eprintln!("chaos: logs are in {}", workspace.path.display());
        })?;
        let (mut ingests, mut workers) = (Vec::new(), Vec::new());
        for (program, count, places) in
            [(Program::Ingest, INGESTS, &mut ingests), (Program::Worker, WORKERS_MAX, &mut workers)]
        {
            for number in 1..=count {
                let kind = if program == Program::Ingest { "ingest" } else { "worker" };
                let log = workspace.log(&format!("{kind}-{number}"))?;
                let place = Place::new(program, number, &installation, &postgres, &redis, log);
                places.push(place.await?);
            }
        }
        let (database_url, redis_url) = (postgres.url(), redis.url());
        let (postgres, redis) = (Mutex::new(postgres), Mutex::new(redis));
        Ok(Self {
            postgres,
            redis,
            disk,
            ingests,
            workers,
            database_url,
            redis_url,
            installation,
            workspace,
        })
    }

    /// Starts the usual processes.
    pub(crate) async fn start(&self) {
        for place in self.ingests.iter().chain(&self.workers[..WORKERS]) {
            place.run().await;
        }
    }

    /// The workers that are to run.
    pub(crate) fn running_workers(&self) -> Vec<&Place> {
        self.workers.iter().filter(|worker| worker.is_wanted()).collect()
    }

    /// All places.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.ingests.iter().chain(&self.workers)
    }

    /// Lets everything pass everywhere.
    pub(crate) fn clear_ways(&self) {
        for place in self.places() {
            for way in [&place.postgres, &place.redis] {
                way.set(Mode::Pass);
                way.arm(None);
            }
        }
    }

    /// Runs the operators' program on the direct URLs; its output, if it succeeds.
    pub(crate) async fn lineage(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = children::command(&self.installation.lineage(), None)
            .args(arguments)
            .env("DATABASE_URL", &self.database_url)
            .env("REDIS_URL", &self.redis_url)
            .env("LINEAGE_STREAM_PREFIX", STREAM_PREFIX)
            .env_remove("LINEAGE_OPS_DATABASE_URL")
            .output()
            .await
            .context("cannot start lineage")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        let command = arguments.join(" ");
        ensure!(output.status.success(), "lineage {command}: {complained}\n{said}");
        Ok(said)
    }

    /// Writes a file of the run and gives its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        let path = self.workspace.path.join(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }
}
