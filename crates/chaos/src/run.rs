//! A run from beginning to end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arena::{Arena, WORKERS};
use crate::evidence::Finding;
use crate::faults::{Fault, Happened, Sequence, scale_to};
use crate::load::Load;
use crate::processes::STREAM_PREFIX;
use crate::recovery::{self, Recovery};
use crate::report::Report;
use crate::witness::Witness;
use crate::workspace::Workspace;
use crate::{network, oracle, quiescence};
use anyhow::ensure;

/// The small disk: what the servers need, and what is traded in a minute.
const DISK_MEBIBYTES: u64 = 320;
const DISK_MEBIBYTES_A_MINUTE: u64 = 24;

/// What to do.
pub(crate) struct Task {
    pub(crate) lasts: Duration,
    pub(crate) seed: u64,
    pub(crate) kinds: Vec<Fault>,
    pub(crate) sabotage: Option<String>,
    pub(crate) report: Option<PathBuf>,
}

/// Runs and tells.
pub(crate) async fn run(task: Task) -> anyhow::Result<ExitCode> {
    println!("chaos: seed {} (the same sequence again: --seed {0})", task.seed);
    let disk = DISK_MEBIBYTES + DISK_MEBIBYTES_A_MINUTE * task.lasts.as_secs() / 60;
    let workspace = Workspace::new()?;
    let logs = workspace.path.display().to_string();
    let arena = Arc::new(Arena::new(workspace, task.sabotage.clone(), disk).await?);
    let ended = run_in(&task, &arena).await;
    // Whatever happened: the servers end before the data goes.
    arena.postgres.lock().await.stop_immediately().await?;
    arena.redis.lock().await.kill().await?;
    if matches!(ended, Ok(ref findings) if findings.is_empty()) {
        println!("chaos: nothing found (seed {})", task.seed);
        return Ok(ExitCode::SUCCESS);
    }
    arena.workspace.keep_logs();
    println!("chaos: logs are in {logs}");
    let findings = ended?;
    for finding in &findings {
        println!("FOUND (seed {}): {}: {}", task.seed, finding.promise, finding.detail);
    }
    let (seconds, seed) = (task.lasts.as_secs().to_string(), task.seed.to_string());
    let mut again = vec!["chaos --seconds", &seconds, "--seed", &seed];
    let names: Vec<_> = task.kinds.iter().map(|fault| fault.name()).collect();
    let names = names.join(",");
    if task.kinds != Fault::all() {
        again.extend(["--only", &names]);
    }
    if let Some(sabotage) = &task.sabotage {
        again.extend(["--sabotage", sabotage]);
    }
    let again = again.join(" ");
    println!("chaos: {} finding(s); again: {again}", findings.len());
    Ok(ExitCode::from(1))
}

async fn run_in(task: &Task, arena: &Arc<Arena>) -> anyhow::Result<Vec<Finding>> {
    let (keys, members) = network::prepare(arena, task.seed).await?;
    arena.start().await;
    let witness = Witness::start(
        arena.database_url.clone(),
        arena.redis_url.clone(),
        STREAM_PREFIX.to_owned(),
    );
    let mut load = Load::start(Arc::clone(arena), task.seed, keys, members)?;
    println!("chaos: {} members, load begins", load.member_count());

    let mut report = Report::new(task.seed);
    let mut findings = Vec::new();
    let begun = Instant::now();
    inject(task, &mut load, &mut report, &mut findings).await?;
    report.lasted = begun.elapsed();

    arena.clear_ways();
    scale_to(&load.world, WORKERS).await;
    let (evidence, counts, of_load) = load.finish().await;
    report.counts = counts;
    findings.extend(of_load);
    println!("chaos: load has ended, waiting until all is quiet");
    let (quiet_after, unquiet) = quiescence::wait(arena).await?;
    report.quiet_after = quiet_after;
    findings.extend(unquiet);
    findings.extend(witness.stop(&evidence.forged).await);
    println!("chaos: quiet after {:.1} s, checking the books", quiet_after.as_secs_f64());
    let checked =
        oracle::check(&arena.database_url, &arena.redis_url, STREAM_PREFIX, &evidence).await?;
    findings.extend(checked);
    findings.extend(quiescence::verify(arena).await);
    findings.extend(quiescence::stop(arena).await?);
    for place in arena.places() {
        if let Some(detail) = place.take_trouble() {
            findings.push(Finding { promise: "no process ends by itself", detail });
        }
    }
    for fault in report.never_happened() {
        let detail = format!("{} was tried and never happened", fault.name());
        findings.push(Finding { promise: "the harness injects what it says", detail });
    }
    let text = report.markdown(&findings);
    println!("\n{text}");
    if let Some(path) = &task.report {
        std::fs::write(path, text)?;
    }
    // Silence after nothing happened says nothing.
    ensure!(!findings.is_empty() || report.faults() > 0, "not one fault took effect");
    Ok(findings)
}

/// Injects faults, one after the other and sometimes two at once, until the time is over. After each
/// a sale is posted; the fault has been recovered from when it is settled.
async fn inject(
    task: &Task,
    load: &mut Load,
    report: &mut Report,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let mut possible = task.kinds.clone();
    for fault in &task.kinds {
        if let Some(why) = fault.is_left_out(&load.world) {
            println!("chaos: {} is left out: {why}", fault.name());
            report.left_out(*fault, why);
            possible.retain(|other| other != fault);
        }
    }
    let begun = Instant::now();
    if let Err(why) = recovery::wait(load).await {
        let detail = format!("even before the first fault {why}");
        findings.push(Finding { promise: "sales are settled", detail });
        return Ok(());
    }
    // Drawn from all kinds: a seed means the same where some cannot be had.
    let mut sequence = Sequence::new(task.seed, task.kinds.clone());
    while begun.elapsed() < task.lasts && !possible.is_empty() {
        let mut together = sequence.next();
        together.retain(|(fault, _)| possible.contains(fault));
        let at = begun.elapsed().as_secs_f64();
        let happened = match (together.pop(), together.pop()) {
            (Some((one, draws)), None) => vec![(one, one.happen(&load.world, draws).await?)],
            (Some((one, draws)), Some((other, others))) => {
                let (first, second) =
                    tokio::join!(one.happen(&load.world, draws), other.happen(&load.world, others));
                vec![(one, first?), (other, second?)]
            }
            (None, _) => continue,
        };
        let recovery = recovery::wait(load).await;
        for (fault, happened) in &happened {
            let name = fault.name();
            match (happened, &recovery) {
                (Happened::No(why), _) => {
                    println!("[{at:7.1}] {name}: in vain: {why}");
                    report.missed(*fault);
                }
                (Happened::Yes(what), Ok(recovery)) => {
                    let settles = recovery.settles.as_secs_f64();
                    let complete = recovery.complete.as_secs_f64();
                    println!(
                        "[{at:7.1}] {name}: {what}; settles after {settles:.2} s, all work after \
                         {complete:.2} s"
                    );
                    report.injected(*fault, *recovery);
                }
                (Happened::Yes(what), Err(why)) => {
                    let detail = format!("{name} ({what}), {at:.1} s after the begin: {why}");
                    println!("[{at:7.1}] {detail}");
                    findings.push(Finding { promise: "faults are recovered from", detail });
                    let settles = recovery::RECOVERY_MAX;
                    report.injected(*fault, Recovery { settles, complete: settles });
                }
            }
        }
    }
    Ok(())
}
