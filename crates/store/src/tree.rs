//! Questions about the tree, as it is and as it stood.
//!
//! The present is answered by the closure: a page costs what it returns, a count what it counts. A
//! past moment is answered by the closure too when nobody has moved since; otherwise by walking the
//! sponsor history: upwards as fast, downwards at the cost of everybody on the levels down to those of
//! the page.
//!
//! First sponsors, statuses and ranks hold from the beginning of time, so a question about a moment
//! before somebody joined finds them in their first place; `joined_at` tells.
//!
//! Callers read inside [`begin`], so that all answers of a request are of one moment.

mod standing;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use domain::history::{self, LevelChange};
use domain::network::DEPTH_MAX;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

pub use self::standing::{members, of_external_id, resolve};
use crate::StoreError;

/// The moment that a question is about; `None`: the present.
pub type AsOf = Option<DateTime<Utc>>;

/// A member's place relative to another: how many levels above or below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Levels between the two; 1 is the direct sponsor, or a direct member.
    pub level: i32,
    /// The member.
    pub member_id: Uuid,
}

/// The text is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the `next` of an earlier page")]
pub struct NoPlace;

/// As pages spell where they end: `<level>.<id>`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.level, self.member_id)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (level, member_id) = text.split_once('.').ok_or(NoPlace)?;
        let level = level.parse().ok().filter(|level| *level > 0).ok_or(NoPlace)?;
        Ok(Self { level, member_id: Uuid::try_parse(member_id).map_err(|_| NoPlace)? })
    }
}

/// How many members stand on one level below a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelCount {
    /// The level; 1 are the direct members.
    pub level: i32,
    /// How many stand on it.
    pub members: i64,
}

/// How many members stand below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The member.
    pub member_id: Uuid,
    /// Whom they sponsor themselves.
    pub direct_members: i64,
    /// Everybody below, on whatever level; without the member.
    pub network_size: i64,
}

/// Begins a transaction that reads only, and sees one moment only.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    Ok(pool.begin_with("begin isolation level repeatable read read only").await?)
}

/// The present, when nobody has moved since the moment: then the closure tells how the tree stood.
async fn shape_as_of(conn: &mut PgConnection, as_of: AsOf) -> Result<AsOf, StoreError> {
    let Some(moment) = as_of else { return Ok(None) };
    let moved_since = sqlx::query_scalar!(
        r#"select exists (select from member_changes
                           where effective_at > $1 and kind = 'MOVE' and refusal is null)
             as "moved!""#,
        moment,
    );
    Ok(moved_since.fetch_one(conn).await?.then_some(moment))
}

