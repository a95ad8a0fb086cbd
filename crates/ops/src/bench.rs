//! `lineage bench`: what this machine does, each figure beside its floor.
//!
//! Every benchmark makes a database and streams of its own on the servers of `DATABASE_URL` and
//! `REDIS_URL`, and removes them. Ratios within one run are what to compare; absolute figures
//! depend on the machine.

mod growth;
mod import;
mod ingest;
mod latency;
mod network;
mod overload;
mod plan;
mod report;
mod settle;
mod tree;
mod upline;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use secrecy::SecretString;
use store::scratch::ScratchDatabase;
use store::stream::Doorbell;

use crate::connection::{BellArgs, DatabaseArgs};
use crate::output::{self, FormatArgs};
use crate::processes::Servers;

pub(crate) use report::Report;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Everything, with the goals of the design
    #[command(after_help = "Example:\n  lineage bench all --format json > figures.json")]
    All(Sizes),
    /// Stream to committed ledger: sales a second, beside COPY of the same rows
    #[command(
        after_help = "Example:\n  lineage bench settle --members 300000 --events 100000 --format json"
    )]
    Settle(Sizes),
    /// Settlement by a plan of 12 levels, 3 components and conditions, beside a plan of one rule
    #[command(after_help = "Example:\n  lineage bench rules --members 100000 --events 50000")]
    Rules(Sizes),
    /// HTTP to committed events: sales a second, beside COPY of the same rows
    #[command(
        after_help = "Example:\n  lineage bench ingest --batch 1 --connections 64 --events 40000"
    )]
    Ingest(Sizes),
    /// One sale from its POST to its announcement, at a steady rate
    #[command(after_help = "Example:\n  lineage bench latency --rate 500")]
    Latency(Sizes),
    /// Ten times as many posts as ingest records: p99 of what it accepts, beside the p99 at rest
    #[command(
        after_help = "Every request is sent as a whole over a kept connection; a request that is due \
                      while its connection waits for an answer is left out. Times run from sending \
                      to the whole answer. What was accepted is settled by a worker afterwards.\n\n\
                      Example:\n  lineage bench overload --batch 1 --connections 256"
    )]
    Overload(OverloadSizes),
    /// One upline lookup in a small and in a large network
    #[command(after_help = "Example:\n  lineage bench upline --members 1000000")]
    Upline(Sizes),
    /// Import of members with closure, beside COPY of the same rows
    #[command(after_help = "Example:\n  lineage bench import --members 300000")]
    Import(Sizes),
    /// Enrolments, moves, uplines and downlines, in networks of N/100, N/10 and N members
    #[command(
        after_help = "Settlement's turn: one sale looked up, again and again. What it waits while \
                      50,000 members move is the pause.\n\n\
                      Example:\n  lineage bench tree --members 100000"
    )]
    Tree(Sizes),
}

/// How much of everything.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sizes {
    /// Members of the network [default: 300000; upline, tree: 1000000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=5_000_000))]
    members: Option<u32>,
    /// Events to measure with [default: 100000; latency: 20 seconds of the rate]
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..=5_000_000))]
    events: Option<u32>,
    /// Events of a transaction, or of a request [default: settle 500, ingest 100]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: Option<u16>,
    /// Connections at the same time [default: settle 2, ingest 4, or 64 for a batch of 1]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Option<u16>,
    /// Single posts a second, for latency
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    #[command(flatten)]
    output: FormatArgs,

    #[command(flatten)]
    bell: BellArgs,
}

/// How much of everything, for the overload. Rates and times are its own: it measures what ingest
/// can record, and offers ten times that.
#[derive(Clone, Debug, Args)]
pub(crate) struct OverloadSizes {
    /// Members who sell
    #[arg(long, default_value_t = overload::MEMBERS,
          value_parser = clap::value_parser!(u32).range(100..=i64::from(overload::MEMBERS_MAX)))]
    members: u32,
    /// Events of a request [default: 1, then 100]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: Option<u16>,
    /// Connections that post during the overload
    #[arg(long, default_value_t = overload::CONNECTIONS,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    #[command(flatten)]
    output: FormatArgs,

    #[command(flatten)]
    bell: BellArgs,
}

