//! `lineage-ingest`: the HTTP API. Commits what shops report to PostgreSQL, then rings Redis.
//!
//! An event that is answered with 2xx is committed (law L2). Redis may be away: the workers' sweep
//! finds what was not rung.

mod actions;
mod app;
mod auth;
mod config;
mod dead_letters;
mod event_requests;
mod event_views;
mod group_commit;
mod health;
mod json;
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

use anyhow::Context as _;
use clap::Parser as _;
use store::database::{Access, Role};
use store::stream::Doorbell;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::actions::Refusals;
use crate::app::App;
use crate::auth::{Keys, UseWriter};
use crate::config::Config;
use crate::group_commit::GroupCommit;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::recorder::Recorder;
use crate::turns::Turns;

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
    config.check()?;
    let metrics = Arc::new(Metrics::new()?);
    let pool = Access::choose(
        config.own_database_url,
        config.database_url,
        Role::Ingest,
        "lineage-ingest",
    )
    .pool(config.connections + config.committers)
    .context("DATABASE_URL is not usable")?;
    let doorbell = Doorbell::new(&config.redis_url, &config.stream_prefix)
        .context("REDIS_URL is not usable")?;
    let ringer = doorbell.connect().context("REDIS_URL is not usable")?;

    let publisher = Publisher::start(ringer.clone(), Arc::clone(&metrics));
    let recorder = Recorder::new(pool.clone(), publisher.handle());
    let group_commit = GroupCommit::start(recorder, config.committers, Arc::clone(&metrics));
    let keys = Keys::new(pool.clone(), config.rate_limit);
    let use_writer = UseWriter::start(keys.clone());
    let app = App {
        keys,
        refusals: Refusals::default(),
        events: group_commit.handle(),
        publisher: publisher.handle(),
        turns: Turns::new(config.connections),
        metrics: Arc::clone(&metrics),
        pool,
        ringer,
    };

    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {} (--listen)", config.listen))?;
    let metrics_at = metrics::serve(config.metrics_listen, metrics, app.pool.clone()).await?;
    announce(listener.local_addr()?, metrics_at)?;
    serve::until(listener, app::router(app), wait_for_signal()?).await;

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
