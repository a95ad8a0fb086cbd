//! A TCP proxy between a process and a server: passes, delays, cuts, refuses, swallows; and cuts a
//! connection to PostgreSQL at the moment of its COMMIT.
//!
//! A commit is recognised in the client's bytes, message by message: sqlx ends transactions by a simple
//! query `COMMIT`; a prepared one is known by its text too.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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

/// A client's bytes as messages of PostgreSQL's protocol.
#[derive(Default)]
struct Messages {
    buffer: Vec<u8>,
    /// Whether the start-up message, which has no type, is through.
    started: bool,
}

/// The code of a start-up message: version 3.0. Requests for encryption have other codes.
const PROTOCOL_MAJOR: u16 = 3;

impl Messages {
    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes whole messages up to a commit, which is left; or all whole ones. Says which.
    fn until_commit(&mut self) -> (Vec<u8>, bool) {
        let mut at = 0;
        let mut commits = false;
        while let Some(length) = self.message_length(at) {
            let message = &self.buffer[at..at + length];
            if self.started {
                commits = is_commit(message);
            } else {
                self.started = message.get(4..6) == Some(&PROTOCOL_MAJOR.to_be_bytes());
            }
            if commits {
                break;
            }
            at += length;
        }
        (self.buffer.drain(..at).collect(), commits)
    }

    /// Takes the message that is first.
    fn take_one(&mut self) -> Vec<u8> {
        let length = self.message_length(0).unwrap_or(0);
        self.buffer.drain(..length).collect()
    }

    /// Takes everything that is left.
    fn take_all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// The length of the message that begins there, once all of it has arrived.
    fn message_length(&self, at: usize) -> Option<usize> {
        let prefix = usize::from(self.started);
        let length = self.buffer.get(at + prefix..at + prefix + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let length = prefix + usize::try_from(length).ok()?.max(4);
        (self.buffer.len() - at >= length).then_some(length)
    }
}

/// A simple query `COMMIT`, or the preparation of one.
fn is_commit(message: &[u8]) -> bool {
    let text = match message.first() {
        Some(b'Q') => message.get(5..),
        // Parse: the statement's name, then its text.
        Some(b'P') => message.get(5..).and_then(|body| body.splitn(2, |byte| *byte == 0).nth(1)),
        _ => None,
    };
    let text = text.and_then(|text| text.split(|byte| *byte == 0).next()).unwrap_or_default();
    let text = text.trim_ascii();
    text.strip_suffix(b";").unwrap_or(text).eq_ignore_ascii_case(b"commit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    fn startup() -> Vec<u8> {
        [12_u32.to_be_bytes(), (3_u32 << 16).to_be_bytes(), [0; 4]].concat()
    }

    #[test]
    fn a_commit_is_found_however_its_bytes_arrive() {
        let ssl_request = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
        let before = [ssl_request, startup(), message(b'Q', b"begin\0")].concat();
        let commit = message(b'Q', b"COMMIT\0");
        let bytes = [before.clone(), commit.clone()].concat();
        for size in 1..bytes.len() {
            let mut messages = Messages::default();
            let mut passed = Vec::new();
            let mut found = false;
            for piece in bytes.chunks(size) {
                messages.push(piece);
                let (whole, commits) = messages.until_commit();
                passed.extend(whole);
                found |= commits;
            }
            assert!(found, "pieces of {size}");
            assert_eq!(passed, before, "pieces of {size}");
            assert_eq!(messages.take_one(), commit, "pieces of {size}");
        }
    }

    #[test]
    fn only_a_commit_is_one() {
        assert!(is_commit(&message(b'Q', b" commit; \0")));
        assert!(is_commit(&message(b'P', b"s1\0COMMIT\0\0\0")));
        assert!(!is_commit(&message(b'Q', b"select 'COMMIT'\0")));
        assert!(!is_commit(&message(b'P', b"COMMIT\0select 1\0\0\0")));
        assert!(!is_commit(&message(b'd', b"COMMIT\0")));
        assert!(!is_commit(b""));
    }
}
