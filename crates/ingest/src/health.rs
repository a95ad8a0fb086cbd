//! Whether the process lives, and whether it can do its work.
//!
//! A server that is silent (stopped, or behind a cable that was pulled) neither answers nor fails.
//! So each question to it runs in a task of its own, which nobody cancels: cancelled statements leave
//! connections in a state that nobody knows. Requests for readiness wait a while for an answer,
//! several of them for the same one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use store::stream::Ringer;
use store::{PgPool, database};
use tokio::sync::{Semaphore, watch};
use utoipa::ToSchema;

use crate::app::App;

/// How long a request for readiness waits for each server.
const PATIENCE: Duration = Duration::from_secs(2);
/// After how long without an answer a server is asked again beside, on another connection: that one
/// may be dead while the server is not.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Most questions to one server at a time. Each holds a connection.
const QUESTIONS_MAX: usize = 2;

/// The servers that the process needs.
#[derive(Clone)]
pub(crate) struct Servers {
    pool: PgPool,
    ringer: Ringer,
    postgresql: Question,
    redis: Question,
}

impl Servers {
    pub(crate) fn new(pool: PgPool, ringer: Ringer) -> Self {
        Self { pool, ringer, postgresql: Question::new(), redis: Question::new() }
    }

    /// Whether PostgreSQL and Redis answer.
    async fn answer(&self) -> (bool, bool) {
        let pool = self.pool.clone();
        let postgresql = async move { database::ping(&pool).await.is_ok() };
        let mut ringer = self.ringer.clone();
        let redis = async move { ringer.ping().await.is_ok() };
        tokio::join!(
            self.postgresql.ask(postgresql, PATIENCE, ASK_AGAIN_AFTER),
            self.redis.ask(redis, PATIENCE, ASK_AGAIN_AFTER)
        )
    }
}

/// A question to a server, shared by all who want to know at the same time.
#[derive(Clone)]
struct Question {
    asked: Arc<Mutex<Option<Asked>>>,
    places: Arc<Semaphore>,
}

/// The youngest question, and its answer once it is there.
struct Asked {
    at: Instant,
    answer: watch::Receiver<Option<bool>>,
}

impl Question {
    fn new() -> Self {
        Self { asked: Arc::default(), places: Arc::new(Semaphore::new(QUESTIONS_MAX)) }
    }

    /// Whether the server answers well and in time. `ping` is dropped where the same was asked
    /// already and no answer is there.
    async fn ask(
        &self,
        ping: impl Future<Output = bool> + Send + 'static,
        patience: Duration,
        again_after: Duration,
    ) -> bool {
        let mut answer = self.share(ping, again_after);
        let said = tokio::time::timeout(patience, answer.wait_for(Option::is_some)).await;
        matches!(said, Ok(Ok(said)) if *said == Some(true))
    }

    fn share(
        &self,
        ping: impl Future<Output = bool> + Send + 'static,
        again_after: Duration,
    ) -> watch::Receiver<Option<bool>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Asked { at, answer }) = &*asked {
            // A task that ended without an answer panicked.
            let is_open = answer.borrow().is_none() && answer.has_changed().is_ok();
            if is_open && (at.elapsed() < again_after || self.places.available_permits() == 0) {
                return answer.clone();
            }
        }
        let (told, answer) = watch::channel(None);
        let places = Arc::clone(&self.places);
        tokio::spawn(async move {
            // Free, but for a task that has answered and is about to end.
            let Ok(_place) = places.acquire_owned().await else { return };
            let _ = told.send(Some(ping.await));
        });
        *asked = Some(Asked { at: Instant::now(), answer: answer.clone() });
        answer
    }
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "The process answers", body = String)))]
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// What the process needs, and whether it sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether both are seen.
    ready: bool,
    /// `ok`, or `unreachable`.
    postgresql: &'static str,
    /// `ok`, or `unreachable`. Events are accepted without Redis; workers find them later.
    redis: &'static str,
}

/// Whether PostgreSQL and Redis are seen. Events are accepted without Redis, but settled late.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "PostgreSQL and Redis are seen", body = Readiness),
    (status = 503, description = "One of them is not seen", body = Readiness)))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let (postgresql, redis) = app.servers.answer().await;
    let word = |seen: bool| if seen { "ok" } else { "unreachable" };
    let all = postgresql && redis;
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness = Readiness { ready: all, postgresql: word(postgresql), redis: word(redis) };
    (status, Json(readiness))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_silent_server_is_unreachable_and_asked_a_bounded_number_of_times() {
        let question = Question::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let silent = || {
            let asked = Arc::clone(&asked);
            async move {
                asked.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            }
        };
        for _ in 0..10 {
            assert!(!question.ask(silent(), SHORT, LONG).await);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "all wait for the same answer");
        for _ in 0..10 {
            assert!(!question.ask(silent(), SHORT, Duration::ZERO).await);
        }
        assert_eq!(asked.load(Ordering::Relaxed), QUESTIONS_MAX, "another connection may be alive");
    }

    #[tokio::test]
    async fn each_answer_is_asked_for_anew() {
        let question = Question::new();
        assert!(question.ask(async { true }, LONG, LONG).await);
        assert!(!question.ask(async { false }, LONG, LONG).await);
        assert!(!question.ask(async { panic!("a defect") }, LONG, LONG).await);
        assert!(question.ask(async { true }, LONG, LONG).await);
    }

    #[tokio::test]
    async fn a_dead_connection_does_not_hide_a_server_that_is_back() {
        let question = Question::new();
        assert!(!question.ask(std::future::pending(), SHORT, LONG).await);
        assert!(question.ask(async { true }, LONG, Duration::ZERO).await);
        assert!(question.ask(async { true }, LONG, LONG).await);
    }
}
