//! Auditing the tree: the closure against the sponsors, the present against history, and history
//! against the record of who changed it.
//!
//! The closure is checked member by member: a member's rows must be their sponsor's, one level
//! deeper, and one of their own. If that holds for everybody, every row is right, by induction from
//! the top of each tree; and it cannot hold all the way round a circle. So nothing has to be
//! computed for the whole tree at once, and memory stays within a page.

mod closure;
mod history;

use sqlx::PgConnection;
use uuid::Uuid;

pub use self::closure::{Suspicion, closure_rows, closure_without_members, examine};
pub use self::history::{
    Disagreement, HistoryRow, ImpossibleMoment, Kind, Misreplaced, UnknownSponsor, disagreements,
    impossible_moments, misreplaced, past_circles, rows_without_members, unknown_sponsors,
    written_since_the_beginning,
};
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
