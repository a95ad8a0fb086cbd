//! Making, changing and ending keys. Each is an operator's action and on record, refused ones too.

use anyhow::bail;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::actions::{self, Action, ActionResult};
use store::keys::rotation::{self, KeyRefusal, Rotation};
use store::keys::{self, Limits, Scope, signing};
use store::{PgConnection, PgPool, StoreError, database};

use super::ForWhom;
use crate::output::{Format, print_text, remark};
use domain::calendar;

/// What an operator does to a key, on its way to the record.
struct Deed<'a> {
    action: &'static str,
    /// The key's id; of a key that is being made, known only then.
    subject: Option<&'a str>,
    /// The arguments, none of which is a secret.
    arguments: [u8; 32],
    for_whom: &'a ForWhom,
}

impl Deed<'_> {
    /// Puts it on record. The reason follows what was done or why it was not.
    async fn record(
        &self,
        conn: &mut PgConnection,
        result: ActionResult,
        detail: &str,
    ) -> Result<(), StoreError> {
        let actor = format!("role:{}", database::session_user(conn).await?);
        let reason = self.for_whom.reason.as_deref();
        let detail = reason.map_or(detail.to_owned(), |reason| format!("{detail}; {reason}"));
        let action = Action {
            actor: &actor,
            on_behalf_of: self.for_whom.on_behalf_of.as_deref(),
            action: self.action,
            subject: self.subject,
            arguments: self.arguments,
            result,
            detail: Some(&detail),
        };
        actions::record(conn, &action).await
    }

    /// Records that a rule forbids it, and ends with that as the error.
    async fn refuse<T>(&self, pool: &PgPool, refusal: KeyRefusal) -> anyhow::Result<T> {
        let mut conn = pool.acquire().await.map_err(StoreError::from)?;
        self.record(&mut conn, ActionResult::Refused, &refusal.to_string()).await?;
        bail!("key {}: {refusal}", self.subject.unwrap_or_default())
    }
}

pub(super) async fn create(
    pool: &PgPool,
    name: &str,
    asked: &[Scope],
    limits: Limits,
    for_whom: &ForWhom,
    format: Format,
) -> anyhow::Result<()> {
    let granted: Vec<Scope> =
        Scope::ALL.into_iter().filter(|scope| asked.contains(scope)).collect();
    let names: Vec<&str> = granted.iter().map(|scope| scope.name()).collect();
    let written = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
    let (rate, days) = (written(limits.rate_per_second), written(limits.days));
    let scopes = names.join(",");
    let texts = [name.as_bytes(), scopes.as_bytes(), rate.as_bytes(), days.as_bytes()];

    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let (id, key) = keys::create_limited(&mut tx, name, &granted, limits).await?;
    let arguments = actions::digest(&texts);
    let deed = Deed { action: "key.create", subject: Some(&id), arguments, for_whom };
    deed.record(&mut tx, ActionResult::Done, &format!("{name}, for {scopes}")).await?;
    tx.commit().await.map_err(StoreError::from)?;

    remark("The key is shown this once; only its hash is stored.");
    let value = json!({
        "id": id,
        "name": name,
        "scopes": names,
        "rate_per_second": limits.rate_per_second,
        "key": key.expose_secret(),
    });
    show(format, key.expose_secret(), &value)
}

