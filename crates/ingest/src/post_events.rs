//! `POST /v1/events`.

use std::error::Error;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{App, BODY_BYTES_MAX};
use crate::bodies::{NoRoom, QUEUE_FULL, TooSlow, no_room};
use crate::event_requests::{self, SaleRequest};
use crate::metrics::Shed;
use crate::problem::Problem;

/// Where events are posted.
pub(crate) const PATH: &str = "/v1/events";

/// What became of one event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Recorded {
    /// The event's id: UUIDv5 of source and id.
    pub(crate) event_id: Uuid,
    /// Whether it is new.
    #[schema(inline)]
    pub(crate) status: RecordedStatus,
}

/// Whether an event is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordedStatus {
    /// Recorded now.
    Accepted,
    /// Recorded before, with the same facts.
    Duplicate,
}

/// One answer, or one per event of a list, in its order.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum RecordedAnswer {
    /// To one event.
    One(Recorded),
    /// To a list.
    Many(Vec<Recorded>),
}

/// 1 to 1000 events, recorded all or none.
// No `min_items`: schemathesis then finds no body at all that is either one event or a list.
#[derive(Deserialize, ToSchema)]
#[schema(max_items = 1000)]
#[expect(dead_code, reason = "describes a form of the body in the OpenAPI document")]
pub(crate) struct EventList(Vec<SaleRequest>);

/// One event, or a list of 1 to 1000.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the body's two forms in the OpenAPI document")]
pub(crate) enum EventsBody {
    /// One event.
    One(Box<SaleRequest>),
    /// A list, recorded all or none.
    Many(EventList),
}

/// Records one event, or a list of 1 to 1000, all or none.
///
/// Posting an event again with the same facts is answered `duplicate` and changes nothing.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    request_body = EventsBody,
    responses(
        (status = 202, description = "Committed", body = RecordedAnswer),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks events:write", body = Problem),
        (status = 409, description = "The id is recorded with other facts", body = Problem),
        (status = 413, description = "The body is larger than 2 MiB", body = Problem),
        (status = 422, description = "A field is not valid; nothing was recorded", body = Problem),
        (status = 503, description = "PostgreSQL is away, or more events arrive \
             than can be recorded: nothing was recorded, unless the detail says \
             that it is not known", body = Problem)),
    security(("key" = ["events:write"])))]
pub(crate) async fn post(State(app): State<App>, body: Result<Bytes, BytesRejection>) -> Response {
    match record(&app, body).await {
        Ok(answer) => (StatusCode::ACCEPTED, Json(answer)).into_response(),
        Err(problem) => {
            app.metrics.rejected(problem.status());
            problem.into_response()
        }
    }
}

async fn record(app: &App, body: Result<Bytes, BytesRejection>) -> Result<RecordedAnswer, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    // Before the body is parsed: who is refused must cost little.
    let place = app.events.enter(body.len()).ok_or_else(|| {
        app.metrics.shed(Shed::Queue);
        Problem::overloaded(QUEUE_FULL)
    })?;
    let (sales, is_list) = event_requests::read(&body)?;
    drop(body);
    let mut recorded = app.events.record(sales, place).await?;
    match recorded.pop() {
        Some(only) if !is_list => Ok(RecordedAnswer::One(only)),
        last => {
            recorded.extend(last);
            Ok(RecordedAnswer::Many(recorded))
        }
    }
}

/// Why a body could not be read.
pub(crate) fn unreadable(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(BODY_BYTES_MAX),
        _ if is_caused_by::<TooSlow>(rejection) => Problem::too_slow(),
        _ if is_caused_by::<NoRoom>(rejection) => no_room(),
        _ => Problem::malformed("the body could not be received as HTTP frames it"),
    }
}

/// Whether an error of this kind ended the body.
fn is_caused_by<E: Error + 'static>(rejection: &BytesRejection) -> bool {
    let mut cause = rejection.source();
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
}
