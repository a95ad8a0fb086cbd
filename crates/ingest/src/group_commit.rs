//! Requests that wait at the same moment share a commit. A lone request waits for nobody: it goes
//! to the first free committer at once; only while all are busy do others gather.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::event_requests::{CheckedSale, EVENTS_MAX};
use crate::metrics::Metrics;
use crate::post_events::{Recorded, RecordedStatus};
use crate::problem::Problem;
use crate::recorder::Recorder;

/// Requests that may wait for a committer. Beyond, the client is told to come back.
const WAITING_MAX: usize = 2_048;
/// Lines of sales from which no further request joins a commit.
const LINES_TOGETHER: usize = 10_000;

type Answer = Result<Vec<Recorded>, Problem>;

/// A request's events, and where to answer.
struct Job {
    sales: Vec<CheckedSale>,
    answer: oneshot::Sender<Answer>,
}

/// The committers.
pub(crate) struct GroupCommit {
    sender: mpsc::Sender<Job>,
    committers: JoinSet<()>,
}

/// Hands events to the committers.
#[derive(Clone)]
pub(crate) struct Handle(mpsc::Sender<Job>);

impl Handle {
    /// Records events, all or none, and returns what became of each. A caller that goes away does
    /// not stop the recording.
    pub(crate) async fn record(&self, sales: Vec<CheckedSale>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let busy = || Problem::unavailable("too many requests are waiting; try again");
        self.0.try_send(Job { sales, answer }).map_err(|_| busy())?;
        answered.await.map_err(|_| busy())?
    }
}

impl GroupCommit {
    pub(crate) fn start(recorder: Recorder, committers: u32, metrics: Arc<Metrics>) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut tasks = JoinSet::new();
        for _ in 0..committers {
            tasks.spawn(commit(recorder.clone(), Arc::clone(&waiting), Arc::clone(&metrics)));
        }
        Self { sender, committers: tasks }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(self.sender.clone())
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
) {
    while let Some(jobs) = gather(&waiting).await {
        let (requests, answers): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.sales, job.answer)).unzip();
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
