//! Running ingest and workers beside this process, for the demo and for benchmarks.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a process may take to say where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a process may take to finish what is under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The servers that processes are to use.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    pub(crate) database_url: SecretString,
    pub(crate) redis_url: SecretString,
    pub(crate) stream_prefix: String,
}

/// A running binary of this installation; killed when dropped.
pub(crate) struct Process {
    child: Child,
    name: &'static str,
    /// Where it serves its API, if it has one.
    pub(crate) url: Option<String>,
}

impl Process {
    /// Starts `lineage-ingest` on free ports.
    pub(crate) async fn ingest(servers: &Servers, arguments: &[&str]) -> anyhow::Result<Self> {
        let ports = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        Self::start("lineage-ingest", servers, &[&ports, arguments].concat()).await
    }

    /// Starts `lineage-worker` on a free port.
    pub(crate) async fn worker(servers: &Servers, arguments: &[&str]) -> anyhow::Result<Self> {
        let ports = ["--metrics-listen", "127.0.0.1:0"];
        Self::start("lineage-worker", servers, &[&ports, arguments].concat()).await
    }

    async fn start(
        name: &'static str,
        servers: &Servers,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let path = beside_us(name)?;
        let mut child = Command::new(&path)
            .args(arguments)
            .env("DATABASE_URL", servers.database_url.expose_secret())
            .env("REDIS_URL", servers.redis_url.expose_secret())
            .env("LINEAGE_STREAM_PREFIX", &servers.stream_prefix)
            .env_remove("LINEAGE_INGEST_DATABASE_URL")
            .env_remove("LINEAGE_WORKER_DATABASE_URL")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        let stdout = child.stdout.take().context("a process without stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_TIMEOUT, lines.next_line())
            .await
            .with_context(|| format!("{name} does not start"))??
            .with_context(|| format!("{name} ended at once; see its messages above"))?;
        let after = line.split_once("listening on ").map(|(_, rest)| rest);
        let url = after.and_then(|rest| rest.split(',').next()).map(str::to_owned);
        Ok(Self { child, name, url })
    }

    /// The most memory that it has had, in MiB, where the system tells (Linux).
    pub(crate) fn peak_rss_mib(&self) -> Option<f64> {
        peak_rss_mib(self.child.id()?)
    }

    /// The memory that it has now, in MiB, where the system tells (Linux).
    pub(crate) fn rss_mib(&self) -> Option<f64> {
        memory_mib(self.child.id()?, "VmRSS:")
    }

    /// Asks it to finish and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else { return Ok(()) };
        let kill = format!("kill -TERM {id}");
        Command::new("sh").args(["-c", &kill]).status().await?;
        let status = tokio::time::timeout(STOP_TIMEOUT, self.child.wait())
            .await
            .with_context(|| format!("{} does not stop", self.name))??;
        ensure!(status.success(), "{} failed while stopping; see its messages above", self.name);
        Ok(())
    }
}

/// The most memory that a process has had, in MiB, where the system tells (Linux).
pub(crate) fn peak_rss_mib(process_id: u32) -> Option<f64> {
    memory_mib(process_id, "VmHWM:")
}

fn memory_mib(process_id: u32, what: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(what))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Another binary of this installation lies in our own directory.
fn beside_us(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing; build it by `cargo build --release`", path.display());
    }
    Ok(path)
}
