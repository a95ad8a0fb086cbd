//! API keys: `lk_<id>_<secret>`. The secret is 32 random bytes and is stored hashed.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use subtle::ConstantTimeEq;

use crate::StoreError;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Post events.
    EventsWrite,
    /// Enrol members.
    MembersWrite,
    /// Read everything.
    Read,
    /// Change history.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::EventsWrite, Self::MembersWrite, Self::Read, Self::Admin];

    /// The scope's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::MembersWrite => "members:write",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A key as listed; the secret is known to its holder only.
#[derive(Clone, Debug)]
pub struct Key {
    /// The part of the key that names it.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ceased to work.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Makes a key and returns it; it cannot be read again.
pub async fn create(
    conn: &mut PgConnection,
    name: &str,
    scopes: &[Scope],
) -> Result<(String, SecretString), StoreError> {
    let id = random_hex(6)?;
    let secret = random_hex(32)?;
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.name().to_owned()).collect();
    sqlx::query!(
        "insert into api_keys (id, name, secret_hash, scopes) values ($1, $2, $3, $4)",
        id,
        name,
        &hash(&secret)[..],
        &scopes,
    )
    .execute(conn)
    .await?;
    let key = SecretString::from(format!("lk_{id}_{secret}"));
    Ok((id, key))
}

/// Ends a key. `false`: there is no such key, or it had ended before.
pub async fn revoke(conn: &mut PgConnection, id: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update api_keys set revoked_at = now() where id = $1 and revoked_at is null",
        id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Every key, oldest first.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Key>, StoreError> {
    let rows = sqlx::query!(
        "select id, name, scopes, created_at, revoked_at from api_keys order by created_at, id"
    )
    .fetch_all(conn)
    .await?;
    let key = |row: (String, String, Vec<String>, _, _)| Key {
        id: row.0,
        name: row.1,
        scopes: known_scopes(&row.2),
        created_at: row.3,
        revoked_at: row.4,
    };
    Ok(rows
        .into_iter()
        .map(|row| key((row.id, row.name, row.scopes, row.created_at, row.revoked_at)))
        .collect())
}

/// The id and scopes of a presented key, if it is one of ours and not revoked.
pub async fn authenticate(
    pool: &PgPool,
    presented: &SecretString,
) -> Result<Option<(String, Vec<Scope>)>, StoreError> {
    let mut parts = presented.expose_secret().splitn(3, '_');
    let (Some("lk"), Some(id), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(None);
    };
    let row = sqlx::query!(
        "select secret_hash, scopes from api_keys where id = $1 and revoked_at is null",
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row
        .filter(|row| bool::from(row.secret_hash.ct_eq(hash(secret).as_slice())))
        .map(|row| (id.to_owned(), known_scopes(&row.scopes))))
}

fn known_scopes(names: &[String]) -> Vec<Scope> {
    names.iter().filter_map(|name| Scope::from_name(name)).collect()
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn random_hex(bytes: usize) -> Result<String, StoreError> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)
        .map_err(|error| StoreError::Damaged(format!("the system has no randomness: {error}")))?;
    Ok(random.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}
