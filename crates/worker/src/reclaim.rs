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

/// Looks for entries held longer than `held_for`, twice in that time.
pub(crate) async fn run(
    worker: Worker,
    name: String,
    held_for: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let mut settler = match Settler::new(worker.clone(), Pulse::new()) {
        Ok(settler) => settler,
        Err(error) => return tracing::error!(%error, "cannot use Redis"),
    };
    let mut back_off = BackOff::of_outages();
    while !*stopping.borrow() {
        match pass(&mut settler, &worker, &name, held_for, &mut stopping).await {
            Ok(()) => {
                back_off.reset();
                pause(held_for / 2, &mut stopping).await;
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
}

async fn pass(
    settler: &mut Settler,
    worker: &Worker,
    name: &str,
    held_for: Duration,
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
