//! The generator: many kept connections, each with a request built beforehand in which only the
//! sales' numbers change. It runs on a thread of its own, because it takes its processor time from
//! the server that it measures, and says how much.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::request::Request;

/// How long an answer may take. Longer than the server's own limit, so that no answer is missed.
const ANSWER_MAX: Duration = Duration::from_secs(40);
/// How long a connection waits before it connects again after it was refused or cut off.
const RECONNECT_AFTER: Duration = Duration::from_millis(10);

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// Each connection sends its next request when it has its answer.
    Closed,
    /// So many requests a second over all connections, whether or not answers keep up. A request
    /// whose connection still waits for an answer is left out and counted.
    Open(f64),
}

/// What to send.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) server: SocketAddr,
    pub(super) request: Request,
    /// The number of the first sale.
    pub(super) first: u64,
    pub(super) connections: u16,
    pub(super) pace: Pace,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests sent, answered or not.
    pub(super) sent: u64,
    /// Requests that were due while their connection waited for an answer.
    pub(super) left_out: u64,
    /// Requests answered 429 or 503.
    pub(super) shed: u64,
    /// Connections that ended without an answer.
    pub(super) cut_off: u64,
    /// From sending to the whole answer, in milliseconds, of each request answered 202; sorted.
    pub(super) accepted_ms: Vec<f64>,
    /// The same of those shed.
    pub(super) shed_ms: Vec<f64>,
    /// The number after the last sale's.
    pub(super) next: u64,
    /// From the first request to the last answer.
    pub(super) seconds: f64,
    /// Processor time that the generator used.
    pub(super) cpu_seconds: f64,
}

impl Load {
    /// Sends the load and waits for every answer.
    pub(super) async fn run(self) -> anyhow::Result<Tally> {
        let generator = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, self.send())
        };
        tokio::task::spawn_blocking(generator).await.context("the generator panicked")?
    }

    async fn send(self) -> anyhow::Result<Tally> {
        let tally = Rc::new(RefCell::new(Tally { next: self.first, ..Tally::default() }));
        let mut open = Vec::with_capacity(usize::from(self.connections));
        for _ in 0..self.connections {
            open.push(connect(self.server).await?);
        }
        let (begun, cpu_before) = (Instant::now(), cpu_seconds());
        let connections = f64::from(self.connections);
        let mut clients = Vec::with_capacity(usize::from(self.connections));
        for (place, connection) in (0_u16..).zip(open) {
            let interval = match self.pace {
                Pace::Closed => None,
                Pace::Open(rate) => Some(Duration::from_secs_f64(connections / rate)),
            };
            // Connections take turns, evenly.
            let offset = interval.map(|every| every.mul_f64(f64::from(place) / connections));
            let client = Client {
                server: self.server,
                request: self.request.clone(),
                due: begun + offset.unwrap_or_default(),
                interval,
                until: begun + self.time,
                tally: Rc::clone(&tally),
                connection: Some(connection),
                received: vec![0; 64 << 10],
            };
            clients.push(tokio::task::spawn_local(client.run()));
        }
        for client in clients {
            client.await??;
        }
        let mut tally = tally.take();
        tally.seconds = begun.elapsed().as_secs_f64();
        tally.cpu_seconds = cpu_seconds() - cpu_before;
        tally.accepted_ms.sort_by(f64::total_cmp);
        tally.shed_ms.sort_by(f64::total_cmp);
        Ok(tally)
    }
}

/// One connection, which connects again when it is cut off.
struct Client {
    server: SocketAddr,
    request: Request,
    due: Instant,
    interval: Option<Duration>,
    until: Instant,
    tally: Rc<RefCell<Tally>>,
    connection: Option<TcpStream>,
    received: Vec<u8>,
}

impl Client {
    async fn run(mut self) -> anyhow::Result<()> {
        loop {
            if let Some(interval) = self.interval {
                let now = Instant::now();
                let mut left_out = 0;
                while self.due + interval < now {
                    self.due += interval;
                    left_out += 1;
                }
                self.tally.borrow_mut().left_out += left_out;
                if self.due > now {
                    tokio::time::sleep_until(self.due.into()).await;
                }
                self.due += interval;
            }
            if Instant::now() >= self.until {
                return Ok(());
            }
            self.post().await?;
        }
    }

    async fn post(&mut self) -> anyhow::Result<()> {
        {
            let mut tally = self.tally.borrow_mut();
            self.request.number_from(tally.next);
            tally.next += self.request.sales();
            tally.sent += 1;
        }
        if self.connection.is_none() {
            self.connection = connect(self.server).await.ok();
        }
        let begun = Instant::now();
        let status = tokio::time::timeout(ANSWER_MAX, self.exchange())
            .await
            .context("a request was never answered")?;
        let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
        let Ok(status) = status else {
            self.tally.borrow_mut().cut_off += 1;
            self.connection = None;
            tokio::time::sleep(RECONNECT_AFTER).await;
            return Ok(());
        };
        let mut tally = self.tally.borrow_mut();
        match status {
            202 => tally.accepted_ms.push(milliseconds),
            429 | 503 => {
                tally.shed += 1;
                tally.shed_ms.push(milliseconds);
            }
            other => bail!("answered {other}"),
        }
        Ok(())
    }

    /// Sends the request and reads the whole answer; its status.
    async fn exchange(&mut self) -> anyhow::Result<u16> {
        let connection = self.connection.as_mut().context("no connection")?;
        connection.write_all(self.request.bytes()).await?;
        let mut length = 0;
        loop {
            let read = connection.read(&mut self.received[length..]).await?;
            if read == 0 {
                bail!("cut off");
            }
            length += read;
            let Some(answer) = Answer::read(&self.received[..length]) else { continue };
            // Only how much is left of the body matters.
            let mut left = answer.length.saturating_sub(length);
            while left > 0 {
                let space = left.min(self.received.len());
                let read = connection.read(&mut self.received[..space]).await?;
                if read == 0 {
                    bail!("cut off");
                }
                left -= read;
            }
            if answer.closes {
                self.connection = None;
            }
            return Ok(answer.status);
        }
    }
}

async fn connect(server: SocketAddr) -> std::io::Result<TcpStream> {
    let connection = TcpStream::connect(server).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

/// An answer's headers, as far as they matter.
struct Answer {
    status: u16,
    /// Of headers and body.
    length: usize,
    closes: bool,
}

impl Answer {
    /// `None`: the headers are not complete.
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let headers = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = headers.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let (mut length, mut closes) = (0, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        Some(Self { status, length: end + 4 + length, closes })
    }
}

/// Processor time of this thread, where the system tells (Linux).
fn cpu_seconds() -> f64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default()).as_secs_f64()
}
