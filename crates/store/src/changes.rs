//! Changes of history: moves, statuses and ranks, each from its moment on.
//!
//! The protocol, in one transaction of the caller:
//!
//! 1. lock `tree`, alone when somebody moves, so that nobody else changes the tree, and nobody is
//!    enrolled below the moved members meanwhile;
//! 2. read what is recorded of the members named and of everybody above them, and let
//!    [`domain::history::plan`] decide;
//! 3. rewrite the closure rows of those who move. Settlement goes on meanwhile and sees the old
//!    ones;
//! 4. lock `history` alone: settlement pauses from here on;
//! 5. decide what "now" is, refuse a moment that settled sales forbid, write the history, and let
//!    the caller commit.
//!
//! So the pause is a handful of statements, however many members move. A refusal takes back what
//! was written and leaves a row in `member_changes`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::history::{
    self, BEGINNING_OF_TIME, Change, PlannedMove, PlannedState, Recorded, Refusal, Refusals, State,
    What,
};
use domain::ladder::Rank;
use domain::network::DEPTH_MAX;
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use crate::locks::{self, Lock};
use crate::{StoreError, events};

/// Changes that somebody asks for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// All or none are made.
    pub changes: &'a [Change],
    /// Who asks: `key:<id>` or `role:<login>`.
    pub actor: &'a str,
    /// The person that they act for.
    pub on_behalf_of: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
}

/// What was changed, or would be.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The moment of the changes that named none.
    pub now: DateTime<Utc>,
    /// Moves, in the order of their moments.
    pub moves: Vec<AppliedMove>,
    /// Changes of status or rank, in the order of their moments.
    pub states: Vec<PlannedState>,
}

/// A move, with how many move.
#[derive(Clone, Copy, Debug)]
pub struct AppliedMove {
    /// The move.
    pub planned: PlannedMove,
    /// The member and everybody below, at present.
    pub subtree_size: i64,
}

/// Makes the changes, or says which cannot be made and why. The caller commits either way: a
/// refusal leaves nothing but its record.
pub async fn apply(
    conn: &mut PgConnection,
    order: &Order<'_>,
) -> Result<Result<Applied, Refusals>, StoreError> {
    if moves_somebody(order.changes) {
        locks::take(conn, Lock::Tree).await?;
    } else {
        locks::share(conn, Lock::Tree).await?;
        locks::take(conn, Lock::History).await?;
    }
    let refusals = match plan(conn, order.changes).await? {
        Ok(mut applied) => {
            // Refused changes are taken back, and the lock with them, before the record is written.
            let mut attempt = conn.begin().await?;
            match write(&mut attempt, order, &mut applied).await? {
                Ok(()) => {
                    attempt.commit().await?;
                    return Ok(Ok(applied));
                }
                Err(refusals) => {
                    attempt.rollback().await?;
                    refusals
                }
            }
        }
        Err(refusals) => refusals,
    };
    record_refusals(conn, order, &refusals).await?;
    Ok(Err(refusals))
}

