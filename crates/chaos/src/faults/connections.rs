//! What happens between processes and servers.

use std::time::{Duration, Instant};

use super::{Fault, Happened};
use crate::arena::Arena;
use crate::processes::Place;
use crate::proxy::{CommitCut, Mode, Proxy};
use crate::random::Random;

/// How long to wait for a commit to come by.
const COMMIT_MAX: Duration = Duration::from_secs(5);

/// The ways that a fault is about: everybody's, or one process's. And whose they are.
fn ways(fault: Fault, arena: &Arena, random: &mut Random) -> (Vec<Proxy>, String) {
    let to_postgres = matches!(
        fault,
        Fault::PostgresCut
            | Fault::PostgresDelayed
            | Fault::PostgresRefused
            | Fault::PostgresSilent
    );
    let way = |place: &Place| {
        if to_postgres { place.postgres.clone() } else { place.redis.clone() }
    };
    let running: Vec<&Place> = arena.places().filter(|place| place.is_wanted()).collect();
    if random.percent(50) {
        let all = arena.places().map(way).collect();
        return (all, "all".to_owned());
    }
    let one = *random.pick(&running);
    (vec![way(one)], one.name().to_owned())
}

/// Cuts once or several times in a row.
pub(super) async fn cut(
    fault: Fault,
    arena: &Arena,
    random: &mut Random,
) -> anyhow::Result<Happened> {
    let (ways, whose) = ways(fault, arena, random);
    let times = random.between(1, 5);
    for _ in 0..times {
        ways.iter().for_each(Proxy::cut);
        tokio::time::sleep(Duration::from_millis(random.between(0, 300))).await;
    }
    Ok(Happened::Yes(format!("{whose}, {times} times")))
}

/// Holds back each piece.
pub(super) async fn delay(
    fault: Fault,
    arena: &Arena,
    random: &mut Random,
) -> anyhow::Result<Happened> {
    let (ways, whose) = ways(fault, arena, random);
    let delay = Duration::from_millis(random.between(20, 400));
    let lasts = Duration::from_millis(random.between(1_500, 4_000));
    hold(&ways, Mode::Delay(delay), lasts).await;
    Ok(Happened::Yes(format!("{whose}, {} ms a piece", delay.as_millis())))
}

/// Cuts, and refuses whoever comes again.
pub(super) async fn refuse(
    fault: Fault,
    arena: &Arena,
    random: &mut Random,
) -> anyhow::Result<Happened> {
    let (ways, whose) = ways(fault, arena, random);
    let lasts = Duration::from_millis(random.between(1_000, 5_000));
    set(&ways, Mode::Refuse);
    ways.iter().for_each(Proxy::cut);
    hold(&ways, Mode::Refuse, lasts).await;
    Ok(Happened::Yes(format!("{whose} for {} ms", lasts.as_millis())))
}

/// Lets nothing through; then everything late, or nothing of it.
pub(super) async fn silence(
    fault: Fault,
    arena: &Arena,
    random: &mut Random,
) -> anyhow::Result<Happened> {
    let (ways, whose) = ways(fault, arena, random);
    let lasts = Duration::from_millis(random.between(1_000, 6_000));
    let cut = random.percent(50);
    set(&ways, Mode::BlackHole);
    tokio::time::sleep(lasts).await;
    if cut {
        ways.iter().for_each(Proxy::cut);
    }
    set(&ways, Mode::Pass);
    let then = if cut { "then cut" } else { "then late" };
    Ok(Happened::Yes(format!("{whose} for {} ms, {then}", lasts.as_millis())))
}

fn set(ways: &[Proxy], mode: Mode) {
    for way in ways {
        way.set(mode);
    }
}

async fn hold(ways: &[Proxy], mode: Mode, lasts: Duration) {
    set(ways, mode);
    tokio::time::sleep(lasts).await;
    set(ways, Mode::Pass);
}

/// Cuts connections at a COMMIT: of an ingest or of a worker, one or several.
pub(super) async fn cut_commits(
    fault: Fault,
    arena: &Arena,
    random: &mut Random,
) -> anyhow::Result<Happened> {
    let cut = match fault {
        Fault::CommitUnheard => CommitCut::BeforeForwarding,
        _ if random.percent(50) => CommitCut::AfterForwarding,
        _ => CommitCut::AnswerLost,
    };
    let place = if random.percent(50) {
        *random.pick(&arena.running_workers())
    } else {
        random.pick(&arena.ingests)
    };
    let wanted = random.between(1, 4);
    let way = &place.postgres;
    let begun = (Instant::now(), way.commits_cut());
    let mut done = 0;
    while done < wanted && begun.0.elapsed() < COMMIT_MAX {
        way.arm(Some(cut));
        while way.commits_cut() == begun.1 + done && begun.0.elapsed() < COMMIT_MAX {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        done = way.commits_cut() - begun.1;
    }
    way.arm(None);
    let what = format!("{}, {done} times, {cut:?}", place.name());
    Ok(if done > 0 {
        Happened::Yes(what)
    } else {
        Happened::No(format!("{what}: no commit came by"))
    })
}
