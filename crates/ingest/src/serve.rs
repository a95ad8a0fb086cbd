//! Accepting connections, with limits that `axum::serve` does not set: there is an end to sockets,
//! and who uses one for nothing does not keep it.
//!
//! | what a client does | what becomes of it |
//! |---|---|
//! | sends headers slowly, or nothing | closed after `--headers-timeout`; after [`CROWDED_PATIENCE`] while connections are short |
//! | sends a body slowly | 408 after `--transfer-timeout`, see [`crate::bodies`] |
//! | does not take its answers | closed after `--transfer-timeout`, see [`Socket`] |
//! | comes when all connections are taken | 503 at once |

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::bodies::Gate;
use crate::connection::{Activity, Socket};
use crate::limits::Limits;
use crate::metrics::{Metrics, Shed};

/// Most headers of a request; more are answered 431.
const HEADERS_MAX: usize = 64;
/// Most bytes of a request's first line and headers; more are answered 431.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// How long a connection may wait for a request while more than seven of eight are taken: long
/// enough for clients that are working, too short to lock them out by holding sockets.
const CROWDED_PATIENCE: Duration = Duration::from_secs(2);
/// Connections that are told that there is no room, at a time. Further ones are just closed.
const REFUSED_MAX: usize = 128;
/// How long a refused client may take to read that.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a stop waits for answers under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// What a client is told that comes when all connections are taken.
const NO_ROOM: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 2\r\n\
                       content-type: application/problem+json\r\ncontent-length: 138\r\n\r\n\
                       {\"type\":\"/problems/overloaded\",\"title\":\"More than can be served\",\
                       \"status\":503,\"detail\":\"all connections are taken; try again in a moment\"}";

/// Serves until `stop`, then answers what is under way.
pub(crate) async fn until(
    listener: TcpListener,
    app: Router,
    gate: Gate,
    limits: Limits,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let places_max = usize::try_from(limits.client_connections).unwrap_or(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(places_max));
    let refusals = Arc::new(Semaphore::new(REFUSED_MAX));
    let (crowd, crowded) = watch::channel(false);
    let crowd = Arc::new(crowd);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut stop => break,
        };
        let Some(stream) = accepted else { continue };
        let place = Arc::clone(&places).try_acquire_owned();
        look_around(&crowd, places.available_permits(), places_max);
        let Ok(place) = place else {
            metrics.shed(Shed::Connections);
            if let Ok(turn) = Arc::clone(&refusals).try_acquire_owned() {
                tokio::spawn(refuse(stream, turn));
            }
            continue;
        };
        let connection =
            serve(stream, app.clone(), gate.clone(), limits, graceful.watcher(), crowded.clone());
        let (crowd, places) = (Arc::clone(&crowd), Arc::clone(&places));
        tokio::spawn(async move {
            connection.await;
            drop(place);
            look_around(&crowd, places.available_permits(), places_max);
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers took too long and were cut off");
    }
}

/// It is crowded from seven of eight places taken, until only three of four are: every change
/// wakes all connections, so it must not flicker.
fn look_around(crowd: &watch::Sender<bool>, free: usize, places: usize) {
    crowd.send_if_modified(|crowded| {
        let now = free < places.div_ceil(if *crowded { 4 } else { 8 });
        std::mem::replace(crowded, now) != now
    });
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and wait for nothing.
            let _ = stream.set_nodelay(true);
            Some(stream)
        }
        Err(error) => {
            // Too many open files, most likely: those that end make room.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// One connection, until it ends by itself or has been idle for too long in a crowd.
async fn serve(
    stream: TcpStream,
    app: Router,
    gate: Gate,
    limits: Limits,
    watcher: Watcher,
    crowded: watch::Receiver<bool>,
) {
    let activity = Activity::new();
    let answering = activity.clone();
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |request: Request<Incoming>| {
        let activity = answering.clone();
        activity.request();
        let (app, gate) = (app.clone(), gate.clone());
        async move {
            let answer: Result<Response, Infallible> = if gate.is_shut(&request) {
                Ok(gate.refuse(request).await)
            } else {
                app.call(request).await
            };
            activity.answer();
            answer
        }
    });
    let socket = Socket::new(stream, activity.clone(), limits.transfer_timeout);
    let connection = http1::Builder::new()
        // `idle_for_too_long` looks after headers: a timer a connection, not a timer a request.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        }
        () = idle_for_too_long(&activity, limits.headers_timeout, crowded) => {
            tracing::debug!("closing a connection that waits for a request");
        }
    }
}

/// Ends when the connection has waited for a request, or for the rest of its headers, for too long.
async fn idle_for_too_long(
    activity: &Activity,
    timeout: Duration,
    mut crowded: watch::Receiver<bool>,
) {
    loop {
        let patience =
            if *crowded.borrow_and_update() { CROWDED_PATIENCE.min(timeout) } else { timeout };
        let idle = activity.idle().unwrap_or_default();
        let Some(left) = patience.checked_sub(idle).filter(|left| !left.is_zero()) else { return };
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            Ok(()) = crowded.changed() => {}
        }
    }
}

/// Tells a client that there is no room, and waits a moment until it has read that: a socket that
/// is closed with something unread takes back what was written.
async fn refuse(mut stream: TcpStream, _turn: OwnedSemaphorePermit) {
    let say = async {
        stream.write_all(NO_ROOM.as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, say).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_an_answer_and_a_problem() {
        let (headers, body) = NO_ROOM.split_once("\r\n\r\n").unwrap();
        assert!(headers.ends_with(&format!("content-length: {}", body.len())), "{headers}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
