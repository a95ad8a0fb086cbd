//! PostgreSQL or Redis away, silent, or cut off in the middle of a COMMIT: no attempt is counted,
//! nothing is doubled, and everything goes on by itself.

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use store::locks::{self, Lock};
use store::sweep;
use store::testing::{Process, World};

use crate::forwarder::{Doing, Forwarder};
use crate::network::{Dice, LADDER, LedgerRow, Model, PLAN, count, ledger, new_sale, post, record};

/// How long a test waits for what should take seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// A worker whose PostgreSQL and Redis stand behind forwarders.
struct Remote {
    worker: Process,
    postgresql: Forwarder,
    redis: Forwarder,
}

impl Remote {
    async fn start(world: &World, arguments: &[&str]) -> Self {
        let database_url = world.database_url().expose_secret().to_owned();
        let redis_url = world.redis_url().expose_secret().to_owned();
        let postgresql = Forwarder::before(&database_url).await;
        let redis = Forwarder::before(&redis_url).await;
        let (database_url, redis_url) =
            (postgresql.through(&database_url), redis.through(&redis_url));
        let through = ["--database-url", &database_url, "--redis-url", &redis_url];
        let worker = world.worker(&[&through, arguments].concat());
        Self { worker, postgresql, redis }
    }

    /// Status and text of an answer of the worker's own port.
    async fn ask(&self, path: &str) -> (u16, String) {
        ask(&self.worker, path).await
    }

