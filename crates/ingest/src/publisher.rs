//! Rings Redis for committed events, off the request's path and many at a time.

use std::sync::Arc;

use store::failpoints::{Place, pass};
use store::stream::Ringer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::metrics::Metrics;

/// Requests whose events wait to be rung. Beyond, the sweep finds them.
const WAITING_MAX: usize = 10_000;
/// Requests rung in one round trip.
const TOGETHER_MAX: usize = 256;

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
    pub(crate) fn start(mut ringer: Ringer, metrics: Arc<Metrics>) -> Self {
        let (sender, mut waiting) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            let mut requests = Vec::with_capacity(TOGETHER_MAX);
            while waiting.recv_many(&mut requests, TOGETHER_MAX).await > 0 {
                let event_ids: Vec<Uuid> = requests.drain(..).flatten().collect();
                pass(Place::BeforePublish);
                if let Err(error) = ringer.publish(&event_ids).await {
                    metrics.not_rung(event_ids.len());
                    tracing::warn!(%error, events = event_ids.len(),
                        "cannot ring Redis; the sweep will publish these events");
                }
            }
        });
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
