//! The routes, and the limits on every request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use store::PgPool;
use store::keys::Scope;

use crate::actions::{self, Refusals};
use crate::auth::{self, Keys};
use crate::bodies::{self, Bodies};
use crate::group_commit;
use crate::health::Servers;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::turns::Turns;
use crate::{dead_letters, event_views, health, members, openapi, post_events, publisher};

/// Most bytes of a request's body. A thousand events with long names need about half of it; with
/// lines or kept objects, fewer events fit.
pub(crate) const BODY_BYTES_MAX: usize = 2 << 20;
/// Longest time for an answer. Recording goes on in its own task: a commit is never cut short.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) servers: Servers,
    pub(crate) keys: Keys,
    pub(crate) refusals: Refusals,
    pub(crate) events: group_commit::Handle,
    pub(crate) publisher: publisher::Handle,
    pub(crate) bodies: Bodies,
    pub(crate) turns: Turns,
    pub(crate) metrics: Arc<Metrics>,
}

/// Every route, behind its scope.
pub(crate) fn router(app: App) -> Router {
    let needs = |scope| middleware::from_fn_with_state((app.clone(), scope), auth::require);
    let write_events = Router::new()
        .route(post_events::PATH, post(post_events::post))
        .route_layer(needs(Scope::EventsWrite));
    // Operators' actions are put on record. Sales and enrolments are no operator's.
    let audited =
        |action| middleware::from_fn_with_state((app.clone(), action), actions::operators);
    let change_state = patch(members::changes::patch).layer(audited("member.change"));
    let change_split = put(members::reward_split::put).layer(audited("member.split"));
    let move_member = post(members::moves::post).layer(audited("member.move"));
    let retry = post(dead_letters::acting::retry).layer(audited("dead_letter.retry"));
    let discard = post(dead_letters::acting::discard).layer(audited("dead_letter.discard"));
    let write_members = Router::new()
        .route("/v1/members", post(members::post))
        .route("/v1/members/{id}", change_state)
        .route("/v1/members/{id}/reward-split", change_split)
        .route_layer(needs(Scope::MembersWrite));
    let administer = Router::new()
        .route("/v1/members/{id}/move", move_member)
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{event_id}", get(dead_letters::get))
        .route("/v1/dead-letters/{event_id}/retry", retry)
        .route("/v1/dead-letters/{event_id}/discard", discard)
        .route_layer(needs(Scope::Admin));
    let read = Router::new()
        .route("/v1/events", get(event_views::find))
        .route("/v1/events/{id}", get(event_views::get))
        .route("/v1/outcomes", get(event_views::feed))
        .route("/v1/members", get(members::queries::find))
        .route("/v1/members/{id}", get(members::queries::get))
        .route("/v1/members/{id}/upline", get(members::network::upline))
        .route("/v1/members/{id}/downline", get(members::network::downline))
        .route("/v1/members/{id}/levels", get(members::network::levels))
        .route("/v1/members/{id}/path", get(members::relations::path))
        .route("/v1/members/{id}/above/{other}", get(members::relations::above))
        .route("/v1/members/{id}/history", get(members::history::get))
        .route("/v1/members/{id}/statement", get(members::statement::get))
        .route("/v1/members/{id}/balance", get(members::account::balance))
        .route("/v1/members/{id}/ledger", get(members::account::ledger))
        .route("/v1/members/{id}/reward-split", get(members::reward_split::get))
        .route_layer(needs(Scope::Read));
    let open = Router::new()
        .route("/openapi.json", get(openapi::get))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready));
    Router::new()
        .merge(write_events)
        .merge(write_members)
        .merge(administer)
        .merge(read)
        .merge(open)
        .fallback(async || Problem::not_found("no such path; see /openapi.json"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), bodies::limit))
        .layer(middleware::from_fn_with_state(app.clone(), limit_and_measure))
        .with_state(app)
}

/// Answers in time, and counts the answer.
async fn limit_and_measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // The route, never the path itself: ids must not become labels.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let timer = app.metrics.request_timer(&method, &route);
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await;
    let response = answer.unwrap_or_else(|_| {
        Problem::in_doubt(
            "no answer in time; it may have been done all the same. What names its id can be \
             repeated safely",
        )
        .into_response()
    });
    timer.observe_duration();
    app.metrics.answered(&method, &route, response.status());
    response
}
