//! For the tests of every crate: a database of its own for each test, on the PostgreSQL of
//! `DATABASE_URL`; streams of its own on the Redis of `REDIS_URL`; and whole processes.
//!
//! `make test` provides both servers. Failures panic: a test has nothing better to do.
#![expect(clippy::missing_panics_doc, reason = "everything here panics, as said above")]

pub mod fuzz;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use domain::ladder::Ladder;
use domain::plan::PlanFile;
use domain::rule_set::RuleSet;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::database::{self, Access, Role};
use crate::keys::{self, Scope};
use crate::stream::{Doorbell, Ringer};
use crate::{plans, programme};

/// How long a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A migrated database and stream keys that nobody else uses; gone when dropped.
pub struct World {
    /// As the owner, who may do everything but what triggers refuse.
    pub owner: PgPool,
    name: String,
    server: SecretString,
    redis: SecretString,
}

impl World {
    /// Makes a database and migrates it.
    pub async fn new() -> Self {
        let server = environment("DATABASE_URL");
        let name = format!("lineage_test_{}", random_id().simple());
        let mut admin = PgConnection::connect(server.expose_secret()).await.expect("connect");
        sqlx::query(AssertSqlSafe(format!("create database {name} template template0")))
            .execute(&mut admin)
            .await
            .expect("create a database");
        let url = database::url_beside(&server, &name);
        // Tests hold transactions open, longer than a server may.
        let owner = Access::with_own_login(url, "lineage-test").unlimited();
        let owner = owner.pool(8).expect("a pool");
        database::migrate(&owner).await.expect("migrate");
        Self { owner, name, server, redis: environment("REDIS_URL") }
    }

    /// A name that nobody else has: the database's, and the streams' prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of this database, as the owner.
    #[must_use]
    pub fn database_url(&self) -> SecretString {
        database::url_beside(&self.server, &self.name)
    }

    /// The URL of the Redis that has this world's streams, among others.
    #[must_use]
    pub fn redis_url(&self) -> SecretString {
        self.redis.clone()
    }

    /// A pool with a binary's rights.
    #[must_use]
    pub fn pool_as(&self, role: Role) -> PgPool {
        Access::assuming(role, self.database_url(), "lineage-test").pool(4).expect("a pool")
    }

    /// This world's streams.
    #[must_use]
    pub fn doorbell(&self) -> Doorbell {
        Doorbell::new(&self.redis, &self.name).expect("a Redis URL")
    }

    /// A connection to this world's streams.
    #[must_use]
    pub fn ringer(&self) -> Ringer {
        self.doorbell().connect().expect("a Redis connection")
    }

    /// A key with these scopes.
    pub async fn key(&self, scopes: &[Scope]) -> String {
        let mut conn = self.owner.acquire().await.expect("a connection");
        let (_, key) = keys::create(&mut conn, "test", scopes).await.expect("a key");
        key.expose_secret().to_owned()
    }

    /// Puts a ladder in force.
    pub async fn ladder(&self, names: &[&str]) {
        let ladder = Ladder::new(names.iter().map(ToString::to_string).collect()).expect("ladder");
        let mut tx = self.owner.begin().await.expect("a transaction");
        programme::set_ladder(&mut tx, &ladder).await.expect("set the ladder");
        tx.commit().await.expect("commit");
    }

    /// Applies a plan and returns what it was compiled to.
    pub async fn plan(&self, yaml: &str) -> RuleSet {
        let mut tx = self.owner.begin().await.expect("a transaction");
        let ladder = programme::ladder(&mut tx).await.expect("a ladder");
        let calendar = programme::get(&mut tx).await.expect("a calendar");
        let file = PlanFile::from_yaml(yaml).expect("a plan file");
        let rule_set = RuleSet::compile(&file, &ladder, &calendar).expect("a plan");
        let application = plans::Application {
            rule_set: &rule_set,
            file_hash: [0; 32],
            applied_by: "test",
            reason: "test",
        };
        plans::apply(&mut tx, &application).await.expect("apply");
        tx.commit().await.expect("commit");
        rule_set
    }

    /// Starts `lineage-ingest` on free ports.
    #[must_use]
    pub fn ingest(&self, arguments: &[&str]) -> Process {
        let ports = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        Process::start("lineage-ingest", self, &[&ports, arguments].concat())
    }

    /// Starts `lineage-worker` on a free port.
    #[must_use]
    pub fn worker(&self, arguments: &[&str]) -> Process {
        let ports = ["--metrics-listen", "127.0.0.1:0"];
        Process::start("lineage-worker", self, &[&ports, arguments].concat())
    }

