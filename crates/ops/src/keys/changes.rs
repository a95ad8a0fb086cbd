//! Making, changing and ending keys. Each is an operator's action and on record, refused ones too.

use anyhow::{anyhow, bail};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::keys::rotation::{self, KeyRefusal, Rotation};
use store::keys::{self, Limits, Scope, signing};
use store::{PgPool, PgTransaction, StoreError};

use crate::actions::{Audited, ForWhom};
use crate::output::{Format, print_text, remark};
use domain::calendar;

impl ForWhom {
    /// The action that is to be put on record. A key that is being made has no id until then.
    fn audited(&self, action: &'static str, id: Option<&str>) -> Audited {
        let audited = Audited::new(action).on_behalf_of(self.person.name());
        if let Some(id) = id {
            audited.is_about(id);
        }
        audited
    }

    /// Commits what was done to a key with its record: what, and the reason.
    async fn commit(
        &self,
        tx: PgTransaction<'_>,
        audited: &Audited,
        done: &str,
    ) -> Result<(), StoreError> {
        match &self.reason {
            Some(reason) => audited.commit(tx, &format!("{done}; {reason}")).await,
            None => audited.commit(tx, done).await,
        }
    }
}

/// A refusal as the error that the command ends with.
fn refused(id: &str, refusal: KeyRefusal) -> anyhow::Error {
    anyhow!("key {id}: {refusal}")
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
    let audited = for_whom.audited("key.create", None);
    let made = async {
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        let (id, key) = keys::create_limited(&mut tx, name, &granted, limits).await?;
        audited.is_about(&id);
        for_whom.commit(tx, &audited, &format!("{name}, for {}", names.join(","))).await?;
        Ok((id, key))
    };
    let (id, key) = audited.watch(pool, made).await?;

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
    let audited = for_whom.audited("key.rotate", Some(id));
    let rotated = async {
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        let rotated = rotation::rotate(&mut tx, id, rotation).await?;
        let rotated = rotated.map_err(|refusal| refused(id, refusal))?;
        let until = rotated.previous_until.map(calendar::rfc3339);
        let previous = until.as_ref().map_or_else(
            || "every older secret has ended".to_owned(),
            |until| format!("the previous secret works until {until}"),
        );
        for_whom.commit(tx, &audited, &previous).await?;
        Ok((rotated.key, until, previous))
    };
    let (key, until, previous) = audited.watch(pool, rotated).await?;

    remark(&format!("The key is shown this once; only its hash is stored; {previous}."));
    let value = json!({"id": id, "key": key.expose_secret(), "previous_works_until": until});
    show(format, key.expose_secret(), &value)
}

pub(super) async fn make_signing_secret(
    pool: &PgPool,
    id: &str,
    rotate: bool,
    for_whom: &ForWhom,
    format: Format,
) -> anyhow::Result<()> {
    let audited = for_whom.audited("key.signing_secret", Some(id));
    let made = async {
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        let made = signing::make(&mut tx, id, rotate).await?;
        let made = made.map_err(|refusal| refused(id, refusal))?;
        let until = made.previous_until.map(calendar::rfc3339);
        let detail = until.as_ref().map_or_else(
            || "requests that change something must be signed from now on".to_owned(),
            |until| format!("the previous signing secret works until {until}"),
        );
        for_whom.commit(tx, &audited, &detail).await?;
        Ok((made.secret, until, detail))
    };
    let (secret, until, detail) = audited.watch(pool, made).await?;

    remark(&format!(
        "The secret is shown this once. It is stored as it is, for ingest alone to read; {detail}."
    ));
    let value = json!({
        "id": id,
        "signing_secret": secret.expose_secret(),
        "previous_works_until": until,
    });
    show(format, secret.expose_secret(), &value)
}

pub(super) async fn remove_signing_secret(
    pool: &PgPool,
    id: &str,
    for_whom: &ForWhom,
) -> anyhow::Result<()> {
    let audited = for_whom.audited("key.signing_secret", Some(id));
    let removed = async {
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        signing::remove(&mut tx, id).await?.map_err(|refusal| refused(id, refusal))?;
        for_whom.commit(tx, &audited, "removed: requests need no signature").await?;
        Ok(())
    };
    audited.watch(pool, removed).await?;
    print_text(&format!("Requests with key {id} need no signature."))
}

pub(super) async fn revoke(pool: &PgPool, id: &str, for_whom: &ForWhom) -> anyhow::Result<()> {
    let audited = for_whom.audited("key.revoke", Some(id));
    let revoked = async {
        let mut tx = pool.begin().await.map_err(StoreError::from)?;
        if !keys::revoke(&mut tx, id).await? {
            bail!("there is no key {id:?} that still works; see `lineage keys list`");
        }
        for_whom.commit(tx, &audited, "revoked").await?;
        Ok(())
    };
    audited.watch(pool, revoked).await?;
    print_text(&format!("Key {id} is revoked."))
}

/// Prints a secret: alone, so that `KEY=$(…)` is all that is needed, or with what belongs to it.
fn show(format: Format, secret: &str, value: &Value) -> anyhow::Result<()> {
    match format {
        Format::Table => print_text(secret),
        Format::Json => print_text(&serde_json::to_string_pretty(value)?),
    }
}
