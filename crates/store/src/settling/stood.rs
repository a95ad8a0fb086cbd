//! Sellers and uplines as they stood, for sales that are settled already.
//!
//! Settlement takes the present where the present held at the sale's moment. Here nothing but the
//! append-only history is read, whatever closure and members say now: so it is a proof of what
//! settlement read then, and of the short cuts that it took.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::inputs::{Inputs, Visit};
use domain::network::DEPTH_MAX;
use domain::rule_set::Reads;
use sqlx::PgConnection;
use uuid::Uuid;

use super::path::{Path, Walk};
use super::states::{joining_moments, past_states};
use crate::StoreError;
use crate::reward_splits::Splits;

/// A sale, and how much of the world around it is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    /// The sale. Whom it credits is read from the event again.
    pub event_id: Uuid,
    /// Its moment.
    pub as_of: DateTime<Utc>,
    /// What its rules read.
    pub reads: Reads,
}

/// Reads seller and upline of recorded sales as of their moments, in the order of `sought`.
///
/// Two statements, however many sales: the ways up, then statuses and ranks; one more if any rule
/// asks when members joined, and one once anybody shares rewards.
pub async fn as_they_stood(
    conn: &mut PgConnection,
    sought: &[Sought],
) -> Result<Vec<Walk>, StoreError> {
    if sought.is_empty() {
        return Ok(Vec::new());
    }
    let (paths, has_splits) = past_paths(conn, sought).await?;
    let met: BTreeSet<(Uuid, DateTime<Utc>)> =
        paths.iter().flat_map(|path| path.ids.iter().map(|id| (*id, path.as_of))).collect();
    let states = past_states(conn, met).await?;
    let asks_joined = sought.iter().zip(&paths).filter(|(sale, _)| sale.reads.joined_at);
    let joined: BTreeSet<Uuid> =
        asks_joined.flat_map(|(_, path)| path.ids.iter().copied()).collect();
    let joined_at = if joined.is_empty() {
        HashMap::new()
    } else {
        joining_moments(conn, &joined.into_iter().collect::<Vec<_>>()).await?
    };
    let splits = if has_splits {
        Splits::read(conn, paths.iter().filter_map(Path::sponsor)).await?
    } else {
        Splits::default()
    };
    let walk = |path: &Path| {
        if path.seller_id.is_none() {
            return Walk::NotEnrolled;
        }
        let mut visits = Vec::with_capacity(path.ids.len());
        for id in &path.ids {
            let Some(state) = states.get(&(*id, path.as_of)) else {
                return Walk::Damaged(format!("the history has no status and rank of member {id}"));
            };
            visits.push(Visit { joined_at: joined_at.get(id).copied(), ..*state });
        }
        let mut visits = visits.into_iter();
        let split = path.sponsor().and_then(|sponsor| splits.of(sponsor));
        visits.next().map_or(Walk::NotEnrolled, |seller| {
            Walk::Found(Inputs { seller, upline: visits.collect(), split })
        })
    };
    Ok(paths.iter().map(walk).collect())
}

/// The ways up from the sellers, by the sponsor history, and whether anybody shares rewards.
async fn past_paths(
    conn: &mut PgConnection,
    sought: &[Sought],
) -> Result<(Vec<Path>, bool), StoreError> {
    let ids: Vec<Uuid> = sought.iter().map(|sale| sale.event_id).collect();
    let moments: Vec<DateTime<Utc>> = sought.iter().map(|sale| sale.as_of).collect();
    let depths: Vec<i32> =
        sought.iter().map(|sale| i32::from(sale.reads.depth.min(DEPTH_MAX))).collect();
    let rows = sqlx::query!(
        r#"
        select wanted.place as "place!", wanted.as_of as "as_of!",
               coalesce(seller.id, referred.id) as "seller_id?",
               above.ids as "above: Vec<Uuid>",
               exists (select from member_reward_splits) as "has_splits!"
          from unnest($1::uuid[], $2::timestamptz[], $3::integer[])
               with ordinality as wanted (event_id, as_of, depth, place)
         cross join lateral (
               select member_id from events where id = wanted.event_id offset 0) e
          left join lateral (
               select id from members where id = e.member_id offset 0) seller on true
          left join lateral (
               select m.id
                 from member_references r
                 join members m on m.external_id = r.external_id
                where seller.id is null and r.id = e.member_id
               offset 0) referred on true
          left join lateral (
               select array_agg(u.ancestor_id order by u.depth) as ids
                 from upline_as_of(coalesce(seller.id, referred.id), wanted.as_of, wanted.depth) u
               offset 0) above on true
         order by wanted.place
        "#,
        &ids,
        &moments,
        &depths,
    )
    .fetch_all(conn)
    .await?;
    if rows.len() != sought.len() {
        return Err(StoreError::damaged("a settled event is not recorded any more"));
    }
    let has_splits = rows.first().is_some_and(|row| row.has_splits);
    let paths = rows.into_iter().map(|row| Path {
        seller_id: row.seller_id,
        as_of: row.as_of,
        ids: row.seller_id.into_iter().chain(row.above.unwrap_or_default()).collect(),
    });
    Ok((paths.collect(), has_splits))
}
