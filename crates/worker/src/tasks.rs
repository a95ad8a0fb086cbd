//! The tasks of the process. None of them may be missing unnoticed: a worker without its sweep looks
//! well and forgets events, so that one that ends ends the process, which a supervisor starts anew.

use std::future::Future;

use anyhow::{Context as _, bail};
use store::StoreError;
use tokio::task::{JoinError, JoinSet};

/// What runs until a stop begins.
pub(crate) struct Tasks(JoinSet<Result<(), StoreError>>);

impl Tasks {
    pub(crate) fn new() -> Self {
        Self(JoinSet::new())
    }

    pub(crate) fn spawn(
        &mut self,
        task: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        self.0.spawn(task);
    }

    /// Waits for the signal to stop. Fails if a task ends before it, however it ends: the process is
    /// to end then, at whatever instruction the others are, because one of them may wait for ever.
    pub(crate) async fn watch_over(
        &mut self,
        signal: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        tokio::select! {
            signal = signal => signal,
            Some(ended) = self.0.join_next() => {
                judge(ended)?;
                bail!("a task of the worker ended before a stop")
            }
        }
    }

    /// Waits until every task has finished what is under way, once a stop has begun.
    pub(crate) async fn finish(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.0.join_next().await {
            judge(ended)?;
        }
        Ok(())
    }
}

fn judge(ended: Result<Result<(), StoreError>, JoinError>) -> anyhow::Result<()> {
    ended.context("a task of the worker panicked")?.context("a task of the worker cannot go on")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn ending(
        task: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let mut tasks = Tasks::new();
        tasks.spawn(pending());
        tasks.spawn(task);
        tasks.watch_over(pending()).await
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_before_a_stop_ends_the_process() {
        let early = ending(ready(Ok(()))).await.unwrap_err();
        assert_eq!(early.to_string(), "a task of the worker ended before a stop");
        let panicked = ending(async { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(panicked.to_string(), "a task of the worker panicked");
        let unusable = store::stream::Doorbell::new(&"nonsense".into(), "test").err().unwrap();
        let failed = ending(async { Err(unusable) }).await.unwrap_err();
        assert_eq!(failed.to_string(), "a task of the worker cannot go on");
    }

    #[tokio::test]
    async fn a_signal_is_a_stop_and_tasks_finish_after_it() {
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let mut tasks = Tasks::new();
        tasks.spawn(async move {
            let _ = stopping.await;
            Ok(())
        });
        tasks.watch_over(ready(Ok(()))).await.unwrap();
        stop.send(()).unwrap();
        tasks.finish().await.unwrap();
    }
}
