//! Who may do what: bearer keys with scopes and limits, and signatures of those that need them.
//!
//! In this order: the key is known ([`known`]), within its rate ([`rate`]), of the right scope, and,
//! where it has a signing secret and the request changes something, signed ([`signature`]) and not
//! a copy ([`replays`]).

mod known;
mod rate;
mod replays;
mod signature;
mod uses;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use store::keys::{self, Scope};
use store::{PgPool, StoreError};
use tokio::sync::Semaphore;

use crate::actions;
use crate::app::App;
use crate::post_events::unreadable;
use crate::problem::{Problem, changed_nothing};
use known::{Answer, Digest, Known, ValidKey};
use rate::Rate;
use replays::{Refused, Replays, Used};
pub(crate) use uses::UseWriter;

/// Connections that texts never seen may occupy together. Whoever guesses waits for other guesses.
const GUESSES_AT_A_TIME: usize = 2;
/// The route whose requests can be repeated without harm: a sale's id makes it the same sale.
const IDEMPOTENT: &str = "/v1/events";

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The key's id, which is no secret.
    pub(crate) key_id: String,
}

/// Answers whether a key works, asking PostgreSQL about twice a second for each that is used.
#[derive(Clone)]
pub(crate) struct Keys {
    pool: PgPool,
    rate_default: Rate,
    known: Arc<Mutex<Known>>,
    guessing: Arc<Semaphore>,
    replays: Replays,
}

impl Keys {
    /// `rate_default` is for keys without a limit of their own, in requests per second; 0: none.
    pub(crate) fn new(pool: PgPool, rate_default: u32) -> Self {
        Self {
            pool,
            rate_default: Rate::per_second(rate_default),
            known: Arc::new(Mutex::new(Known::new(Instant::now()))),
            guessing: Arc::new(Semaphore::new(GUESSES_AT_A_TIME)),
            replays: Replays::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that was presented, if it works.
    async fn find(&self, presented: SecretString) -> Result<Option<Arc<ValidKey>>, Problem> {
        // What cannot be a key is not worth remembering.
        if !keys::is_well_formed(presented.expose_secret()) {
            return Ok(None);
        }
        let digest: Digest = Sha256::digest(presented.expose_secret().as_bytes()).into();
        // Bound first: the lock is not held while PostgreSQL is asked.
        let answer = self.known().answer(&digest, Instant::now());
        match answer {
            Answer::Valid(key) => Ok(Some(key)),
            Answer::ValidAskBeside(key) => {
                let keys = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = keys.ask(digest, &presented, false).await {
                        tracing::debug!(%error, "a key could not be looked up ahead of time");
                    }
                });
                Ok(Some(key))
            }
            Answer::Unknown => Ok(None),
            Answer::Ask => Ok(self.ask(digest, &presented, false).await?),
            Answer::AskAsGuess => {
                let _turn = self.guessing.acquire().await;
                Ok(self.ask(digest, &presented, true).await?)
            }
            Answer::TooManyGuesses(wait) => Err(Problem::too_many(
                "too many unknown keys are being tried; if yours is a working one, try again",
                wait,
            )),
        }
    }

    async fn ask(
        &self,
        digest: Digest,
        presented: &SecretString,
        as_guess: bool,
    ) -> Result<Option<Arc<ValidKey>>, StoreError> {
        let asked_at = Instant::now();
        let found = keys::authenticate(&self.pool, presented).await;
        let mut known = self.known();
        let found = found.inspect_err(|_| known.not_learnt(&digest))?;
        let found = found.map(|key| Arc::new(ValidKey::new(key, asked_at)));
        known.learn(digest, found.as_ref(), asked_at, as_guess);
        Ok(found)
    }

    /// Counts a request of a key.
    fn admit(&self, key: &ValidKey) -> Result<(), Problem> {
        let rate = key.rate_per_second.map_or(self.rate_default, Rate::per_second);
        self.known().admit(key, rate, Instant::now()).map_err(|wait| {
            Problem::too_many(
                "this key sends more requests than it may; wait, and send several events in one",
                wait,
            )
        })
    }

