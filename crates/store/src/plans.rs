//! Applied plan versions and retirements.

mod repricing;
mod retire;

use chrono::{DateTime, Utc};
use domain::rule_book::{Conflict, PlanVersion, Retirement, RuleBook};
use domain::rule_set::{RuleSet, RuleSetHash};
use sqlx::PgConnection;
use thiserror::Error;
use uuid::Uuid;

use crate::locks::{self, Lock};
use crate::{StoreError, failures};

pub(crate) use self::repricing::ChangedTimes;
pub use self::repricing::Repricing;
pub use self::retire::{Retire, RetireError, Retired, RetiredPlan, retire, retirements};

/// Causes of failure that another version, or none of that plan, may repair.
const REPAIRED_CAUSES: [&str; 3] = ["no_plan", "no_rule", "ambiguous_rules"];

/// A plan version to be applied.
#[derive(Clone, Debug)]
pub struct Application<'a> {
    /// The compiled version.
    pub rule_set: &'a RuleSet,
    /// SHA-256 of the file that it was compiled from.
    pub file_hash: [u8; 32],
    /// Who applies it.
    pub applied_by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What applying did.
#[derive(Clone, Debug)]
pub enum Applied {
    /// The version is new.
    New {
        /// Its number.
        number: i32,
        /// Events that had waited for it.
        revived: Vec<Uuid>,
    },
    /// The same content was applied before; nothing changed.
    Already {
        /// Its number.
        number: i32,
    },
}

/// Why a version cannot be applied.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// It contradicts another version.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// It would have priced sales that are settled already, or left them to another plan.
    #[error("plan {plan} version {version} {repricing}: let it begin on a day after that")]
    Repricing {
        /// The plan.
        plan: String,
        /// The version that was to be applied.
        version: String,
        /// The sales in question.
        repricing: Repricing,
    },
    /// PostgreSQL failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Every applied version and retirement, in a query each.
pub async fn rule_book(conn: &mut PgConnection) -> Result<RuleBook, StoreError> {
    let rows = sqlx::query!(
        r#"
        select p.id, p.rule_set,
               array(select r.id from commission_rules r where r.plan_id = p.id order by r.place)
                 as "rule_numbers!"
          from commission_plans p
         order by p.id
        "#
    )
    .fetch_all(&mut *conn)
    .await?;
    let versions = rows
        .into_iter()
        .map(|row| {
            let rule_set = RuleSet::from_content(&row.rule_set).map_err(StoreError::damaged)?;
            if row.rule_numbers.len() != rule_set.rules.len() {
                let number = row.id;
                return Err(StoreError::damaged(format!("plan version {number} lacks rules")));
            }
            Ok(PlanVersion { number: row.id, rule_numbers: row.rule_numbers, rule_set })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let retirements = retire::retirements(conn).await?.into_iter();
    let retirements =
        retirements.map(|retired| Retirement { plan: retired.plan, from: retired.from });
    Ok(RuleBook::new(versions).with_retirements(retirements))
}

/// The rules' generation: moves when a version or a retirement is added. Settlement reads it with
/// each batch, in a statement of its own.
pub async fn generation(conn: &mut PgConnection) -> Result<i32, StoreError> {
    let generation = sqlx::query_scalar!(
        r#"
        select coalesce((select max(id) from commission_plans), 0)
                 + coalesce((select max(id) from plan_retirements), 0) as "generation!"
        "#
    );
    Ok(generation.fetch_one(conn).await?)
}

/// Applies a version in the caller's transaction: checks it against the others and against what is
/// settled, with settlement held off meanwhile, and revives the events that waited for it.
pub async fn apply(
    conn: &mut PgConnection,
    application: &Application<'_>,
) -> Result<Applied, ApplyError> {
    let rule_set = application.rule_set;
    let content = rule_set.content();
    let hash = RuleSet::hash(&content);
    locks::take(conn, Lock::History).await?;
    let known = sqlx::query_scalar!(
        "select id from commission_plans where rule_set_hash = $1",
        hash.0.as_slice()
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(StoreError::from)?;
    if let Some(number) = known {
        return Ok(Applied::Already { number });
    }
    let book = rule_book(conn).await?;
    book.check_addition(rule_set)?;
    let changed = ChangedTimes::between(&book, &book.with_draft(rule_set));
    if let Some(repricing) = changed.settled(conn).await? {
        let (plan, version) = (rule_set.plan.clone(), rule_set.version.clone());
        return Err(ApplyError::Repricing { plan, version, repricing });
    }
    let number = insert(conn, application, &content, hash).await?;
    Ok(Applied::New { number, revived: revive(conn, &changed).await? })
}

/// Revives the events that failed by the rules as they were and are priced by others now.
async fn revive(conn: &mut PgConnection, changed: &ChangedTimes) -> Result<Vec<Uuid>, StoreError> {
    failures::revive_unpriced(conn, &REPAIRED_CAUSES.map(str::to_owned), changed).await
}

async fn insert(
    conn: &mut PgConnection,
    application: &Application<'_>,
    content: &str,
    hash: RuleSetHash,
) -> Result<i32, StoreError> {
    let rule_set = application.rule_set;
    let source_types: Vec<String> =
        rule_set.source_types.iter().map(|kind| kind.name().to_owned()).collect();
    let number = sqlx::query_scalar!(
        "insert into commission_plans
           (plan, version, name, source_types, valid_from, rule_set, rule_set_hash, file_hash,
            applied_by, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         returning id",
        rule_set.plan,
        rule_set.version,
        rule_set.name,
        &source_types,
        rule_set.valid_from,
        content,
        hash.0.as_slice(),
        application.file_hash.as_slice(),
        application.applied_by,
        application.reason,
    )
    .fetch_one(&mut *conn)
    .await?;
    for (place, rule) in rule_set.rules.iter().enumerate() {
        let json = |value| serde_json::to_string(&value).map_err(StoreError::damaged);
        sqlx::query!(
            "insert into commission_rules
               (plan_id, place, rule, component, name, valid_from, valid_to, priority, condition,
                calculation)
             values ($1, $2, $3, $4, $5, $6, $7, $8, ($9::text)::jsonb, ($10::text)::jsonb)",
            number,
            i16::try_from(place).map_err(StoreError::damaged)?,
            rule.id,
            rule.component,
            rule.name,
            rule.valid_from,
            rule.valid_to,
            rule.priority,
            rule.condition
                .as_ref()
                .map(serde_json::to_string)
                .transpose()
                .map_err(StoreError::damaged)?,
            json(&rule.calculation)?,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(number)
}

/// An applied version as listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The version's number.
    pub number: i32,
    /// What it says.
    pub rule_set: RuleSet,
    /// Its identity.
    pub hash: String,
    /// The file's SHA-256.
    pub file_hash: String,
    /// When it was applied.
    pub applied_at: DateTime<Utc>,
    /// By whom.
    pub applied_by: String,
    /// Why.
    pub reason: String,
}

/// Every applied version with who applied it, by plan and beginning.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Listed>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select id, rule_set, encode(rule_set_hash, 'hex') as "hash!",
               encode(file_hash, 'hex') as "file_hash!", applied_at, applied_by, reason
          from commission_plans
         order by plan, valid_from
        "#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Listed {
                number: row.id,
                rule_set: RuleSet::from_content(&row.rule_set).map_err(StoreError::damaged)?,
                hash: row.hash,
                file_hash: row.file_hash,
                applied_at: row.applied_at,
                applied_by: row.applied_by,
                reason: row.reason,
            })
        })
        .collect()
}
