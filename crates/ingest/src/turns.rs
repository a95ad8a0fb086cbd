//! Turns: how many requests that may wait for a lock hold a connection at the same time.
//!
//! A change of history waits for settlement to pause, an enrolment for a move to end, each for up
//! to ten seconds and with a connection in hand. Without an end to them, those that wait behind
//! one stopped worker would hold every connection, and nothing could be recorded or read. So each
//! takes a turn before it takes a connection, and there are fewer turns than connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// How long to wait for a turn. Afterwards there are still locks to wait for, and an answer to be
/// given in time.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The turns that there are.
#[derive(Clone)]
pub(crate) struct Turns {
    changes: Arc<Semaphore>,
    enrolments: Arc<Semaphore>,
}

/// One turn, which ends when dropped.
pub(crate) struct Turn(OwnedSemaphorePermit);

impl Turns {
    /// Of so many connections (those that record events not counted), a quarter may be held by
    /// changes of history and three eighths by enrolments: 2 and 3 of 8. Of one or two
    /// connections, both kinds share a single turn.
    pub(crate) fn new(connections: u32) -> Self {
        let connections = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        let turns = |count: usize| Arc::new(Semaphore::new(count.max(1)));
        let changes = turns(connections / 4);
        let enrolments =
            if connections < 3 { Arc::clone(&changes) } else { turns(connections * 3 / 8) };
        Self { changes, enrolments }
    }

    /// Waits for the turn to change history, or to see what a change would do.
    pub(crate) async fn to_change(&self) -> Result<Turn, Problem> {
        wait(&self.changes, "changes").await
    }

    /// Waits for the turn to enrol a member.
    pub(crate) async fn to_enrol(&self) -> Result<Turn, Problem> {
        wait(&self.enrolments, "enrolments").await
    }
}

async fn wait(turns: &Arc<Semaphore>, of: &str) -> Result<Turn, Problem> {
    let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(turns).acquire_owned()).await;
    let turn = turn.ok().and_then(Result::ok).map(Turn);
    turn.ok_or_else(|| {
        tracing::warn!(of, "a request waited for its turn in vain");
        Problem::unavailable(format!(
            "too many {of} are waiting already; nothing was changed, try again"
        ))
    })
}

impl Turn {
    /// Does the work in this turn, and in a task of its own, because a client that goes away must
    /// not leave a transaction half done.
    pub(crate) async fn spend<T: Send + 'static>(
        self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = tokio::spawn(async move {
            let done = work.await;
            drop(self.0);
            done
        });
        done.await.map_err(|_| Problem::unavailable("the request failed; try again"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However few connections there are, everybody gets a turn and others a connection: one of
    /// those counted here or, of a single one, the second that is there all the same.
    #[test]
    fn turns_leave_connections_to_others() {
        for (connections, changes, enrolments) in
            [(3, 1, 1), (4, 1, 1), (7, 1, 2), (8, 2, 3), (16, 4, 6), (200, 50, 75)]
        {
            let turns = Turns::new(connections);
            let available =
                (turns.changes.available_permits(), turns.enrolments.available_permits());
            assert_eq!(available, (changes, enrolments), "{connections}");
        }
        for connections in [1, 2] {
            let turns = Turns::new(connections);
            assert_eq!(turns.changes.available_permits(), 1, "{connections}");
            assert!(Arc::ptr_eq(&turns.changes, &turns.enrolments), "{connections}");
        }
    }

    #[tokio::test]
    async fn a_turn_is_waited_for_in_vain_until_another_ends() {
        let turns = Turns::new(4);
        let first = turns.to_change().await.map_err(|_| "refused").unwrap();
        let problem = turns.to_change().await.err().unwrap();
        let problem = serde_json::to_value(problem).unwrap();
        assert_eq!(problem["status"], 503, "{problem}");
        assert_eq!(
            problem["detail"],
            "too many changes are waiting already; nothing was changed, try again"
        );
        turns.to_enrol().await.map_err(|_| "refused").expect("enrolments have turns of their own");
        first.spend(async { Ok(()) }).await.unwrap();
        turns.to_change().await.map_err(|_| "refused").expect("the first turn has ended");
    }
}
