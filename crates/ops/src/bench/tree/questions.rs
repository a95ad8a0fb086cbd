//! Uplines as settlement looks them up, and downlines as the API answers them.

use std::time::Instant;

use anyhow::ensure;
use chrono::TimeDelta;
use domain::network::DEPTH_MAX;
use store::events;
use store::tree::{self, Place};
use store::{PgPool, settling};
use uuid::Uuid;

use super::figures::{Figure, Measured};
use super::outline::Outline;
use super::{Roles, changes};
use crate::bench::network::{self, Dice};
use crate::bench::plan;
use crate::bench::report::Times;
use crate::bench::{Ground, say};

/// Moves between the two series of lookups.
const MOVES: u32 = 10_000;
/// Sales of each series.
const LOOKUPS: usize = 1_000;
/// Members of a page.
const PAGE: i64 = 100;
/// Pages that are measured.
const PAGES: usize = 200;
/// Counts of the whole network that are measured.
const COUNTS: usize = 5;

/// Unsettled sales of members who are about to be moved.
struct Sales {
    /// After the moves.
    today: Vec<Uuid>,
    /// Before the moves.
    earlier: Vec<Uuid>,
}

/// Looks uplines up, moves 10,000 members from a moment between the sales on, and looks the same
/// ones up again. Returns sales of today, too.
pub(super) async fn uplines(
    ground: &Ground,
    roles: &Roles,
    outline: &mut Outline,
) -> anyhow::Result<(Measured, Vec<Uuid>)> {
    let pool = &ground.database.pool;
    let now = events::clock(&mut *pool.acquire().await?).await?;
    let moves = outline.move_at_random(MOVES, now - TimeDelta::days(1), &mut Dice::new(8));
    let sellers: Vec<Uuid> = moves.iter().take(LOOKUPS).map(|change| change.member_id).collect();
    let sales = Sales {
        today: network::record_sale_each(pool, &sellers, "today", TimeDelta::zero()).await?,
        earlier: network::record_sale_each(pool, &sellers, "earlier", TimeDelta::days(2)).await?,
    };
    ground.database.settle_down().await?;
    let (today_before, earlier_before) = look_up(&roles.worker, &sales).await?;

    say(&format!("tree: {MOVES} moves"));
    let begun = Instant::now();
    changes::apply(&roles.ops, &moves).await?;
    let seconds = begun.elapsed().as_secs_f64();
    ground.database.settle_down().await?;
    let (today_after, earlier_after) = look_up(&roles.worker, &sales).await?;
    let measured = vec![
        (Figure::UplineBefore, today_before),
        (Figure::PastUplineBefore, earlier_before),
        (Figure::Moves, seconds),
        (Figure::UplineAfter, today_after),
        (Figure::PastUplineAfter, earlier_after),
    ];
    Ok((measured, sales.today))
}

/// The medians of lookups of both kinds.
async fn look_up(pool: &PgPool, sales: &Sales) -> anyhow::Result<(f64, f64)> {
    let mut conn = pool.acquire().await?;
    let (mut today, mut earlier) = (Times::default(), Times::default());
    // The first round warms caches, so that what differs afterwards is history alone.
    for is_measured in [false, true] {
        for (ids, times) in [(&sales.today, &mut today), (&sales.earlier, &mut earlier)] {
            for id in ids {
                let begun = Instant::now();
                let batch = settling::read(&mut conn, &[*id], plan::READS).await?;
                if is_measured {
                    times.note(begun);
                }
                ensure!(batch.events.len() == 1, "a sale is missing");
            }
        }
    }
    Ok((today.quantile(0.5), earlier.quantile(0.5)))
}

/// Pages and counts of the present.
pub(super) async fn downlines(pool: &PgPool, outline: &Outline) -> anyhow::Result<Measured> {
    let mut dice = Dice::new(9);
    let cursor = |place: usize| Place { level: outline.level(place), member_id: outline.id(place) };
    let inside: Vec<_> =
        (0..PAGES).map(|_| (0, Some(cursor(outline.anybody(&mut dice))))).collect();
    let mut measured = vec![
        (Figure::PageOfRoot, pages(pool, outline, &vec![(0, None); PAGES]).await?),
        (Figure::PageInside, pages(pool, outline, &inside).await?),
    ];
    let hundreds: Vec<_> =
        outline.nearest(101, PAGES).into_iter().map(|place| (place, None)).collect();
    if !hundreds.is_empty() {
        measured.push((Figure::PageOfHundred, pages(pool, outline, &hundreds).await?));
    }
    let root = outline.id(0);
    let mut tx = tree::begin(pool).await?;
    let (mut levels, mut sizes) = (Times::default(), Times::default());
    for _ in 0..COUNTS {
        let begun = Instant::now();
        tree::level_counts(&mut tx, root, None).await?;
        levels.note(begun);
        let begun = Instant::now();
        tree::sizes(&mut tx, &[root], None).await?;
        sizes.note(begun);
    }
    measured.push((Figure::LevelCounts, levels.quantile(0.5)));
    measured.push((Figure::Size, sizes.quantile(0.5)));
    Ok(measured)
}

/// The median of pages: of whom, and after whom.
async fn pages(
    pool: &PgPool,
    outline: &Outline,
    asked: &[(usize, Option<Place>)],
) -> anyhow::Result<f64> {
    let mut times = Times::default();
    let mut tx = tree::begin(pool).await?;
    for is_measured in [false, true] {
        for (place, after) in asked {
            let begun = Instant::now();
            tree::downline(&mut tx, outline.id(*place), None, DEPTH_MAX, *after, PAGE).await?;
            if is_measured {
                times.note(begun);
            }
        }
    }
    Ok(times.quantile(0.5))
}
