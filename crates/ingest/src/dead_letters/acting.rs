//! `POST /v1/dead-letters/{event_id}/retry` and `…/discard`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Extension, Path, State};
use serde::Deserialize;
use store::dead_letters::{self, Order, Refusal, WhyNot};
use store::{PgTransaction, StoreError};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{DeadLetterView, event_id};
use crate::actions::Audit;
use crate::app::App;
use crate::auth::Caller;
use crate::json::read_object;
use crate::members::changes::check_words;
use crate::post_events::unreadable;
use crate::problem::Problem;

/// Why an event is retried. The body may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryRequest {
    /// Why. Stays on record.
    #[schema(example = "the tree above the seller is mended", max_length = 200)]
    reason: Option<String>,
    /// The person that the key acts for.
    #[schema(example = "petra@example.com", max_length = 200)]
    on_behalf_of: Option<String>,
}

/// Why an event is given up for good.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscardRequest {
    /// Why. Stays on record.
    #[schema(value_type = String, required, example = "a test order of the shop",
             max_length = 200)]
    reason: Option<String>,
    /// The person that the key acts for.
    #[schema(example = "petra@example.com", max_length = 200)]
    on_behalf_of: Option<String>,
}

/// Makes a failed event due at once, a discarded one too, and begins its schedule anew.
#[utoipa::path(post, path = "/v1/dead-letters/{event_id}/retry", tag = "dead letters",
    operation_id = "retry_dead_letter", request_body = Option<RetryRequest>,
    params(("event_id" = Uuid, Path, description = "The event's id")),
    responses(
        (status = 200, description = "Due now", body = DeadLetterView),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks admin", body = Problem),
        (status = 404, description = "No such event; the attempt is on record", body = Problem),
        (status = 409, description = "It is settled, or no attempt at it has failed; the attempt is \
                                      on record", body = Problem),
        (status = 413, description = "The body is larger than 2 MiB", body = Problem),
        (status = 422, description = "A field is not valid", body = Problem),
        (status = 503, description = "PostgreSQL is away, a lock was held too long, or too many \
                                      changes are waiting; nothing was changed", body = Problem)),
    security(("key" = ["admin"])))]
pub(crate) async fn retry(
    State(app): State<App>,
    Extension(audit): Extension<Audit>,
    id: Result<Path<Uuid>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<DeadLetterView>, Problem> {
    let event_id = event_id(id)?;
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let RetryRequest { reason, on_behalf_of } =
        if body.is_empty() { RetryRequest::default() } else { read_object(&body)? };
    audit.on_behalf_of(on_behalf_of.as_deref());
    for (field, text) in [("reason", &reason), ("on_behalf_of", &on_behalf_of)] {
        if let Some(text) = text {
            check_words(field, text)?;
        }
    }
    let turn = app.turns.to_change().await?;
    let view = turn.spend(async move {
        let mut tx = app.pool.begin().await.map_err(StoreError::from)?;
        let retried = dead_letters::retry(&mut tx, &[event_id]).await?;
        let retried = retried.map_err(|refusals| refused(&refusals))?;
        let detail = reason.as_deref().unwrap_or("due now");
        let view = commit(tx, &audit, event_id, detail).await?;
        app.publisher.ring(retried);
        Ok(view)
    });
    view.await.map(Json)
}

/// Gives a failed event up for good. It keeps its row, with the reason, and can still be retried.
#[utoipa::path(post, path = "/v1/dead-letters/{event_id}/discard", tag = "dead letters",
    operation_id = "discard_dead_letter", request_body = DiscardRequest,
    params(("event_id" = Uuid, Path, description = "The event's id")),
    responses(
        (status = 200, description = "Discarded", body = DeadLetterView),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks admin", body = Problem),
        (status = 404, description = "No such event; the attempt is on record", body = Problem),
        (status = 409, description = "It is settled or discarded already, or no attempt at it has \
                                      failed; the attempt is on record", body = Problem),
        (status = 413, description = "The body is larger than 2 MiB", body = Problem),
        (status = 422, description = "A field is not valid", body = Problem),
        (status = 503, description = "PostgreSQL is away, a lock was held too long, or too many \
                                      changes are waiting; nothing was changed", body = Problem)),
    security(("key" = ["admin"])))]
pub(crate) async fn discard(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(audit): Extension<Audit>,
    id: Result<Path<Uuid>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<DeadLetterView>, Problem> {
    let event_id = event_id(id)?;
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let DiscardRequest { reason, on_behalf_of } = read_object(&body)?;
    audit.on_behalf_of(on_behalf_of.as_deref());
    let reason =
        reason.ok_or_else(|| Problem::invalid("/reason", "say the reason; it stays on record"))?;
    check_words("reason", &reason)?;
    if let Some(person) = &on_behalf_of {
        check_words("on_behalf_of", person)?;
    }
    let turn = app.turns.to_change().await?;
    let view = turn.spend(async move {
        let actor = format!("key:{}", caller.key_id);
        let on_behalf_of = on_behalf_of.as_deref();
        let order = Order { actor: &actor, on_behalf_of, reason: &reason };
        let mut tx = app.pool.begin().await.map_err(StoreError::from)?;
        let discarded = dead_letters::discard(&mut tx, &[event_id], &order).await?;
        discarded.map_err(|refusals| refused(&refusals))?;
        commit(tx, &audit, event_id, &reason).await
    });
    view.await.map(Json)
}

/// Commits the action with its record. The event as it leaves it is read before the commit, after
/// which a worker may settle it.
async fn commit(
    mut tx: PgTransaction<'_>,
    audit: &Audit,
    event_id: Uuid,
    detail: &str,
) -> Result<DeadLetterView, Problem> {
    let letter = dead_letters::find(&mut tx, event_id).await?;
    let letter = letter.ok_or_else(|| gone(event_id))?;
    audit.done(&mut tx, detail).await?;
    tx.commit().await.map_err(StoreError::from)?;
    audit.is_recorded();
    Ok(letter.into())
}

/// Its row is locked by us, so this does not happen.
fn gone(event_id: Uuid) -> Problem {
    Problem::from(StoreError::Damaged(format!("the failure of event {event_id} vanished")))
}

fn refused(refusals: &[Refusal]) -> Problem {
    let Some(refusal) = refusals.first() else {
        return Problem::unavailable("it was refused without a reason; try again");
    };
    let problem = match refusal.why {
        WhyNot::Unknown => Problem::not_found(refusal),
        WhyNot::Settled | WhyNot::Untried | WhyNot::DiscardedBefore(_) => {
            Problem::conflict("/event_id", refusal)
        }
    };
    problem.because(refusal.why.cause())
}
