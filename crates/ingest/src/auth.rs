//! Bearer keys with scopes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use store::keys::{self, Scope};
use store::{PgPool, StoreError};

use crate::actions;
use crate::app::App;
use crate::problem::Problem;

/// How long a key is taken for valid without asking PostgreSQL again; so long does a revocation
/// need to take effect.
const TRUST: Duration = Duration::from_secs(1);
/// Most keys remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The key's id, which is no secret.
    pub(crate) key_id: String,
    scopes: Vec<Scope>,
}

type Remembered = HashMap<[u8; 32], (Instant, Option<Caller>)>;

/// Answers whether a key is valid, asking PostgreSQL at most once a second for each.
#[derive(Clone)]
pub(crate) struct Keys {
    pool: PgPool,
    remembered: Arc<Mutex<Remembered>>,
}

impl Keys {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, remembered: Arc::default() }
    }

    async fn caller(&self, presented: &str) -> Result<Option<Caller>, StoreError> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let known =
            self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some((asked_at, caller)) = known
            && asked_at.elapsed() < TRUST
        {
            return Ok(caller);
        }
        let found = keys::authenticate(&self.pool, &SecretString::from(presented)).await?;
        let caller = found.map(|(key_id, scopes)| Caller { key_id, scopes });
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(digest, (Instant::now(), caller.clone()));
        Ok(caller)
    }
}

/// Lets a request pass whose key has the scope, with the [`Caller`] attached.
pub(crate) async fn require(
    State((app, scope)): State<(App, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    let presented = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim().to_owned());
    let Some(presented) = presented else { return Problem::unauthorized().into_response() };
    match app.keys.caller(&presented).await {
        Ok(Some(caller)) if caller.scopes.contains(&scope) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(Some(caller)) => {
            actions::lacks_scope(&app, &caller, scope, request).await;
            Problem::forbidden(scope.name()).into_response()
        }
        Ok(None) => Problem::unauthorized().into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}
