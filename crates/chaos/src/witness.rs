//! The witness: listens to both streams during the whole run and asks PostgreSQL about what it
//! hears, at once.
//!
//! After quiescence it cannot be seen any more in which order things happened: the sweep mends what
//! an acknowledgement or a bell did too early. The witness sees it while it happens:
//!
//! - an event id that is published is committed by then, or was forged by the harness;
//! - an event id that is announced as settled has an outcome by then.
//!
//! Both commits are visible to everybody before the committing process hears of them and can tell
//! Redis, and what was visible survives a crash (`synchronous_commit`): so a witness that hears late,
//! because a server was away, may miss a breach, and never makes one up.

mod ears;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::ears::Ears;
use crate::evidence::Finding;

/// What is promised, as findings name it.
pub(crate) mod promise {
    pub(crate) const PUBLISHED: &str = "what is published is committed by then";
    pub(crate) const ANNOUNCED: &str = "what is announced is settled by then";
    pub(crate) const AWAKE: &str = "the witness hears both streams and can ask";
}

/// Wait after a server did not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a question may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// After the end of a run, how long PostgreSQL may take to answer what is still open.
const PATIENCE: Duration = Duration::from_secs(30);
/// Breaches that are told one by one.
const LISTED_MAX: usize = 20;

/// Listens in the background.
pub(crate) struct Witness {
    stop: watch::Sender<bool>,
    published: JoinHandle<Heard>,
    announced: JoinHandle<Heard>,
}

/// What one stream told.
struct Heard {
    /// How many ids in all.
    ids: u64,
    /// Those that PostgreSQL knew nothing of when they were heard, in that order.
    breaches: Vec<Uuid>,
    /// How many could not be asked about.
    unasked: usize,
}

impl Witness {
    /// Begins to listen, on connections of its own. The URLs lead past every proxy.
    pub(crate) fn start(database_url: String, redis_url: String, prefix: String) -> Self {
        let (stop, stopping) = watch::channel(false);
        let listen = |stream: &str, question| {
            let ears = Ears::new(redis_url.clone(), format!("{prefix}:{stream}"));
            tokio::spawn(listen(ears, database_url.clone(), question, stopping.clone()))
        };
        let published = listen("events", UNRECORDED);
        let announced = listen("outcomes", UNSETTLED);
        Self { stop, published, announced }
    }

    /// Ends listening and tells what must not have been. Forged ids may be published.
    pub(crate) async fn stop(self, forged: &[Uuid]) -> Vec<Finding> {
        self.stop.send_replace(true);
        let forged: HashSet<&Uuid> = forged.iter().collect();
        let mut findings = Vec::new();
        for (task, promise, what) in [
            (self.published, promise::PUBLISHED, "published and not committed"),
            (self.announced, promise::ANNOUNCED, "announced and not settled"),
        ] {
            let heard = match task.await {
                Ok(heard) => heard,
                Err(error) => {
                    let detail = format!("listening ended: {error}");
                    findings.push(Finding { promise: promise::AWAKE, detail });
                    continue;
                }
            };
            let asleep = heard.ids == 0;
            if asleep || heard.unasked > 0 {
                let (ids, unasked) = (heard.ids, heard.unasked);
                let detail =
                    format!("heard {ids} ids, of which {unasked} could not be asked about");
                findings.push(Finding { promise: promise::AWAKE, detail });
            }
            let breaches = heard.breaches.iter().filter(|id| !forged.contains(id));
            let breaches: Vec<&Uuid> = breaches.collect();
            for id in breaches.iter().take(LISTED_MAX) {
                findings.push(Finding { promise, detail: format!("event {id} was {what}") });
            }
            if let Some(more) = breaches.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
                findings.push(Finding { promise, detail: format!("and {more} more") });
            }
        }
        findings
    }
}

/// Those of the ids that are no events.
const UNRECORDED: &str = "select id from unnest($1::uuid[]) as heard (id) \
                          where not exists (select from events e where e.id = heard.id)";
/// Those of the ids that have no outcome.
const UNSETTLED: &str = "select id from unnest($1::uuid[]) as heard (id) \
                         where not exists (select from commission_outcomes o \
                                            where o.event_id = heard.id)";

/// Listens until a stop begins, and asks about everything heard. What cannot be asked about while
/// PostgreSQL is away waits.
async fn listen(
    mut ears: Ears,
    database_url: String,
    question: &'static str,
    stopping: watch::Receiver<bool>,
) -> Heard {
    let mut heard = Heard { ids: 0, breaches: Vec::new(), unasked: 0 };
    let mut open: Vec<Uuid> = Vec::new();
    // Connected before anything is heard: connecting takes longer than a commit.
    let mut conn = connect(&database_url).await;
    while !*stopping.borrow() {
        match ears.next().await {
            Ok(ids) => {
                heard.ids += ids.len() as u64;
                open.extend(ids);
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        ask(&mut conn, &database_url, question, &mut open, &mut heard.breaches).await;
    }
    let begun = Instant::now();
    while !open.is_empty() && begun.elapsed() < PATIENCE {
        ask(&mut conn, &database_url, question, &mut open, &mut heard.breaches).await;
    }
    heard.unasked = open.len();
    heard
}

/// Asks about everything that is open. Without an answer, all of it stays open.
async fn ask(
    conn: &mut Option<PgConnection>,
    database_url: &str,
    question: &'static str,
    open: &mut Vec<Uuid>,
    breaches: &mut Vec<Uuid>,
) {
    if conn.is_none() {
        *conn = connect(database_url).await;
    }
    let Some(asked) = conn.as_mut().filter(|_| !open.is_empty()) else { return };
    let answer = sqlx::query_scalar::<_, Uuid>(question).bind(&*open).fetch_all(asked);
    match tokio::time::timeout(ANSWER_MAX, answer).await {
        Ok(Ok(unknown)) => {
            breaches.extend(unknown);
            open.clear();
        }
        Ok(Err(_)) | Err(_) => *conn = None,
    }
}

/// `None`: PostgreSQL is away, and a pause has passed.
async fn connect(database_url: &str) -> Option<PgConnection> {
    let conn = tokio::time::timeout(ANSWER_MAX, PgConnection::connect(database_url)).await;
    if let Ok(Ok(conn)) = conn {
        return Some(conn);
    }
    tokio::time::sleep(PAUSE).await;
    None
}

#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
