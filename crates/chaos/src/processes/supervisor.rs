//! Starts a process, waits for its end, and starts the next.

use std::process::{ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Installation, Program, START_MAX, Shared, State};
use crate::children;

/// How soon a process that ended is started again.
const RESTART_AFTER: Duration = Duration::from_millis(150);

/// What a supervisor needs.
pub(super) struct Supervised {
    pub(super) shared: Arc<Shared>,
    pub(super) program: Program,
    pub(super) installation: Arc<Installation>,
    pub(super) usual: Vec<(String, String)>,
    pub(super) log: std::fs::File,
}

pub(super) async fn supervise(supervised: Supervised) {
    let shared = Arc::clone(&supervised.shared);
    let mut wanted = shared.wanted.subscribe();
    while wanted.wait_for(|wanted| *wanted).await.is_ok() {
        let ended = run_once(&supervised).await;
        match ended {
            Ok(status) => {
                *shared.last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                // Nobody but us kills; whoever ends without a signal ended by himself.
                if *wanted.borrow() && status.code().is_some() {
                    note(&shared, format!("{} ended by itself: {status}", shared.name));
                }
            }
            Err(error) => note(&shared, format!("{} does not run: {error:#}", shared.name)),
        }
        shared.state.send_replace(State::Down);
        tokio::time::sleep(RESTART_AFTER).await;
    }
}

fn note(shared: &Shared, trouble: String) {
    *shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
}

/// One process, from start to end.
async fn run_once(supervised: &Supervised) -> anyhow::Result<ExitStatus> {
    let shared = &supervised.shared;
    let start =
        std::mem::take(&mut *shared.next_start.lock().unwrap_or_else(PoisonError::into_inner));
    let binary = supervised.installation.directory.join(supervised.program.binary());
    let mut command = children::command(&binary, None);
    command.args(["--metrics-listen", "127.0.0.1:0"]);
    match supervised.program {
        Program::Ingest => command.args(["--listen", "127.0.0.1:0"]),
        Program::Worker => command.args(&supervised.installation.worker_arguments),
    };
    for inherited in ["LINEAGE_INGEST_DATABASE_URL", "LINEAGE_WORKER_DATABASE_URL"] {
        command.env_remove(inherited);
    }
    let mut child = command
        .envs(supervised.usual.iter().map(|(name, value)| (name, value)))
        .envs(start.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(supervised.log.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let pid = pid.context("a process without an id")?;
    let stdout = child.stdout.take().context("a process without stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    // A failpoint may end it before it says anything; then the line is missing and the status tells.
    let first = tokio::time::timeout(START_MAX, lines.next_line()).await;
    let first = first.context("it does not say where it listens")??;
    if let Some(line) = first {
        let url = line.split_once("listening on ").map(|(_, rest)| rest);
        let url = url.and_then(|rest| rest.split(',').next()).unwrap_or_default().to_owned();
        shared.starts.fetch_add(1, Ordering::Relaxed);
        shared.state.send_replace(State::Up { pid, url });
    }
    Ok(wait(&mut child, shared).await?)
}

/// Waits for the end without reaping the process as long as somebody may signal it: tokio reaps as
/// soon as it is polled after the end, so the state is taken back in the same breath.
async fn wait(child: &mut tokio::process::Child, shared: &Shared) -> std::io::Result<ExitStatus> {
    let status = child.wait().await;
    shared.state.send_replace(State::Down);
    status
}
