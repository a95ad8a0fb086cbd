//! Ingests and workers as a supervisor runs them: started again whenever they end.

mod installation;
mod supervisor;

use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::sync::watch;

pub(crate) use self::installation::Installation;
use self::supervisor::{Supervised, supervise};
use crate::proxy::{Proxy, Speech};
use crate::servers::{Postgres, RedisServer};

/// How long a process may take to say where it listens.
const START_MAX: Duration = Duration::from_secs(30);
/// How long a process that was asked to stop may take.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(40);
/// Loops of a worker that read the stream.
pub(crate) const LOOPS: usize = 2;
/// What the streams' keys begin with.
pub(crate) const STREAM_PREFIX: &str = "chaos";

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `lineage-ingest`
    Ingest,
    /// `lineage-worker`
    Worker,
}

impl Program {
    fn binary(self) -> &'static str {
        match self {
            Self::Ingest => "lineage-ingest",
            Self::Worker => "lineage-worker",
        }
    }
}

/// What a process is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not to run, or not yet running.
    Down,
    /// Running.
    Up { pid: Pid, url: String },
}

/// The next start of a process, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    /// Variables of the environment beside the usual ones.
    pub(crate) environment: Vec<(String, String)>,
}

struct Shared {
    name: String,
    state: watch::Sender<State>,
    wanted: watch::Sender<bool>,
    next_start: Mutex<Start>,
    /// How often it has been started.
    starts: AtomicU64,
    /// How it last ended.
    last_end: Mutex<Option<ExitStatus>>,
    trouble: Mutex<Option<String>>,
}

/// A place in the installation that a process fills, one after the other.
#[derive(Clone)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    /// Its way to PostgreSQL.
    pub(crate) postgres: Proxy,
    /// Its way to Redis.
    pub(crate) redis: Proxy,
}

impl Place {
    /// Makes a place with its own proxies; nothing runs in it yet.
    pub(crate) async fn new(
        program: Program,
        number: usize,
        installation: &Arc<Installation>,
        postgres: &Postgres,
        redis: &RedisServer,
        log: std::fs::File,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            name: format!("{}-{number}", program.binary().trim_start_matches("lineage-")),
            state: watch::Sender::new(State::Down),
            wanted: watch::Sender::new(false),
            next_start: Mutex::new(Start::default()),
            starts: AtomicU64::new(0),
            last_end: Mutex::new(None),
            trouble: Mutex::new(None),
        });
        let place = Self {
            shared,
            postgres: Proxy::start(postgres.address(), Speech::Postgres).await?,
            redis: Proxy::start(redis.address(), Speech::Any).await?,
        };
        let usual = [
            ("DATABASE_URL", postgres.url_at(place.postgres.address)),
            ("REDIS_URL", redis.url_at(place.redis.address)),
            ("LINEAGE_STREAM_PREFIX", STREAM_PREFIX.to_owned()),
            ("LINEAGE_SABOTAGE", installation.sabotage.clone().unwrap_or_default()),
            ("RUST_LOG", "info".to_owned()),
            ("RUST_BACKTRACE", "0".to_owned()),
        ];
        tokio::spawn(supervise(Supervised {
            shared: Arc::clone(&place.shared),
            program,
            installation: Arc::clone(installation),
            usual: usual.map(|(name, value)| (name.to_owned(), value)).into(),
            log,
        }));
        Ok(place)
    }

    /// What the process is called in messages and logs.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it serves, as soon as it does.
    pub(crate) async fn url(&self) -> Option<String> {
        match tokio::time::timeout(START_MAX, self.up()).await {
            Ok((_, url)) => Some(url),
            Err(_) => None,
        }
    }

    /// Where it serves now; `None` while it is down.
    pub(crate) fn url_now(&self) -> Option<String> {
        match &*self.shared.state.borrow() {
            State::Up { url, .. } => Some(url.clone()),
            State::Down => None,
        }
    }

    /// The process's id now; `None` while it is down.
    pub(crate) fn pid_now(&self) -> Option<i32> {
        match &*self.shared.state.borrow() {
            State::Up { pid, .. } => Some(pid.as_raw_nonzero().get()),
            State::Down => None,
        }
    }

    async fn up(&self) -> (Pid, String) {
        let mut state = self.shared.state.subscribe();
        loop {
            if let State::Up { pid, url } = &*state.borrow_and_update() {
                return (*pid, url.clone());
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether it is to run.
    pub(crate) fn is_wanted(&self) -> bool {
        *self.shared.wanted.borrow()
    }

    /// Lets a process fill the place from now on, and waits until it runs.
    pub(crate) async fn run(&self) {
        self.shared.wanted.send_replace(true);
        let _ = self.url().await;
    }

    /// Sends a signal to the process, if one runs.
    pub(crate) fn signal(&self, signal: Signal) {
        // The supervisor takes the state back before it waits for the process, so the id is its.
        if let State::Up { pid, .. } = &*self.shared.state.borrow() {
            let _ = rustix::process::kill_process(*pid, signal);
        }
    }

    /// Kills the process, and has the next one started so. Waits until it runs.
    pub(crate) async fn restart(&self, start: Start) {
        let starts = self.starts();
        *self.shared.next_start.lock().unwrap_or_else(PoisonError::into_inner) = start;
        self.signal(Signal::KILL);
        self.await_start_after(starts).await;
    }

    /// Waits until it has been started again since, and runs.
    pub(crate) async fn await_start_after(&self, starts: u64) {
        let mut state = self.shared.state.subscribe();
        let again = state.wait_for(|state| self.starts() > starts && *state != State::Down);
        let _ = tokio::time::timeout(START_MAX, again).await;
    }

    /// How often a process was started here.
    pub(crate) fn starts(&self) -> u64 {
        self.shared.starts.load(Ordering::Relaxed)
    }

    /// Asks the process to stop and starts no other. Says what is wrong with how it ended.
    pub(crate) async fn stop(&self) -> Result<(), String> {
        let name = self.name().to_owned();
        let mut state = self.shared.state.subscribe();
        self.shared.wanted.send_replace(false);
        let was_up = *state.borrow() != State::Down;
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let down = tokio::time::timeout(STOP_MAX, state.wait_for(|state| *state == State::Down));
        if down.await.is_err() {
            self.signal(Signal::KILL);
            return Err(format!("{name} did not stop within {} s of SIGTERM", STOP_MAX.as_secs()));
        }
        let last_end = *self.shared.last_end.lock().unwrap_or_else(PoisonError::into_inner);
        match last_end {
            Some(status) if was_up && !status.success() => {
                Err(format!("{name} was asked to stop and ended with {status}"))
            }
            _ => Ok(()),
        }
    }

    /// What went wrong with it that no fault explains.
    pub(crate) fn take_trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
