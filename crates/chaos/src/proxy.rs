//! A TCP proxy between a process and a server: passes, delays, cuts, refuses, swallows; and cuts a
//! connection to PostgreSQL at the moment of its COMMIT.

mod messages;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::messages::Messages;

/// How much is read at a time.
const PIECE_BYTES: usize = 16 << 10;

/// What the proxy does with what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Pass,
    /// Holds each piece back for so long, in both directions.
    Delay(Duration),
    /// Ends new connections at once.
    Refuse,
    /// Takes connections and bytes, and lets none through.
    BlackHole,
}

/// Where a commit is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitCut {
    /// The server never hears of it.
    BeforeForwarding,
    /// The server hears of it, and nobody waits for what it says.
    AfterForwarding,
    /// The server has done it, and its answer is lost.
    AnswerLost,
}

/// What is said on the proxied connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// PostgreSQL's protocol, version 3.
    Postgres,
    /// Bytes that nobody looks into.
    Any,
}

struct Shared {
    server: SocketAddr,
    speech: Speech,
    mode: watch::Sender<Mode>,
    /// Counted up to end all connections.
    cuts: watch::Sender<u64>,
    armed: Mutex<Option<CommitCut>>,
    commits_cut: AtomicU64,
}

/// A running proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Starts one before a server.
    pub(crate) async fn start(server: SocketAddr, speech: Speech) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            speech,
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            armed: Mutex::new(None),
            commits_cut: AtomicU64::new(0),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, address })
    }

    /// Changes what happens from now on, to open connections too.
    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts the next commit that comes by; `None`: none any more.
    pub(crate) fn arm(&self, cut: Option<CommitCut>) {
        *self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner) = cut;
    }

    /// How many commits have been cut so far.
    pub(crate) fn commits_cut(&self) -> u64 {
        self.shared.commits_cut.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Takes the order to cut a commit, if there is one.
    fn take_armed(&self) -> Option<CommitCut> {
        let armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if armed.is_some() {
            self.commits_cut.fetch_add(1, Ordering::Relaxed);
        }
        armed
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if *shared.mode.borrow() == Mode::Refuse {
            // Reset, not closed in an orderly way: as from a port where nobody listens.
            let _ = client.set_zero_linger();
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { connection(client, &shared).await });
    }
}

/// Carries one connection until either side, or a cut, ends it.
async fn connection(client: TcpStream, shared: &Shared) {
    let mut cuts = shared.cuts.subscribe();
    let carried = async {
        let server = TcpStream::connect(shared.server).await?;
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let answer_lost = watch::Sender::new(false);
        tokio::select! {
            ended = upwards(client_reads, server_writes, shared, &answer_lost) => ended,
            ended = downwards(server_reads, client_writes, shared, answer_lost.subscribe()) => ended,
        }
    };
    tokio::select! {
        _ = carried => {}
        _ = cuts.changed() => {}
    }
}

/// Waits as long as the mode says for one piece.
async fn hold(shared: &Shared) {
    let mut mode = shared.mode.subscribe();
    let delay = match *mode.borrow_and_update() {
        Mode::Delay(delay) => delay,
        _ => Duration::ZERO,
    };
    tokio::time::sleep(delay).await;
    let _ = mode.wait_for(|mode| *mode != Mode::BlackHole).await;
}

/// From the client to the server.
async fn upwards(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    shared: &Shared,
    answer_lost: &watch::Sender<bool>,
) -> std::io::Result<()> {
    let mut messages = Messages::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = client.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        hold(shared).await;
        if shared.speech == Speech::Any {
            server.write_all(&piece[..length]).await?;
            continue;
        }
        messages.push(&piece[..length]);
        loop {
            let (before, commits) = messages.until_commit();
            server.write_all(&before).await?;
            if !commits {
                break;
            }
            match shared.take_armed() {
                None => server.write_all(&messages.take_one()).await?,
                Some(CommitCut::BeforeForwarding) => return Ok(()),
                Some(CommitCut::AfterForwarding) => {
                    return server.write_all(&messages.take_all()).await;
                }
                Some(CommitCut::AnswerLost) => {
                    answer_lost.send_replace(true);
                    server.write_all(&messages.take_all()).await?;
                    // The answer ends the connection; a server that died ends it too.
                }
            }
        }
    }
}

/// From the server to the client.
async fn downwards(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    shared: &Shared,
    answer_lost: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = server.read(&mut piece).await?;
        if length == 0 || *answer_lost.borrow() {
            return Ok(());
        }
        hold(shared).await;
        client.write_all(&piece[..length]).await?;
    }
}
