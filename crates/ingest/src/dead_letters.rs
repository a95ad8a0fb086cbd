//! `/v1/dead-letters`: events that could not be settled, and what an operator does about them.

pub(crate) mod acting;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use domain::explain::Waiting;
use serde::{Deserialize, Serialize};
use store::dead_letters::{self, DeadLetter, FailureState, Position, Selection};
use store::events;
use store::{PgConnection, StoreError};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::parameters;
use crate::problem::Problem;

/// Which failed events, and where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// `retrying`, `dead`, `discarded` or `all`; `dead` when absent.
    state: Option<String>,
    /// One cause only, such as `unknown_member`.
    cause: Option<String>,
    /// The `next` of the page before; absent: from the beginning.
    after: Option<String>,
    /// Entries of a page, 1 to 1000; 100 when absent.
    limit: Option<i64>,
}

/// A page of failed events, those first that failed first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterPage {
    dead_letters: Vec<DeadLetterView>,
    /// Pass it as `after` for what follows. Unchanged when there is nothing new.
    next: Option<String>,
}

/// A failed event: its facts, attempts and cause.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterView {
    event_id: Uuid,
    /// `retrying`, `dead` or `discarded`.
    #[schema(example = "dead")]
    state: String,
    #[schema(example = "unknown_member")]
    cause: String,
    /// The last error.
    detail: String,
    /// What would repair it.
    remedy: String,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    first_failed_at: DateTime<Utc>,
    last_failed_at: DateTime<Utc>,
    source: String,
    /// What the shop calls it.
    id: String,
    /// The member id that the event carries.
    member_id: Uuid,
    #[schema(example = "199.9000")]
    amount: String,
    currency: String,
    source_type: String,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    /// The moment that tree, statuses, ranks and rules are read at.
    as_of: DateTime<Utc>,
    /// The last discard, also of an event that was retried afterwards.
    discard: Option<DiscardView>,
}

/// Who gave an event up for good, and why.
#[derive(Serialize, ToSchema)]
pub(crate) struct DiscardView {
    at: DateTime<Utc>,
    /// The key or the database login.
    #[schema(example = "key:4f0c2a9be1d3")]
    by: String,
    on_behalf_of: Option<String>,
    reason: String,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { event_id, member_id, .. } = letter;
        let (cause, kind) = (&letter.cause, &letter.source_type);
        let remedy = Waiting::remedy(event_id, &letter.state, cause, kind, member_id);
        Self {
            event_id,
            state: letter.state,
            remedy,
            cause: letter.cause,
            detail: letter.last_error,
            attempts: letter.attempts,
            next_attempt_at: letter.next_attempt_at,
            first_failed_at: letter.first_failed_at,
            last_failed_at: letter.last_failed_at,
            source: letter.source,
            id: letter.external_id,
            member_id,
            amount: letter.amount,
            currency: letter.currency,
            source_type: letter.source_type,
            occurred_at: letter.occurred_at,
            recorded_at: letter.recorded_at,
            as_of: letter.as_of,
            discard: letter.discard.map(|discard| DiscardView {
                at: discard.at,
                by: discard.by,
                on_behalf_of: discard.on_behalf_of,
                reason: discard.reason,
            }),
        }
    }
}

/// Events that could not be settled, by key: read a page, keep `next`, come back with it.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters",
    operation_id = "list_dead_letters", params(ListQuery),
    responses(
        (status = 200, body = DeadLetterPage),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks admin", body = Problem),
        (status = 422, description = "A parameter is not valid", body = Problem),
        (status = 503, description = "PostgreSQL is away", body = Problem)),
    security(("key" = ["admin"])))]
pub(crate) async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<DeadLetterPage>, Problem> {
    let query = parameters::query(query)?;
    let state = match query.state.as_deref() {
        None => Some(FailureState::Dead),
        Some("all") => None,
        Some(name) => Some(FailureState::from_name(name).ok_or_else(|| {
            Problem::invalid("/state", "state must be retrying, dead, discarded or all")
        })?),
    };
    if let Some(cause) = &query.cause {
        crate::members::check_text("cause", cause)?;
    }
    let after = match query.after.as_deref() {
        None | Some("") => Position::START,
        Some(text) => Position::from_cursor(text).ok_or_else(|| {
            Problem::invalid("/after", "after must be the `next` of an earlier page")
        })?,
    };
    let limit = parameters::limit(query.limit)?;
    let mut conn = app.pool.acquire().await.map_err(StoreError::from)?;
    let selection = Selection { state, cause: query.cause.as_deref() };
    let letters = dead_letters::list(&mut conn, selection, after, limit).await?;
    let next = letters.last().map(|letter| letter.position().cursor()).or(query.after);
    let dead_letters = letters.into_iter().map(DeadLetterView::from).collect();
    Ok(Json(DeadLetterPage { dead_letters, next }))
}

/// One event that could not be settled.
#[utoipa::path(get, path = "/v1/dead-letters/{event_id}", tag = "dead letters",
    operation_id = "get_dead_letter",
    params(("event_id" = Uuid, Path, description = "The event's id")),
    responses(
        (status = 200, body = DeadLetterView),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks admin", body = Problem),
        (status = 404, description = "No such event, or no attempt at it has failed, or it is \
                                      settled", body = Problem),
        (status = 422, description = "The id is not valid", body = Problem),
        (status = 503, description = "PostgreSQL is away", body = Problem)),
    security(("key" = ["admin"])))]
pub(crate) async fn get(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<DeadLetterView>, Problem> {
    let event_id = event_id(id)?;
    let mut conn = app.pool.acquire().await.map_err(StoreError::from)?;
    match dead_letters::find(&mut conn, event_id).await? {
        Some(letter) => Ok(Json(letter.into())),
        None => Err(absent(&mut conn, event_id).await?),
    }
}

fn event_id(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    let Path(id) = id.map_err(|_| Problem::invalid("/event_id", "the event id must be a UUID"))?;
    Ok(id)
}

/// Why there is no such dead letter.
async fn absent(conn: &mut PgConnection, event_id: Uuid) -> Result<Problem, StoreError> {
    Ok(match events::state(conn, event_id).await? {
        None => Problem::not_found(format!("no event has the id {event_id}")),
        Some(state) => Problem::not_found(format!(
            "event {event_id} is {state}, no dead letter; see GET /v1/events/{event_id}"
        )),
    })
}
