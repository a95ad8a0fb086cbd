//! Requests that wait at the same moment share a commit. A lone request waits for nobody: it goes
//! to the first free committer at once; only while all are busy do others gather.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::backlog::{Backlog, Place};
use crate::event_requests::{CheckedSale, EVENTS_MAX};
use crate::metrics::Metrics;
use crate::post_events::{Recorded, RecordedStatus};
use crate::problem::Problem;
use crate::recorder::Recorder;

/// Requests that may wait for a committer whatever [`Backlog`] says; it says less, and sooner.
const WAITING_MAX: usize = 4_096;
/// Lines of sales from which no further request joins a commit.
const LINES_TOGETHER: usize = 10_000;

type Answer = Result<Vec<Recorded>, Problem>;

/// A request's events, its place among those that wait, and where to answer.
struct Job {
    sales: Vec<CheckedSale>,
    place: Place,
    answer: oneshot::Sender<Answer>,
}

/// The committers.
pub(crate) struct GroupCommit {
    sender: mpsc::Sender<Job>,
    committers: JoinSet<()>,
    backlog: Arc<Backlog>,
}

/// Hands events to the committers.
#[derive(Clone)]
pub(crate) struct Handle {
    sender: mpsc::Sender<Job>,
    backlog: Arc<Backlog>,
}

impl Handle {
    /// Whether a further request would be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.backlog.is_full()
    }

    /// A place for a request with a body of so many bytes; `None`: too many wait.
    pub(crate) fn enter(&self, bytes: usize) -> Option<Place> {
        self.backlog.enter(bytes)
    }

    /// Records events, all or none, and returns what became of each. A caller that goes away does
    /// not stop the recording.
    pub(crate) async fn record(&self, sales: Vec<CheckedSale>, place: Place) -> Answer {
        let (answer, answered) = oneshot::channel();
        let busy = || Problem::overloaded("too many requests are waiting; try again");
        self.sender.try_send(Job { sales, place, answer }).map_err(|_| busy())?;
        answered.await.map_err(|_| busy())?
    }
}

impl GroupCommit {
    pub(crate) fn start(
        on: &runtime::Handle,
        recorder: Recorder,
        committers: u32,
        metrics: Arc<Metrics>,
        backlog: Arc<Backlog>,
    ) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut tasks = JoinSet::new();
        for _ in 0..committers {
            let (waiting, metrics) = (Arc::clone(&waiting), Arc::clone(&metrics));
            let committer = commit(recorder.clone(), waiting, metrics, Arc::clone(&backlog));
            tasks.spawn_on(committer, on);
        }
        Self { sender, committers: tasks, backlog }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle { sender: self.sender.clone(), backlog: Arc::clone(&self.backlog) }
    }

    /// Waits until a committer ends before it is told to: it panicked.
    pub(crate) async fn fails(&mut self) {
        let _ = self.committers.join_next().await;
    }

    /// Commits what waits, then ends. Every other handle must be gone by then.
    pub(crate) async fn stop(mut self) {
        drop(self.sender);
        while let Some(ended) = self.committers.join_next().await {
            if ended.is_err() {
                tracing::error!("a committer panicked");
            }
        }
    }
}

/// One committer's life: gather what waits, record it, answer.
async fn commit(
    mut recorder: Recorder,
    waiting: Arc<Mutex<mpsc::Receiver<Job>>>,
    metrics: Arc<Metrics>,
    backlog: Arc<Backlog>,
) {
    while let Some(jobs) = gather(&waiting).await {
        let begun = Instant::now();
        let mut oldest = begun;
        let (mut requests, mut answers) = (Vec::new(), Vec::with_capacity(jobs.len()));
        for Job { sales, place, answer } in jobs {
            let since = place.leave();
            metrics.waited(begun - since);
            oldest = oldest.min(since);
            requests.push(sales);
            answers.push(answer);
        }
        let outcomes = recorder.record(&requests).await;
        let mut accepted = 0;
        let mut duplicate = 0;
        for (outcome, answer) in outcomes.into_iter().zip(answers) {
            for recorded in outcome.iter().flatten() {
                match recorded.status {
                    RecordedStatus::Accepted => accepted += 1,
                    RecordedStatus::Duplicate => duplicate += 1,
                }
            }
            // The client may have gone; what was recorded stays recorded.
            let _ = answer.send(outcome);
        }
        backlog.learn(oldest.elapsed());
        metrics.recorded(accepted, duplicate);
        metrics.committed_together(accepted);
    }
}

/// The next job, and those that wait behind it, up to about a thousand events, fewer if they have
/// many lines.
async fn gather(waiting: &Mutex<mpsc::Receiver<Job>>) -> Option<Vec<Job>> {
    let mut waiting = waiting.lock().await;
    let first = waiting.recv().await?;
    let lines_of = |job: &Job| job.sales.iter().map(|sale| sale.lines.len()).sum::<usize>();
    let (mut events, mut lines) = (first.sales.len(), lines_of(&first));
    let mut jobs = vec![first];
    while events < EVENTS_MAX
        && lines < LINES_TOGETHER
        && let Ok(job) = waiting.try_recv()
    {
        events += job.sales.len();
        lines += lines_of(&job);
        jobs.push(job);
    }
    Some(jobs)
}
