//! `lineage-worker`: reads which events to settle from Redis Streams, settles them in PostgreSQL.
//!
//! Stateless: any number of workers share the work with no coordination, and killing one at any
//! instruction is a normal event.

mod back_off;
mod config;
mod consume;
mod health;
mod metrics;
mod policy;
mod reclaim;
mod serve;
mod settle;
mod sweep;
mod tasks;
mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use store::database::{Access, Role};
use store::stream::Doorbell;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::Config;
use crate::consume::{ConsumeLoop, Worker};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::tasks::Tasks;

/// Connections beyond those of the loops: reclaim, sweep, and the question whether PostgreSQL is
/// there.
const EXTRA_CONNECTIONS: u32 = 3;

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    telemetry::init(config.log_format, config.log.clone());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(config.threads))
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new()?);
    let pool = Access::choose(
        config.own_database_url,
        config.database_url,
        Role::Worker,
        "lineage-worker",
    )
    .pool(config.connections + EXTRA_CONNECTIONS)
    .context("DATABASE_URL is not usable")?;
    let doorbell = Doorbell::new(&config.redis_url, &config.stream_prefix)
        .context("REDIS_URL is not usable")?;
    let probe = doorbell.connect().context("REDIS_URL is not usable")?;
    let health = Arc::new(Health::new(config.stuck_after));
    let worker = Worker {
        pool: pool.clone(),
        doorbell,
        metrics: Arc::clone(&metrics),
        batch: config.batch,
        schedule: config.retry_after,
    };

    let at = config.metrics_listen;
    announce(serve::serve(at, metrics, Arc::clone(&health), pool.clone()).await?)?;

    let (stop, stopping) = watch::channel(false);
    let name = config::consumer_name();
    let mut tasks = Tasks::new();
    for number in 0..config.connections {
        let consumer = format!("{name}-{number}");
        let pulse = health.watch(format!("consume loop {number}"), Duration::ZERO);
        tasks.spawn(ConsumeLoop::new(worker.clone(), consumer, pulse, stopping.clone()).run());
    }
    let (reclaimer, held_for) = (format!("{name}-reclaim"), config.reclaim_after);
    let pulse = health.watch("the reclaimer".to_owned(), reclaim::pause_between(held_for));
    tasks.spawn(reclaim::run(worker.clone(), reclaimer, held_for, pulse, stopping.clone()));
    let pulse = health.watch("the sweep".to_owned(), config.sweep_every);
    tasks.spawn(sweep::run(worker, config.sweep_every, pulse, stopping.clone()));
    tasks.spawn(Arc::clone(&health).probe_postgresql(pool, stopping.clone()));
    tasks.spawn(health.probe_redis(probe, stopping));

    tasks.watch_over(wait_for_signal()).await?;
    tracing::info!("stopping: finishing what is under way");
    stop.send_replace(true);
    tasks.finish().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Says on stdout where metrics are, for whoever started the process with port 0.
fn announce(metrics_at: std::net::SocketAddr) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "metrics on http://{metrics_at}")?;
    Ok(stdout.flush()?)
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
