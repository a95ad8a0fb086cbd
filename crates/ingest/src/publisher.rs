//! Rings Redis for committed events, off the request's path and many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use store::stream::Ringer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::metrics::Metrics;

/// Commits whose events wait to be rung. Beyond, the sweep finds them.
const WAITING_MAX: usize = 10_000;
/// Events that wait to be rung: 1.6 MB. Beyond, the sweep finds them too.
const EVENTS_WAITING_MAX: usize = 100_000;
/// Commits rung in one round trip.
const TOGETHER_MAX: usize = 256;

/// The task that rings.
pub(crate) struct Publisher {
    handle: Handle,
    task: JoinHandle<()>,
}

/// Hands committed events to the task.
#[derive(Clone)]
pub(crate) struct Handle {
    sender: mpsc::Sender<Vec<Uuid>>,
    /// Events that wait.
    waiting: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl Handle {
    /// Rings soon. Never waits and never fails: a bell that does not ring costs latency only.
    pub(crate) fn ring(&self, event_ids: Vec<Uuid>) {
        let count = event_ids.len();
        if count == 0 {
            return;
        }
        let waiting = self.waiting.fetch_add(count, Relaxed) + count;
        if waiting > EVENTS_WAITING_MAX || self.sender.try_send(event_ids).is_err() {
            self.waiting.fetch_sub(count, Relaxed);
            self.metrics.not_rung(count);
            tracing::debug!("too many events wait to be rung; the sweep will find these");
        }
    }
}

impl Publisher {
    pub(crate) fn start(mut ringer: Ringer, metrics: Arc<Metrics>) -> Self {
        let (sender, mut commits) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let handle =
            Handle { sender, waiting: Arc::clone(&waiting), metrics: Arc::clone(&metrics) };
        let task = tokio::spawn(async move {
            let mut requests = Vec::with_capacity(TOGETHER_MAX);
            while commits.recv_many(&mut requests, TOGETHER_MAX).await > 0 {
                let event_ids: Vec<Uuid> = requests.drain(..).flatten().collect();
                waiting.fetch_sub(event_ids.len(), Relaxed);
                if let Err(error) = ringer.publish(&event_ids).await {
                    metrics.not_rung(event_ids.len());
                    tracing::warn!(%error, events = event_ids.len(),
                        "cannot ring Redis; the sweep will publish these events");
                }
            }
        });
        Self { handle, task }
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
