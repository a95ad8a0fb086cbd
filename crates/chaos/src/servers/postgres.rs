//! PostgreSQL: made, started, stopped at once, started again.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::Signal;
use tokio::process::{Child, Command};

use super::{POLL, START_SECONDS_MAX, free_port, password};
use crate::children::{self, in_path};
use crate::workspace::Workspace;

/// The oldest that Lineage supports.
const MAJOR_MIN: u32 = 15;
/// How long a server that was told to stop at once may take.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Small in everything, so that a small disk holds it; and durable, because that is the promise.
const SETTINGS: [&str; 15] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "cluster_name=lineage-chaos",
    "logging_collector=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "max_connections=120",
    "shared_buffers=64MB",
    "min_wal_size=32MB",
    "max_wal_size=64MB",
    "jit=off",
    "synchronous_commit=on",
    "fsync=on",
    "log_checkpoints=off",
    "log_min_error_statement=panic",
];

/// A server that nobody else uses.
pub(crate) struct Postgres {
    binaries: PathBuf,
    data: PathBuf,
    address: SocketAddr,
    password: String,
    log: std::fs::File,
    log_path: PathBuf,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a cluster below `above` and starts it, with an empty database `lineage`.
    pub(crate) async fn start(above: &Path, workspace: &Workspace) -> anyhow::Result<Self> {
        let binaries = find_binaries().await.context(
            "PostgreSQL 15 or newer is not installed; deploy/local/install-servers installs it",
        )?;
        let log = workspace.log("postgres")?;
        let mut postgres = Self {
            binaries,
            data: above.join("postgres"),
            address: free_port()?,
            password: password(),
            log,
            log_path: workspace.path.join("postgres.log"),
            child: None,
        };
        postgres.initialise().await?;
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// The direct URL of the database, for those who must not be disturbed.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The URL by way of a proxy.
    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        // Encryption would hide commits from the proxy.
        format!("postgres://lineage:{}@{address}/lineage?sslmode=disable", self.password)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    async fn initialise(&mut self) -> anyhow::Result<()> {
        let user = children::server_user();
        std::fs::create_dir(&self.data)?;
        std::fs::set_permissions(&self.data, std::fs::Permissions::from_mode(0o700))?;
        if let Some(user) = user {
            let (owner, group) = ids_of(user).context("the servers' user has no ids")?;
            chown(&self.data, Some(owner), Some(group))?;
        }
        let mut made = false;
        for locale in ["C.UTF-8", "C"] {
            let mut initdb = children::command(&self.binaries.join("initdb"), user);
            initdb.args([
                "-D",
                ".",
                "-U",
                "lineage",
                "-E",
                "UTF8",
                "--no-sync",
                "--no-instructions",
            ]);
            initdb.arg("--auth=trust").arg(format!("--locale={locale}"));
            made = self.feed(initdb, "").await?;
            if made {
                break;
            }
        }
        ensure!(made, "initdb failed; see postgres.log");
        let mut single = children::command(&self.binaries.join("postgres"), user);
        single.args([
            "--single",
            "-D",
            ".",
            "-c",
            "fsync=off",
            "-c",
            "exit_on_error=on",
            "postgres",
        ]);
        // By standard input, which the list of processes does not show; nothing listens yet.
        let statements =
            format!("alter role lineage password '{}'\ncreate database lineage\n", self.password);
        ensure!(self.feed(single, &statements).await?, "cannot make a database; see postgres.log");
        // The cheapest check that asks for the password: nothing of it leaves this machine.
        let access = self.data.join("pg_hba.conf");
        std::fs::write(access, "host all all 127.0.0.1/32 password\n")?;
        Ok(())
    }

    /// Runs a command in the data directory with this as its input; whether it succeeded.
    async fn feed(&self, mut command: Command, input: &str) -> anyhow::Result<bool> {
        use tokio::io::AsyncWriteExt as _;
        let mut child = command
            .current_dir(&self.data)
            .stdin(Stdio::piped())
            .stdout(self.log.try_clone()?)
            .stderr(self.log.try_clone()?)
            .spawn()?;
        let mut stdin = child.stdin.take().context("a command without input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        Ok(child.wait().await?.success())
    }

    /// Starts it where it is not running, and waits until it takes connections.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(START_SECONDS_MAX) {
            if self.has_ended() {
                let mut command =
                    children::command(&self.binaries.join("postgres"), children::server_user());
                command.args(["-D", "."]).arg(format!("--port={}", self.address.port()));
                command.args(SETTINGS.iter().map(|setting| format!("--{setting}")));
                let child = command
                    .current_dir(&self.data)
                    .stdin(Stdio::null())
                    .stdout(self.log.try_clone()?)
                    .stderr(self.log.try_clone()?)
                    .spawn()?;
                self.child = Some(child);
            }
            if self.is_ready() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("PostgreSQL does not start; see postgres.log")
    }

    /// How often it has said so far that there is no space.
    pub(crate) fn complaints_of_space(&self) -> anyhow::Result<usize> {
        let log = std::fs::read(&self.log_path)?;
        Ok(String::from_utf8_lossy(&log).matches("No space left on device").count())
    }

    /// Whether it does not run.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// The server says so itself, in the lock file of its data directory.
    fn is_ready(&self) -> bool {
        let lock = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let ours = self.child.as_ref().and_then(Child::id).map(|id| id.to_string());
        let mut lines = lock.lines();
        let pid = lines.next().map(str::trim);
        pid.is_some()
            && pid == ours.as_deref()
            && lines.nth(6).is_some_and(|line| line.starts_with("ready"))
    }

    /// Stops it as `pg_ctl stop -m immediate` does: no checkpoint, open transactions are lost.
    pub(crate) async fn stop_immediately(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            children::signal(&child, Signal::QUIT);
            if tokio::time::timeout(STOP_MAX, child.wait()).await.is_err() {
                child.kill().await?;
            }
        }
        Ok(())
    }
}

/// The directory that holds initdb and postgres: `PATH`'s, else the newest installed.
async fn find_binaries() -> Option<PathBuf> {
    let mut found = Vec::new();
    if let Some(initdb) = in_path("initdb").and_then(|path| path.canonicalize().ok())
        && let Some(directory) = initdb.parent()
        && let Some(major) = major(directory).await
        && major >= MAJOR_MIN
    {
        return Some(directory.to_owned());
    }
    for above in ["/usr/lib/postgresql", "/usr"] {
        for entry in std::fs::read_dir(above).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if above == "/usr" && !name.to_string_lossy().starts_with("pgsql-") {
                continue;
            }
            let directory = entry.path().join("bin");
            if let Some(major) = major(&directory).await {
                found.push((major, directory));
            }
        }
    }
    let (major, directory) = found.into_iter().max()?;
    (major >= MAJOR_MIN).then_some(directory)
}

/// The major version of the server there, if it is complete.
async fn major(directory: &Path) -> Option<u32> {
    if !directory.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(directory.join("postgres")).arg("--version").output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// User and group of a name or number of `/etc/passwd`.
pub(super) fn ids_of(user: &str) -> Option<(u32, u32)> {
    if let Ok(id) = user.parse() {
        return Some((id, id));
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
