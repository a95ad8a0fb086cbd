//! Closure rows that look wrong, compared with what following sponsors gives.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// What is wrong with one suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing: the rows of a member above are wrong.
    Cleared,
    /// Following sponsors leads round in a circle of these members.
    Circle(Vec<Uuid>),
    /// The sponsor of somebody on the way up does not exist.
    SponsorMissing {
        /// Whose sponsor.
        member_id: Uuid,
        /// The id that nobody has.
        sponsor_id: Uuid,
    },
    /// The closure rows are not what following sponsors gives: (ancestor, depth).
    Rows {
        /// Rows that should be there.
        missing: Vec<(Uuid, i32)>,
        /// Rows that should not, or not twice.
        surplus: Vec<(Uuid, i32)>,
    },
}

/// Follows each suspect's sponsors to the top and compares every row. One round trip for every
/// level above the deepest of them, and one for their rows.
pub async fn examine(
    conn: &mut PgConnection,
    suspects: &[Uuid],
) -> Result<Vec<(Uuid, Suspicion)>, StoreError> {
    let sponsors = sponsors_above(conn, suspects).await?;
    let rows = sqlx::query!(
        "select descendant_id, ancestor_id, depth from member_tree_paths
          where descendant_id = any($1)",
        suspects
    )
    .fetch_all(conn)
    .await?;
    let mut stored: HashMap<Uuid, Vec<(Uuid, i32)>> = HashMap::new();
    for row in rows {
        let own = stored.entry(row.descendant_id).or_default();
        own.push((row.ancestor_id, i32::from(row.depth)));
    }
    let judged = suspects.iter().map(|id| {
        let own = stored.remove(id).unwrap_or_default();
        (*id, judge(*id, &sponsors, own))
    });
    Ok(judged.collect())
}

/// The sponsors of these members and of everybody above them; ids that nobody has are left out.
async fn sponsors_above(
    conn: &mut PgConnection,
    members: &[Uuid],
) -> Result<HashMap<Uuid, Option<Uuid>>, StoreError> {
    let mut sponsors = HashMap::new();
    let mut wanted: Vec<Uuid> = members.to_vec();
    while !wanted.is_empty() {
        let rows =
            sqlx::query!("select id, sponsor_id from members where id = any($1)", &wanted[..])
                .fetch_all(&mut *conn)
                .await?;
        let above: BTreeSet<Uuid> = rows.iter().filter_map(|row| row.sponsor_id).collect();
        sponsors.extend(rows.into_iter().map(|row| (row.id, row.sponsor_id)));
        wanted = above.into_iter().filter(|id| !sponsors.contains_key(id)).collect();
    }
    Ok(sponsors)
}

fn judge(
    member_id: Uuid,
    sponsors: &HashMap<Uuid, Option<Uuid>>,
    stored: Vec<(Uuid, i32)>,
) -> Suspicion {
    let mut path = vec![member_id];
    let mut below = member_id;
    while let Some(sponsor_id) = sponsors.get(&below).copied().flatten() {
        if let Some(place) = path.iter().position(|id| *id == sponsor_id) {
            return Suspicion::Circle(path.split_off(place));
        }
        if !sponsors.contains_key(&sponsor_id) {
            return Suspicion::SponsorMissing { member_id: below, sponsor_id };
        }
        path.push(sponsor_id);
        below = sponsor_id;
    }
    let mut missing: BTreeSet<(Uuid, i32)> = path.into_iter().zip(0..).collect();
    // What is implied is taken once, so that a row that stands there twice is one too many.
    let mut surplus: Vec<_> = stored.into_iter().filter(|row| !missing.remove(row)).collect();
    if missing.is_empty() && surplus.is_empty() {
        return Suspicion::Cleared;
    }
    surplus.sort_unstable();
    Suspicion::Rows { missing: missing.into_iter().collect(), surplus }
}

/// How many closure rows there are in all. More than the members have belong to nobody.
pub async fn closure_rows(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from member_tree_paths"#);
    Ok(count.fetch_one(conn).await?)
}

/// Ids that have closure rows although no member has them, at most `limit`.
pub async fn closure_without_members(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select distinct p.descendant_id from member_tree_paths p
          where not exists (select from members m where m.id = p.descendant_id)
          limit $1",
        limit
    );
    Ok(ids.fetch_all(conn).await?)
}
