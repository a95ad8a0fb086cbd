//! `chaos`: private servers, real processes, steady load, faults from a printed seed; then an oracle
//! that shares no code with what it judges.
//!
//! This crate depends on neither `domain` nor `store`: an oracle that called the code which it judges
//! would agree with its errors. It knows the product as others do: by its programs, its API, its
//! tables and its stream.

mod arena;
mod children;
mod evidence;
mod faults;
mod load;
mod network;
mod oracle;
mod processes;
mod proxy;
mod quiescence;
mod random;
mod recovery;
mod reference;
mod report;
mod run;
mod servers;
#[cfg(test)]
mod small_world;
mod witness;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tokio::signal::unix::{SignalKind, signal};

use crate::faults::Fault;

/// Set in the environment of a process that has a mount namespace of its own.
const IN_NAMESPACE: &str = "LINEAGE_CHAOS_NAMESPACE";

/// Laws that the product can be told to break; `store::failpoints` has the same names.
const SABOTAGE: [&str; 4] =
    ["skip_claim", "acknowledge_before_commit", "publish_before_insert", "upline_of_now"];

/// Breaks a Lineage installation of its own in every way that real systems break, under load, and
/// checks its books afterwards.
///
/// Exit status: 0 nothing found; 1 findings, printed with the seed; 2 wrong usage; 3 the run itself
/// was not possible.
#[derive(Debug, Parser)]
#[command(
    name = "chaos",
    version,
    after_help = "Example:\n  cargo build --workspace --features store/failpoints\n  \
                  target/debug/chaos --minutes 20 --report chaos.md\n  \
                  target/debug/chaos --seconds 60 --seed 17 --only kill_worker,commit_unanswered"
)]
struct Cli {
    /// How long faults are injected; goes before --minutes. Starting and checking come on top
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,

    /// How long faults are injected, in minutes; 1 when neither is given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    minutes: Option<u64>,

    /// What everything follows from; drawn and printed when absent
    #[arg(long, env = "LINEAGE_TEST_SEED")]
    seed: Option<u64>,

    /// Only these kinds of fault
    #[arg(long, value_delimiter = ',', value_parser = fault(), value_name = "FAULT")]
    only: Vec<Fault>,

    /// Start processes that break a law, to see that it is noticed
    #[arg(long, value_name = "NAME", value_parser = SABOTAGE)]
    sabotage: Option<String>,

    /// Write the report there, as Markdown
    #[arg(long, value_name = "FILE.md")]
    report: Option<PathBuf>,
}

/// A fault by its name; the names are listed in the help.
fn fault() -> impl TypedValueParser<Value = Fault> {
    let names = Fault::all().into_iter().map(Fault::name);
    PossibleValuesParser::new(names).try_map(|name| Fault::from_name(&name).ok_or("unknown"))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    servers::enter_namespace(std::env::var_os(IN_NAMESPACE).is_some());
    // One thread: children are to die with the thread that started them, and it must not end before
    // they do.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run_or_stop(cli)),
        Err(error) => Err(error.into()),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("chaos: the run was not possible: {error:#}");
        ExitCode::from(3)
    })
}

/// Runs, unless a signal says to stop; everything that was started ends either way.
async fn run_or_stop(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let task = run::Task {
        lasts: Duration::from_secs(cli.seconds.unwrap_or(60 * cli.minutes.unwrap_or(1))),
        seed: cli.seed.unwrap_or_else(drawn),
        kinds: if cli.only.is_empty() { Fault::all() } else { cli.only },
        sabotage: cli.sabotage,
        report: cli.report,
    };
    tokio::select! {
        ended = run::run(task) => ended,
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one number that follows from nothing")]
fn drawn() -> u64 {
    // Short enough to be typed.
    uuid::Uuid::new_v4().as_u64_pair().0 % 1_000_000
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
