//! API keys: `lk_<id>_<secret>`. The secret is 32 random bytes and is stored hashed.
//!
//! A key may have two secrets that work ([`rotation`]), and secrets that its requests must be signed
//! with ([`signing`]).

pub mod rotation;
pub mod signing;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use subtle::ConstantTimeEq;

use crate::StoreError;

/// Random bytes of a key's id, which is written as twice as many hexadecimal digits.
const ID_BYTES: usize = 6;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

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
    /// When it ceases to work, or ceased.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Its own limit in requests per second; 0: none.
    pub rate_per_second: Option<u32>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The secret before the present one, while both work.
    pub previous: Option<PreviousSecret>,
    /// How many signing secrets work; with any, requests that change something must be signed.
    pub signing_secrets: u32,
}

/// A secret that was replaced and still works.
#[derive(Clone, Copy, Debug)]
pub struct PreviousSecret {
    /// Until when.
    pub works_until: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What a new key is limited to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Requests per second of each ingest process; 0: no limit; `None`: as ingest has it.
    pub rate_per_second: Option<u32>,
    /// After how many days it ceases to work.
    pub days: Option<u32>,
}

/// A key that was presented and works.
#[derive(Debug)]
pub struct Authenticated {
    /// The part of the key that names it.
    pub id: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Its own limit in requests per second; 0: none.
    pub rate_per_second: Option<u32>,
    /// Which of its secrets was presented.
    pub secret_number: i32,
    /// Any of these signs its requests; empty: they need no signature.
    pub signing_secrets: Vec<SecretSlice<u8>>,
    /// PostgreSQL's clock at the moment of asking.
    pub now: DateTime<Utc>,
}

/// That a secret was used, and how many milliseconds ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The key's id.
    pub key_id: String,
    /// Which of its secrets.
    pub secret_number: i32,
    /// Milliseconds since then.
    pub ago_ms: i64,
}

/// Makes a key without limits of its own and returns it; it cannot be read again.
pub async fn create(
    conn: &mut PgConnection,
    name: &str,
    scopes: &[Scope],
) -> Result<(String, SecretString), StoreError> {
    create_limited(conn, name, scopes, Limits::default()).await
}

/// Makes a key and returns it; it cannot be read again.
pub async fn create_limited(
    conn: &mut PgConnection,
    name: &str,
    scopes: &[Scope],
    limits: Limits,
) -> Result<(String, SecretString), StoreError> {
    let id = hex(&random::<ID_BYTES>()?);
    let secret = hex(&random::<SECRET_BYTES>()?);
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.name().to_owned()).collect();
    let rate = limits.rate_per_second.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX));
    let days = limits.days.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
    sqlx::query!(
        "insert into api_keys (id, name, secret_hash, scopes, rate_per_second, expires_at)
         values ($1, $2, $3, $4, $5, now() + make_interval(days => $6::integer))",
        id,
        name,
        &hash(&secret)[..],
        &scopes,
        rate,
        days,
    )
    .execute(conn)
    .await?;
    Ok((id.clone(), written(&id, &secret)))
}

/// Ends a key with all its secrets. `false`: there is no such key, or it had ended before.
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
        r#"select k.id, k.name, k.scopes, k.created_at, k.expires_at, k.revoked_at,
                  k.rate_per_second,
                  (select max(u.used_at) from api_key_uses u where u.key_id = k.id) as last_used_at,
                  p.ends_at as "previous_until?", p.used_at as "previous_used_at?",
                  (select count(*) from api_key_signing_secrets g
                    where g.key_id = k.id and (g.ends_at is null or g.ends_at > now()))
                    as "signing_secrets!"
             from api_keys k
             left join lateral (
               select s.ends_at, u.used_at
                 from api_key_every_secret s left join api_key_uses u using (key_id, number)
                where s.key_id = k.id and s.ends_at > now()
                order by s.number limit 1) p on true
            order by k.created_at, k.id"#
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| Key {
        id: row.id,
        name: row.name,
        scopes: known_scopes(&row.scopes),
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        rate_per_second: row.rate_per_second.and_then(|rate| rate.try_into().ok()),
        last_used_at: row.last_used_at,
        previous: row
            .previous_until
            .map(|works_until| PreviousSecret { works_until, last_used_at: row.previous_used_at }),
        signing_secrets: u32::try_from(row.signing_secrets).unwrap_or(u32::MAX),
    });
    Ok(keys.collect())
}