impl Sizes {
    /// What the overload takes of these, for the run of everything.
    fn overload(&self) -> OverloadSizes {
        OverloadSizes {
            members: self.members.unwrap_or(overload::MEMBERS).min(overload::MEMBERS_MAX),
            batch: None,
            connections: overload::CONNECTIONS,
            output: self.output,
            bell: self.bell.clone(),
        }
    }

    fn members(&self) -> u32 {
        self.members.unwrap_or(300_000)
    }

    fn events(&self) -> u32 {
        self.events.unwrap_or(100_000)
    }
}

/// Runs benchmarks and prints what they measured.
pub(crate) async fn run(bench: Bench, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let (output, bell) = match &bench {
        Bench::All(sizes)
        | Bench::Settle(sizes)
        | Bench::Rules(sizes)
        | Bench::Ingest(sizes)
        | Bench::Latency(sizes)
        | Bench::Upline(sizes)
        | Bench::Import(sizes)
        | Bench::Tree(sizes) => (&sizes.output, &sizes.bell),
        Bench::Overload(sizes) => (&sizes.output, &sizes.bell),
    };
    let place =
        Place { database_url: database.owner_url().clone(), redis_url: bell.redis_url().clone() };
    let format = output.format;
    let one = match &bench {
        Bench::Settle(sizes) => settle::run(&place, sizes).await?,
        Bench::Rules(sizes) => settle::compare_plans(&place, sizes).await?,
        Bench::Ingest(sizes) => ingest::run(&place, sizes).await?,
        Bench::Latency(sizes) => latency::run(&place, sizes).await?,
        Bench::Overload(sizes) => {
            let reports = overload::run(&place, sizes).await?;
            output::print(format, &reports, |reports| report::table(reports))?;
            return Ok(ExitCode::SUCCESS);
        }
        Bench::Upline(sizes) => upline::run(&place, sizes).await?,
        Bench::Import(sizes) => import::run(&place, sizes).await?,
        Bench::Tree(sizes) => {
            let growths = tree::run(&place, sizes).await?;
            output::print(format, &growths, |growths| growth::table(growths))?;
            return Ok(ExitCode::SUCCESS);
        }
        Bench::All(sizes) => {
            let single = Sizes {
                batch: Some(1),
                connections: Some(64),
                events: sizes.events.or(Some(40_000)),
                ..sizes.clone()
            };
            let defaults = Sizes { batch: None, connections: None, ..sizes.clone() };
            let mut reports = vec![
                settle::run(&place, sizes).await?,
                settle::compare_plans(&place, &defaults).await?,
                ingest::run(&place, &defaults).await?,
                ingest::run(&place, &single).await?,
                latency::run(&place, &Sizes { events: None, ..defaults.clone() }).await?,
                upline::run(&place, &defaults).await?,
                import::run(&place, &defaults).await?,
            ];
            reports.extend(overload::run(&place, &defaults.overload()).await?);
            let growths = tree::run(&place, &defaults).await?;
            output::print(format, &report::All { reports, growths }, report::All::tables)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    output::print(format, &one, |one| report::table(std::slice::from_ref(one)))?;
    Ok(ExitCode::SUCCESS)
}

/// The servers that benchmarks run on.
struct Place {
    database_url: SecretString,
    redis_url: SecretString,
}

/// A database and streams of one benchmark.
struct Ground {
    database: ScratchDatabase,
    doorbell: Doorbell,
    servers: Servers,
}

impl Place {
    async fn ground(&self, connections: u16) -> anyhow::Result<Ground> {
        let database =
            ScratchDatabase::create(&self.database_url, "bench", u32::from(connections).max(4))
                .await?;
        let stream_prefix = format!("lineage-bench-{}", std::process::id());
        let doorbell = Doorbell::new(&self.redis_url, &stream_prefix)?;
        let servers = Servers {
            database_url: database.url.clone(),
            redis_url: self.redis_url.clone(),
            stream_prefix,
        };
        Ok(Ground { database, doorbell, servers })
    }
}

impl Ground {
    async fn clear(self) -> anyhow::Result<()> {
        self.doorbell.connect()?.remove_streams().await?;
        Ok(self.database.remove().await?)
    }
}

/// Says what is being done, on stderr, so that a long run is not silent.
fn say(what: &str) {
    eprintln!("  {what} …");
}