    /// Waits until `/healthz` says that a loop is stuck. One that tries in vain turns every few
    /// seconds; this one never does.
    async fn wait_until_stuck(&self, wanted: &str) {
        let begun = Instant::now();
        loop {
            let (status, text) = self.ask("/healthz").await;
            // The last number: the first may be the loop's.
            let silent = text.split_whitespace().rev().find_map(|word| word.parse::<u64>().ok());
            if status == 503 && silent >= Some(15) {
                assert!(text.starts_with(&format!("{wanted} has not turned for")), "{text}");
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "a stuck worker says that it is well");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn wait_until_ready(&self, wanted: &str) {
        let begun = Instant::now();
        loop {
            let (_, text) = self.ask("/readyz").await;
            if text == wanted {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {wanted}, it is {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) async fn ask(worker: &Process, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{}{path}", worker.metrics_url)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The sum of a metric over its labels that contain a text.
pub(crate) async fn metric(worker: &Process, name: &str, label: &str) -> u64 {
    let (_, text) = ask(worker, "/metrics").await;
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && line.contains(label)
    });
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

const READY: &str = r#"{"ready":true,"postgresql":"ok","redis":"ok"}"#;
const NO_POSTGRESQL: &str = r#"{"ready":false,"postgresql":"unreachable","redis":"ok"}"#;
const NO_REDIS: &str = r#"{"ready":false,"postgresql":"ok","redis":"unreachable"}"#;

async fn sales_and_lines(
    world: &World,
    seed: u64,
) -> (Vec<store::events::NewEvent>, Vec<LedgerRow>) {
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let model = Model::enrol(world, 20, &mut Dice::new(seed)).await;
    let sales: Vec<_> =
        (0..40).map(|n| new_sale(&n.to_string(), model.ids[n % 20], "100")).collect();
    let mut lines: Vec<LedgerRow> =
        sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    lines.sort_unstable();
    (sales, lines)
}

/// No hot loop, no attempt consumed, `/readyz` says so, and what came meanwhile is settled when the
/// server is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgresql_is_away_a_worker_waits_and_counts_no_attempt() {
    let world = World::new().await;
    let (sales, lines) = sales_and_lines(&world, 61).await;
    let remote = Remote::start(&world, &["--sweep-every", "1"]).await;
    remote.wait_until_ready(READY).await;
    remote.postgresql.set(Doing::Away);
    post(&world, &sales).await;
    remote.wait_until_ready(NO_POSTGRESQL).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let errors = metric(&remote.worker, "lineage_errors_total", "").await;
    // Two loops, the sweep and the reclaimer, each with waits that double from 0.1 s: a hot loop
    // would have made thousands.
    assert!((1..100).contains(&errors), "{errors} errors");
    assert_eq!(remote.ask("/healthz").await.0, 200, "waiting is not being stuck");
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
    remote.postgresql.set(Doing::Forwarding);
    world.wait_until_settled().await;
    remote.wait_until_ready(READY).await;
    assert_eq!(ledger(&world.owner).await, lines);
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
    assert_eq!(metric(&remote.worker, "lineage_errors_unclassified_total", "").await, 0);
    assert!(remote.worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_a_worker_waits_and_counts_no_attempt() {
    let world = World::new().await;
    let (sales, lines) = sales_and_lines(&world, 62).await;
    let remote = Remote::start(&world, &["--sweep-every", "1"]).await;
    remote.wait_until_ready(READY).await;
    remote.redis.set(Doing::Away);
    post(&world, &sales).await;
    remote.wait_until_ready(NO_REDIS).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let errors = metric(&remote.worker, "lineage_errors_total", "").await;
    assert!((1..100).contains(&errors), "{errors} errors");
    assert_eq!(count(&world, "select count(*) from commission_outcomes").await, 0);
    remote.redis.set(Doing::Forwarding);
    world.wait_until_settled().await;
    remote.wait_until_ready(READY).await;
    assert_eq!(ledger(&world.owner).await, lines);
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
    assert_eq!(metric(&remote.worker, "lineage_errors_unclassified_total", "").await, 0);
    assert!(remote.worker.stop().success());
}

/// Whether a COMMIT that was cut off took effect or not, the claim shows it: nothing is doubled,
/// nothing missing, and no attempt counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_a_commit_that_is_cut_off_is_resolved_by_the_claim() {
    for (seed, doing) in [(63, Doing::CuttingAfterCommit), (64, Doing::CuttingBeforeCommit)] {
        let world = World::new().await;
        let (sales, lines) = sales_and_lines(&world, seed).await;
        // Without the sweep and its commits.
        let arguments = ["--sweep-every", "86400", "--connections", "1", "--batch", "10"];
        let remote = Remote::start(&world, &arguments).await;
        world.wait_until_settled().await;
        remote.wait_until_ready(READY).await;
        remote.postgresql.set(doing);
        post(&world, &sales).await;
        let begun = Instant::now();
        while remote.postgresql.cut() < 2 {
            assert!(begun.elapsed() < PATIENCE, "no commit was cut");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        remote.postgresql.set(Doing::Forwarding);
        world.wait_until_settled().await;
        assert_eq!(ledger(&world.owner).await, lines, "{doing:?}");
        assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
        let mut ringer = world.ringer();
        while ringer.length().await.unwrap() > 0 {
            assert!(begun.elapsed() < PATIENCE, "entries are not acknowledged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = metric(&remote.worker, "lineage_events_skipped_total", "settled_before").await;
        if doing == Doing::CuttingAfterCommit {
            assert!(before > 0, "a commit took effect that the worker did not hear of");
        }
        assert!(remote.worker.stop().success());
    }
}

/// A connection that never answers and never fails: the loop is stuck, and `/healthz` says so, so
/// that the supervisor restarts the process. Another worker settles meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_database_falls_silent_says_that_it_is_stuck() {
    let world = World::new().await;
    let (sales, lines) = sales_and_lines(&world, 65).await;
    let arguments = ["--stuck-after", "10", "--sweep-every", "86400", "--connections", "1"];
    let remote = Remote::start(&world, &arguments).await;
    remote.wait_until_ready(READY).await;
    assert_eq!(remote.ask("/healthz").await, (200, "ok\n".to_owned()));
    // The loop is met in the middle of a statement, whose answer will never come.
    let mut holder = world.owner.begin().await.unwrap();
    locks::take(&mut holder, Lock::History).await.unwrap();
    post(&world, &sales).await;
    let waits = "select exists (select from pg_stat_activity where datname = current_database() \
                 and application_name = 'lineage-worker' and wait_event = 'advisory')";
    world.wait_until("the worker waits for the lock", waits).await;
    remote.postgresql.set(Doing::Silent);
    holder.rollback().await.unwrap();
    remote.wait_until_stuck("consume loop 0").await;
    remote.wait_until_ready(NO_POSTGRESQL).await;
    remote.worker.kill();
    let _successor = world.worker(&["--reclaim-after", "1", "--sweep-every", "1"]);
    world.wait_until_settled().await;
    assert_eq!(ledger(&world.owner).await, lines);
}

/// The same of the sweep, while the consume loops turn: without it, what Redis forgot is never
/// settled, and nothing else would show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_sweep_falls_silent_says_that_it_is_stuck() {
    let world = World::new().await;
    let (sales, lines) = sales_and_lines(&world, 66).await;
    let arguments = ["--stuck-after", "10", "--sweep-every", "1"];
    let remote = Remote::start(&world, &arguments).await;
    remote.wait_until_ready(READY).await;
    // Nothing to settle: of all loops, the sweep alone asks for failures.
    let mut holder = world.owner.begin().await.unwrap();
    sqlx::query("lock table event_failures in access exclusive mode")
        .execute(&mut *holder)
        .await
        .unwrap();
    let waits = "select exists (select from pg_stat_activity where datname = current_database() \
                 and application_name = 'lineage-worker' and wait_event = 'relation')";
    world.wait_until("the sweep waits for the table", waits).await;
    remote.postgresql.set(Doing::Silent);
    holder.rollback().await.unwrap();
    remote.wait_until_stuck("the sweep").await;
    remote.worker.kill();
    record(&world, &sales).await;
    let _successor = world.worker(&["--sweep-every", "1"]);
    world.wait_until_settled().await;
    assert_eq!(ledger(&world.owner).await, lines);
}

/// The same of the reclaimer, in the middle of settling what it took over from a dead worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_reclaimer_falls_silent_says_that_it_is_stuck() {
    let world = World::new().await;
    let (sales, lines) = sales_and_lines(&world, 67).await;
    let mut ringer = world.ringer();
    ringer.ensure_group().await.unwrap();
    let mut dead = world.doorbell().consume("dead".to_owned()).await.unwrap();
    post(&world, &sales).await;
    assert_eq!(dead.read_new(sales.len()).await.unwrap().len(), sales.len());
    drop(dead);
    let mut holder = world.owner.begin().await.unwrap();
    // The sweep has not the turn, or else the consume loop would get the same events from it.
    assert!(sweep::try_turn(&mut holder).await.unwrap());
    locks::take(&mut holder, Lock::History).await.unwrap();
    let arguments = ["--stuck-after", "10", "--sweep-every", "86400", "--reclaim-after", "1"];
    let remote = Remote::start(&world, &arguments).await;
    let waits = "select exists (select from pg_stat_activity where datname = current_database() \
                 and application_name = 'lineage-worker' and wait_event = 'advisory')";
    world.wait_until("the reclaimer waits for the lock", waits).await;
    remote.postgresql.set(Doing::Silent);
    holder.rollback().await.unwrap();
    remote.wait_until_stuck("the reclaimer").await;
    remote.worker.kill();
    let _successor = world.worker(&["--reclaim-after", "1", "--sweep-every", "1"]);
    world.wait_until_settled().await;
    assert_eq!(ledger(&world.owner).await, lines);
}
