//! What history says against itself, against the members and against the record of changes.
//!
//! Moments are read only where they lie between the beginning of time and a minute from now: a
//! stored `infinity` is no moment that this program could hold. [`impossible_moments`] names the
//! others, as text.

use chrono::{DateTime, Utc};
use domain::network::DEPTH_MAX;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// What a row of history is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum Kind {
    /// The sponsor.
    Move,
    /// Status and rank.
    State,
    /// How direct rewards are shared.
    Split,
}

/// A change that history and the record of changes do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Whose history.
    pub member_id: Uuid,
    /// The moment of the change.
    pub effective_at: DateTime<Utc>,
    /// What it changed.
    pub kind: Kind,
    /// `true`: on record, but history lacks it. `false`: in history, but nobody is on record for it.
    pub is_missing_in_history: bool,
}

/// Changes that are on record without a row of history, and rows of history without a record. Both
/// are written by one transaction, so both say that they were recorded at the same moment.
pub async fn disagreements(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Disagreement>, StoreError> {
    let rows = sqlx::query_as!(
        Disagreement,
        r#"
        with history as (
          select 'MOVE' as kind, member_id, effective_at, recorded_at, sponsor_id,
                 null::member_status as status, null::smallint as rank,
                 null::numeric as money_to_self, null::numeric as points_to_self
            from member_sponsors
           where effective_at > '-infinity' and effective_at <= now() + interval '1 minute'
          union all
          select 'STATE', member_id, effective_at, recorded_at, null, status, rank, null, null
            from member_states
           where effective_at > '-infinity' and effective_at <= now() + interval '1 minute'
          union all
          select 'SPLIT', member_id, effective_at, recorded_at, null, null, null,
                 money_to_self, points_to_self
            from member_reward_splits
           where effective_at > '-infinity' and effective_at <= now() + interval '1 minute'),
        record as (
          select kind, member_id, effective_at, recorded_at, new_sponsor_id as sponsor_id,
                 new_status as status, new_rank as rank,
                 new_money_to_self as money_to_self, new_points_to_self as points_to_self
            from member_changes
           where refusal is null
             and effective_at > '-infinity' and effective_at <= now() + interval '1 minute')
        select member_id as "member_id!", effective_at as "effective_at!",
               kind as "kind!: Kind",
               is_missing_in_history as "is_missing_in_history!"
          from (select *, true as is_missing_in_history
                  from (select * from record except all select * from history) unwritten
                union all
                select *, false
                  from (select * from history except all select * from record) unaccounted) found
         order by member_id, effective_at
         limit $1
        "#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// A change on record that says it replaced something else than what held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misreplaced {
    /// Whose history.
    pub member_id: Uuid,
    /// The moment of the change.
    pub effective_at: DateTime<Utc>,
    /// What it changed.
    pub kind: Kind,
    /// What the change says that it replaced: a sponsor or `nobody`, a status and rank, or the
    /// shares that the member kept.
    pub on_record: String,
    /// What held by the history just before, as it was recorded when the change was made.
    pub by_history: String,
}

/// Changes that replaced something else than what held just before them, at most `limit`. What was
/// recorded after a change, for an earlier moment, the change could not know: of two changes, the
/// one with the smaller id was recorded first.
pub async fn misreplaced(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Misreplaced>, StoreError> {
    let rows = sqlx::query_as!(
        Misreplaced,
        r#"
        with replaced as (
          select c.member_id, c.effective_at, c.kind,
                 c.old_sponsor_id, c.old_status, c.old_rank,
                 c.old_money_to_self, c.old_points_to_self,
                 case when before.id is null then sponsors.sponsor_id
                      else before.new_sponsor_id end as sponsor_id,
                 case when before.id is null then states.status
                      else before.new_status end as status,
                 case when before.id is null then states.rank
                      else before.new_rank end as rank,
                 case when before.id is null then 100
                      else before.new_money_to_self end as money_to_self,
                 case when before.id is null then 100
                      else before.new_points_to_self end as points_to_self
            from member_changes c
            left join lateral (
                 select id, new_sponsor_id, new_status, new_rank,
                        new_money_to_self, new_points_to_self
                   from member_changes earlier
                  where earlier.member_id = c.member_id and earlier.kind = c.kind
                    and earlier.refusal is null and earlier.id < c.id
                    and earlier.effective_at < c.effective_at
                  order by earlier.effective_at desc limit 1) before on true
            left join member_sponsors sponsors
              on sponsors.member_id = c.member_id and sponsors.effective_at = '-infinity'
            left join member_states states
              on states.member_id = c.member_id and states.effective_at = '-infinity'
           where c.refusal is null
             and c.effective_at > '-infinity' and c.effective_at <= now() + interval '1 minute')
        select member_id, effective_at as "effective_at!", kind as "kind!: Kind",
               case kind when 'MOVE' then coalesce(old_sponsor_id::text, 'nobody')
                    when 'STATE' then format('%s with rank %s', old_status, old_rank)
                    else format('%s %% of the money and %s %% of the points',
                                old_money_to_self, old_points_to_self) end as "on_record!",
               case kind when 'MOVE' then coalesce(sponsor_id::text, 'nobody')
                    when 'STATE' then format('%s with rank %s', status, rank)
                    else format('%s %% of the money and %s %% of the points',
                                money_to_self::numeric(7,4), points_to_self::numeric(7,4))
               end as "by_history!"
          from replaced
         where case kind when 'MOVE' then old_sponsor_id is distinct from sponsor_id
                    when 'STATE' then (old_status, old_rank) is distinct from (status, rank)
                    else (old_money_to_self, old_points_to_self)
                           is distinct from (money_to_self, points_to_self) end
         order by member_id, effective_at
         limit $1
        "#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Moments at which the history led round in a circle, at most `limit`: (member, moment), the
/// moment `None` for the beginning of time. A circle of members who never move is one of the
/// present tree too, so only those are followed who moved at some time, at each moment from which
/// they had a sponsor.
pub async fn past_circles(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(Uuid, Option<DateTime<Utc>>)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select member_id, nullif(effective_at, '-infinity') as effective_at
          from member_sponsors s
         where sponsor_id is not null and effective_at <= now() + interval '1 minute'
           and member_id in (select member_id from member_sponsors
                              where effective_at > '-infinity')
           and exists (select from upline_as_of(s.member_id, s.effective_at, $2) above
                        where above.ancestor_id = s.member_id)
         limit $1
        "#,
        limit,
        i32::from(DEPTH_MAX) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.member_id, row.effective_at)).collect())
}

/// Ids that have history although no member has them, at most `limit`.
pub async fn rows_without_members(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"
        select member_id as "member_id!"
          from (select member_id from member_sponsors s
                 where not exists (select from members m where m.id = s.member_id)
                union
                select member_id from member_states s
                 where not exists (select from members m where m.id = s.member_id)
                union
                select member_id from member_reward_splits s
                 where not exists (select from members m where m.id = s.member_id)) strangers
         order by member_id
         limit $1
        "#,
        limit,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// A sponsor in the history of a member who is no member themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSponsor {
    /// Whose history.
    pub member_id: Uuid,
    /// The id that nobody has.
    pub sponsor_id: Uuid,
}

/// Sponsors in history who are not enrolled, at most `limit`.
pub async fn unknown_sponsors(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<UnknownSponsor>, StoreError> {
    let rows = sqlx::query_as!(
        UnknownSponsor,
        r#"
        select distinct member_id, sponsor_id as "sponsor_id!"
          from member_sponsors s
         where sponsor_id is not null
           and not exists (select from members m where m.id = s.sponsor_id)
         order by member_id
         limit $1
        "#,
        limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// A row of history or of the record of changes with a moment that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImpossibleMoment {
    /// Whose row.
    pub member_id: Uuid,
    /// Where it stands.
    pub table_name: String,
    /// `effective_at` or `recorded_at`.
    pub field: String,
    /// The moment in UTC as PostgreSQL prints it: it may be `infinity`.
    pub moment: String,
}

/// Rows that hold from, or were recorded at, a moment later than now or no moment at all, at most
/// `limit`. A minute is left for changes that other sessions commit meanwhile.
pub async fn impossible_moments(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<ImpossibleMoment>, StoreError> {
    let rows = sqlx::query_as!(
        ImpossibleMoment,
        r#"
        with rows as (
          select 'member_sponsors' as table_name, member_id, effective_at, recorded_at,
                 effective_at <= now() + interval '1 minute' as is_possible
            from member_sponsors
          union all
          select 'member_states', member_id, effective_at, recorded_at,
                 effective_at <= now() + interval '1 minute'
            from member_states
          union all
          select 'member_reward_splits', member_id, effective_at, recorded_at,
                 effective_at > '-infinity' and effective_at <= now() + interval '1 minute'
            from member_reward_splits
          union all
          select 'member_changes', member_id, effective_at, recorded_at,
                 refusal is not null
                   or coalesce(effective_at > '-infinity'
                               and effective_at <= now() + interval '1 minute', false)
            from member_changes)
        select member_id as "member_id!", table_name as "table_name!",
               case when is_possible then 'recorded_at' else 'effective_at' end as "field!",
               coalesce((case when is_possible then recorded_at else effective_at end
                           at time zone 'UTC')::text, 'null') as "moment!"
          from rows
         where not is_possible
            or recorded_at = '-infinity' or recorded_at > now() + interval '1 minute'
         limit $1
        "#,
        limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// A row of history that changed what held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// When the transaction began that wrote it.
    pub recorded_at: DateTime<Utc>,
    /// From when on it holds.
    pub effective_at: DateTime<Utc>,
    /// Whose history.
    pub member_id: Uuid,
    /// What it changed.
    pub kind: Kind,
}

/// Every row of history that does not hold from the beginning of time, in the order of recording.
pub async fn written_since_the_beginning(
    conn: &mut PgConnection,
) -> Result<Vec<HistoryRow>, StoreError> {
    // The bounds of `recorded_at` keep the order and are moments that can be read.
    let rows = sqlx::query_as!(
        HistoryRow,
        r#"
        select least(greatest(recorded_at, '0001-01-01Z'), '9999-12-31Z') as "recorded_at!",
               effective_at as "effective_at!", member_id as "member_id!",
               kind as "kind!: Kind"
          from (select 'MOVE' as kind, member_id, effective_at, recorded_at from member_sponsors
                union all
                select 'STATE', member_id, effective_at, recorded_at from member_states
                union all
                select 'SPLIT', member_id, effective_at, recorded_at
                  from member_reward_splits) history
         where effective_at > '-infinity' and effective_at <= now() + interval '1 minute'
         order by recorded_at
        "#
    );
    Ok(rows.fetch_all(conn).await?)
}
