//! What operators do by HTTP, put on record: done, refused or failed.
//!
//! A route by which operators change something is laid under [`operators`] with the action's name.
//! Its handler says when it is done, in the transaction of the change ([`Audit::done`]); whatever
//! else it answers is recorded here, afterwards, as refused (4xx) or failed (5xx). So a new route
//! cannot forget to record what it refuses. A request that never arrived in full is no action, nor
//! is one with an unknown key: that nobody can fill the table without a key, those are only counted
//! (`lineage_http_requests_total`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, FromRequestParts as _, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use store::actions::{self, Action, ActionResult};
use store::keys::Scope;
use store::{PgConnection, PgPool, StoreError};

use crate::app::App;
use crate::auth::Caller;
use crate::post_events::unreadable;
use crate::problem::{Problem, Said};

/// Requests that a known key is refused at the door and that are recorded, of one key in one [`WINDOW`]. Whatever else the key
/// is refused is only counted: a key must not fill the table at the speed of its requests.
const REFUSALS_MAX: u32 = 60;
/// How long such refusals are counted together.
const WINDOW: Duration = Duration::from_mins(1);
/// Most keys whose refusals are counted at a time.
const KEYS_MAX: usize = 10_000;

/// An operator's request, for the handler to say what became of it.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Recorded>);

struct Recorded {
    actor: String,
    action: &'static str,
    subject: Option<String>,
    arguments: [u8; 32],
    state: Mutex<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    on_behalf_of: Option<String>,
    /// Whether nothing is left to be recorded.
    has_ended: bool,
}