    /// Uses up a signed change's id.
    fn use_once(&self, key: &ValidKey, id: &str) -> Result<Used, Problem> {
        self.replays.take(&key.id, id, Instant::now()).map_err(|refused| match refused {
            Refused::Repeated => Problem::repeated(),
            Refused::Full => Problem::too_many(
                "too many signed changes were made within ten minutes to tell a repeated one; \
                 nothing was changed, try again later",
                Duration::from_mins(1),
            ),
        })
    }
}

/// Lets a request pass whose key has the scope, with the [`Caller`] attached.
pub(crate) async fn require(
    State((app, scope)): State<(App, Scope)>,
    request: Request,
    next: Next,
) -> Response {
    // A body cannot be shared while waiting, so what is presented is taken out first.
    let key = match admitted(&app, presented(&request)).await {
        Ok(key) => key,
        Err(problem) => return problem.into_response(),
    };
    let caller = Caller { key_id: key.id.clone() };
    if !key.scopes.contains(&scope) {
        actions::lacks_scope(&app, &caller, scope, request).await;
        return Problem::forbidden(scope.name()).into_response();
    }
    let (mut request, used) = match signed(&app, &key, request).await {
        Ok(signed) => signed,
        Err(Unsigned { problem, refused }) => {
            if let Some(parts) = refused {
                actions::is_unsigned(&app, &caller, *parts, &problem.said()).await;
            }
            return problem.into_response();
        }
    };
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    // A request that is refused has changed nothing. One that fails in doubt may have, and so may
    // one that is given up, which never comes here: their ids stay used.
    if let Some(used) = used
        && changed_nothing(&response)
    {
        app.keys.replays.put_back(&used);
    }
    response
}

/// The request's key, if it works and is within its rate.
async fn admitted(app: &App, presented: Option<SecretString>) -> Result<Arc<ValidKey>, Problem> {
    let presented = presented.ok_or_else(Problem::unauthorized)?;
    let key = app.keys.find(presented).await?.ok_or_else(Problem::unauthorized)?;
    app.keys.admit(&key)?;
    Ok(key)
}

/// What a request presents as its key. Two of them are none: readers could differ on which counts.
fn presented(request: &Request) -> Option<SecretString> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| SecretString::from(key.trim()))
}

/// Why a request that must be signed is not let pass.
struct Unsigned {
    problem: Problem,
    /// What the record of operators' actions needs, where its signature is what is wrong with it.
    refused: Option<Box<Parts>>,
}

/// The request, if it is signed or need not be; and what its id was used for.
async fn signed(
    app: &App,
    key: &ValidKey,
    request: Request,
) -> Result<(Request, Option<Used>), Unsigned> {
    if key.signing_secrets.is_empty() || request.method().is_safe() {
        return Ok((request, None));
    }
    let idempotent =
        request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == IDEMPOTENT);
    let (parts, body) = request.into_parts();
    // Read by the same extractor, and so within the same limits, as handlers do it.
    let reading = Request::from_parts(parts.clone(), body);
    let body = Bytes::from_request(reading, &()).await;
    let body =
        body.map_err(|rejection| Unsigned { problem: unreadable(&rejection), refused: None })?;
    let now = key.server_time(Instant::now());
    let checked = signature::check(&parts.headers, &body, &key.signing_secrets, now)
        .map_err(Problem::unsigned)
        .and_then(|id| if idempotent { Ok(None) } else { app.keys.use_once(key, id).map(Some) });
    match checked {
        Ok(used) => Ok((Request::from_parts(parts, Body::from(body)), used)),
        Err(problem) => {
            // That ids are used up is nobody's attempt. A sale is no operator's action.
            let is_wrong = problem.status() != StatusCode::TOO_MANY_REQUESTS;
            let refused = (is_wrong && !idempotent).then(|| Box::new(parts));
            Err(Unsigned { problem, refused })
        }
    }
}
