//! Secrets that a key's requests are signed with, by the Standard Webhooks scheme: `whsec_` and 32
//! random bytes in base64.
//!
//! Checking an HMAC needs the secret itself, so it is stored readable. Only ingest's role can read
//! it; that of operators makes and ends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;

use super::rotation::{KeyRefusal, lock};
use super::{SECRET_BYTES, random};
use crate::StoreError;

/// How long a signing secret that was replaced goes on working.
const GRACE_HOURS: i32 = 24;

/// A new signing secret.
#[derive(Debug)]
pub struct SigningSecret {
    /// As it is given to whoever signs; it cannot be read again.
    pub secret: SecretString,
    /// Until when the one before it works, if there was one.
    pub previous_until: Option<DateTime<Utc>>,
}

/// Gives a key its first signing secret: from then on its requests must be signed. With `rotate`
/// replaces the one that it has, which goes on working for a day; of two that work, the older one
/// ends at once.
pub async fn make(
    conn: &mut PgConnection,
    id: &str,
    rotate: bool,
) -> Result<Result<SigningSecret, KeyRefusal>, StoreError> {
    if let Err(refusal) = lock(conn, id).await? {
        return Ok(Err(refusal));
    }
    let present = sqlx::query_scalar!(
        "select number from api_key_signing_secrets where key_id = $1 and ends_at is null",
        id
    )
    .fetch_optional(&mut *conn)
    .await?;
    match (present, rotate) {
        (Some(_), false) => return Ok(Err(KeyRefusal::Signed)),
        (None, true) => return Ok(Err(KeyRefusal::NotSigned)),
        (Some(_), true) | (None, false) => {}
    }
    // What no longer signs need not be kept where it could be read.
    sqlx::query!(
        "delete from api_key_signing_secrets where key_id = $1 and ends_at is not null",
        id
    )
    .execute(&mut *conn)
    .await?;
    let previous_until = sqlx::query_scalar!(
        r#"update api_key_signing_secrets set ends_at = now() + make_interval(hours => $2)
            where key_id = $1 returning ends_at as "ends_at!""#,
        id,
        GRACE_HOURS,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let secret = random::<SECRET_BYTES>()?;
    sqlx::query!(
        "insert into api_key_signing_secrets (key_id, number, secret) values ($1, $2, $3)",
        id,
        present.unwrap_or_default() + 1,
        &secret[..],
    )
    .execute(conn)
    .await?;
    let secret = SecretString::from(format!("whsec_{}", STANDARD.encode(secret)));
    Ok(Ok(SigningSecret { secret, previous_until }))
}

/// Removes a key's signing secrets: its requests need no signature from then on.
pub async fn remove(
    conn: &mut PgConnection,
    id: &str,
) -> Result<Result<(), KeyRefusal>, StoreError> {
    if let Err(refusal) = lock(conn, id).await? {
        return Ok(Err(refusal));
    }
    let removed = sqlx::query!("delete from api_key_signing_secrets where key_id = $1", id)
        .execute(conn)
        .await?;
    Ok(if removed.rows_affected() == 0 { Err(KeyRefusal::NotSigned) } else { Ok(()) })
}
