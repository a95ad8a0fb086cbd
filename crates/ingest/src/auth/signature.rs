//! Checking signatures by the Standard Webhooks scheme: HMAC-SHA256 of `id.timestamp.body`, over
//! the body's bytes as they came.

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;
use thiserror::Error;

/// Names the request, for the sender's repetitions and ours.
pub(crate) const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How far a signature's time may lie from now, before and after.
pub(crate) const TOLERANCE_SECONDS: i64 = 300;
/// Longest id.
const ID_BYTES_MAX: usize = 256;
/// Most signatures of one request. A sender that rotates its secret sends two.
const SIGNATURES_MAX: usize = 16;

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Flaw {
    /// A header is not there.
    #[error("{0} is missing: this key has a signing secret, so the request must be signed")]
    Missing(HeaderName),
    /// A header is there several times, so that readers could differ on which counts.
    #[error("{0} is there more than once")]
    Repeated(HeaderName),
    /// An id that nobody can sign unambiguously.
    #[error("webhook-id must be 1 to {ID_BYTES_MAX} visible ASCII characters without a full stop")]
    Id,
    /// No number of seconds.
    #[error("webhook-timestamp must be a whole number of seconds since 1970")]
    Timestamp,
    /// Too early or too late.
    #[error(
        "webhook-timestamp is {0} seconds from now, which is {1} by PostgreSQL's clock; at most \
         {TOLERANCE_SECONDS} are allowed"
    )]
    Time(u64, i64),
    /// None of the signatures is right, or readable.
    #[error(
        "no signature in webhook-signature is right; sign `webhook-id.webhook-timestamp.` followed \
         by the body's bytes as they are sent, and write it as v1,<base64>"
    )]
    Signature,
}

/// Accepts a body whose signature is right by any of the secrets; returns the request's id.
pub(crate) fn check<'a>(
    headers: &'a HeaderMap,
    body: &[u8],
    secrets: &[SecretSlice<u8>],
    now: DateTime<Utc>,
) -> Result<&'a str, Flaw> {
    let id = only(headers, &ID)?.ok_or(Flaw::Id)?;
    // A full stop in the id would let parts of a signed text pass for other parts.
    if id.is_empty()
        || id.len() > ID_BYTES_MAX
        || id.bytes().any(|b| !b.is_ascii_graphic() || b == b'.')
    {
        return Err(Flaw::Id);
    }
    let timestamp = only(headers, &TIMESTAMP)?.ok_or(Flaw::Timestamp)?;
    if timestamp.is_empty()
        || timestamp.len() > 15
        || !timestamp.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(Flaw::Timestamp);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| Flaw::Timestamp)?;
    let signatures = only(headers, &SIGNATURE)?.ok_or(Flaw::Signature)?;

    let now = now.timestamp();
    let apart = now.abs_diff(seconds);
    if apart > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(Flaw::Time(apart, now));
    }
    let signatures: Vec<Vec<u8>> = signatures
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .collect();
    let is_right = secrets.iter().any(|secret| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret()) else {
            return false;
        };
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        // Each is compared in constant time.
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if is_right { Ok(id) } else { Err(Flaw::Signature) }
}

/// The one value of a header; `None`: it is no ASCII.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Flaw> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| Flaw::Missing(name.clone()))?;
    if values.next().is_some() {
        return Err(Flaw::Repeated(name.clone()));
    }
    Ok(value.to_str().ok())
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