/// Whether a text has the form of a key. What has not need not be looked up.
#[must_use]
pub fn is_well_formed(presented: &str) -> bool {
    parts(presented).is_some()
}

/// The key that was presented, if it is one of ours and works.
pub async fn authenticate(
    pool: &PgPool,
    presented: &SecretString,
) -> Result<Option<Authenticated>, StoreError> {
    let Some((id, secret)) = parts(presented.expose_secret()) else { return Ok(None) };
    let rows = sqlx::query!(
        r#"select k.scopes, k.rate_per_second, s.number as "number!",
                  s.secret_hash as "secret_hash!", clock_timestamp() as "now!",
                  array(select g.secret from api_key_signing_secrets g
                         where g.key_id = k.id and (g.ends_at is null or g.ends_at > now())
                         order by g.number desc) as "signing_secrets!: Vec<Vec<u8>>"
             from api_keys k
             join api_key_every_secret s on s.key_id = k.id
            where k.id = $1
              and k.revoked_at is null
              and (k.expires_at is null or k.expires_at > now())
              and (s.ends_at is null or s.ends_at > now())"#,
        id
    )
    .fetch_all(pool)
    .await?;
    let hash = hash(secret);
    // Every secret is compared, whichever fits.
    let fits = |stored: &[u8]| bool::from(stored.ct_eq(hash.as_slice()));
    let found = rows.into_iter().fold(
        None,
        |found, row| {
            if fits(&row.secret_hash) { Some(row) } else { found }
        },
    );
    Ok(found.map(|row| Authenticated {
        id: id.to_owned(),
        scopes: known_scopes(&row.scopes),
        rate_per_second: row.rate_per_second.and_then(|rate| rate.try_into().ok()),
        secret_number: row.number,
        signing_secrets: row.signing_secrets.into_iter().map(SecretSlice::from).collect(),
        now: row.now,
    }))
}

/// Keeps when secrets were last used, to the minute: however many processes report it, a secret's
/// row is written once a minute at most.
pub async fn record_uses(conn: &mut PgConnection, uses: &[Use]) -> Result<(), StoreError> {
    let ids: Vec<String> = uses.iter().map(|one| one.key_id.clone()).collect();
    let numbers: Vec<i32> = uses.iter().map(|one| one.secret_number).collect();
    let ago_ms: Vec<i64> = uses.iter().map(|one| one.ago_ms).collect();
    sqlx::query!(
        "insert into api_key_uses as stored (key_id, number, used_at)
         select key_id, number,
                date_trunc('minute', clock_timestamp() - ago_ms * interval '1 millisecond')
           from unnest($1::text[], $2::integer[], $3::bigint[]) as used (key_id, number, ago_ms)
          order by key_id, number
         on conflict (key_id, number) do update set used_at = excluded.used_at
          where stored.used_at < excluded.used_at",
        &ids,
        &numbers,
        &ago_ms,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The id and the secret of a key as it is written.
fn parts(presented: &str) -> Option<(&str, &str)> {
    let (id, secret) = presented.strip_prefix("lk_")?.split_once('_')?;
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = id.len() == 2 * ID_BYTES && secret.len() == 2 * SECRET_BYTES;
    (fits && is_hex(id) && is_hex(secret)).then_some((id, secret))
}

fn written(id: &str, secret: &str) -> SecretString {
    SecretString::from(format!("lk_{id}_{secret}"))
}

fn known_scopes(names: &[String]) -> Vec<Scope> {
    names.iter().filter_map(|name| Scope::from_name(name)).collect()
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], StoreError> {
    let mut random = [0; BYTES];
    getrandom::fill(&mut random)
        .map_err(|error| StoreError::Damaged(format!("the system has no randomness: {error}")))?;
    Ok(random)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
