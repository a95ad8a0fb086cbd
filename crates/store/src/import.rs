//! Importing members by the thousand: everything or nothing, in one transaction, by COPY.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::network::Arrangement;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::copy::{Rows, copy_in_streaming};
use crate::locks::{self, Lock};

/// The uplines of members enrolled before, each with themselves first.
pub type Uplines = HashMap<Uuid, Vec<Uuid>>;

/// A member of an import.
#[derive(Clone, Debug)]
pub struct ImportedMember {
    /// The id.
    pub id: Uuid,
    /// Who sponsors them: of the same import, or enrolled before.
    pub sponsor_id: Option<Uuid>,
    /// What the company calls the member.
    pub external_id: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// From the beginning of time.
    pub status: MemberStatus,
    /// From the beginning of time.
    pub rank: Rank,
    /// When they joined; `None`: now.
    pub joined_at: Option<DateTime<Utc>>,
}

/// Which of these ids and external ids are taken already.
pub async fn taken(
    conn: &mut PgConnection,
    ids: &[Uuid],
    external_ids: &[String],
) -> Result<(Vec<Uuid>, Vec<String>), StoreError> {
    let taken_ids = sqlx::query_scalar!("select id from members where id = any($1)", ids)
        .fetch_all(&mut *conn)
        .await?;
    let taken_external_ids = sqlx::query_scalar!(
        r#"select external_id as "external_id!" from members where external_id = any($1)"#,
        external_ids
    )
    .fetch_all(conn)
    .await?;
    Ok((taken_ids, taken_external_ids))
}

/// Shares the `tree` lock: what is checked from now on stays true until the transaction ends.
pub async fn begin(conn: &mut PgConnection) -> Result<(), StoreError> {
    locks::share(conn, Lock::Tree).await
}

/// The uplines of members that are enrolled already, each with themselves first.
pub async fn enrolled_uplines(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Uplines, StoreError> {
    let rows = sqlx::query!(
        "select descendant_id, ancestor_id from member_tree_paths
          where descendant_id = any($1) order by descendant_id, depth",
        ids
    )
    .fetch_all(conn)
    .await?;
    let mut uplines: Uplines = HashMap::new();
    for row in rows {
        uplines.entry(row.descendant_id).or_default().push(row.ancestor_id);
    }
    Ok(uplines)
}

/// Writes members, their history and the closure rows. `progress` hears how many rows of all
/// tables together are written.
///
/// Rows are sent in the order of member ids, so that every index but one grows at its end. Into an
/// empty closure table they are written without indexes, which are built afterwards: until the
/// transaction ends, settlement and enrolment wait, but there is nobody to settle for either.
pub async fn write(
    conn: &mut PgConnection,
    members: &[ImportedMember],
    arrangement: &Arrangement,
    uplines_above: &Uplines,
    actor: &str,
    mut progress: impl FnMut(u64),
) -> Result<(), StoreError> {
    let now = crate::events::clock(conn).await?;
    let mut by_id: Vec<usize> = (0..members.len()).collect();
    by_id.sort_unstable_by_key(|place| members[*place].id);

    let mut turn = by_id.iter();
    copy_in_streaming(conn, COPY_MEMBERS, Rows::default(), |rows| {
        let Some(member) = turn.next().map(|place| &members[*place]) else { return false };
        progress(1);
        rows.begin(7)
            .uuid(member.id)
            .text_or_null(member.external_id.as_deref())
            .text_or_null(member.name.as_deref())
            .uuid_or_null(member.sponsor_id)
            .text(member.status.name())
            .smallint(i16::from(member.rank.0))
            .instant(member.joined_at.unwrap_or(now));
        true
    })
    .await?;

    let mut turn = by_id.iter();
    copy_in_streaming(conn, COPY_SPONSORS, Rows::default(), |rows| {
        let Some(member) = turn.next().map(|place| &members[*place]) else { return false };
        progress(1);
        rows.begin(5)
            .uuid(member.id)
            .beginning_of_time()
            .uuid_or_null(member.sponsor_id)
            .text(actor)
            .text("import");
        true
    })
    .await?;

    let mut turn = by_id.iter();
    copy_in_streaming(conn, COPY_STATES, Rows::default(), |rows| {
        let Some(member) = turn.next().map(|place| &members[*place]) else { return false };
        progress(1);
        rows.begin(6)
            .uuid(member.id)
            .beginning_of_time()
            .text(member.status.name())
            .smallint(i16::from(member.rank.0))
            .text(actor)
            .text("import");
        true
    })
    .await?;

    let closure_is_empty = sqlx::query_scalar!(r#"select begin_closure_load() as "empty!""#)
        .fetch_one(&mut *conn)
        .await?;
    let mut turn = by_id.iter();
    copy_in_streaming(conn, COPY_PATHS, Rows::default(), |rows| {
        let Some(place) = turn.next() else { return false };
        let descendant = members[*place].id;
        for (depth, ancestor) in (0..).zip(upline(*place, members, arrangement, uplines_above)) {
            rows.begin(3).uuid(ancestor).uuid(descendant).smallint(depth);
        }
        progress(1);
        true
    })
    .await?;
    if closure_is_empty {
        sqlx::query!("select end_closure_load()").execute(conn).await?;
    }
    Ok(())
}

/// The member and everybody above: through the import first, then through those enrolled before.
fn upline<'a>(
    place: usize,
    members: &'a [ImportedMember],
    arrangement: &'a Arrangement,
    uplines_above: &'a Uplines,
) -> impl Iterator<Item = Uuid> + 'a {
    let mut top = place;
    let within = std::iter::successors(Some(place), |at| arrangement.sponsor_places[*at]);
    while let Some(sponsor) = arrangement.sponsor_places[top] {
        top = sponsor;
    }
    let above = members[top].sponsor_id.and_then(|sponsor| uplines_above.get(&sponsor));
    within.map(|at| members[at].id).chain(above.into_iter().flatten().copied())
}

const COPY_MEMBERS: &str = "copy members (id, external_id, name, sponsor_id, status, rank, \
    joined_at) from stdin (format binary)";
const COPY_SPONSORS: &str = "copy member_sponsors (member_id, effective_at, sponsor_id, actor, \
    reason) from stdin (format binary)";
const COPY_STATES: &str = "copy member_states (member_id, effective_at, status, rank, actor, \
    reason) from stdin (format binary)";
const COPY_PATHS: &str = "copy member_tree_paths (ancestor_id, descendant_id, depth) \
    from stdin (format binary)";
