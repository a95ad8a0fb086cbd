//! Bodies of requests: how many bytes of them the process holds at a time, and how long they may
//! take to arrive.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::app::{App, BODY_BYTES_MAX};
use crate::metrics::{Metrics, Shed};
use crate::problem::Problem;
use crate::{group_commit, post_events};

/// How long a request waits for other bodies to make room.
const ROOM_WAIT: Duration = Duration::from_secs(1);
/// Most bytes of room that a body takes before anything of it has arrived. What is announced costs
/// the client nothing, so it must not cost the others much: the default's 2048 connections, each
/// with a body that never comes, take half of the default's 32 MiB.
const FIRST_ROOM: usize = 8 << 10;
/// Bodies up to this length are read to the end though the request is refused: that costs less
/// than a new connection, which closing this one would cost the client and us.
const DISCARDED_MAX: usize = 256 << 10;
/// How long reading what is thrown away may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the refusal of a post is held back. Clients that come again at once would otherwise take
/// the processor from those whose events are recorded: with a thousand of them, this bounds what
/// refusing costs to a quarter of a core.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// Room for bodies, in bytes, shared by all connections.
#[derive(Clone)]
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
    timeout: Duration,
}

impl Bodies {
    pub(crate) fn new(mebibytes: u16, timeout: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(usize::from(mebibytes) << 20)), timeout }
    }

    /// Room for so many bytes, when there is some.
    fn ask(&self, bytes: usize) -> Asked {
        let room = Arc::clone(&self.room).acquire_many_owned(permits(bytes));
        Box::pin(async { tokio::time::timeout(ROOM_WAIT, room).await.ok()?.ok() })
    }

    /// Room for so many bytes, if there is some and nobody waits for it.
    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(permits(bytes)).ok()
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Waiting for room, not for ever: there may be none.
type Asked = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// Lets a request pass once there is a little room for its body; the rest is taken as its bytes
/// arrive, and all of it stays taken until the answer is there. The body has a time by which it must
/// be complete.
pub(crate) async fn limit(State(app): State<App>, request: Request<Body>, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let length = announced(request.headers()).unwrap_or(BODY_BYTES_MAX);
    if length > BODY_BYTES_MAX {
        return Problem::too_large(BODY_BYTES_MAX).into_response();
    }
    let first = length.min(FIRST_ROOM);
    let Some(room) = app.bodies.ask(first).await else {
        app.metrics.shed(Shed::Memory);
        return no_room().into_response();
    };
    let taken = Taken(Arc::new(Mutex::new(room)));
    let deadline = Instant::now() + app.bodies.timeout;
    let timed = |body| {
        Body::new(TimedBody {
            body,
            deadline,
            alarm: None,
            bodies: app.bodies.clone(),
            metrics: Arc::clone(&app.metrics),
            taken: taken.clone(),
            left: first,
            waiting: None,
        })
    };
    let response = next.run(request.map(timed)).await;
    // Handlers may keep the bytes for as long as they work.
    drop(taken);
    response
}

/// What a client reads whose body finds no room.
pub(crate) fn no_room() -> Problem {
    Problem::overloaded("too much is being read at this moment; nothing was accepted, try again")
}

/// The room that a body takes, held by the body and by the request that it belongs to.
#[derive(Clone)]
struct Taken(Arc<Mutex<OwnedSemaphorePermit>>);

impl Taken {
    fn add(&self, more: OwnedSemaphorePermit) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).merge(more);
    }
}

/// Refuses posts of events while too many wait: before routes, keys and bodies are looked at,
/// because under overload most requests end here.
#[derive(Clone)]
pub(crate) struct Gate {
    events: group_commit::Handle,
    metrics: Arc<Metrics>,
}

impl Gate {
    pub(crate) fn new(app: &App) -> Self {
        Self { events: app.events.clone(), metrics: Arc::clone(&app.metrics) }
    }

    /// Whether the request is to be refused.
    pub(crate) fn is_shut<B>(&self, request: &Request<B>) -> bool {
        request.method() == Method::POST
            && request.uri().path() == post_events::PATH
            && self.events.is_full()
    }

    /// The refusal, once what the client is sending has arrived, if it is not much.
    pub(crate) async fn refuse(&self, request: Request<Incoming>) -> Response {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        self.metrics.shed(Shed::Queue);
        self.metrics.rejected(status);
        self.metrics.answered(&Method::POST, post_events::PATH, status);
        let (parts, body) = request.into_parts();
        let is_short = announced(&parts.headers).is_some_and(|length| length <= DISCARDED_MAX);
        if is_short && !parts.headers.contains_key(EXPECT) {
            // What does not arrive in time ends with the connection.
            discard(body).await;
        }
        tokio::time::sleep(REFUSAL_PAUSE).await;
        Problem::overloaded(QUEUE_FULL).into_response()
    }
}

/// What a client reads whose events were not even looked at.
pub(crate) const QUEUE_FULL: &str =
    "more events arrive than can be recorded; nothing was accepted, try again";

/// The length that the client announced.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads and forgets. Most bodies are there already, and need no timer.
async fn discard(mut body: Incoming) {
    let mut alarm = None;
    let frame = |cx: &mut Context<'_>| {
        if let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(cx) {
            return Poll::Ready(matches!(frame, Some(Ok(_))));
        }
        let alarm: &mut Pin<Box<Sleep>> =
            alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(DISCARD_TIMEOUT)));
        alarm.as_mut().poll(cx).map(|()| false)
    };
    let mut next = std::pin::pin!(std::future::poll_fn(frame));
    while next.as_mut().await {}
}

/// A body with a time by which it must be complete, however steadily it drips; and one that takes
/// room for each piece before it is handed on.
struct TimedBody {
    body: Body,
    deadline: Instant,
    /// Set while the body makes us wait.
    alarm: Option<Pin<Box<Sleep>>>,
    bodies: Bodies,
    metrics: Arc<Metrics>,
    taken: Taken,
    /// Bytes of the room taken that nothing has arrived for.
    left: usize,
    /// A piece that has arrived and waits for room.
    waiting: Option<(Bytes, Asked)>,
}

/// The body was not complete in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub(crate) struct TooSlow;

/// Other bodies made no room for the rest of this one.
#[derive(Debug, thiserror::Error)]
#[error("there is no room for the rest of the body")]
pub(crate) struct NoRoom;

impl TimedBody {
    /// Takes room for a piece: at once, or by waiting for it.
    fn make_room(&mut self, piece: Bytes) -> Option<Bytes> {
        let more = piece.len().saturating_sub(self.left);
        self.left = self.left.saturating_sub(piece.len());
        if more == 0 {
            return Some(piece);
        }
        let Some(room) = self.bodies.take(more) else {
            self.waiting = Some((piece, self.bodies.ask(more)));
            return None;
        };
        self.taken.add(room);
        Some(piece)
    }
}

impl hyper::body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if Instant::now() >= this.deadline {
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        // A piece that has no room waits; the next one is not read before.
        loop {
            if let Some((_, asked)) = &mut this.waiting {
                let room = ready!(asked.as_mut().poll(cx));
                let piece = this.waiting.take().map(|(piece, _)| piece);
                let Some(room) = room else {
                    this.metrics.shed(Shed::Memory);
                    return Poll::Ready(Some(Err(NoRoom.into())));
                };
                this.taken.add(room);
                return Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))));
            }
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { break };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(piece))) => {
                    if let Some(piece) = this.make_room(piece) {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
        }
        let deadline = this.deadline;
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
