//! Auditing the tree: the closure against the sponsors, the present against history, and history
//! against the record of who changed it.
//!
//! The closure is checked member by member: a member's rows must be their sponsor's, one level
//! deeper, and one of their own. If that holds for everybody, every row is right, by induction from
//! the top of each tree; and it cannot hold all the way round a circle. So nothing has to be
//! computed for the whole tree at once, and memory stays within a page.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::network::DEPTH_MAX;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// What a page of members showed.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The last member of the page; `None`: there was nobody left.
    pub last: Option<Uuid>,
    /// How many members were looked at.
    pub members: i64,
    /// How many closure rows they have.
    pub closure_rows: i64,
    /// Members whose closure rows do not follow from their sponsor's: those are wrong, or the
    /// sponsor's are.
    pub suspects: Vec<Uuid>,
    /// Members whose history does not begin at the beginning of time.
    pub without_beginning: Vec<Uuid>,
    /// Members whose history does not end in their present sponsor, status and rank.
    pub off_history: Vec<Uuid>,
}

/// Looks at members after an id, in the order of ids.
pub async fn page(
    conn: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Page, StoreError> {
    let page = sqlx::query_as!(
        Page,
        r#"
        select (array_agg(m.id order by m.id desc))[1] as last,
               count(*) as "members!",
               coalesce(sum(own.row_count), 0)::bigint as "closure_rows!",
               coalesce(array_agg(m.id) filter (
                 where own.ids is distinct from m.id || coalesce(above.ids, '{}')
                    or own.deepest + 1 <> own.row_count
                    or (m.sponsor_id is not null and above.ids is null)), '{}') as "suspects!",
               coalesce(array_agg(m.id) filter (
                 where not sponsors.begin_at_the_beginning
                    or not states.begin_at_the_beginning), '{}') as "without_beginning!",
               coalesce(array_agg(m.id) filter (
                 where (m.sponsor_id, m.sponsor_since)
                         is distinct from (sponsors.sponsor_id, sponsors.effective_at)
                    or (m.status, m.rank, m.state_since)
                         is distinct from (states.status, states.rank, states.effective_at)),
                 '{}') as "off_history!"
          from (select * from members
                 where $1::uuid is null or id > $1 order by id limit $2) m
          left join lateral (
               select array_agg(ancestor_id order by depth) as ids, max(depth) as deepest,
                      count(*) as row_count
                 from member_tree_paths where descendant_id = m.id) own on true
          left join lateral (
               select array_agg(ancestor_id order by depth) as ids
                 from member_tree_paths where descendant_id = m.sponsor_id) above on true
          left join lateral (
               select sponsor_id, effective_at,
                      exists (select from member_sponsors
                               where member_id = m.id and effective_at = '-infinity')
                        as begin_at_the_beginning
                 from member_sponsors
                where member_id = m.id order by effective_at desc limit 1) sponsors on true
          left join lateral (
               select status, rank, effective_at,
                      exists (select from member_states
                               where member_id = m.id and effective_at = '-infinity')
                        as begin_at_the_beginning
                 from member_states
                where member_id = m.id order by effective_at desc limit 1) states on true
        "#,
        after,
        limit,
    )
    .fetch_one(conn)
    .await?;
    Ok(page)
}

/// What is wrong with one suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing: the rows of a member above are wrong.
    Cleared,
    /// Following sponsors leads round in a circle of these members.
    Circle(Vec<Uuid>),
    /// The sponsor of somebody on the way up does not exist.
    SponsorMissing {
        /// Whose sponsor.
        member_id: Uuid,
        /// The id that nobody has.
        sponsor_id: Uuid,
    },
    /// The closure rows are not what following sponsors gives: (ancestor, depth).
    Rows {
        /// Rows that should be there.
        missing: Vec<(Uuid, i16)>,
        /// Rows that should not.
        surplus: Vec<(Uuid, i16)>,
    },
}

/// Follows a suspect's sponsors to the top and compares every row.
pub async fn examine(conn: &mut PgConnection, member_id: Uuid) -> Result<Suspicion, StoreError> {
    let mut path = vec![member_id];
    loop {
        let below = path[path.len() - 1];
        let found = sqlx::query_scalar!("select sponsor_id from members where id = $1", below)
            .fetch_optional(&mut *conn)
            .await?;
        match found {
            // The first of the path is a member, so somebody below names this one.
            None => {
                let below = path[path.len().saturating_sub(2)];
                let sponsor_id = path[path.len() - 1];
                return Ok(Suspicion::SponsorMissing { member_id: below, sponsor_id });
            }
            Some(None) => break,
            Some(Some(sponsor_id)) => {
                if let Some(place) = path.iter().position(|id| *id == sponsor_id) {
                    return Ok(Suspicion::Circle(path.split_off(place)));
                }
                path.push(sponsor_id);
            }
        }
    }
    let rows = sqlx::query!(
        "select ancestor_id, depth from member_tree_paths where descendant_id = $1",
        member_id
    )
    .fetch_all(conn)
    .await?;
    let stored: BTreeSet<(Uuid, i16)> =
        rows.into_iter().map(|row| (row.ancestor_id, row.depth)).collect();
    let implied: BTreeSet<(Uuid, i16)> = path.into_iter().zip(0..).collect();
    let missing: Vec<_> = implied.difference(&stored).copied().collect();
    let surplus: Vec<_> = stored.difference(&implied).copied().collect();
    if missing.is_empty() && surplus.is_empty() {
        return Ok(Suspicion::Cleared);
    }
    Ok(Suspicion::Rows { missing, surplus })
}

/// How many closure rows there are in all. More than the members have belong to nobody.
pub async fn closure_rows(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from member_tree_paths"#);
    Ok(count.fetch_one(conn).await?)
}

/// Ids that have closure rows although no member has them, at most `limit`.
pub async fn closure_without_members(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select distinct p.descendant_id from member_tree_paths p
          where not exists (select from members m where m.id = p.descendant_id)
          limit $1",
        limit
    );
    Ok(ids.fetch_all(conn).await?)
}

/// A change that history and the record of changes do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Whose history.
    pub member_id: Uuid,
    /// The moment of the change.
    pub effective_at: DateTime<Utc>,
    /// `MOVE` or `STATE`.
    pub kind: String,
    /// `true`: on record, but history lacks it. `false`: in history, but nobody is on record for it.
    pub is_missing_in_history: bool,
}

/// Changes that are on record without a row of history, and rows of history without a record.
pub async fn disagreements(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Disagreement>, StoreError> {
    let rows = sqlx::query_as!(
        Disagreement,
        r#"
        with history as (
          select 'MOVE' as kind, member_id, effective_at, sponsor_id,
                 null::member_status as status, null::smallint as rank
            from member_sponsors where effective_at > '-infinity'
          union all
          select 'STATE', member_id, effective_at, null, status, rank
            from member_states where effective_at > '-infinity'),
        record as (
          select kind, member_id, effective_at, new_sponsor_id as sponsor_id,
                 new_status as status, new_rank as rank
            from member_changes where refusal is null)
        select member_id as "member_id!", effective_at as "effective_at!", kind as "kind!",
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

/// Moves at whose moments the history led round in a circle, at most `limit`: (member, moment). Only
/// who moves can close a circle, so only movers are followed.
pub async fn past_circles(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(Uuid, DateTime<Utc>)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select member_id, effective_at
          from member_sponsors s
         where effective_at > '-infinity' and sponsor_id is not null
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
