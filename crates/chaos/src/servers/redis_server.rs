//! Redis: started, killed, started again with what it kept or with nothing.

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;

use super::postgres::ids_of;
use super::{POLL, START_SECONDS_MAX, free_port, password};
use crate::children::{self, in_path};
use crate::workspace::Workspace;

/// How long a command of ours may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A server that nobody else uses.
pub(crate) struct RedisServer {
    binary: PathBuf,
    data: PathBuf,
    address: SocketAddr,
    password: String,
    log: std::fs::File,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one with an append-only file.
    pub(crate) async fn start(workspace: &Workspace) -> anyhow::Result<Self> {
        let binary = in_path("redis-server").or_else(|| in_path("valkey-server")).context(
            "Redis 7 or newer (or Valkey) is not installed; deploy/local/install-servers installs it",
        )?;
        let mut server = Self {
            binary,
            data: workspace.path.join("redis"),
            address: free_port()?,
            password: password(),
            log: workspace.log("redis")?,
            child: None,
        };
        server.make_data()?;
        server.start_again().await?;
        Ok(server)
    }

    fn make_data(&self) -> anyhow::Result<()> {
        std::fs::create_dir(&self.data)?;
        if let Some((owner, group)) = children::server_user().and_then(ids_of) {
            chown(&self.data, Some(owner), Some(group))?;
        }
        Ok(())
    }

    /// The direct URL.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The URL by way of a proxy.
    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        format!("redis://default:{}@{address}/0", self.password)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Forgets everything that it kept on disk. It must not run.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.data)?;
        self.make_data()
    }

    /// Starts it where it is not running, and waits until it answers.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(START_SECONDS_MAX) {
            if self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                self.spawn().await?;
            }
            if let Ok(mut connection) = self.connect().await
                && cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("Redis does not start; see redis.log")
    }

    async fn spawn(&mut self) -> anyhow::Result<()> {
        let mut child = children::command(&self.binary, children::server_user())
            .arg("-")
            .current_dir(&self.data)
            .stdin(Stdio::piped())
            .stdout(self.log.try_clone()?)
            .stderr(self.log.try_clone()?)
            .spawn()?;
        // Settings by standard input, so that the list of processes does not show the password.
        let settings = format!(
            "bind 127.0.0.1\nport {}\nrequirepass {}\nmaxmemory-policy noeviction\nsave \"\"\n\
             appendonly yes\nappendfsync everysec\n",
            self.address.port(),
            self.password,
        );
        let mut stdin = child.stdin.take().context("a server without input")?;
        stdin.write_all(settings.as_bytes()).await?;
        drop(stdin);
        self.child = Some(child);
        Ok(())
    }

    /// A direct connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(TIMEOUT))
            .set_connection_timeout(Some(TIMEOUT));
        let client = Client::open(self.url())?;
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}
