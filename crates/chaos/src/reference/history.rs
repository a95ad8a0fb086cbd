//! The network as it stood at any moment, from the raw history tables.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Members read at a time.
const PAGE: i64 = 2_000;

/// An ancestor as they stood at a sale's moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) member_id: Uuid,
    pub(crate) is_active: bool,
    /// The place on the ladder.
    pub(crate) rank: i16,
}

/// A row of a member's history: from when on (`None`: from the beginning of time), and what.
type Since<T> = (Option<DateTime<Utc>>, T);

/// What a member was, row by row, in the order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) sponsors: Vec<Since<Option<Uuid>>>,
    /// Status and rank.
    pub(crate) states: Vec<Since<(String, i16)>>,
}

/// Everybody, with their history. Bounded by the network, not by what is sold in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) members: HashMap<Uuid, History>,
}

impl Network {
    /// Reads it.
    pub(crate) async fn read(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let mut network = Self::default();
        let mut after: Option<Uuid> = None;
        loop {
            let ids: Vec<Uuid> = sqlx::query_scalar(
                "select id from members where $1::uuid is null or id > $1 order by id limit $2",
            )
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *conn)
            .await?;
            let Some(last) = ids.last() else { return Ok(network) };
            after = Some(*last);
            network.members.extend(ids.iter().map(|id| (*id, History::default())));
            network.read_rows(conn, &ids).await?;
        }
    }

    async fn read_rows(&mut self, conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
        let sponsors: Vec<(Uuid, Option<DateTime<Utc>>, Option<Uuid>)> = sqlx::query_as(
            "select member_id, case when isfinite(effective_at) then effective_at end, sponsor_id \
               from member_sponsors where member_id = any($1) order by member_id, effective_at",
        )
        .bind(ids)
        .fetch_all(&mut *conn)
        .await?;
        for (member_id, since, sponsor_id) in sponsors {
            self.members.entry(member_id).or_default().sponsors.push((since, sponsor_id));
        }
        let states: Vec<(Uuid, Option<DateTime<Utc>>, String, i16)> = sqlx::query_as(
            "select member_id, case when isfinite(effective_at) then effective_at end, \
                    status::text, rank \
               from member_states where member_id = any($1) order by member_id, effective_at",
        )
        .bind(ids)
        .fetch_all(&mut *conn)
        .await?;
        for (member_id, since, status, rank) in states {
            self.members.entry(member_id).or_default().states.push((since, (status, rank)));
        }
        Ok(())
    }

    /// Everybody above a seller at a moment, the sponsor first. `Ok(None)`: nobody is enrolled under
    /// that id. `Err`: the history has a gap or a circle, and where.
    pub(crate) fn upline(
        &self,
        seller_id: Uuid,
        moment: DateTime<Utc>,
    ) -> Result<Option<Vec<Standing>>, String> {
        let Some(mut below) = self.members.get(&seller_id) else { return Ok(None) };
        let mut upline = Vec::new();
        loop {
            let sponsor = at(&below.sponsors, moment);
            let sponsor =
                sponsor.ok_or_else(|| format!("no sponsor row holds below {upline:?}"))?;
            let Some(sponsor_id) = *sponsor else { return Ok(Some(upline)) };
            if upline.len() > self.members.len() {
                return Err(format!("the sponsors above {seller_id} run in a circle at {moment}"));
            }
            below = (self.members.get(&sponsor_id))
                .ok_or_else(|| format!("the sponsor {sponsor_id} is not a member"))?;
            let state = at(&below.states, moment);
            let (status, rank) =
                state.ok_or_else(|| format!("no state of {sponsor_id} holds at {moment}"))?;
            let is_active = status == "ACTIVE";
            upline.push(Standing { member_id: sponsor_id, is_active, rank: *rank });
        }
    }
}

/// What held at a moment: the last row that began at or before it.
fn at<T>(rows: &[Since<T>], moment: DateTime<Utc>) -> Option<&T> {
    let began = |since: &Option<DateTime<Utc>>| since.is_none_or(|since| since <= moment);
    rows.iter().rev().find(|(since, _)| began(since)).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: u32) -> DateTime<Utc> {
        format!("2026-11-03T10:15:{second:02}Z").parse().unwrap()
    }

    /// C stands below B below A until second 10, from then on below A; A is suspended at second 20.
    fn network() -> Network {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let active = |rank| vec![(None, ("ACTIVE".to_owned(), rank))];
        let mut members = HashMap::new();
        let mut states = active(2);
        states.push((Some(time(20)), ("SUSPENDED".to_owned(), 2)));
        members.insert(a, History { sponsors: vec![(None, None)], states });
        members.insert(b, History { sponsors: vec![(None, Some(a))], states: active(1) });
        let sponsors = vec![(None, Some(b)), (Some(time(10)), Some(a))];
        members.insert(c, History { sponsors, states: active(0) });
        Network { members }
    }

    fn upline(second: u32) -> Vec<(u128, bool)> {
        let upline = network().upline(Uuid::from_u128(3), time(second)).unwrap().unwrap();
        upline.iter().map(|above| (above.member_id.as_u128(), above.is_active)).collect()
    }

    #[test]
    fn the_upline_is_that_of_the_moment() {
        assert_eq!(upline(9), [(2, true), (1, true)]);
        assert_eq!(upline(10), [(1, true)], "a change holds from its own moment on");
        assert_eq!(upline(20), [(1, false)]);
    }

    #[test]
    fn who_is_not_enrolled_has_no_upline() {
        assert_eq!(network().upline(Uuid::from_u128(9), time(0)), Ok(None));
    }

    #[test]
    fn circles_and_gaps_are_told() {
        let mut network = network();
        let [a, b] = [1, 2].map(Uuid::from_u128);
        network.members.get_mut(&a).unwrap().sponsors = vec![(None, Some(b))];
        assert!(network.upline(b, time(0)).unwrap_err().contains("circle"));
        network.members.get_mut(&a).unwrap().sponsors.clear();
        assert!(network.upline(b, time(0)).unwrap_err().contains("no sponsor row"));
    }
}
