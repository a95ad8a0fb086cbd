//! Writing history, the record of who changed it, and the present.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::amount::Percentage;
use domain::history::{PlannedSplit, PlannedState, Refusal, Refusals, What};
use domain::member::MemberStatus;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{AppliedMove, Order};
use crate::StoreError;

/// Writes the history of moves, the record of who made them, and the present sponsors.
pub(super) async fn write_moves(
    conn: &mut PgConnection,
    order: &Order<'_>,
    moves: &[AppliedMove],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if moves.is_empty() {
        return Ok(());
    }
    let sizes: Vec<i32> =
        moves.iter().map(|done| i32::try_from(done.subtree_size).unwrap_or(i32::MAX)).collect();
    let moves = || moves.iter().map(|done| done.planned);
    let members: Vec<Uuid> = moves().map(|planned| planned.member_id).collect();
    let moments: Vec<DateTime<Utc>> =
        moves().map(|planned| planned.effective_at.unwrap_or(now)).collect();
    let old: Vec<Option<Uuid>> = moves().map(|planned| planned.old_sponsor_id).collect();
    let new: Vec<Option<Uuid>> = moves().map(|planned| planned.new_sponsor_id).collect();
    let present: Vec<bool> = moves().map(|planned| planned.holds_until.is_none()).collect();
    sqlx::query!(
        r#"
        with moves as (
          select *
            from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::boolean[],
                        $6::integer[])
              as move (member_id, effective_at, old_sponsor_id, new_sponsor_id, is_present, size)),
        history as (
          insert into member_sponsors (member_id, effective_at, sponsor_id, actor, reason)
          select member_id, effective_at, new_sponsor_id, $7, $9 from moves),
        record as (
          insert into member_changes (kind, member_id, effective_at, old_sponsor_id,
                                      new_sponsor_id, subtree_size, actor, on_behalf_of, reason)
          select 'MOVE', member_id, effective_at, old_sponsor_id, new_sponsor_id, size, $7, $8, $9
            from moves)
        update members m
           set sponsor_id = moves.new_sponsor_id, sponsor_since = moves.effective_at
          from moves
         where m.id = moves.member_id and moves.is_present
        "#,
        &members,
        &moments,
        &old as &[Option<Uuid>],
        &new as &[Option<Uuid>],
        &present,
        &sizes,
        order.actor,
        order.on_behalf_of,
        order.reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same for statuses and ranks.
pub(super) async fn write_states(
    conn: &mut PgConnection,
    order: &Order<'_>,
    states: &[PlannedState],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if states.is_empty() {
        return Ok(());
    }
    let states = || states.iter();
    let members: Vec<Uuid> = states().map(|planned| planned.member_id).collect();
    let moments: Vec<DateTime<Utc>> =
        states().map(|planned| planned.effective_at.unwrap_or(now)).collect();
    let old_statuses: Vec<String> = states().map(|p| p.old.status.name().to_owned()).collect();
    let new_statuses: Vec<String> = states().map(|p| p.new.status.name().to_owned()).collect();
    let old_ranks: Vec<i16> = states().map(|p| i16::from(p.old.rank.0)).collect();
    let new_ranks: Vec<i16> = states().map(|p| i16::from(p.new.rank.0)).collect();
    let present: Vec<bool> = states().map(|planned| planned.holds_until.is_none()).collect();
    sqlx::query!(
        r#"
        with changes as (
          select member_id, effective_at, old_status::member_status, new_status::member_status,
                 old_rank, new_rank, is_present
            from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::smallint[],
                        $6::smallint[], $7::boolean[])
              as change (member_id, effective_at, old_status, new_status, old_rank, new_rank,
                         is_present)),
        history as (
          insert into member_states (member_id, effective_at, status, rank, actor, reason)
          select member_id, effective_at, new_status, new_rank, $8, $10 from changes),
        record as (
          insert into member_changes (kind, member_id, effective_at, old_status, new_status,
                                      old_rank, new_rank, actor, on_behalf_of, reason)
          select 'STATE', member_id, effective_at, old_status, new_status, old_rank, new_rank,
                 $8, $9, $10
            from changes)
        update members m
           set status = changes.new_status, rank = changes.new_rank,
               state_since = changes.effective_at
          from changes
         where m.id = changes.member_id and changes.is_present
        "#,
        &members,
        &moments,
        &old_statuses,
        &new_statuses,
        &old_ranks,
        &new_ranks,
        &present,
        order.actor,
        order.on_behalf_of,
        order.reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same for reward splits, which have no place in the member's row: only settlement of sales of
/// those whom they sponsor asks for them.
pub(super) async fn write_splits(
    conn: &mut PgConnection,
    order: &Order<'_>,
    splits: &[PlannedSplit],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if splits.is_empty() {
        return Ok(());
    }
    let splits = || splits.iter();
    let members: Vec<Uuid> = splits().map(|planned| planned.member_id).collect();
    let moments: Vec<DateTime<Utc>> =
        splits().map(|planned| planned.effective_at.unwrap_or(now)).collect();
    let old_money: Vec<Decimal> = splits().map(|p| p.old.money_to_self.to_decimal()).collect();
    let new_money: Vec<Decimal> = splits().map(|p| p.new.money_to_self.to_decimal()).collect();
    let old_points: Vec<Decimal> = splits().map(|p| p.old.points_to_self.to_decimal()).collect();
    let new_points: Vec<Decimal> = splits().map(|p| p.new.points_to_self.to_decimal()).collect();
    sqlx::query!(
        r#"
        with changes as (
          select *
            from unnest($1::uuid[], $2::timestamptz[], $3::numeric[], $4::numeric[],
                        $5::numeric[], $6::numeric[])
              as change (member_id, effective_at, old_money, new_money, old_points, new_points)),
        history as (
          insert into member_reward_splits (member_id, effective_at, money_to_self, points_to_self,
                                            actor, on_behalf_of, reason)
          select member_id, effective_at, new_money, new_points, $7, $8, $9 from changes)
        insert into member_changes (kind, member_id, effective_at, old_money_to_self,
                                    new_money_to_self, old_points_to_self, new_points_to_self,
                                    actor, on_behalf_of, reason)
        select 'SPLIT', member_id, effective_at, old_money, new_money, old_points, new_points,
               $7, $8, $9
          from changes
        "#,
        &members,
        &moments,
        &old_money,
        &new_money,
        &old_points,
        &new_points,
        order.actor,
        order.on_behalf_of,
        order.reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts refused changes on record, each with its cause: somebody who tries to get above their own
/// upline is worth knowing about.
pub(super) async fn record_refusals(
    conn: &mut PgConnection,
    order: &Order<'_>,
    refusals: &Refusals,
) -> Result<(), StoreError> {
    // The first refusal of each change says enough.
    let first: BTreeMap<usize, &Refusal> =
        refusals.iter().rev().map(|(place, refusal)| (*place, refusal)).collect();
    let refused = || first.iter().map(|(place, refusal)| (&order.changes[*place], *refusal));
    let kinds: Vec<String> = refused()
        .map(|(change, _)| match change.what {
            What::Move { .. } => "MOVE".to_owned(),
            What::State { .. } => "STATE".to_owned(),
            What::Split { .. } => "SPLIT".to_owned(),
        })
        .collect();
    let members: Vec<Uuid> = refused().map(|(change, _)| change.member_id).collect();
    let moments: Vec<Option<DateTime<Utc>>> =
        refused().map(|(change, _)| change.effective_at).collect();
    let causes: Vec<String> = refused().map(|(_, refusal)| refusal.cause().to_owned()).collect();
    let asked: Vec<Asked> = refused().map(|(change, _)| Asked::of(change.what)).collect();
    let sponsors: Vec<Option<Uuid>> = asked.iter().map(|asked| asked.sponsor).collect();
    let statuses: Vec<Option<&str>> = asked.iter().map(|asked| asked.status).collect();
    let ranks: Vec<Option<i16>> = asked.iter().map(|asked| asked.rank).collect();
    let money: Vec<Option<Decimal>> = asked.iter().map(|asked| asked.money_to_self).collect();
    let points: Vec<Option<Decimal>> = asked.iter().map(|asked| asked.points_to_self).collect();
    sqlx::query!(
        r#"
        insert into member_changes (kind, member_id, effective_at, refusal, old_sponsor_id,
                                    new_sponsor_id, subtree_size, new_status, new_rank,
                                    new_money_to_self, new_points_to_self, actor, on_behalf_of,
                                    reason)
        select kind, change.member_id, change.effective_at, refusal, m.sponsor_id, new_sponsor_id,
               (select count(*) from member_tree_paths p
                 where p.ancestor_id = change.member_id and kind = 'MOVE')::integer,
               new_status::member_status, new_rank, new_money, new_points, $10, $11, $12
          from unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::uuid[],
                      $6::text[], $7::smallint[], $8::numeric[], $9::numeric[])
            as change (kind, member_id, effective_at, refusal, new_sponsor_id, new_status,
                       new_rank, new_money, new_points)
          left join members m on m.id = change.member_id and kind = 'MOVE'
        "#,
        &kinds,
        &members,
        &moments as &[Option<DateTime<Utc>>],
        &causes,
        &sponsors as &[Option<Uuid>],
        &statuses as &[Option<&str>],
        &ranks as &[Option<i16>],
        &money as &[Option<Decimal>],
        &points as &[Option<Decimal>],
        order.actor,
        order.on_behalf_of,
        order.reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a refused change asked for, as the record names it.
#[derive(Default)]
struct Asked {
    sponsor: Option<Uuid>,
    status: Option<&'static str>,
    rank: Option<i16>,
    money_to_self: Option<Decimal>,
    points_to_self: Option<Decimal>,
}

impl Asked {
    fn of(what: What) -> Self {
        match what {
            What::Move { new_sponsor_id } => Self { sponsor: new_sponsor_id, ..Self::default() },
            What::State { status, rank } => Self {
                status: status.map(MemberStatus::name),
                rank: rank.map(|rank| i16::from(rank.0)),
                ..Self::default()
            },
            What::Split { money_to_self, points_to_self } => Self {
                money_to_self: money_to_self.map(Percentage::to_decimal),
                points_to_self: points_to_self.map(Percentage::to_decimal),
                ..Self::default()
            },
        }
    }
}
