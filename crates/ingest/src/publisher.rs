//! Rings Redis for committed events, off the request's path and many at a time.
//!
//! While Redis is away, events wait here, up to a limit, and are rung when it is back, so that they
//! are settled within seconds. Beyond the limit, and when the process dies, the workers' sweep finds
//! them.

use std::sync::Arc;
use std::time::Duration;

use store::failpoints::{Place, pass};
use store::locks::jitter;
use store::stream::Ringer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::metrics::Metrics;

/// Requests whose events wait to be rung. Beyond, the sweep finds them.
const WAITING_MAX: usize = 10_000;
/// Requests rung in one round trip.
const TOGETHER_MAX: usize = 256;
/// Events kept while Redis is away: 800 kB.
const KEPT_MAX: usize = 50_000;
/// Events of those that are rung in one round trip.
const KEPT_TOGETHER_MAX: usize = 1_000;
/// The first wait after a failure, and the longest, of which jitter makes at most half as much more.
const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(3);

/// The task that rings.
pub(crate) struct Publisher {
    sender: mpsc::Sender<Vec<Uuid>>,
    task: JoinHandle<()>,
}

/// Hands committed events to the task.
#[derive(Clone)]
pub(crate) struct Handle(mpsc::Sender<Vec<Uuid>>);

impl Handle {
    /// Rings soon. Never waits and never fails: a bell that does not ring costs latency only.
    pub(crate) fn ring(&self, event_ids: Vec<Uuid>) {
        if !event_ids.is_empty() && self.0.try_send(event_ids).is_err() {
            tracing::debug!("too many events wait to be rung; the sweep will find these");
        }
    }
}

impl Publisher {
    pub(crate) fn start(ringer: Ringer, metrics: Arc<Metrics>) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(ring_all(ringer, metrics, waiting));
        Self { sender, task }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(self.sender.clone())
    }

    /// Rings what waits, then ends. Every other handle must be gone by then.
    pub(crate) async fn stop(self) {
        drop(self.sender);
        if self.task.await.is_err() {
            tracing::error!("the publisher panicked");
        }
    }
}

async fn ring_all(
    mut ringer: Ringer,
    metrics: Arc<Metrics>,
    mut waiting: mpsc::Receiver<Vec<Uuid>>,
) {
    let mut requests = Vec::with_capacity(TOGETHER_MAX);
    while waiting.recv_many(&mut requests, TOGETHER_MAX).await > 0 {
        let mut kept: Vec<Uuid> = requests.drain(..).flatten().collect();
        pass(Place::BeforePublish);
        let mut back_off = BACK_OFF_FIRST;
        let mut is_stopping = false;
        while let Err(error) = ring(&mut ringer, &mut kept).await {
            if is_stopping {
                metrics.not_rung(kept.len());
                tracing::warn!(%error, events = kept.len(),
                    "cannot ring Redis before the end; the sweep will publish these events");
                break;
            }
            tracing::warn!(%error, events = kept.len(), "cannot ring Redis; waiting");
            is_stopping = collect(&mut waiting, &mut kept, jitter(back_off), &metrics).await;
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
    }
}

/// Rings, and forgets what it has rung.
async fn ring(ringer: &mut Ringer, kept: &mut Vec<Uuid>) -> Result<(), store::StoreError> {
    while !kept.is_empty() {
        let rest = kept.len().saturating_sub(KEPT_TOGETHER_MAX);
        ringer.publish(&kept[rest..]).await?;
        kept.truncate(rest);
    }
    Ok(())
}

/// For a time, keeps what comes in, as far as there is room. Says whether a stop came first.
async fn collect(
    waiting: &mut mpsc::Receiver<Vec<Uuid>>,
    kept: &mut Vec<Uuid>,
    time: Duration,
    metrics: &Metrics,
) -> bool {
    let end = tokio::time::Instant::now() + time;
    loop {
        match tokio::time::timeout_at(end, waiting.recv()).await {
            Err(_) => return false,
            Ok(None) => return true,
            Ok(Some(event_ids)) => {
                let room = KEPT_MAX.saturating_sub(kept.len()).min(event_ids.len());
                kept.extend(&event_ids[..room]);
                metrics.not_rung(event_ids.len() - room);
            }
        }
    }
}
