//! Reading the record of changes: who asked for what, when, for whom and why.

use chrono::{DateTime, Utc};
use domain::amount::Percentage;
use domain::ladder::Rank;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, reward_splits};

/// One recorded change of a member.
#[derive(Clone, Debug)]
pub struct RecordedChange {
    /// Its place in the order of recording; the enrolment's is 0.
    pub position: i64,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// From when on it holds; `None`: from the beginning of time, or it was refused before that
    /// was decided.
    pub effective_at: Option<DateTime<Utc>>,
    /// `ENROLMENT`, `MOVE`, `STATE` or `SPLIT`.
    pub kind: String,
    /// Why it was refused, if it was.
    pub refusal: Option<String>,
    /// Sponsors before and after.
    pub sponsors: (Option<Uuid>, Option<Uuid>),
    /// Statuses before and after.
    pub statuses: (Option<String>, Option<String>),
    /// Ranks before and after.
    pub ranks: (Option<Rank>, Option<Rank>),
    /// Shares of the money that the member kept before and keeps after.
    pub money_to_self: (Option<Percentage>, Option<Percentage>),
    /// The same of career points.
    pub points_to_self: (Option<Percentage>, Option<Percentage>),
    /// How many moved.
    pub subtree_size: Option<i32>,
    /// Who did it.
    pub actor: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// Why.
    pub reason: String,
}

/// What is recorded of a member after a position: the enrolment, then every change asked for,
/// refused ones too, in the order of recording. `-1` is before everything.
pub async fn recorded_changes(
    conn: &mut PgConnection,
    of: Uuid,
    after: i64,
    limit: i64,
) -> Result<Vec<RecordedChange>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select * from (
          select s.recorded_at as "recorded_at!", 0::bigint as "position!",
                 null::timestamptz as effective_at, 'ENROLMENT' as "kind!",
                 null as refusal, null::uuid as old_sponsor_id, s.sponsor_id as new_sponsor_id,
                 null as old_status, t.status::text as new_status,
                 null::smallint as old_rank, t.rank as new_rank,
                 null::numeric as old_money_to_self, null::numeric as new_money_to_self,
                 null::numeric as old_points_to_self, null::numeric as new_points_to_self,
                 null::integer as subtree_size,
                 s.actor as "actor!", null as on_behalf_of, s.reason as "reason!"
            from member_sponsors s
            join member_states t using (member_id, effective_at)
           where s.member_id = $1 and effective_at = '-infinity'
          union all
          select recorded_at, id, effective_at, kind, refusal, old_sponsor_id, new_sponsor_id,
                 old_status::text, new_status::text, old_rank, new_rank,
                 old_money_to_self, new_money_to_self, old_points_to_self, new_points_to_self,
                 subtree_size, actor, on_behalf_of, reason
            from member_changes
           where member_id = $1) changes
         where "position!" > $2
         order by "position!"
         limit $3
        "#,
        of,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let rank = |place: Option<i16>| -> Result<Option<Rank>, StoreError> {
        place.map(|place| u8::try_from(place).map(Rank).map_err(StoreError::damaged)).transpose()
    };
    let share = |share: Option<Decimal>| share.map(reward_splits::stored_share).transpose();
    rows.into_iter()
        .map(|row| {
            Ok(RecordedChange {
                position: row.position,
                recorded_at: row.recorded_at,
                effective_at: row.effective_at,
                kind: row.kind,
                refusal: row.refusal,
                sponsors: (row.old_sponsor_id, row.new_sponsor_id),
                statuses: (row.old_status, row.new_status),
                ranks: (rank(row.old_rank)?, rank(row.new_rank)?),
                money_to_self: (share(row.old_money_to_self)?, share(row.new_money_to_self)?),
                points_to_self: (share(row.old_points_to_self)?, share(row.new_points_to_self)?),
                subtree_size: row.subtree_size,
                actor: row.actor,
                on_behalf_of: row.on_behalf_of,
                reason: row.reason,
            })
        })
        .collect()
}
