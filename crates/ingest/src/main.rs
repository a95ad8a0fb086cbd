//! `lineage-ingest`: the HTTP API. Commits what shops report to PostgreSQL, then rings Redis.
//!
//! An event that is answered with 2xx is committed (law L2). Redis may be away: the workers' sweep
//! finds what was not rung.

mod actions;
mod app;
mod auth;
mod backlog;
mod bodies;
mod config;
mod connection;
mod dead_letters;
mod event_requests;
mod event_views;
mod group_commit;
mod health;
mod json;
mod limits;
mod members;
mod metrics;
mod openapi;
mod parameters;
mod post_events;
mod problem;
mod publisher;
mod recorder;
mod serve;
mod telemetry;
mod turns;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use store::database::{Access, Role};
use store::stream::Doorbell;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::actions::Refusals;
use crate::app::App;
use crate::auth::{Keys, UseWriter};
use crate::backlog::Backlog;
use crate::bodies::{Bodies, Gate};
use crate::config::Config;
use crate::group_commit::GroupCommit;
use crate::health::Servers;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::recorder::Recorder;
use crate::turns::Turns;

/// Threads of the committers alone. A commit takes several round trips, and on the threads that
/// serve clients each would queue behind every request that is only refused: the more is offered,
/// the less would be recorded.
const COMMITTING_THREADS: usize = 1;
/// The fewest connections for everything else: while one waits for a lock, another must be left.
const CONNECTIONS_MIN: u32 = 2;

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    telemetry::init(config.log_format, config.log.clone());
    let committing = runtime(COMMITTING_THREADS)?;
    let committers = committing.handle().clone();
    runtime(usize::from(config.threads))?.block_on(run(config, committers))
}

fn runtime(threads: usize) -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().context("cannot start a runtime")
}

async fn run(config: Config, committing: Handle) -> anyhow::Result<()> {
    config.check()?;
    let metrics = Arc::new(Metrics::new()?);
    let access = Access::choose(
        config.own_database_url,
        config.database_url,
        Role::Ingest,
        "lineage-ingest",
    );
    let pool = |connections| access.pool(connections).context("DATABASE_URL is not usable");
    let (pool, committers_pool) =
        (pool(config.connections.max(CONNECTIONS_MIN))?, pool(config.committers)?);
    let doorbell = Doorbell::new(&config.redis_url, &config.stream_prefix)
        .context("REDIS_URL is not usable")?;
    let ringer = doorbell.connect().context("REDIS_URL is not usable")?;

    let publisher = Publisher::start(ringer.clone(), Arc::clone(&metrics));
    let recorder = Recorder::new(committers_pool.clone(), publisher.handle());
    let limits = config.limits;
    let backlog = Backlog::new(config.committers, limits.queue_target);
    let mut group_commit = GroupCommit::start(
        &committing,
        recorder,
        config.committers,
        Arc::clone(&metrics),
        Arc::clone(&backlog),
    );
    let keys = Keys::new(pool.clone(), config.rate_limit);
    let use_writer = UseWriter::start(keys.clone());
    let app = App {
        keys,
        refusals: Refusals::default(),
        events: group_commit.handle(),
        publisher: publisher.handle(),
        bodies: Bodies::new(limits.body_memory, limits.transfer_timeout),
        turns: Turns::new(config.connections),
        metrics: Arc::clone(&metrics),
        servers: Servers::new(pool.clone(), ringer),
        pool,
    };

    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {} (--listen)", config.listen))?;
    let seen = metrics::Seen { pools: [app.pool.clone(), committers_pool], backlog };
    let metrics_at = metrics::serve(config.metrics_listen, Arc::clone(&metrics), seen).await?;
    announce(listener.local_addr()?, metrics_at)?;
    let gate = Gate::new(&app);
    let stop = wait_for_signal()?;
    tokio::select! {
        () = serve::until(listener, app::router(app), gate, limits, metrics, stop) => {}
        // Without committers nothing would ever be recorded: a supervisor starts another process.
        () = group_commit.fails() => bail!("a committer panicked"),
    }

    // What was accepted is committed and rung before the process ends.
    group_commit.stop().await;
    publisher.stop().await;
    use_writer.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Says on stdout where the ports are, for whoever started the process with port 0.
fn announce(api: std::net::SocketAddr, metrics: std::net::SocketAddr) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on http://{api}, metrics on http://{metrics}")?;
    Ok(stdout.flush()?)
}

fn wait_for_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: answering what is under way");
    })
}
