//! Moving subtrees in the closure table.

use std::collections::HashSet;

use domain::history::PlannedMove;
use domain::network::DEPTH_MAX;
use sqlx::PgConnection;
use uuid::Uuid;

use super::AppliedMove;
use crate::StoreError;

/// Takes every moved subtree off its present upline, then puts each below its new sponsor, from the
/// top downwards: every row is removed and written once, and a round of statements serves all who
/// stand on one level of moves. Returns who would stand too deep.
pub(super) async fn rewrite(
    conn: &mut PgConnection,
    moves: &[AppliedMove],
) -> Result<Vec<Uuid>, StoreError> {
    let present =
        moves.iter().map(|done| done.planned).filter(|planned| planned.holds_until.is_none());
    let present: Vec<PlannedMove> = present.collect();
    detach(conn, &present).await?;
    let mut waiting = placements(conn, &present).await?;
    let mut detached: HashSet<Uuid> = waiting.iter().map(|placed| placed.member_id).collect();
    // Whose sponsor stands below somebody who is not placed yet waits for the next round. There is
    // always somebody who need not, because the result has no circle.
    while !waiting.is_empty() {
        let (round, rest): (Vec<Placement>, Vec<Placement>) =
            waiting.into_iter().partition(|placed| !detached.contains(&placed.top_of_sponsor));
        if round.is_empty() {
            return Err(StoreError::damaged("the closure has a circle; run `lineage verify`"));
        }
        let too_deep = too_deep(conn, &round).await?;
        if !too_deep.is_empty() {
            return Ok(too_deep);
        }
        attach(conn, &round).await?;
        for placed in round {
            detached.remove(&placed.member_id);
        }
        waiting = rest;
    }
    Ok(Vec::new())
}

/// A moved subtree and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    pub(super) member_id: Uuid,
    pub(super) sponsor_id: Uuid,
    /// Who stands at the top of what the sponsor is part of, while all who move are detached.
    pub(super) top_of_sponsor: Uuid,
}

/// Removes the rows above the moved subtrees. Of subtrees within one another, each part loses what
/// is above its own.
async fn detach(conn: &mut PgConnection, moves: &[PlannedMove]) -> Result<(), StoreError> {
    let members: Vec<Uuid> = moves.iter().map(|planned| planned.member_id).collect();
    sqlx::query!(
        r#"
        with below as materialized (
          select descendant_id, min(depth) as depth
            from member_tree_paths
           where ancestor_id = any($1)
           group by descendant_id)
        delete from member_tree_paths p
         using below
         where p.descendant_id = below.descendant_id and p.depth > below.depth
        "#,
        &members,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Where the detached subtrees go. Those who become the top of a tree of their own stay as they are.
async fn placements(
    conn: &mut PgConnection,
    moves: &[PlannedMove],
) -> Result<Vec<Placement>, StoreError> {
    let placed = || moves.iter().filter_map(|move_| Some((move_.member_id, move_.new_sponsor_id?)));
    let (members, sponsors): (Vec<Uuid>, Vec<Uuid>) = placed().unzip();
    let placements = sqlx::query_as!(
        Placement,
        r#"
        select placed.member_id as "member_id!", placed.sponsor_id as "sponsor_id!",
               top.ancestor_id as "top_of_sponsor!"
          from unnest($1::uuid[], $2::uuid[]) as placed (member_id, sponsor_id)
         cross join lateral (
               select ancestor_id from member_tree_paths
                where descendant_id = placed.sponsor_id
                order by depth desc limit 1) top
        "#,
        &members,
        &sponsors,
    );
    Ok(placements.fetch_all(conn).await?)
}

/// Those below whom somebody would stand deeper than a tree may be.
pub(super) async fn too_deep(
    conn: &mut PgConnection,
    round: &[Placement],
) -> Result<Vec<Uuid>, StoreError> {
    let (members, sponsors): (Vec<Uuid>, Vec<Uuid>) =
        round.iter().map(|placed| (placed.member_id, placed.sponsor_id)).unzip();
    // Added as integers: the sum of two depths may not fit the column.
    let too_deep = sqlx::query_scalar!(
        r#"
        select placed.member_id as "member_id!"
          from unnest($1::uuid[], $2::uuid[]) as placed (member_id, sponsor_id)
         where (select max(depth)::integer from member_tree_paths
                 where descendant_id = placed.sponsor_id)
             + (select max(depth)::integer from member_tree_paths
                 where ancestor_id = placed.member_id)
             + 1 > $3
        "#,
        &members,
        &sponsors,
        i32::from(DEPTH_MAX),
    );
    Ok(too_deep.fetch_all(conn).await?)
}

/// Writes the rows between a sponsor's upline and a subtree, for each.
async fn attach(conn: &mut PgConnection, round: &[Placement]) -> Result<(), StoreError> {
    let (members, sponsors): (Vec<Uuid>, Vec<Uuid>) =
        round.iter().map(|placed| (placed.member_id, placed.sponsor_id)).unzip();
    sqlx::query!(
        r#"
        insert into member_tree_paths (ancestor_id, descendant_id, depth)
        select above.ancestor_id, below.descendant_id, above.depth + below.depth + 1::smallint
          from unnest($1::uuid[], $2::uuid[]) as placed (member_id, sponsor_id)
         cross join lateral (
               select ancestor_id, depth from member_tree_paths
                where descendant_id = placed.sponsor_id offset 0) above
         cross join lateral (
               select descendant_id, depth from member_tree_paths
                where ancestor_id = placed.member_id offset 0) below
         -- In the order of the unique index: neighbours share pages.
         order by below.descendant_id, above.depth
        "#,
        &members,
        &sponsors,
    )
    .execute(conn)
    .await?;
    Ok(())
}
