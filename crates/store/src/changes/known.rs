//! Reading what is recorded of the members that changes touch.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::history::{BEGINNING_OF_TIME, Change, PlannedMove, Recorded, State, What};
use domain::ladder::Rank;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, reward_splits};

/// What is recorded of the members that are named and of everybody who was above them at or after
/// `first`: what held then, and every later change.
pub(super) async fn recorded(
    conn: &mut PgConnection,
    changes: &[Change],
    first: DateTime<Utc>,
) -> Result<Recorded, StoreError> {
    let mut members = BTreeSet::new();
    let mut with_states = BTreeSet::new();
    let mut with_splits = BTreeSet::new();
    for change in changes {
        match change.what {
            What::Move { new_sponsor_id } => {
                members.insert(change.member_id);
                members.extend(new_sponsor_id);
                with_states.extend(new_sponsor_id);
            }
            What::State { .. } => {
                members.insert(change.member_id);
                with_states.insert(change.member_id);
            }
            What::Split { .. } => {
                with_splits.insert(change.member_id);
            }
        }
    }
    let mut recorded = Recorded::default();
    let members: Vec<Uuid> = members.into_iter().collect();
    let rows = sqlx::query!(
        r#"
        with recursive above (id) as (
          select unnest($1::uuid[])
          union
          select h.sponsor_id
            from above
           cross join lateral (
                 select sponsor_id from member_sponsors
                  where member_id = above.id and effective_at > $2
                 union all
                 (select sponsor_id from member_sponsors
                   where member_id = above.id and effective_at <= $2
                   order by effective_at desc limit 1)) h
           where h.sponsor_id is not null)
        select above.id as "id!", nullif(h.effective_at, '-infinity') as effective_at,
               h.sponsor_id as "sponsor_id?"
          from above
         cross join lateral (
               select effective_at, sponsor_id from member_sponsors
                where member_id = above.id and effective_at > $2
               union all
               (select effective_at, sponsor_id from member_sponsors
                 where member_id = above.id and effective_at <= $2
                 order by effective_at desc limit 1)) h
        "#,
        &members,
        first,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in rows {
        let at = row.effective_at.unwrap_or(BEGINNING_OF_TIME);
        recorded.sponsors.entry(row.id).or_default().insert(at, row.sponsor_id);
    }
    let with_states: Vec<Uuid> = with_states.into_iter().collect();
    let rows = sqlx::query!(
        r#"
        select wanted.id as "id!", nullif(h.effective_at, '-infinity') as effective_at,
               h.status::text as "status!", h.rank as "rank!"
          from unnest($1::uuid[]) as wanted (id)
         cross join lateral (
               select effective_at, status, rank from member_states
                where member_id = wanted.id and effective_at > $2
               union all
               (select effective_at, status, rank from member_states
                 where member_id = wanted.id and effective_at <= $2
                 order by effective_at desc limit 1)) h
        "#,
        &with_states,
        first,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in rows {
        let at = row.effective_at.unwrap_or(BEGINNING_OF_TIME);
        let state = State {
            status: row.status.parse().map_err(StoreError::damaged)?,
            rank: Rank(u8::try_from(row.rank).map_err(StoreError::damaged)?),
        };
        recorded.states.entry(row.id).or_default().insert(at, state);
    }
    if !with_splits.is_empty() {
        let with_splits: Vec<Uuid> = with_splits.into_iter().collect();
        recorded.splits = reward_splits::recorded(conn, &with_splits, first).await?;
    }
    Ok(recorded)
}

/// How many stand in the subtrees of those who move, themselves included, at present.
pub(super) async fn subtree_sizes(
    conn: &mut PgConnection,
    moves: &[PlannedMove],
) -> Result<HashMap<Uuid, i64>, StoreError> {
    let members: Vec<Uuid> = moves.iter().map(|planned| planned.member_id).collect();
    let rows = sqlx::query!(
        r#"
        select ancestor_id, count(*) as "size!"
          from member_tree_paths
         where ancestor_id = any($1)
         group by ancestor_id
        "#,
        &members,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.ancestor_id, row.size)).collect())
}
