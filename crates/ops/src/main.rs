//! `lineage`: the operator's command line. Not needed at run time.

mod actions;
mod bench;
mod cli;
mod connection;
mod dead_letters;
mod demo;
mod explain;
mod failure;
mod input;
mod keys;
mod ledger;
mod members;
mod migrate;
mod output;
mod plan;
mod processes;
mod programme;
mod progress;
mod ranks;
mod scenario;
mod telemetry;
mod verify;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::read();
    telemetry::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::Error::new(error)),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let database = &cli.database;
    match cli.command {
        Command::Migrate => migrate::run(database).await,
        Command::Program(command) => programme::run(command, database).await,
        Command::Ranks(command) => ranks::run(command, database).await,
        Command::Keys(command) => keys::run(command, database).await,
        Command::Actions(command) => actions::run(command, database).await,
        Command::Members(command) => members::run(command, database).await,
        Command::Plan(command) => plan::run(command, database).await,
        Command::Scenario(command) => scenario::run(command),
        Command::Ledger(command) => ledger::run(command, database).await,
        Command::DeadLetters(command) => dead_letters::run(command, database).await,
        Command::Explain(args) => explain::run(&args, database).await,
        Command::Verify(args) => verify::command(&args, database).await,
        Command::Bench(bench) => bench::run(bench, database).await,
        Command::Demo(args) => demo::run(&args, database).await,
    }
}
