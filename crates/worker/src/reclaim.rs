//! Takes over entries that a dead worker holds.

use std::time::Duration;

use store::StoreError;
use store::stream::ClaimCursor;
use tokio::sync::watch;

use crate::back_off::{BackOff, pause};
use crate::consume::{Settler, Worker};
use crate::health::Pulse;

/// How long a consumer must be silent before it is removed from the group. A live one reads every
/// two seconds.
const SILENT_MAX: Duration = Duration::from_hours(1);

/// The pause between two looks: what is held longer than `held_for` is looked for twice in that time.
pub(crate) fn pause_between(held_for: Duration) -> Duration {
    held_for / 2
}

/// Takes over entries held longer than `held_for`, until a stop begins. Fails if it cannot begin.
pub(crate) async fn run(
    worker: Worker,
    name: String,
    held_for: Duration,
    pulse: Pulse,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut settler = Settler::new(worker.clone(), pulse.clone())?;
    let mut back_off = BackOff::of_outages();
    while !*stopping.borrow() {
        pulse.beat();
        match pass(&mut settler, &worker, &name, held_for, &pulse, &mut stopping).await {
            Ok(()) => {
                back_off.reset();
                pulse.beat();
                pause(pause_between(held_for), &mut stopping).await;
            }
            Err(error) => {
                worker.metrics.error_met(error.kind(), &error);
                tracing::warn!(%error, "cannot take over entries of dead workers; waiting");
                back_off.wait(&mut stopping).await;
            }
        }
    }
    if let Err(error) = settler.ringer().leave(&name).await {
        tracing::warn!(%error, consumer = name, "cannot leave the consumer group");
    }
    Ok(())
}

async fn pass(
    settler: &mut Settler,
    worker: &Worker,
    name: &str,
    held_for: Duration,
    pulse: &Pulse,
    stopping: &mut watch::Receiver<bool>,
) -> Result<(), StoreError> {
    settler.ringer().ensure_group().await?;
    let batch = usize::from(worker.batch);
    let mut next = Some(ClaimCursor::default());
    let mut taken_over = 0;
    // A page at a time, settled before the next is claimed: what a dead worker left may be the
    // whole backlog.
    while let Some(cursor) = next
        && !*stopping.borrow()
    {
        pulse.beat();
        let claimed = settler.ringer().claim_stale(name, held_for, &cursor, batch).await?;
        next = claimed.next;
        if claimed.entries.is_empty() {
            continue;
        }
        taken_over += claimed.entries.len();
        worker.metrics.entries_reclaimed(claimed.entries.len());
        // What is not acknowledged now is claimed again once it is stale again.
        settler.process(&claimed.entries, stopping).await;
    }
    if taken_over > 0 {
        tracing::info!(entries = taken_over, "took over entries of dead workers");
    }
    settler.ringer().remove_silent(SILENT_MAX).await?;
    Ok(())
}