    /// Starts a worker that fails on purpose, by variables of [`crate::failpoints`].
    #[must_use]
    pub fn failing_worker(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Process {
        let mut command = self.command("lineage-worker");
        command.args(["--metrics-listen", "127.0.0.1:0"]).args(arguments);
        Process::spawn(failing(command, variables))
    }

    /// Starts an ingest that fails on purpose.
    #[must_use]
    pub fn failing_ingest(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Process {
        let mut command = self.command("lineage-ingest");
        command.args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        command.args(arguments);
        Process::spawn(failing(command, variables))
    }

    /// A command of the `lineage` binary in this world.
    #[must_use]
    pub fn lineage(&self) -> Command {
        self.command("lineage")
    }

    /// A command of a binary in this world, logging nothing but what it does by itself.
    #[must_use]
    pub fn command(&self, binary: &str) -> Command {
        let mut command = Command::new(binary_path(binary));
        command
            .env("DATABASE_URL", self.database_url().expose_secret())
            .env("REDIS_URL", self.redis.expose_secret())
            .env("LINEAGE_STREAM_PREFIX", &self.name)
            .env_remove("RUST_LOG");
        command
    }

    /// Everything that is stored is as the rules and the history say: `lineage verify` says so.
    ///
    /// # Panics
    ///
    /// If anything was found.
    pub async fn assert_proved(&self) {
        let mut command = self.lineage();
        command.arg("verify");
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("it does not panic").expect("the binary is built");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }

    /// Waits until a query (one row, one boolean) is true.
    pub async fn wait_until(&self, what: &str, query: &'static str) {
        let begun = Instant::now();
        loop {
            let holds: bool =
                sqlx::query_scalar(query).fetch_one(&self.owner).await.expect("a boolean");
            if holds {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Fails unless the closure is what following sponsors gives, without a circle, and every
    /// member's history ends in their present sponsor, status and rank. For trees of at most a
    /// hundred levels.
    pub async fn assert_tree_is_sound(&self) {
        let closure: Vec<String> = sqlx::query_scalar(
            "with recursive walk (descendant, ancestor, depth) as (
               select id, id, 0 from members
               union all
               select walk.descendant, m.sponsor_id, walk.depth + 1
                 from walk join members m on m.id = walk.ancestor
                where m.sponsor_id is not null and walk.depth <= 100)
             select format('%s above %s: %s levels by sponsors, %s in the closure',
                           coalesce(walk.ancestor, p.ancestor_id),
                           coalesce(walk.descendant, p.descendant_id), walk.depth, p.depth)
               from walk
               full join member_tree_paths p
                 on p.descendant_id = walk.descendant and p.ancestor_id = walk.ancestor
                and p.depth = walk.depth
              where walk.depth is null or p.depth is null or walk.depth > 100",
        )
        .fetch_all(&self.owner)
        .await
        .expect("compare the closure");
        assert!(closure.is_empty(), "the closure is wrong: {closure:#?}");
        let histories: Vec<Uuid> = sqlx::query_scalar(
            "select m.id from members m
              where (m.sponsor_id, m.sponsor_since) is distinct from
                    (select (s.sponsor_id, s.effective_at) from member_sponsors s
                      where s.member_id = m.id order by s.effective_at desc limit 1)
                 or (m.status, m.rank, m.state_since) is distinct from
                    (select (t.status, t.rank, t.effective_at) from member_states t
                      where t.member_id = m.id order by t.effective_at desc limit 1)",
        )
        .fetch_all(&self.owner)
        .await
        .expect("compare histories");
        assert!(histories.is_empty(), "history does not end in the present of {histories:?}");
    }

    /// Waits until every recorded event has an outcome.
    pub async fn wait_until_settled(&self) {
        let query = "select not exists (select from event_state where state <> 'settled')";
        self.wait_until("every event is settled", query).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let (server, name, redis) = (self.server.clone(), self.name.clone(), self.doorbell());
        // Dropping is not async; a thread of its own can wait.
        let clean_up = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let statement = format!("drop database if exists {name} with (force)");
                if let Ok(mut admin) = PgConnection::connect(server.expose_secret()).await {
                    let _ = sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await;
                }
                if let Ok(mut ringer) = redis.connect() {
                    let _ = ringer.remove_streams().await;
                }
            });
        });
        let _ = clean_up.join();
    }
}

/// A running binary; killed when dropped.
pub struct Process {
    child: Child,
    /// Where it serves its API, if it has one.
    pub url: String,
    /// Where it serves its metrics.
    pub metrics_url: String,
}

impl Process {
    fn start(binary: &str, world: &World, arguments: &[&str]) -> Self {
        let mut command = world.command(binary);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        Self::spawn(command)
    }

    /// Starts a binary that says on its first line of stdout where it listens.
    ///
    /// # Panics
    /// When it does not start or does not say so.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start a binary");
        let stdout = child.stdout.take().expect("its stdout");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        let address = |label: &str| {
            let after = line.split(label).nth(1)?;
            let address = after.split([',', '\n']).next()?;
            address.strip_prefix("http://")?.parse::<SocketAddr>().ok()?;
            Some(address.to_owned())
        };
        let metrics_url = address("metrics on ").expect("where metrics are served");
        Self { child, url: address("listening on ").unwrap_or_default(), metrics_url }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would, at whatever instruction it is.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// The most memory that it ever had, in KiB.
    #[must_use]
    pub fn memory_peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process's status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
        peak.expect("VmHWM of a running process")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Asks it to stop and waits until it has.
    #[must_use]
    pub fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it has ended by itself.
    #[must_use]
    pub fn ended(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the process does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("kill");
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fails where failpoints are not compiled in, because nothing would happen there.
#[expect(clippy::assertions_on_constants, reason = "it depends on how the tests were built")]
fn failing(mut command: Command, variables: &[(&str, &str)]) -> Command {
    assert!(
        crate::failpoints::COMPILED_IN,
        "this test needs builds with failpoints: run it by `make test`, or build and test with \
         `--features store/failpoints`"
    );
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// Where a binary of this workspace is: beside the tests' own directory.
#[must_use]
pub fn binary_path(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("our own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// What random tests begin with: `LINEAGE_TEST_SEED`, else another each time. Whoever uses it prints
/// it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment alone")]
pub fn seed() -> u64 {
    let given = std::env::var("LINEAGE_TEST_SEED").ok();
    let given = given.map(|text| text.parse().expect("LINEAGE_TEST_SEED: a number"));
    given.unwrap_or_else(|| random_id().as_u64_pair().1)
}

#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment alone")]
fn environment(name: &str) -> SecretString {
    let value = std::env::var(name);
    value.unwrap_or_else(|error| panic!("{name}: {error}; run the tests by `make test`")).into()
}

#[expect(clippy::disallowed_methods, reason = "tests need names that nobody else has")]
fn random_id() -> Uuid {
    Uuid::new_v4()
}
