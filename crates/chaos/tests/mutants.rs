//! The harness proves something only if it sees what is broken: processes that break one law on
//! purpose must be caught, by the promise that they break; sound ones, under the same faults, must
//! not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// A run has servers and a dozen processes of its own; two at once would only starve each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Enough for some faults of the kinds named.
const SECONDS: &str = "4";

/// How a run ended, and which promises it found broken.
struct Ended {
    status: Option<i32>,
    broken: BTreeSet<String>,
    /// All that it wrote, for a failing test.
    log: String,
}

fn chaos(arguments: &[&str]) -> Ended {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    // Its servers are its own. A seed of the environment repeats a run.
    command.args(["--seconds", SECONDS]).args(arguments);
    let output = command.env_remove("DATABASE_URL").env_remove("REDIS_URL").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (out, err) = (text(output.stdout), text(output.stderr));
    // FOUND (seed 17): the promise: what was found
    let broken = out.lines().filter_map(|line| line.strip_prefix("FOUND ")?.split(": ").nth(1));
    let broken = broken.map(str::to_owned).collect();
    Ended { status: output.status.code(), broken, log: format!("{out}\n{err}") }
}

/// Runs with sabotage, which must be caught by this promise.
fn is_caught(sabotage: &str, faults: &str, promise: &str) {
    let mutant = chaos(&["--only", faults, "--sabotage", sabotage]);
    let Ended { status, broken, log } = &mutant;
    assert_eq!(*status, Some(1), "{sabotage} was not caught: {log}");
    assert!(broken.contains(promise), "{sabotage} was caught as {broken:?} only: {log}");
    // What was found on purpose is of no use to anybody.
    let kept = log.lines().find_map(|line| line.strip_prefix("chaos: logs are in "));
    std::fs::remove_dir_all(kept.unwrap()).unwrap();
}

/// All the faults of the mutants' runs, and more. What is caught there is not made up.
#[test]
fn sound_processes_are_not_accused() {
    let faults = "kill_worker,kill_ingest,forged_entries,after_claim,commit_unheard";
    let sound = chaos(&["--only", faults]);
    assert_eq!(sound.status, Some(0), "{:?}: {}", sound.broken, sound.log);
}

#[test]
fn l1_skipping_the_claim_is_caught() {
    is_caught(
        "skip_claim",
        "kill_worker,forged_entries",
        "an outcome and its lines stand together",
    );
}

#[test]
fn l2_acknowledging_before_the_commit_is_caught() {
    let promise = "what is announced is settled by then";
    is_caught("acknowledge_before_commit", "kill_worker,forged_entries", promise);
}

#[test]
fn l2_publishing_before_the_insert_is_caught() {
    let promise = "what is published is committed by then";
    is_caught("publish_before_insert", "kill_ingest", promise);
}
