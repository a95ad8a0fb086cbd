//! A short run of the harness: half a minute of faults against real processes on private servers.
//! `make chaos MINUTES=20` is the long one.

use std::process::Command;

/// How long faults are injected; starting, calming down and checking come on top.
const SECONDS: &str = "25";

/// So many faults come in that time even where eight others want the processor.
const FAULTS_MIN: usize = 3;

/// Laws L1 and L2 under whatever comes: nothing lost, nothing twice, everything recovered from.
#[test]
fn l1_l2_what_is_acknowledged_is_settled_once_whatever_breaks() {
    // Draws and prints a seed of its own, unless LINEAGE_TEST_SEED gives one.
    let run = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--seconds", SECONDS])
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .output()
        .expect("start the harness");
    let said = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}\n{said}\n{complained}", run.status);
    let recovered = said.lines().filter(|line| line.contains("; settles after ")).count();
    assert!(recovered >= FAULTS_MIN, "{recovered} faults took effect:\n{said}");
    println!("{said}");
}
