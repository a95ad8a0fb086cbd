//! What happens to processes: killed, stopped, more and fewer of them, a clock that is off.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Happened;
use crate::arena::WORKERS;
use crate::load::World;
use crate::processes::{Place, Start};
use crate::random::Random;

/// Longer than `--reclaim-after 2` and a reclaim pass, which comes every second.
const STOPPED_MILLIS: (u64, u64) = (3_200, 4_500);
/// How long a process may take to come by a place.
const REACHED_MAX: Duration = Duration::from_secs(12);

/// Kills one of these.
pub(super) async fn kill(places: &[&Place], random: &mut Random) -> anyhow::Result<Happened> {
    let place = *random.pick(places);
    let starts = place.starts();
    // At random within what it does in a second.
    tokio::time::sleep(Duration::from_millis(random.between(0, 400))).await;
    place.signal(Signal::KILL);
    place.await_start_after(starts).await;
    Ok(Happened::Yes(place.name().to_owned()))
}

/// Starts one of these so that it dies at a place, the so-and-so-manieth time that it comes by.
pub(super) async fn failpoint(
    places: &[&Place],
    failpoint: &str,
    random: &mut Random,
) -> anyhow::Result<Happened> {
    let place = *random.pick(places);
    let at_pass = random.between(1, 6);
    let planned = format!("{failpoint}:{at_pass}");
    let environment = vec![("LINEAGE_FAILPOINT".to_owned(), planned.clone())];
    place.restart(Start { environment }).await;
    let starts = place.starts();
    let reached = tokio::time::timeout(REACHED_MAX, place.await_start_after(starts)).await;
    let what = format!("{} at {planned}", place.name());
    if reached.is_ok() {
        return Ok(Happened::Yes(what));
    }
    place.restart(Start::default()).await;
    Ok(Happened::No(format!("{what}: not reached within {} s", REACHED_MAX.as_secs())))
}

/// Stops one of these and lets it go on.
pub(super) async fn stop(places: &[&Place], random: &mut Random) -> anyhow::Result<Happened> {
    let place = *random.pick(places);
    place.signal(Signal::STOP);
    let (least, most) = STOPPED_MILLIS;
    tokio::time::sleep(Duration::from_millis(random.between(least, most))).await;
    place.signal(Signal::CONT);
    Ok(Happened::Yes(place.name().to_owned()))
}

/// One worker, then all, then one, then as usual.
pub(super) async fn scale(world: &Arc<World>, random: &mut Random) -> anyhow::Result<Happened> {
    let workers = &world.arena.workers;
    scale_to(world, 1).await;
    tokio::time::sleep(Duration::from_millis(random.between(300, 1_200))).await;
    scale_to(world, workers.len()).await;
    tokio::time::sleep(Duration::from_millis(random.between(500, 2_000))).await;
    scale_to(world, 1).await;
    tokio::time::sleep(Duration::from_millis(random.between(300, 1_200))).await;
    scale_to(world, WORKERS).await;
    Ok(Happened::Yes(format!("1 → {} → 1", workers.len())))
}

/// Starts or stops workers in order until so many run.
pub(crate) async fn scale_to(world: &Arc<World>, count: usize) {
    for (number, worker) in world.arena.workers.iter().enumerate() {
        if number < count && !worker.is_wanted() {
            worker.run().await;
        }
        if number >= count
            && worker.is_wanted()
            && let Err(detail) = worker.stop().await
        {
            world.found("a process that is asked to stop ends in order", detail);
        }
    }
}

/// Where libfaketime for programs with threads is.
pub(super) fn libfaketime() -> Option<PathBuf> {
    let mut directories = vec![PathBuf::from("/usr/lib/faketime"), "/usr/lib64/faketime".into()];
    for entry in std::fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        directories.push(entry.path().join("faketime"));
    }
    let mut paths = directories.into_iter().map(|at| at.join("libfaketimeMT.so.1"));
    paths.find(|path| path.is_file())
}

/// Runs a process for some seconds with a clock that is an hour ahead or behind.
pub(super) async fn clock_off(world: &Arc<World>, random: &mut Random) -> anyhow::Result<Happened> {
    let arena = &world.arena;
    let place = if random.percent(50) {
        *random.pick(&arena.running_workers())
    } else {
        random.pick(&arena.ingests)
    };
    let offset = if random.percent(50) { "+1h" } else { "-1h" };
    let library = libfaketime().map(|path| path.display().to_string()).unwrap_or_default();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", offset),
        // A wrong clock on the wall; time goes on as fast as ever.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    place.restart(Start { environment }).await;
    let begun = Instant::now();
    let lasts = Duration::from_millis(random.between(2_000, 4_000));
    let starts = place.starts();
    while begun.elapsed() < lasts && place.starts() == starts {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    place.restart(Start::default()).await;
    Ok(Happened::Yes(format!("{} {offset}", place.name())))
}
