//! Rings Redis for committed events, off the request's path and many at a time.
//!
//! While Redis is away, events wait here, up to a limit, and are rung when it is back, so that they
//! are settled within seconds. Beyond the limit, and when the process dies, the workers' sweep finds
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use store::StoreError;
use store::failpoints::{Place, pass};
use store::locks::jitter;
use store::stream::Ringer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::metrics::Metrics;

/// Events that wait to be rung: 1.6 MB. Beyond, the sweep finds them.
const WAITING_MAX: usize = 100_000;
/// Commits whose events wait: most have one event only.
const COMMITS_WAITING_MAX: usize = 10_000;
/// Commits that are taken together.
const TOGETHER_MAX: usize = 256;
/// Events rung in one round trip after an outage.
const RUNG_TOGETHER_MAX: usize = 1_000;
/// The first wait after a failure, and the longest, of which jitter makes at most half as much more.
const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(3);

/// The task that rings.
pub(crate) struct Publisher {
    handle: Handle,
    task: JoinHandle<()>,
}

/// Hands committed events to the task.
#[derive(Clone)]
pub(crate) struct Handle {
    sender: mpsc::Sender<Vec<Uuid>>,
    waiting: Waiting,
}

impl Handle {
    /// Rings soon. Never waits and never fails: a bell that does not ring costs latency only.
    pub(crate) fn ring(&self, event_ids: Vec<Uuid>) {
        let count = event_ids.len();
        if count == 0 {
            return;
        }
        if !self.waiting.has_room_for(count) || self.sender.try_send(event_ids).is_err() {
            self.waiting.gave_up(count);
            tracing::debug!("too many events wait to be rung; the sweep will find these");
        }
    }
}

/// How many events wait, wherever they do.
#[derive(Clone)]
struct Waiting {
    events: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl Waiting {
    fn has_room_for(&self, count: usize) -> bool {
        self.events.fetch_add(count, Relaxed) + count <= WAITING_MAX
    }

    fn rung(&self, count: usize) {
        self.events.fetch_sub(count, Relaxed);
    }

    fn gave_up(&self, count: usize) {
        self.events.fetch_sub(count, Relaxed);
        self.metrics.not_rung(count);
    }
}

impl Publisher {
    pub(crate) fn start(ringer: Ringer, metrics: Arc<Metrics>) -> Self {
        let (sender, commits) = mpsc::channel(COMMITS_WAITING_MAX);
        let waiting = Waiting { events: Arc::default(), metrics };
        let task = tokio::spawn(ring_all(ringer, commits, waiting.clone()));
        Self { handle: Handle { sender, waiting }, task }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Rings what waits, then ends. Every other handle must be gone by then.
    pub(crate) async fn stop(self) {
        drop(self.handle);
        if self.task.await.is_err() {
            tracing::error!("the publisher panicked");
        }
    }
}

async fn ring_all(mut ringer: Ringer, mut commits: mpsc::Receiver<Vec<Uuid>>, waiting: Waiting) {
    let mut taken = Vec::with_capacity(TOGETHER_MAX);
    while commits.recv_many(&mut taken, TOGETHER_MAX).await > 0 {
        let mut kept: Vec<Uuid> = taken.drain(..).flatten().collect();
        pass(Place::BeforePublish);
        let mut back_off = BACK_OFF_FIRST;
        let mut is_stopping = false;
        while let Err(error) = ring(&mut ringer, &mut kept, &waiting).await {
            if is_stopping {
                tracing::warn!(%error, events = kept.len(),
                    "cannot ring Redis before the end; the sweep will publish these events");
                waiting.gave_up(kept.len());
                break;
            }
            tracing::warn!(%error, events = kept.len(), "cannot ring Redis; waiting");
            is_stopping = collect(&mut commits, &mut kept, jitter(back_off)).await;
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
    }
}

/// Rings, and forgets what it has rung.
async fn ring(
    ringer: &mut Ringer,
    kept: &mut Vec<Uuid>,
    waiting: &Waiting,
) -> Result<(), StoreError> {
    while !kept.is_empty() {
        let rest = kept.len().saturating_sub(RUNG_TOGETHER_MAX);
        ringer.publish(&kept[rest..]).await?;
        waiting.rung(kept.len() - rest);
        kept.truncate(rest);
    }
    Ok(())
}

/// For a time, keeps what comes in. Says whether a stop came first.
async fn collect(
    commits: &mut mpsc::Receiver<Vec<Uuid>>,
    kept: &mut Vec<Uuid>,
    time: Duration,
) -> bool {
    let end = tokio::time::Instant::now() + time;
    loop {
        match tokio::time::timeout_at(end, commits.recv()).await {
            Err(_) => return false,
            Ok(None) => return true,
            Ok(Some(event_ids)) => kept.extend(event_ids),
        }
    }
}
