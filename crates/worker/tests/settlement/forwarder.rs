//! A TCP forwarder that can be away, fall silent, and cut connections around a COMMIT.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Forwarding,
    /// The port is closed, and every connection cut.
    Away,
    /// Connections stay open, and nothing comes through: as behind a firewall that forgot them.
    Silent,
    /// A connection is cut when COMMIT has been handed over, before the answer.
    CuttingAfterCommit,
    /// The same before COMMIT is handed over.
    CuttingBeforeCommit,
}

/// A port of its own in front of a server.
pub(crate) struct Forwarder {
    at: SocketAddr,
    doing: watch::Sender<Doing>,
    cut: Arc<AtomicU32>,
}

impl Forwarder {
    /// In front of the server of a URL, which names host and port.
    pub(crate) async fn before(url: &str) -> Self {
        let server = authority(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (doing, watched) = watch::channel(Doing::Forwarding);
        let cut = Arc::<AtomicU32>::default();
        tokio::spawn(listen(listener, server, watched, Arc::clone(&cut)));
        Self { at, doing, cut }
    }

    /// The URL by which the server is reached through here.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(authority(url), &self.at.to_string())
    }

    pub(crate) fn set(&self, doing: Doing) {
        self.doing.send_replace(doing);
    }

    /// How many connections were cut around a COMMIT.
    pub(crate) fn cut(&self) -> u32 {
        self.cut.load(Ordering::Relaxed)
    }
}

/// `host:port` of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let authority = rest.split(['/', '?']).next().unwrap();
    authority.rsplit('@').next().unwrap()
}

async fn listen(
    listener: TcpListener,
    server: String,
    mut doing: watch::Receiver<Doing>,
    cut: Arc<AtomicU32>,
) {
    let at = listener.local_addr().unwrap();
    let mut listening = Some(listener);
    loop {
        let listener = match listening.take() {
            Some(listener) => listener,
            None => TcpListener::bind(at).await.unwrap(),
        };
        let watched = doing.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (client, _) = accepted.unwrap();
                    let (server, cut) = (server.clone(), Arc::clone(&cut));
                    tokio::spawn(forward(client, server, watched.clone(), cut));
                }
                away = doing.wait_for(|doing| *doing == Doing::Away) => {
                    if away.is_err() {
                        return;
                    }
                    break;
                }
            }
        }
        drop(listener);
        if doing.wait_for(|doing| *doing != Doing::Away).await.is_err() {
            return;
        }
    }
}

async fn forward(
    client: TcpStream,
    server: String,
    mut doing: watch::Receiver<Doing>,
    cut: Arc<AtomicU32>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let watched = doing.clone();
    tokio::select! {
        () = pump(from_client, to_server, watched.clone(), Some(&cut)) => {}
        () = pump(from_server, to_client, watched, None) => {}
        _ = doing.wait_for(|doing| *doing == Doing::Away) => {}
    }
}

/// Hands over what comes, until the end or a cut. `cut`: count cuts around COMMIT here.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut doing: watch::Receiver<Doing>,
    cut: Option<&AtomicU32>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if doing.wait_for(|doing| *doing != Doing::Silent).await.is_err() {
            return;
        }
        let data = &buffer[..length];
        let now = *doing.borrow();
        let commits = data.windows(6).any(|word| word == b"COMMIT");
        if let (true, Some(cut), Doing::CuttingBeforeCommit) = (commits, cut, now) {
            cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if to.write_all(data).await.is_err() {
            return;
        }
        if let (true, Some(cut), Doing::CuttingAfterCommit) = (commits, cut, now) {
            cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}
