//! Status and rank of everybody whom a batch meets, now and at the moments of older sales.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::inputs::{Inputs, Visit};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::reward_split::RewardSplit;
use domain::rule_set::Reads;
use sqlx::PgConnection;
use uuid::Uuid;

use super::path::{Path, Walk, past_path};
use crate::StoreError;
use crate::failpoints::{self, Sabotage};

/// Status and rank of the members that a batch meets.
#[derive(Default)]
pub(super) struct States {
    /// As they are, sorted by id.
    present: Vec<Present>,
    /// As they were at moments before the last change.
    past: HashMap<(Uuid, DateTime<Utc>), Visit>,
    /// When they joined, if anybody asks.
    joined_at: HashMap<Uuid, DateTime<Utc>>,
}

/// A member as they are, and since when: `None` is the beginning of time.
#[derive(Clone, Copy)]
pub(super) struct Present {
    visit: Visit,
    state_since: Option<DateTime<Utc>>,
    pub(super) sponsor_since: Option<DateTime<Utc>>,
}

impl States {
    /// Reads the states of all members on all paths, and replaces the paths that are younger than
    /// their sale by those that held.
    pub(super) async fn read(
        conn: &mut PgConnection,
        paths: &mut [Path],
        reads: Reads,
    ) -> Result<Self, StoreError> {
        let mut states = Self::default();
        states.read_present(conn, paths).await?;
        let mut met_others = false;
        for path in paths.iter_mut() {
            if let Some(seller_id) = path.seller_id
                && states.is_younger_than_the_sale(path, reads.depth)
                && !failpoints::is_sabotaged(Sabotage::UplineOfNow)
            {
                path.ids = past_path(conn, seller_id, path.as_of, reads.depth).await?;
                met_others = true;
            }
        }
        if met_others {
            states.read_present(conn, paths).await?;
        }
        let changed_since: Vec<(Uuid, DateTime<Utc>)> = paths
            .iter()
            .flat_map(|path| path.ids.iter().map(|id| (*id, path.as_of)))
            .filter(|(id, as_of)| {
                let since = states.find(*id).and_then(|present| present.state_since);
                since.is_some_and(|since| *as_of < since)
            })
            .collect();
        if !changed_since.is_empty() {
            states.past = past_states(conn, changed_since).await?;
        }
        if reads.joined_at {
            let ids: Vec<Uuid> =
                states.present.iter().map(|present| present.visit.member_id).collect();
            states.joined_at = joining_moments(conn, &ids).await?;
        }
        Ok(states)
    }

    /// Whether somebody on the way got their sponsor after the sale, so that the way was another.
    /// Who sponsors the last one of a full walk does not matter.
    fn is_younger_than_the_sale(&self, path: &Path, depth_max: u16) -> bool {
        let mut sponsored = path.ids.iter().take(usize::from(depth_max));
        sponsored.any(|id| {
            let since = self.find(*id).and_then(|present| present.sponsor_since);
            since.is_some_and(|since| path.as_of < since)
        })
    }

