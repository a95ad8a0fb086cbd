//! A stand-in: that every acknowledged sale is recorded, and nothing else.

use crate::evidence::{Evidence, Finding};

/// Holds the database against the evidence.
pub(crate) async fn check(
    database_url: &str,
    _redis_url: &str,
    _prefix: &str,
    evidence: &Evidence,
) -> anyhow::Result<Vec<Finding>> {
    let pool = sqlx::PgPool::connect(database_url).await?;
    let ids: Vec<uuid::Uuid> = evidence.acknowledged.iter().map(|sale| sale.event_id).collect();
    let missing: i64 = sqlx::query_scalar(
        "select count(*) from unnest($1::uuid[]) as a (id)
          where not exists (select from events e where e.id = a.id)",
    )
    .bind(ids)
    .fetch_one(&pool)
    .await?;
    let finding =
        Finding { promise: "nothing acknowledged is missing", detail: missing.to_string() };
    Ok((missing > 0).then_some(finding).into_iter().collect())
}
