//! Whether the process lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use store::database;
use utoipa::ToSchema;

use crate::app::App;

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "The process answers", body = String)))]
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// What the process needs, and whether it sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether both are seen.
    ready: bool,
    /// `ok`, or `unreachable`.
    postgresql: &'static str,
    /// `ok`, or `unreachable`. Events are accepted without Redis; workers find them later.
    redis: &'static str,
}

/// Whether PostgreSQL and Redis are seen. Events are accepted without Redis, but settled late.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "PostgreSQL and Redis are seen", body = Readiness),
    (status = 503, description = "One of them is not seen", body = Readiness)))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let mut ringer = app.ringer.clone();
    let (postgresql, redis) = tokio::join!(database::ping(&app.pool), ringer.ping());
    let word = |seen: bool| if seen { "ok" } else { "unreachable" };
    let all = postgresql.is_ok() && redis.is_ok();
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let readiness =
        Readiness { ready: all, postgresql: word(postgresql.is_ok()), redis: word(redis.is_ok()) };
    (status, Json(readiness))
}