    /// Reads members as they are, those whom it does not know yet.
    async fn read_present(
        &mut self,
        conn: &mut PgConnection,
        paths: &[Path],
    ) -> Result<(), StoreError> {
        let mut ids: Vec<Uuid> = paths.iter().flat_map(|path| &path.ids).copied().collect();
        // In the index's order neighbours share pages.
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| self.find(*id).is_none());
        // One row of arrays: thousands of small rows would cost more than looking them up.
        let found = sqlx::query!(
            r#"
            select coalesce(array_agg(m.id), '{}') as "ids!",
                   coalesce(array_agg(m.rank), '{}') as "ranks!",
                   coalesce(array_agg(m.status::text), '{}') as "statuses!",
                   coalesce(array_agg(nullif(m.state_since, '-infinity')), '{}')
                     as "state_since!: Vec<Option<DateTime<Utc>>>",
                   coalesce(array_agg(nullif(m.sponsor_since, '-infinity')), '{}')
                     as "sponsor_since!: Vec<Option<DateTime<Utc>>>"
              from unnest($1::uuid[]) as wanted (id)
             cross join lateral (
                   select id, rank, status, state_since, sponsor_since
                     from members where id = wanted.id offset 0) m
            "#,
            &ids,
        )
        .fetch_one(&mut *conn)
        .await?;
        self.present.reserve(found.ids.len());
        for (place, id) in found.ids.iter().enumerate() {
            self.present.push(Present {
                visit: visit(*id, found.ranks[place], &found.statuses[place])?,
                state_since: found.state_since[place],
                sponsor_since: found.sponsor_since[place],
            });
        }
        self.present.sort_unstable_by_key(|present| present.visit.member_id);
        Ok(())
    }

    /// Everybody on the way as they stood, with the split of the sponsor, if they share anything.
    pub(super) fn walk(&self, path: &Path, split: Option<RewardSplit>) -> Walk {
        let Some(seller_id) = path.seller_id else { return Walk::NotEnrolled };
        let visits: Option<Vec<Visit>> =
            path.ids.iter().map(|id| self.visit(*id, path.as_of)).collect();
        let mut visits = visits.into_iter().flatten();
        match visits.next() {
            Some(seller) => Walk::Found(Inputs { seller, upline: visits.collect(), split }),
            None => Walk::Damaged(format!(
                "the tree has a gap above member {seller_id}; run `lineage verify`"
            )),
        }
    }

    /// The member as of a moment.
    pub(super) fn visit(&self, id: Uuid, as_of: DateTime<Utc>) -> Option<Visit> {
        let present = self.find(id)?;
        let visit = match present.state_since {
            Some(since) if as_of < since => self.past.get(&(id, as_of)).copied()?,
            _ => present.visit,
        };
        Some(Visit { joined_at: self.joined_at.get(&id).copied(), ..visit })
    }

    /// The member now.
    pub(super) fn find(&self, id: Uuid) -> Option<Present> {
        let place = self.present.binary_search_by_key(&id, |known| known.visit.member_id).ok()?;
        self.present.get(place).copied()
    }
}

/// Status and rank of members as of moments, by the history alone. Who has no history is left out.
pub(super) async fn past_states(
    conn: &mut PgConnection,
    wanted: impl IntoIterator<Item = (Uuid, DateTime<Utc>)>,
) -> Result<HashMap<(Uuid, DateTime<Utc>), Visit>, StoreError> {
    let (ids, moments): (Vec<Uuid>, Vec<DateTime<Utc>>) = wanted.into_iter().unzip();
    // One row of arrays, as of the present.
    let found = sqlx::query!(
        r#"
        select coalesce(array_agg(wanted.member_id), '{}') as "ids!",
               coalesce(array_agg(wanted.as_of), '{}') as "moments!",
               coalesce(array_agg(h.rank), '{}') as "ranks!",
               coalesce(array_agg(h.status::text), '{}') as "statuses!"
          from unnest($1::uuid[], $2::timestamptz[]) as wanted (member_id, as_of)
         cross join lateral (
               select rank, status from member_states
                where member_id = wanted.member_id and effective_at <= wanted.as_of
                order by effective_at desc limit 1) h
        "#,
        &ids,
        &moments,
    )
    .fetch_one(conn)
    .await?;
    let mut states = HashMap::with_capacity(found.ids.len());
    for (place, id) in found.ids.iter().enumerate() {
        let was = visit(*id, found.ranks[place], &found.statuses[place])?;
        states.insert((*id, found.moments[place]), was);
    }
    Ok(states)
}

/// When members joined: a statement of its own, because it is not in the index that answers the
/// rest.
pub(super) async fn joining_moments(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, DateTime<Utc>>, StoreError> {
    let found = sqlx::query!(
        r#"
        select coalesce(array_agg(m.id), '{}') as "ids!",
               coalesce(array_agg(m.joined_at), '{}') as "moments!"
          from unnest($1::uuid[]) as wanted (id)
         cross join lateral (
               select id, joined_at from members where id = wanted.id offset 0) m
        "#,
        ids,
    )
    .fetch_one(conn)
    .await?;
    Ok(found.ids.into_iter().zip(found.moments).collect())
}

fn visit(id: Uuid, rank: i16, status: &str) -> Result<Visit, StoreError> {
    Ok(Visit {
        member_id: id,
        rank: Rank(u8::try_from(rank).map_err(StoreError::damaged)?),
        status: status.parse::<MemberStatus>().map_err(StoreError::damaged)?,
        joined_at: None,
    })
}