/// What [`apply`] would do at this moment. Holds nobody up and writes nothing.
pub async fn preview(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Result<Applied, Refusals>, StoreError> {
    locks::share(conn, Lock::Tree).await?;
    let applied = match plan(conn, changes).await? {
        Ok(applied) => applied,
        Err(refusals) => return Ok(Err(refusals)),
    };
    let mut refusals = refuse_settled(conn, changes).await?;
    // What several moves together make of the depth shows only when they are made.
    if let [AppliedMove { planned, .. }] = applied.moves.as_slice()
        && planned.holds_until.is_none()
        && is_too_deep(conn, planned).await?
    {
        refusals.extend(places_of(changes, &[planned.member_id]));
    }
    Ok(if refusals.is_empty() { Ok(applied) } else { Err(refusals) })
}

fn moves_somebody(changes: &[Change]) -> bool {
    changes.iter().any(|change| matches!(change.what, What::Move { .. }))
}

/// Checks the changes against what is recorded and counts who moves.
async fn plan(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Result<Applied, Refusals>, StoreError> {
    let clock = events::clock(conn).await?;
    let first = changes.iter().map(|change| change.effective_at.unwrap_or(clock)).min();
    let recorded = recorded(conn, changes, first.unwrap_or(clock)).await?;
    let rows = recorded.sponsors.values().filter_map(|rows| rows.keys().next_back());
    let rows = rows.chain(recorded.states.values().filter_map(|rows| rows.keys().next_back()));
    let latest = rows.max().map(|at| *at + TimeDelta::microseconds(1));
    let now = latest.map_or(clock, |latest| latest.max(clock));
    let plan = match history::plan(changes, &recorded, now) {
        Ok(plan) => plan,
        Err(refusals) => return Ok(Err(refusals)),
    };
    let mut moves = Vec::with_capacity(plan.moves.len());
    for planned in plan.moves {
        let subtree_size = sqlx::query_scalar!(
            r#"select count(*) as "count!" from member_tree_paths where ancestor_id = $1"#,
            planned.member_id
        )
        .fetch_one(&mut *conn)
        .await?;
        moves.push(AppliedMove { planned, subtree_size });
    }
    Ok(Ok(Applied { now, moves, states: plan.states }))
}

/// What is recorded of the members that are named and of everybody who was above them at or after
/// `first`: what held then, and every later change.
async fn recorded(
    conn: &mut PgConnection,
    changes: &[Change],
    first: DateTime<Utc>,
) -> Result<Recorded, StoreError> {
    let mut members = BTreeSet::new();
    let mut with_states = BTreeSet::new();
    for change in changes {
        members.insert(change.member_id);
        match change.what {
            What::Move { new_sponsor_id } => {
                members.extend(new_sponsor_id);
                with_states.extend(new_sponsor_id);
            }
            What::State { .. } => {
                with_states.insert(change.member_id);
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
    .fetch_all(conn)
    .await?;
    for row in rows {
        let at = row.effective_at.unwrap_or(BEGINNING_OF_TIME);
        let state = State {
            status: row.status.parse().map_err(StoreError::damaged)?,
            rank: Rank(u8::try_from(row.rank).map_err(StoreError::damaged)?),
        };
        recorded.states.entry(row.id).or_default().insert(at, state);
    }
    Ok(recorded)
}

/// Writes what was planned, unless the depth of the tree or a settled sale forbids it.
async fn write(
    conn: &mut PgConnection,
    order: &Order<'_>,
    applied: &mut Applied,
) -> Result<Result<(), Refusals>, StoreError> {
    if moves_somebody(order.changes) {
        // Before anything is written, and again below, when nothing is settled any more.
        let refusals = refuse_settled(conn, order.changes).await?;
        if !refusals.is_empty() {
            return Ok(Err(refusals));
        }
        let too_deep = rewrite_closure(conn, &applied.moves).await?;
        if !too_deep.is_empty() {
            return Ok(Err(places_of(order.changes, &too_deep)));
        }
        locks::take(conn, Lock::History).await?;
    }
    let first = order.changes.iter().filter_map(|change| change.effective_at).min();
    if let Some(first) = first
        && sale_settled_since(conn, first).await?.is_some()
    {
        return Ok(Err(refuse_settled(conn, order.changes).await?));
    }
    applied.now = after_every_event(conn).await?.max(applied.now);
    write_moves(conn, order, applied).await?;
    write_states(conn, order, applied).await?;
    Ok(Ok(()))
}

/// Takes every moved subtree off its present upline, then puts each below its new sponsor. Since
/// the result has no circle, they can be put back in any order. Returns who would stand too deep.
async fn rewrite_closure(
    conn: &mut PgConnection,
    moves: &[AppliedMove],
) -> Result<Vec<Uuid>, StoreError> {
    let present =
        || moves.iter().map(|done| done.planned).filter(|move_| move_.holds_until.is_none());
    for PlannedMove { member_id, .. } in present() {
        sqlx::query!(
            r#"
            delete from member_tree_paths p
             using (select descendant_id, depth from member_tree_paths
                     where ancestor_id = $1) below
             where p.descendant_id = below.descendant_id and p.depth > below.depth
            "#,
            member_id,
        )
        .execute(&mut *conn)
        .await?;
    }
    let mut too_deep = Vec::new();
    for planned in present() {
        let PlannedMove { member_id, new_sponsor_id, .. } = planned;
        let Some(new_sponsor_id) = new_sponsor_id else { continue };
        if is_too_deep(conn, &planned).await? {
            too_deep.push(member_id);
            continue;
        }
        sqlx::query!(
            r#"
            insert into member_tree_paths (ancestor_id, descendant_id, depth)
            select above.ancestor_id, below.descendant_id, above.depth + below.depth + 1::smallint
              from member_tree_paths above
             cross join member_tree_paths below
             where above.descendant_id = $1 and below.ancestor_id = $2
             order by below.descendant_id, above.depth
            "#,
            new_sponsor_id,
            member_id,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(too_deep)
}

/// Whether somebody would stand below the greatest depth, by the closure as it is.
async fn is_too_deep(conn: &mut PgConnection, planned: &PlannedMove) -> Result<bool, StoreError> {
    // Added as integers: the sum of two depths may not fit the column.
    let deepest = sqlx::query_scalar!(
        r#"
        select coalesce((select depth::integer + 1 from member_tree_paths
                          where descendant_id = $1 order by depth desc limit 1), 0)
             + coalesce((select depth::integer from member_tree_paths
                          where ancestor_id = $2 order by depth desc limit 1), 0) as "deepest!"
        "#,
        planned.new_sponsor_id,
        planned.member_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(deepest > i32::from(DEPTH_MAX))
}

/// The changes that move these members.
fn places_of(changes: &[Change], too_deep: &[Uuid]) -> Refusals {
    let places = changes.iter().enumerate().filter(|(_, change)| {
        matches!(change.what, What::Move { .. }) && too_deep.contains(&change.member_id)
    });
    places.map(|(place, _)| (place, Refusal::TooDeep)).collect()
}

/// Now, by PostgreSQL's clock, but after the moment of every recorded event, should the clock have
/// been set back.
async fn after_every_event(conn: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    let clock = events::clock(conn).await?;
    let latest = sqlx::query_scalar!("select max(as_of) from events where as_of >= $1", clock)
        .fetch_one(conn)
        .await?;
    Ok(latest.map_or(clock, |latest| latest + TimeDelta::microseconds(1)))
}

/// Refuses the changes whose moments settled sales forbid.
async fn refuse_settled(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Refusals, StoreError> {
    let moments: BTreeSet<DateTime<Utc>> =
        changes.iter().filter_map(|change| change.effective_at).collect();
    let moments: Vec<DateTime<Utc>> = moments.into_iter().collect();
    // Whatever is forbidden lies before whatever is allowed: search for the border.
    let (mut forbidden, mut allowed) = (0, moments.len());
    let mut latest = None;
    while forbidden < allowed {
        let middle = usize::midpoint(forbidden, allowed);
        match sale_settled_since(conn, moments[middle]).await? {
            Some(sale_at) => {
                forbidden = middle + 1;
                latest = latest.max(Some(sale_at));
            }
            None => allowed = middle,
        }
    }
    let Some(sale_at) = latest else { return Ok(Vec::new()) };
    let border = moments[forbidden - 1];
    let refused = changes.iter().enumerate().filter(|(_, change)| {
        change.effective_at.is_some_and(|effective_at| effective_at <= border)
    });
    Ok(refused.map(|(place, _)| (place, Refusal::SettledSales { sale_at })).collect())
}

/// The moment of a settled sale at or after `moment`, if there is one.
async fn sale_settled_since(
    conn: &mut PgConnection,
    moment: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    // `offset 0` keeps the planner from reading all outcomes.
    let settled = sqlx::query_scalar!(
        r#"
        select max(found.as_of)
          from (select e.as_of
                  from events e
                 cross join lateral (
                       select from commission_outcomes o where o.event_id = e.id offset 0) o
                 where e.as_of >= $1
                 limit 100) found
        "#,
        moment,
    );
    Ok(settled.fetch_one(conn).await?)
}

async fn write_moves(
    conn: &mut PgConnection,
    order: &Order<'_>,
    applied: &Applied,
) -> Result<(), StoreError> {
    if applied.moves.is_empty() {
        return Ok(());
    }
    let moves = || applied.moves.iter().map(|done| done.planned);
    let members: Vec<Uuid> = moves().map(|planned| planned.member_id).collect();
    let moments: Vec<DateTime<Utc>> =
        moves().map(|planned| planned.effective_at.unwrap_or(applied.now)).collect();
    let old: Vec<Option<Uuid>> = moves().map(|planned| planned.old_sponsor_id).collect();
    let new: Vec<Option<Uuid>> = moves().map(|planned| planned.new_sponsor_id).collect();
    let present: Vec<bool> = moves().map(|planned| planned.holds_until.is_none()).collect();
    let sizes: Vec<i32> = applied
        .moves
        .iter()
        .map(|done| i32::try_from(done.subtree_size).unwrap_or(i32::MAX))
        .collect();
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

async fn write_states(
    conn: &mut PgConnection,
    order: &Order<'_>,
    applied: &Applied,
) -> Result<(), StoreError> {
    if applied.states.is_empty() {
        return Ok(());
    }
    let states = || applied.states.iter();
    let members: Vec<Uuid> = states().map(|planned| planned.member_id).collect();
    let moments: Vec<DateTime<Utc>> =
        states().map(|planned| planned.effective_at.unwrap_or(applied.now)).collect();
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
async fn record_refusals(
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
