//! What other worlds are computed from: the tree, statuses and ranks of any moment, as deep as any
//! rules may ask, and the moments at which something turned.

use chrono::{DateTime, Utc};
use domain::inputs::{Inputs, Visit};
use domain::network::DEPTH_MAX;
use domain::period::{Period, Programme};
use domain::rule_set::Reads;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, reward_splits, tree};

/// Seller and upline as they stood at a moment, by the histories, as settlement would read them
/// then; `None`: the seller is not enrolled.
pub async fn inputs_as_of(
    conn: &mut PgConnection,
    seller_id: Uuid,
    moment: DateTime<Utc>,
    reads: Reads,
) -> Result<Option<Inputs>, StoreError> {
    let above = sqlx::query_scalar!(
        r#"select ancestor_id as "id!" from upline_as_of($1, $2, $3) order by depth"#,
        seller_id,
        moment,
        i32::from(reads.depth.min(DEPTH_MAX)),
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<Uuid> = std::iter::once(seller_id).chain(above).collect();
    let members = tree::members(conn, &ids, Some(moment)).await?;
    if members.first().is_none_or(|member| member.id != seller_id) {
        return Ok(None);
    }
    let visits = members.into_iter().map(|member| Visit {
        member_id: member.id,
        rank: member.rank,
        status: member.status,
        joined_at: reads.joined_at.then_some(member.joined_at),
    });
    let mut visits: Vec<Visit> = visits.collect();
    if visits.len() != ids.len() {
        let damage = format!("somebody above member {seller_id} is not enrolled");
        return Err(StoreError::Damaged(damage));
    }
    let upline = visits.split_off(1);
    let split = match upline.first() {
        Some(sponsor) => {
            Some(reward_splits::held(conn, sponsor.member_id, Some(moment)).await?.split)
        }
        None => None,
    };
    let split = split.filter(|split| !split.keeps_everything());
    Ok(visits.pop().map(|seller| Inputs { seller, upline, split }))
}

/// What turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnKind {
    /// The sponsor.
    Move,
    /// The status or the rank.
    State,
    /// How rewards are shared.
    Split,
}

/// A moment at which somebody's sponsor, status, rank or reward split changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who changed.
    pub member_id: Uuid,
    /// From when on the change holds.
    pub at: DateTime<Utc>,
    /// What changed.
    pub kind: TurnKind,
}

/// The changes of these members nearest to a moment, the nearest first.
pub async fn turns_near(
    conn: &mut PgConnection,
    member_ids: &[Uuid],
    moment: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Turn>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select member_id as "member_id!", effective_at as "at!", kind as "kind!"
          from (select member_id, effective_at, 'MOVE' as kind from member_sponsors
                 where member_id = any($1) and effective_at > '-infinity'
                union all
                select member_id, effective_at, 'STATE' from member_states
                 where member_id = any($1) and effective_at > '-infinity'
                union all
                select member_id, effective_at, 'SPLIT' from member_reward_splits
                 where member_id = any($1)) changes
         order by abs(extract(epoch from effective_at - $2)), effective_at, member_id
         limit $3
        "#,
        member_ids,
        moment,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let turn = rows.into_iter().map(|row| Turn {
        member_id: row.member_id,
        at: row.at,
        kind: match row.kind.as_str() {
            "MOVE" => TurnKind::Move,
            "STATE" => TurnKind::State,
            _ => TurnKind::Split,
        },
    });
    Ok(turn.collect())
}

/// The settled sales of a period by a member or by anybody who ever stood below, in the order of
/// their moments; at most `limit`.
pub async fn events_of_period(
    conn: &mut PgConnection,
    member_id: Uuid,
    period: Period,
    programme: &Programme,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    // Block ranges of the moments find the period; the period as stored decides.
    let begins = programme.start_of_day(period.first_day());
    let ends = programme.start_of_day(period.next().first_day());
    let ids = sqlx::query_scalar!(
        r#"
        with recursive below (id) as (
          select $1::uuid
          union
          select s.member_id from member_sponsors s join below on s.sponsor_id = below.id),
        named (id) as (
          select id from below
          union all
          select r.id from member_references r
            join members m on m.external_id = r.external_id
            join below on below.id = m.id)
        select e.id
          from events e
          join commission_outcomes o on o.event_id = e.id
         where e.as_of >= $2 and e.as_of < $3 and e.earned_period = $4
           and e.member_id in (select id from named)
         order by e.as_of, e.id
         limit $5
        "#,
        member_id,
        begins,
        ends,
        period.first_day(),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}
