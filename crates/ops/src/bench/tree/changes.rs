//! Enrolments and moves, committed, each as the API makes it; and what settlement feels of a move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::history::Change;
use domain::ladder::Rank;
use domain::member::MemberStatus;
use store::changes::{self, Order};
use store::enrolment::{self, NewMember};
use store::{PgPool, locks, settling};
use uuid::Uuid;

use super::Roles;
use super::figures::{Figure, Measured};
use super::outline::Outline;
use crate::bench::network::Dice;
use crate::bench::plan;
use crate::bench::report::Times;
use crate::bench::say;

/// Enrolments that are measured, and before them some that are not.
const ENROLMENTS: u32 = 500;
const ENROLMENTS_WARM_UP: u32 = 50;
/// Moves of the large subtree.
const LARGE_MOVES: u32 = 3;
/// How long settlement is watched while nobody moves.
const QUIET: Duration = Duration::from_secs(3);

/// Enrols members below random sponsors, one at a time.
pub(super) async fn enrolments(pool: &PgPool, outline: &Outline) -> anyhow::Result<Measured> {
    let mut dice = Dice::new(5);
    let mut times = Times::default();
    for turn in 0..ENROLMENTS_WARM_UP + ENROLMENTS {
        let member = NewMember {
            id: dice.id(),
            external_id: Some(format!("member-{turn}")),
            name: None,
            sponsor_id: Some(outline.id(outline.anybody(&mut dice))),
            status: MemberStatus::Active,
            rank: Rank(0),
            joined_at: None,
        };
        let begun = Instant::now();
        let mut tx = pool.begin().await?;
        enrolment::enrol(&mut tx, &member, "bench").await?;
        tx.commit().await?;
        if turn >= ENROLMENTS_WARM_UP {
            times.note(begun);
        }
    }
    Ok(vec![(Figure::Enrolment, times.quantile(0.5))])
}

/// Makes changes and commits them; they must all be possible.
pub(super) async fn apply(pool: &PgPool, changes: &[Change]) -> anyhow::Result<()> {
    let order = Order { changes, actor: "bench", on_behalf_of: None, reason: "bench" };
    let mut tx = pool.begin().await?;
    let applied = changes::apply(&mut tx, &order).await?;
    tx.commit().await?;
    match applied {
        Ok(_) => Ok(()),
        Err(refusals) => anyhow::bail!("{} of {} changes refused", refusals.len(), changes.len()),
    }
}

/// Moves members with subtrees of 1 and of about 1,000 there and back, each between two sponsors.
pub(super) async fn small_moves(pool: &PgPool, outline: &mut Outline) -> anyhow::Result<Measured> {
    // The first moves on a connection plan their statements.
    there_and_back(pool, outline, 1, 5).await?;
    let mut measured = Vec::new();
    for (figure, size, members) in [(Figure::MoveOne, 1, 100), (Figure::MoveThousand, 1_000, 5)] {
        if let Some(times) = there_and_back(pool, outline, size, members).await? {
            measured.push((figure, times.quantile(0.5)));
        }
    }
    Ok(measured)
}

/// `None`: there are no such subtrees.
async fn there_and_back(
    pool: &PgPool,
    outline: &mut Outline,
    size: u32,
    members: usize,
) -> anyhow::Result<Option<Times>> {
    let mut dice = Dice::new(6);
    let mut times = Times::default();
    let places = outline.nearest(size, members);
    for place in &places {
        let first = outline.another_sponsor(*place, &mut dice);
        outline.move_below(*place, first);
        let second = outline.another_sponsor(*place, &mut dice);
        for sponsor in [first, second, first] {
            let begun = Instant::now();
            apply(pool, &[outline.change(*place, sponsor, None)]).await?;
            times.note(begun);
        }
    }
    Ok((!places.is_empty()).then_some(times))
}

/// Moves a subtree of about 50,000 between two sponsors while settlement looks up one sale after
/// the other. Nothing, when there is no such subtree.
pub(super) async fn large_moves(
    roles: &Roles,
    outline: &mut Outline,
    event_ids: &[Uuid],
) -> anyhow::Result<Measured> {
    let Some(place) = outline.nearest(50_000, 1).first().copied() else { return Ok(Vec::new()) };
    say(&format!("tree: moving {} members, while settlement goes on", outline.size(place)));
    let mut dice = Dice::new(7);
    let watched = Watched::begin(roles.worker.clone(), event_ids);
    tokio::time::sleep(QUIET).await;
    let quiet = watched.end().await?;

    let mut moves = Times::default();
    let mut moving = Times::default();
    for _ in 0..LARGE_MOVES {
        let sponsor = outline.another_sponsor(place, &mut dice);
        let watched = Watched::begin(roles.worker.clone(), event_ids);
        let begun = Instant::now();
        apply(&roles.ingest, &[outline.change(place, sponsor, None)]).await?;
        moves.note(begun);
        outline.move_below(place, sponsor);
        moving.extend(watched.end().await?);
    }
    Ok(vec![
        (Figure::MoveFiftyThousand, moves.quantile(0.5)),
        (Figure::TurnMedian, quiet.quantile(0.5)),
        (Figure::TurnLongest, quiet.quantile(1.0)),
        (Figure::TurnMedianMoving, moving.quantile(0.5)),
        (Figure::TurnLongestMoving, moving.quantile(1.0)),
    ])
}

/// A settlement that reads one sale after the other, and never settles it.
struct Watched {
    is_over: Arc<AtomicBool>,
    turns: tokio::task::JoinHandle<anyhow::Result<Times>>,
}

impl Watched {
    fn begin(pool: PgPool, event_ids: &[Uuid]) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let turns = tokio::spawn(take_turns(pool, event_ids.to_vec(), Arc::clone(&is_over)));
        Self { is_over, turns }
    }

    async fn end(self) -> anyhow::Result<Times> {
        self.is_over.store(true, Ordering::Relaxed);
        self.turns.await?
    }
}

async fn take_turns(
    pool: PgPool,
    event_ids: Vec<Uuid>,
    is_over: Arc<AtomicBool>,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for event_id in event_ids.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        let mut tx = locks::begin_sharing_history(&pool).await?;
        settling::read(&mut tx, &[*event_id], plan::READS).await?;
        tx.rollback().await?;
        times.note(begun);
    }
    Ok(times)
}