impl Audit {
    fn state(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For whom the key acts, as the request says.
    pub(crate) fn on_behalf_of(&self, person: Option<&str>) {
        self.state().on_behalf_of = person.map(str::to_owned);
    }

    /// It is a dry run, which is no action.
    pub(crate) fn is_only_tried(&self) {
        self.state().has_ended = true;
    }

    /// Records in the transaction of the change that it is done. The caller commits it.
    pub(crate) async fn done(
        &self,
        conn: &mut PgConnection,
        detail: &str,
    ) -> Result<(), StoreError> {
        self.record(conn, ActionResult::Done, detail).await
    }

    /// Records a refusal in the transaction that keeps what else it leaves. The caller commits it.
    pub(crate) async fn refused(
        &self,
        conn: &mut PgConnection,
        why: &str,
    ) -> Result<(), StoreError> {
        self.record(conn, ActionResult::Refused, why).await
    }

    /// The caller has committed what is recorded.
    pub(crate) fn is_recorded(&self) {
        self.state().has_ended = true;
    }

    async fn record(
        &self,
        conn: &mut PgConnection,
        result: ActionResult,
        detail: &str,
    ) -> Result<(), StoreError> {
        let on_behalf_of = self.state().on_behalf_of.clone();
        let action = Action {
            actor: &self.0.actor,
            on_behalf_of: on_behalf_of.as_deref(),
            action: self.0.action,
            subject: self.0.subject.as_deref(),
            arguments: self.0.arguments,
            result,
            detail: Some(detail),
        };
        actions::record(conn, &action).await
    }

    /// Records an answer that is no success, unless that is done.
    async fn end(&self, pool: &PgPool, status: StatusCode, said: &str) {
        if self.state().has_ended || status.is_success() {
            return;
        }
        let result =
            if status.is_server_error() { ActionResult::Failed } else { ActionResult::Refused };
        let recorded = async {
            let mut conn = pool.acquire().await?;
            self.record(&mut conn, result, said).await
        };
        if let Err(error) = recorded.await {
            let Recorded { actor, action, .. } = &*self.0;
            let result = result.name();
            tracing::error!(%error, actor, action, result, "an action is not on record");
        }
    }
}

/// Why a request was not done, as its answer says.
fn said(response: &Response) -> String {
    let said = response.extensions().get::<Said>();
    said.map_or_else(|| response.status().to_string(), |Said(detail)| detail.clone())
}

/// The layer of a route by which operators change something: hands the handler an [`Audit`], and
/// records what it refuses and what fails.
pub(crate) async fn operators(
    State((app, action)): State<(App, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let arriving = Request::from_parts(parts.clone(), body);
    let body = match Bytes::from_request(arriving, &()).await {
        Ok(body) => body,
        Err(rejection) => return unreadable(&rejection).into_response(),
    };
    let subject = subject(&mut parts).await;
    let Some(caller) = parts.extensions.get::<Caller>() else {
        return Problem::unauthorized().into_response();
    };
    let audit = Audit(Arc::new(Recorded {
        actor: format!("key:{}", caller.key_id),
        action,
        subject,
        arguments: actions::digest_of(&body),
        state: Mutex::default(),
    }));
    parts.extensions.insert(audit.clone());
    let request = Request::from_parts(parts, Body::from(body));
    // In a task of its own: who goes away before the answer is put on record all the same.
    let answered = tokio::spawn(async move {
        let response = next.run(request).await;
        let (status, said) = (response.status(), said(&response));
        audit.end(&app.pool, status, &said).await;
        response
    });
    let lost = |_| {
        Problem::in_doubt("the request failed; it is not known whether anything was changed: ask")
            .into_response()
    };
    answered.await.unwrap_or_else(lost)
}

/// What the path names, as it was sent.
async fn subject(parts: &mut Parts) -> Option<String> {
    let named = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    named.iter().next().map(|(_, value)| value.to_owned())
}

/// How many refusals of each key were recorded of late.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<HashMap<String, (Instant, u32)>>>);

impl Refusals {
    /// Whether one more refusal of the key is recorded.
    fn is_recorded(&self, key_id: &str, now: Instant) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= KEYS_MAX && !counts.contains_key(key_id) {
            counts.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        let (since, count) = counts.entry(key_id.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= REFUSALS_MAX
    }
}

/// Puts on record that a known key lacks the scope of a route that changes something, or of an
/// operator's. Other questions are nobody's action.
pub(crate) async fn lacks_scope(app: &App, caller: &Caller, scope: Scope, request: Request) {
    if request.method().is_safe() && scope != Scope::Admin {
        return;
    }
    // The body is not waited for: who is refused anyway could let it drip.
    let (parts, _) = request.into_parts();
    let why = format!("the key lacks the scope {}", scope.name());
    turned_away(app, caller, parts, &why).await;
}

/// Puts on record that the signature of a known key's request does not count, or counted before.
pub(crate) async fn is_unsigned(app: &App, caller: &Caller, parts: Parts, why: &str) {
    turned_away(app, caller, parts, &format!("the signature is not accepted: {why}")).await;
}

/// Puts on record that a known key's request was refused at the door, within the key's bound.
/// The digest is of method, path and query as they came, with a space between the first two: nobody
/// has judged the body, or even read it.
async fn turned_away(app: &App, caller: &Caller, mut parts: Parts, why: &str) {
    if !app.refusals.is_recorded(&caller.key_id, Instant::now()) {
        return;
    }
    let route = parts.extensions.get::<axum::extract::MatchedPath>();
    let route = route.map_or("", |route| route.as_str());
    let refused = format!("{} {route}", parts.method);
    let asked = parts.uri.path_and_query().map_or("", |asked| asked.as_str());
    let arguments = actions::digest_of(format!("{} {asked}", parts.method).as_bytes());
    let named = subject(&mut parts).await.map(|named| format!(", on {named}")).unwrap_or_default();
    let detail = format!("{why}{named}");
    let (app, actor) = (app.clone(), format!("key:{}", caller.key_id));
    let recorded = tokio::spawn(async move {
        let action = Action {
            actor: &actor,
            on_behalf_of: None,
            action: "request.refused",
            subject: Some(&refused),
            arguments,
            result: ActionResult::Refused,
            detail: Some(&detail),
        };
        let recorded = async {
            let mut conn = app.pool.acquire().await?;
            actions::record(&mut conn, &action).await
        };
        if let Err(error) = recorded.await {
            tracing::error!(%error, actor, refused, "a refused request is not on record");
        }
    });
    // What went wrong is logged; a refusal is answered either way.
    let _ = recorded.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_fill_the_record_with_refusals() {
        let refusals = Refusals::default();
        let begun = Instant::now();
        let recorded = |key: &str, at| (0..100).filter(|_| refusals.is_recorded(key, at)).count();
        assert_eq!(recorded("a", begun), 60);
        assert_eq!(recorded("b", begun), 60, "each key for itself");
        assert_eq!(recorded("a", begun + WINDOW / 2), 0);
        assert_eq!(recorded("a", begun + WINDOW), 60);
    }
}
