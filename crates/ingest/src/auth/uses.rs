//! Writing when keys were last used: beside the requests, and seldom.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Keys;

/// How often it is looked for uses to write: so soon does a key's first use show.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a secret's next use is not written.
const PAUSE: Duration = Duration::from_mins(1);

/// The task that writes.
pub(crate) struct UseWriter {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl UseWriter {
    pub(crate) fn start(keys: Keys) -> Self {
        let (stop, mut stopping) = watch::channel(false);
        let task = tokio::spawn(async move {
            while tokio::time::timeout(LOOK_EVERY, stopping.changed()).await.is_err() {
                write(&keys, PAUSE).await;
            }
            write(&keys, Duration::ZERO).await;
        });
        Self { stop, task }
    }

    /// Writes what is left and ends.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "last uses of keys are not written");
        }
    }
}

/// Writes what is due. What cannot be written is due the next time too.
async fn write(keys: &Keys, pause: Duration) {
    let uses = keys.known().uses_to_write(Instant::now(), pause);
    if uses.is_empty() {
        return;
    }
    let written = async {
        let mut conn = keys.pool.acquire().await?;
        store::keys::record_uses(&mut conn, &uses).await
    };
    match written.await {
        Ok(()) => keys.known().uses_written(&uses, Instant::now()),
        Err(error) => tracing::debug!(%error, "last uses of keys could not be written yet"),
    }
}
