//! The loop: read entries, settle the events that they name, acknowledge.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::failpoints::{self, Place, Sabotage, pass};
use store::stream::{Consumer, Doorbell, Entry, Ringer, is_group_missing};
use store::{PgPool, StoreError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::back_off::BackOff;
use crate::health::Pulse;
use crate::metrics::Metrics;
use crate::policy::{Remedy, Schedule, remedy};
use crate::settle::{self, Report, RuleCache};

/// What every task of the process shares.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) pool: PgPool,
    pub(crate) doorbell: Doorbell,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) batch: u16,
    pub(crate) schedule: Schedule,
}

/// Settles what entries name, with its own cache of rules.
pub(crate) struct Settler {
    worker: Worker,
    ringer: Ringer,
    rules: RuleCache,
    pulse: Pulse,
}

impl Settler {
    pub(crate) fn new(worker: Worker, pulse: Pulse) -> Result<Self, StoreError> {
        let ringer = worker.doorbell.connect()?;
        Ok(Self { worker, ringer, rules: RuleCache::default(), pulse })
    }

    pub(crate) fn ringer(&mut self) -> &mut Ringer {
        &mut self.ringer
    }

    /// Settles, then acknowledges. Waits while PostgreSQL is away. `false`: the entries are not
    /// acknowledged, because a stop came first or Redis is away; they will be delivered again.
    pub(crate) async fn process(
        &mut self,
        entries: &[Entry],
        stopping: &mut watch::Receiver<bool>,
    ) -> bool {
        pass(Place::AfterRead);
        let event_ids: BTreeSet<Uuid> = entries.iter().filter_map(|entry| entry.event_id).collect();
        let event_ids: Vec<Uuid> = event_ids.into_iter().collect();
        let metrics = Arc::clone(&self.worker.metrics);
        metrics.entries_read(entries.len(), event_ids.len());
        let entry_ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        if failpoints::is_sabotaged(Sabotage::AcknowledgeBeforeCommit) {
            let _ = self.ringer.finish(&event_ids, &entry_ids).await;
        }
        let Some(announced) = self.settle_all(&event_ids, stopping).await else { return false };
        pass(Place::BeforeAcknowledge);
        match self.ringer.finish(&announced, &entry_ids).await {
            Ok(()) => true,
            Err(error) => {
                metrics.error_met(error.kind(), &error);
                tracing::warn!(%error, entries = entry_ids.len(), "cannot acknowledge; will again");
                false
            }
        }
    }

    /// Settles events, halving the batch around those that PostgreSQL refuses. `None`: a stop came
    /// first. Otherwise the ids to announce.
    async fn settle_all(
        &mut self,
        event_ids: &[Uuid],
        stopping: &mut watch::Receiver<bool>,
    ) -> Option<Vec<Uuid>> {
        let mut announced = Vec::with_capacity(event_ids.len());
        let mut todo: Vec<&[Uuid]> = vec![event_ids];
        let mut outage = BackOff::of_outages();
        let mut conflict = BackOff::of_conflicts();
        while let Some(batch) = todo.pop() {
            if batch.is_empty() {
                continue;
            }
            self.pulse.beat();
            let Worker { pool, metrics, schedule, .. } = &self.worker;
            let settled = settle::settle(pool, &mut self.rules, batch, schedule, metrics).await;
            let error = match settled {
                Ok(report) => {
                    self.account(report, &mut announced);
                    (outage, conflict) = (BackOff::of_outages(), BackOff::of_conflicts());
                    continue;
                }
                Err(error) => error,
            };
            metrics.error_met(error.kind(), &error);
            match remedy(&error) {
                Remedy::Halve(_) if batch.len() > 1 => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    todo.extend([second, first]);
                }
                Remedy::Halve(cause) => {
                    match settle::reject(pool, batch[0], cause, &error, schedule).await {
                        Ok(report) => self.account(report, &mut announced),
                        Err(error) => {
                            metrics.error_met(error.kind(), &error);
                            tracing::warn!(%error, "cannot record a refused event; trying again");
                            todo.push(batch);
                            outage.wait(stopping).await;
                        }
                    }
                }
                Remedy::Repeat => {
                    metrics.transaction_repeated();
                    todo.push(batch);
                    conflict.wait(stopping).await;
                }
                Remedy::BackOff => {
                    tracing::warn!(%error, events = batch.len(), "cannot settle; waiting");
                    todo.push(batch);
                    outage.wait(stopping).await;
                }
            }
            if *stopping.borrow() && !todo.is_empty() {
                return None;
            }
        }
        Some(announced)
    }

    fn account(&self, report: Report, announced: &mut Vec<Uuid>) {
        self.worker.metrics.batch_done(&report);
        announced.extend(report.settled);
        announced.extend(report.settled_before);
    }
}

/// One consumer of the group, from its first read to its leaving.
pub(crate) struct ConsumeLoop {
    worker: Worker,
    name: String,
    pulse: Pulse,
    stopping: watch::Receiver<bool>,
}

impl ConsumeLoop {
    pub(crate) fn new(
        worker: Worker,
        name: String,
        pulse: Pulse,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { worker, name, pulse, stopping }
    }

    /// Runs until a stop begins. A read is never cut short, because Redis would hand the next
    /// entry to nobody: a stop is noticed between reads. Fails if it cannot begin.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut settler = Settler::new(self.worker.clone(), self.pulse.clone())?;
        let mut back_off = BackOff::of_outages();
        while !*self.stopping.borrow() {
            self.pulse.beat();
            let Err(error) = self.consume(&mut settler, &mut back_off).await else { continue };
            self.worker.metrics.error_met(error.kind(), &error);
            match error {
                error if is_group_missing(&error) => {
                    tracing::warn!("Redis has no consumer group; making it");
                    if let Err(error) = settler.ringer().ensure_group().await {
                        tracing::warn!(%error, "cannot make the consumer group; waiting");
                    }
                    back_off.wait(&mut self.stopping).await;
                }
                error => {
                    tracing::warn!(%error, "cannot read the stream; waiting");
                    back_off.wait(&mut self.stopping).await;
                }
            }
        }
        if let Err(error) = settler.ringer().leave(&self.name).await {
            tracing::warn!(%error, consumer = self.name, "cannot leave the consumer group");
        }
        Ok(())
    }

    /// One connection's life: first what this consumer holds from before an error, then new
    /// entries. Ends at a stop, or at the first error, after which entries may be held again.
    async fn consume(
        &mut self,
        settler: &mut Settler,
        back_off: &mut BackOff,
    ) -> Result<(), StoreError> {
        settler.ringer().ensure_group().await?;
        let mut consumer: Consumer = self.worker.doorbell.consume(self.name.clone()).await?;
        let count = usize::from(self.worker.batch);
        let mut holds_entries = true;
        while !*self.stopping.borrow() {
            self.pulse.beat();
            let entries = if holds_entries {
                consumer.read_own_pending(count).await?
            } else {
                consumer.read_new(count).await?
            };
            if entries.is_empty() {
                back_off.reset();
                holds_entries = false;
                continue;
            }
            if settler.process(&entries, &mut self.stopping).await {
                back_off.reset();
            } else {
                holds_entries = true;
                back_off.wait(&mut self.stopping).await;
            }
        }
        Ok(())
    }
}
