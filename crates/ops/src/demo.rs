//! `lineage demo`: a year of real trade, from an empty database to a proved ledger, by the same
//! commands and over the same HTTP that a shop and an operator use.

mod orders;
mod refusals;
mod report;
mod trade;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use store::scratch::ScratchDatabase;
use store::stream::Doorbell;
use tokio::process::Command;

use crate::connection::{BellArgs, DatabaseArgs};
use crate::output::print_text;
use crate::processes::{Process, Servers};

/// The order that is explained level by level.
const EXPLAINED: &str = "581230";

/// `lineage demo`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lineage demo --sample deploy/sample\n\n\
    Makes a database of its own on the server of DATABASE_URL and removes it at the end.")]
pub(crate) struct Args {
    /// Directory with members, orders, ladder and plans
    #[arg(long, default_value = "deploy/sample")]
    sample: PathBuf,

    #[command(flatten)]
    bell: BellArgs,
}

pub(crate) async fn run(args: &Args, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let scratch = ScratchDatabase::create(database.owner_url(), "demo", 4).await?;
    let prefix = format!("lineage-demo-{}", std::process::id());
    let doorbell = Doorbell::new(args.bell.redis_url(), &prefix)?;
    let stage = Stage {
        servers: Servers {
            database_url: scratch.url.clone(),
            redis_url: args.bell.redis_url().clone(),
            stream_prefix: prefix,
        },
        doorbell,
        sample: args.sample.clone(),
    };
    let shown = stage.show(&scratch).await;
    stage.doorbell.connect()?.remove_streams().await?;
    scratch.remove().await?;
    shown.map(|()| ExitCode::SUCCESS)
}

/// Where the demo plays.
struct Stage {
    servers: Servers,
    doorbell: Doorbell,
    sample: PathBuf,
}

impl Stage {
    async fn show(&self, scratch: &ScratchDatabase) -> anyhow::Result<()> {
        print_text(report::INTRODUCTION)?;
        let file = |name: &str| self.sample.join(name).display().to_string();
        self.lineage(&["ranks", "apply", &file("ranks.yaml")]).await?;
        self.lineage(&["members", "import", &file("members.csv")]).await?;
        for plan in ["plan-2010-12.yaml", "plan-2011-07.yaml"] {
            self.lineage(&["plan", "apply", &file(plan)]).await?;
        }
        let key = self.key().await?;
        let orders = orders::read(&self.sample.join("orders.csv"))?;

        report::heading("A year of orders: HTTP -> PostgreSQL -> Redis -> two workers -> ledger")?;
        let ingest = Process::ingest(&self.servers, &[]).await?;
        let workers = [
            Process::worker(&self.servers, &[]).await?,
            Process::worker(&self.servers, &[]).await?,
        ];
        let url = ingest.url.clone().context("ingest has no URL")?;
        let shop = trade::Shop::new(&url, key, self.doorbell.clone());
        let figures = shop.trade(&orders).await?;
        report::figures(&figures)?;

        let mut conn = scratch.pool.acquire().await?;
        report::months(&mut conn).await?;
        report::top_earners(&mut conn).await?;
        drop(conn);

        report::heading("One sale, level by level")?;
        let explain = ["explain", "--source", orders::SOURCE, "--external-id", EXPLAINED];
        self.lineage(&explain).await?;
        report::heading("A sale posted again, the same with another amount, and a bad one")?;
        refusals::show(&shop, &orders).await?;
        report::heading("The proof: every outcome computed again from what is stored")?;
        self.lineage(&["verify"]).await?;

        for worker in workers {
            worker.stop().await?;
        }
        ingest.stop().await?;
        print_text(report::HOW_TO_GO_ON)
    }

    /// Shows and runs a command of this binary, as an operator would type it.
    async fn lineage(&self, arguments: &[&str]) -> anyhow::Result<()> {
        print_text(&format!("\n$ lineage {}", arguments.join(" ")))?;
        let status = self.command(arguments)?.status().await?;
        ensure!(status.success(), "`lineage {}` failed", arguments.join(" "));
        Ok(())
    }

    /// A key for the shop. It is not shown.
    async fn key(&self) -> anyhow::Result<SecretString> {
        let arguments = ["keys", "create", "demo-shop", "--scopes", "events:write,read"];
        print_text(&format!("\n$ lineage {}\nlk_… (not shown here)", arguments.join(" ")))?;
        let output = self.command(&arguments)?.output().await?;
        ensure!(output.status.success(), "`lineage keys create` failed");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned().into())
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(arguments)
            .env("DATABASE_URL", self.servers.database_url.expose_secret())
            .env("REDIS_URL", self.servers.redis_url.expose_secret())
            .env("LINEAGE_STREAM_PREFIX", &self.servers.stream_prefix)
            .env_remove("LINEAGE_OPS_DATABASE_URL");
        Ok(command)
    }
}