/// Everybody above a member, the sponsor first, from the level after `after_level` on.
pub async fn upline(
    conn: &mut PgConnection,
    of: Uuid,
    as_of: AsOf,
    after_level: i32,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    let places = match as_of {
        None => {
            sqlx::query_as!(
                Place,
                r#"
                select depth::integer as "level!", ancestor_id as "member_id!"
                  from member_tree_paths
                 where descendant_id = $1 and depth > greatest($2, 0)
                 order by depth
                 limit $3
                "#,
                of,
                after_level,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        Some(moment) => {
            sqlx::query_as!(
                Place,
                r#"
                select depth as "level!", ancestor_id as "member_id!"
                  from upline_as_of($1, $2, $5)
                 where depth > $3
                 order by depth
                 limit $4
                "#,
                of,
                moment,
                after_level,
                limit,
                i32::from(DEPTH_MAX) + 1,
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(places)
}

/// Everybody below a member, `levels` levels down, level by level and on each by id, after a place.
pub async fn downline(
    conn: &mut PgConnection,
    of: Uuid,
    as_of: AsOf,
    levels: u16,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    let after = after.unwrap_or(Place { level: 0, member_id: Uuid::max() });
    let levels = levels.min(DEPTH_MAX);
    let places = match shape_as_of(conn, as_of).await? {
        None => {
            sqlx::query_as!(
                Place,
                r#"
                select depth::integer as "level!", descendant_id as "member_id!"
                  from member_tree_paths
                 where ancestor_id = $1 and (depth, descendant_id) > ($2, $3) and depth <= $4
                 order by depth, descendant_id
                 limit $5
                "#,
                of,
                // Depths are small; a greater level is after everything.
                i16::try_from(after.level).unwrap_or(i16::MAX),
                after.member_id,
                i16::try_from(levels).unwrap_or(i16::MAX),
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        Some(moment) => past_downline(conn, of, moment, levels, after, limit).await?,
    };
    Ok(places)
}

/// The same by the sponsor history. Walks a level more at a time until the page is full: the first
/// pages meet few.
async fn past_downline(
    conn: &mut PgConnection,
    of: Uuid,
    moment: DateTime<Utc>,
    levels: u16,
    after: Place,
    limit: i64,
) -> Result<Vec<Place>, StoreError> {
    let levels = i32::from(levels);
    let mut reach = after.level.max(1);
    loop {
        reach = reach.min(levels);
        let rows = sqlx::query!(
            r#"
            with walk as materialized (select * from downline_as_of($1, $2, $3))
            select (select max(depth) from walk) as deepest,
                   page.depth as "level?", page.member_id as "member_id?"
              from (values (1)) as one
              left join (
                   select depth, member_id from walk
                    where (depth, member_id) > ($4, $5)
                    order by depth, member_id
                    limit $6) page on true
             order by page.depth, page.member_id
            "#,
            of,
            moment,
            reach,
            after.level,
            after.member_id,
            limit,
        )
        .fetch_all(&mut *conn)
        .await?;
        let is_bottom = rows.first().and_then(|row| row.deepest).is_none_or(|level| level < reach);
        let places: Vec<Place> = rows
            .into_iter()
            .filter_map(|row| Some(Place { level: row.level?, member_id: row.member_id? }))
            .collect();
        let is_full = i64::try_from(places.len()).unwrap_or(i64::MAX) >= limit;
        if is_full || is_bottom || reach >= levels {
            return Ok(places);
        }
        reach += 1;
    }
}

/// How many members stand on each level below a member. Levels without anybody are left out.
pub async fn level_counts(
    conn: &mut PgConnection,
    of: Uuid,
    as_of: AsOf,
) -> Result<Vec<LevelCount>, StoreError> {
    let counts = match shape_as_of(conn, as_of).await? {
        None => {
            sqlx::query_as!(
                LevelCount,
                r#"
                select depth::integer as "level!", count(*) as "members!"
                  from member_tree_paths
                 where ancestor_id = $1 and depth > 0
                 group by depth
                 order by depth
                "#,
                of,
            )
            .fetch_all(conn)
            .await?
        }
        Some(moment) => {
            sqlx::query_as!(
                LevelCount,
                r#"
                select depth as "level!", count(*) as "members!"
                  from downline_as_of($1, $2, $3)
                 group by depth
                 order by depth
                "#,
                of,
                moment,
                i32::from(DEPTH_MAX) + 1,
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(counts)
}

/// The sizes of members' networks, counted exactly, in the order of the ids.
pub async fn sizes(
    conn: &mut PgConnection,
    ids: &[Uuid],
    as_of: AsOf,
) -> Result<Vec<Size>, StoreError> {
    let sizes = match shape_as_of(conn, as_of).await? {
        None => {
            sqlx::query_as!(
                Size,
                r#"
                select wanted.id as "member_id!", below.direct as "direct_members!",
                       below.network as "network_size!"
                  from unnest($1::uuid[]) with ordinality as wanted (id, turn)
                 cross join lateral (
                       select count(*) filter (where depth = 1) as direct, count(*) as network
                         from member_tree_paths
                        where ancestor_id = wanted.id and depth > 0) below
                 order by wanted.turn
                "#,
                ids,
            )
            .fetch_all(conn)
            .await?
        }
        Some(moment) => {
            sqlx::query_as!(
                Size,
                r#"
                select wanted.id as "member_id!", below.direct as "direct_members!",
                       below.network as "network_size!"
                  from unnest($1::uuid[]) with ordinality as wanted (id, turn)
                 cross join lateral (
                       select count(*) filter (where depth = 1) as direct, count(*) as network
                         from downline_as_of(wanted.id, $2, $3)) below
                 order by wanted.turn
                "#,
                ids,
                moment,
                i32::from(DEPTH_MAX) + 1,
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(sizes)
}

/// How many levels one member stands above another; `None`: they do not. Nobody is above
/// themselves.
pub async fn levels_above(
    conn: &mut PgConnection,
    above: Uuid,
    below: Uuid,
    as_of: AsOf,
) -> Result<Option<i32>, StoreError> {
    let level = match as_of {
        None => {
            sqlx::query_scalar!(
                r#"
                select depth::integer as "level!"
                  from member_tree_paths
                 where descendant_id = $2 and ancestor_id = $1 and depth > 0
                "#,
                above,
                below,
            )
            .fetch_optional(conn)
            .await?
        }
        Some(moment) => {
            sqlx::query_scalar!(
                r#"
                select depth as "level!"
                  from upline_as_of($2, $3, $4)
                 where ancestor_id = $1
                "#,
                above,
                below,
                moment,
                i32::from(DEPTH_MAX) + 1,
            )
            .fetch_optional(conn)
            .await?
        }
    };
    Ok(level)
}

/// A member and everybody above, from the member upwards.
pub async fn member_and_upline(
    conn: &mut PgConnection,
    of: Uuid,
    as_of: AsOf,
) -> Result<Vec<Uuid>, StoreError> {
    let above = upline(conn, of, as_of, 0, i64::from(DEPTH_MAX) + 1).await?;
    Ok(std::iter::once(of).chain(above.into_iter().map(|place| place.member_id)).collect())
}

/// How a move at a moment would change who stands above a member on which level.
pub async fn level_changes(
    conn: &mut PgConnection,
    member_id: Uuid,
    new_sponsor_id: Option<Uuid>,
    as_of: AsOf,
) -> Result<Vec<LevelChange>, StoreError> {
    let old = member_and_upline(conn, member_id, as_of).await?;
    let new = match new_sponsor_id {
        Some(sponsor_id) => member_and_upline(conn, sponsor_id, as_of).await?,
        None => Vec::new(),
    };
    Ok(history::level_changes(&old[1..], &new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_spelled_as_pages_spell_it() {
        let place = Place { level: 2, member_id: Uuid::from_u128(7) };
        assert_eq!(place.to_string(), "2.00000000-0000-0000-0000-000000000007");
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["2", "0.00000000-0000-0000-0000-000000000007", "2.7", "x.y", ""] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text:?}");
        }
    }
}
