//! Writing history, the record of who changed it, and the present.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::history::{PlannedState, Refusal, Refusals, What};
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
        })
        .collect();
    let members: Vec<Uuid> = refused().map(|(change, _)| change.member_id).collect();
    let moments: Vec<Option<DateTime<Utc>>> =
        refused().map(|(change, _)| change.effective_at).collect();
    let causes: Vec<String> = refused().map(|(_, refusal)| refusal.cause().to_owned()).collect();
    let mut sponsors = Vec::with_capacity(first.len());
    let mut statuses = Vec::with_capacity(first.len());
    let mut ranks = Vec::with_capacity(first.len());
    for (change, _) in refused() {
        let (sponsor, status, rank) = match change.what {
            What::Move { new_sponsor_id } => (new_sponsor_id, None, None),
            What::State { status, rank } => (None, status, rank),
        };
        sponsors.push(sponsor);
        statuses.push(status.map(|status| status.name().to_owned()));
        ranks.push(rank.map(|rank| i16::from(rank.0)));
    }
    sqlx::query!(
        r#"
        insert into member_changes (kind, member_id, effective_at, refusal, old_sponsor_id,
                                    new_sponsor_id, subtree_size, new_status, new_rank, actor,
                                    on_behalf_of, reason)
        select kind, change.member_id, change.effective_at, refusal, m.sponsor_id, new_sponsor_id,
               (select count(*) from member_tree_paths p
                 where p.ancestor_id = change.member_id and kind = 'MOVE')::integer,
               new_status::member_status, new_rank, $8, $9, $10
          from unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::uuid[],
                      $6::text[], $7::smallint[])
            as change (kind, member_id, effective_at, refusal, new_sponsor_id, new_status,
                       new_rank)
          left join members m on m.id = change.member_id and kind = 'MOVE'
        "#,
        &kinds,
        &members,
        &moments as &[Option<DateTime<Utc>>],
        &causes,
        &sponsors as &[Option<Uuid>],
        &statuses as &[Option<String>],
        &ranks as &[Option<i16>],
        order.actor,
        order.on_behalf_of,
        order.reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}
