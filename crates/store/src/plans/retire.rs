//! Retiring plans: from a moment on a plan is in force no more, until a later version of it begins.

use chrono::{DateTime, Utc};
use domain::rule_book::{CannotRetire, Retirement};
use sqlx::PgConnection;
use thiserror::Error;
use uuid::Uuid;

use super::repricing::{ChangedTimes, Repricing};
use crate::StoreError;
use crate::locks::{self, Lock};

/// A plan to be retired.
#[derive(Clone, Debug)]
pub struct Retire<'a> {
    /// The plan and the first moment without it.
    pub retirement: &'a Retirement,
    /// Who retires it.
    pub retired_by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What retiring did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retired {
    /// The retirement is new.
    New {
        /// Events that waited for other rules and are tried again.
        revived: Vec<Uuid>,
    },
    /// The plan was to be retired at that moment before; nothing changed.
    Already,
}

/// Why a plan cannot be retired.
#[derive(Debug, Error)]
pub enum RetireError {
    /// It is not in force then.
    #[error(transparent)]
    CannotRetire(#[from] CannotRetire),
    /// Sales that it priced are settled.
    #[error("retiring plan {plan} from {from} on {repricing}: retire it from a day after that")]
    Repricing {
        /// The plan.
        plan: String,
        /// From when on it was to be retired.
        from: DateTime<Utc>,
        /// The sales in question.
        repricing: Repricing,
    },
    /// PostgreSQL failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Retires a plan in the caller's transaction: checks it against the versions and against what is
/// settled, with settlement held off meanwhile. Its sales are the plan for all's from then on, or
/// wait with the cause `no_plan`.
pub async fn retire(conn: &mut PgConnection, order: &Retire<'_>) -> Result<Retired, RetireError> {
    let retirement = order.retirement;
    let Retirement { plan, from } = retirement;
    locks::take(conn, Lock::History).await?;
    let book = super::rule_book(conn).await?;
    match book.check_retirement(plan, *from) {
        Err(CannotRetire::RetiredBefore { .. }) if book.retirements().contains(retirement) => {
            return Ok(Retired::Already);
        }
        checked => checked?,
    }
    let next = book.clone().with_retirements([retirement.clone()]);
    let changed = ChangedTimes::between(&book, &next);
    if let Some(repricing) = changed.settled(conn).await? {
        return Err(RetireError::Repricing { plan: plan.clone(), from: *from, repricing });
    }
    sqlx::query!(
        "insert into plan_retirements (plan, retired_from, retired_by, reason)
         values ($1, $2, $3, $4)",
        plan,
        from,
        order.retired_by,
        order.reason,
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::from)?;
    Ok(Retired::New { revived: super::revive(conn, &changed).await? })
}

/// A retirement with who decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredPlan {
    /// The plan.
    pub plan: String,
    /// The first moment without it.
    pub from: DateTime<Utc>,
    /// When it was decided.
    pub retired_at: DateTime<Utc>,
    /// By whom.
    pub retired_by: String,
    /// Why.
    pub reason: String,
}

/// Every retirement, by plan and moment.
pub async fn retirements(conn: &mut PgConnection) -> Result<Vec<RetiredPlan>, StoreError> {
    let rows = sqlx::query_as!(
        RetiredPlan,
        r#"
        select plan, retired_from as "from", retired_at, retired_by, reason
          from plan_retirements
         order by plan, retired_from
        "#
    );
    Ok(rows.fetch_all(conn).await?)
}
