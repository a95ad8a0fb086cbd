//! Changing a key's secret without a gap: the new one works at once, the old one until its grace
//! ends. At most two work at a time.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use thiserror::Error;

use super::{SECRET_BYTES, hash, hex, random, written};
use crate::StoreError;

/// Which of two secrets that work ends at once, so that a third can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// The one that was replaced already: everybody has changed over.
    Oldest,
    /// The one that replaced it: nobody uses it, perhaps because it was lost.
    Newest,
}

/// How to rotate.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// For how many hours the secret in use goes on working, unless its end is set and earlier; 0:
    /// every older secret ends at once.
    pub grace_hours: u32,
    /// What to end when two secrets work already.
    pub drop: Option<Drop>,
}

/// A new secret.
#[derive(Debug)]
pub struct Rotated {
    /// The whole key with the new secret; it cannot be read again.
    pub key: SecretString,
    /// Until when the secret before it works; `None`: it has ended.
    pub previous_until: Option<DateTime<Utc>>,
}

/// Why a key is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyRefusal {
    /// Nobody made it.
    #[error("there is no such key; see `lineage keys list`")]
    Unknown,
    /// It was revoked.
    #[error("the key is revoked; make another by `lineage keys create`")]
    Revoked,
    /// Its days are over.
    #[error("the key has expired; make another by `lineage keys create`")]
    Expired,
    /// Two secrets work already.
    #[error(
        "two secrets work already, the older one until {0}; wait, or say which of them to end now: \
         --drop oldest when everybody uses the newer one, --drop newest when that one was lost; \
         --grace 0 ends both"
    )]
    TwoActive(DateTime<Utc>),
    /// There is no second one to end.
    #[error("only one secret works, so there is none to drop; leave --drop away")]
    OneActive,
    /// It has no signing secret.
    #[error("the key has no signing secret")]
    NotSigned,
    /// It has one, and nobody said to change it.
    #[error(
        "the key has a signing secret; --rotate makes another beside it, --remove ends signing"
    )]
    Signed,
}

/// Makes another secret for a key.
pub async fn rotate(
    conn: &mut PgConnection,
    id: &str,
    rotation: Rotation,
) -> Result<Result<Rotated, KeyRefusal>, StoreError> {
    if let Err(refusal) = lock(conn, id).await? {
        return Ok(Err(refusal));
    }
    let active = sqlx::query!(
        r#"select number as "number!", ends_at from api_key_every_secret
            where key_id = $1 and (ends_at is null or ends_at > now()) order by number"#,
        id
    )
    .fetch_all(&mut *conn)
    .await?;
    let end_now = match (active.as_slice(), rotation.drop) {
        ([oldest, _, ..], Some(Drop::Oldest)) => Some(oldest.number),
        ([_, .., newest], Some(Drop::Newest)) => Some(newest.number),
        ([oldest, _, ..], None) if rotation.grace_hours > 0 => {
            return Ok(Err(KeyRefusal::TwoActive(oldest.ends_at.unwrap_or_default())));
        }
        (_, Some(_)) => return Ok(Err(KeyRefusal::OneActive)),
        (_, None) => None,
    };
    let mut previous_until = None;
    for secret in &active {
        let hours = if end_now == Some(secret.number) { 0 } else { rotation.grace_hours };
        let ends_at = end(conn, id, secret.number, hours).await?;
        if hours > 0 {
            previous_until = Some(ends_at);
        }
    }
    let secret = hex(&random::<SECRET_BYTES>()?);
    sqlx::query!(
        "insert into api_key_secrets (key_id, number, secret_hash)
         select key_id, max(number) + 1, $2 from api_key_every_secret where key_id = $1
          group by key_id",
        id,
        &hash(&secret)[..],
    )
    .execute(conn)
    .await?;
    Ok(Ok(Rotated { key: written(id, &secret), previous_until }))
}

/// Holds the key until the end of the transaction, if it works.
pub(super) async fn lock(
    conn: &mut PgConnection,
    id: &str,
) -> Result<Result<(), KeyRefusal>, StoreError> {
    let key = sqlx::query!(
        r#"select revoked_at is not null as "revoked!",
                  coalesce(expires_at <= now(), false) as "expired!"
             from api_keys where id = $1 for update"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(match key {
        None => Err(KeyRefusal::Unknown),
        Some(key) if key.revoked => Err(KeyRefusal::Revoked),
        Some(key) if key.expired => Err(KeyRefusal::Expired),
        Some(_) => Ok(()),
    })
}

/// Ends a secret in so many hours, or when it would end anyway: an end never moves later. The first
/// one stands with its key.
async fn end(
    conn: &mut PgConnection,
    id: &str,
    number: i32,
    hours: u32,
) -> Result<DateTime<Utc>, StoreError> {
    let hours = i32::try_from(hours).unwrap_or(i32::MAX);
    let ends_at = if number == 1 {
        let query = sqlx::query_scalar!(
            r#"update api_keys
                  set secret_ends_at = least(secret_ends_at, now() + make_interval(hours => $2))
                where id = $1 returning secret_ends_at as "ends_at!""#,
            id,
            hours
        );
        query.fetch_one(conn).await?
    } else {
        let query = sqlx::query_scalar!(
            r#"update api_key_secrets
                  set ends_at = least(ends_at, now() + make_interval(hours => $3))
                where key_id = $1 and number = $2 returning ends_at as "ends_at!""#,
            id,
            number,
            hours
        );
        query.fetch_one(conn).await?
    };
    Ok(ends_at)
}