pub(super) async fn rotate(
    pool: &PgPool,
    id: &str,
    rotation: Rotation,
    for_whom: &ForWhom,
    format: Format,
) -> anyhow::Result<()> {
    let drop = rotation.drop.map(|drop| format!("{drop:?}")).unwrap_or_default();
    let arguments = actions::digest(&[
        id.as_bytes(),
        rotation.grace_hours.to_string().as_bytes(),
        drop.as_bytes(),
    ]);
    let deed = Deed { action: "key.rotate", subject: Some(id), arguments, for_whom };
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let rotated = match rotation::rotate(&mut tx, id, rotation).await? {
        Ok(rotated) => rotated,
        Err(refusal) => {
            tx.rollback().await.map_err(StoreError::from)?;
            return deed.refuse(pool, refusal).await;
        }
    };
    let until = rotated.previous_until.map(calendar::rfc3339);
    let previous = until.as_ref().map_or_else(
        || "every older secret has ended".to_owned(),
        |until| format!("the previous secret works until {until}"),
    );
    deed.record(&mut tx, ActionResult::Done, &previous).await?;
    tx.commit().await.map_err(StoreError::from)?;

    remark(&format!("The key is shown this once; only its hash is stored; {previous}."));
    let value =
        json!({"id": id, "key": rotated.key.expose_secret(), "previous_works_until": until});
    show(format, rotated.key.expose_secret(), &value)
}

pub(super) async fn make_signing_secret(
    pool: &PgPool,
    id: &str,
    rotate: bool,
    for_whom: &ForWhom,
    format: Format,
) -> anyhow::Result<()> {
    let word: &[u8] = if rotate { b"rotate" } else { b"make" };
    let arguments = actions::digest(&[id.as_bytes(), word]);
    let deed = Deed { action: "key.signing_secret", subject: Some(id), arguments, for_whom };
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let made = match signing::make(&mut tx, id, rotate).await? {
        Ok(made) => made,
        Err(refusal) => {
            tx.rollback().await.map_err(StoreError::from)?;
            return deed.refuse(pool, refusal).await;
        }
    };
    let until = made.previous_until.map(calendar::rfc3339);
    let detail = until.as_ref().map_or_else(
        || "requests that change something must be signed from now on".to_owned(),
        |until| format!("the previous signing secret works until {until}"),
    );
    deed.record(&mut tx, ActionResult::Done, &detail).await?;
    tx.commit().await.map_err(StoreError::from)?;

    remark(&format!(
        "The secret is shown this once. It is stored as it is, for ingest alone to read; {detail}."
    ));
    let value = json!({
        "id": id,
        "signing_secret": made.secret.expose_secret(),
        "previous_works_until": until,
    });
    show(format, made.secret.expose_secret(), &value)
}

pub(super) async fn remove_signing_secret(
    pool: &PgPool,
    id: &str,
    for_whom: &ForWhom,
) -> anyhow::Result<()> {
    let arguments = actions::digest(&[id.as_bytes(), b"remove"]);
    let deed = Deed { action: "key.signing_secret", subject: Some(id), arguments, for_whom };
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    if let Err(refusal) = signing::remove(&mut tx, id).await? {
        tx.rollback().await.map_err(StoreError::from)?;
        return deed.refuse(pool, refusal).await;
    }
    deed.record(&mut tx, ActionResult::Done, "removed: requests need no signature").await?;
    tx.commit().await.map_err(StoreError::from)?;
    print_text(&format!("Requests with key {id} need no signature."))
}

pub(super) async fn revoke(pool: &PgPool, id: &str, for_whom: &ForWhom) -> anyhow::Result<()> {
    let arguments = actions::digest(&[id.as_bytes()]);
    let deed = Deed { action: "key.revoke", subject: Some(id), arguments, for_whom };
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    if !keys::revoke(&mut tx, id).await? {
        tx.rollback().await.map_err(StoreError::from)?;
        let mut conn = pool.acquire().await.map_err(StoreError::from)?;
        deed.record(&mut conn, ActionResult::Refused, "there is no such key that works").await?;
        bail!("there is no key {id:?} that still works; see `lineage keys list`");
    }
    deed.record(&mut tx, ActionResult::Done, "revoked").await?;
    tx.commit().await.map_err(StoreError::from)?;
    print_text(&format!("Key {id} is revoked."))
}

/// Prints a secret: alone, so that `KEY=$(…)` is all that is needed, or with what belongs to it.
fn show(format: Format, secret: &str, value: &Value) -> anyhow::Result<()> {
    match format {
        Format::Table => print_text(secret),
        Format::Json => print_text(&serde_json::to_string_pretty(value)?),
    }
}
