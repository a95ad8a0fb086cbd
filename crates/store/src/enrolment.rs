//! Enrolling one member, and reading members.

use chrono::{DateTime, Utc};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::network::DEPTH_MAX;
use sqlx::PgConnection;
use thiserror::Error;
use uuid::Uuid;

use crate::locks::{self, Lock};
use crate::{StoreError, failures};

/// A member to be enrolled.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// The id.
    pub id: Uuid,
    /// What the company calls the member.
    pub external_id: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Who sponsors them; `None`: the top of a tree.
    pub sponsor_id: Option<Uuid>,
    /// From the beginning of time.
    pub status: MemberStatus,
    /// From the beginning of time.
    pub rank: Rank,
    /// `None`: now, by PostgreSQL's clock.
    pub joined_at: Option<DateTime<Utc>>,
}

/// A member as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id.
    pub id: Uuid,
    /// What the company calls the member.
    pub external_id: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Who sponsors them now.
    pub sponsor_id: Option<Uuid>,
    /// The status now.
    pub status: MemberStatus,
    /// The rank now.
    pub rank: Rank,
    /// When they joined.
    pub joined_at: DateTime<Utc>,
}

/// Why a member cannot be enrolled.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// Somebody has this id.
    #[error("a member with this id is enrolled already")]
    IdTaken,
    /// Somebody has this external id.
    #[error("a member with this external_id is enrolled already")]
    ExternalIdTaken,
    /// Nobody has the sponsor's id.
    #[error("no member has this id; enrol the sponsor first")]
    UnknownSponsor,
    /// The tree has a bottom.
    #[error("the sponsor stands {DEPTH_MAX} levels deep already, which is the limit")]
    TooDeep,
    /// PostgreSQL failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Enrols a member in the caller's transaction and revives the sales that waited for them; returns
/// those sales' ids. Shares the `tree` lock, so that enrolments do not wait for one another.
pub async fn enrol(
    conn: &mut PgConnection,
    member: &NewMember,
    actor: &str,
) -> Result<Vec<Uuid>, EnrolError> {
    locks::share(conn, Lock::Tree).await?;
    let inserted = sqlx::query!(
        r#"
        insert into members (id, external_id, name, sponsor_id, status, rank, joined_at)
        values ($1, $2, $3, $4, ($5::text)::member_status, $6, coalesce($7, now()))
        "#,
        member.id,
        member.external_id,
        member.name,
        member.sponsor_id,
        member.status.name(),
        i16::from(member.rank.0),
        member.joined_at,
    )
    .execute(&mut *conn)
    .await;
    if let Err(error) = inserted.map_err(StoreError::from) {
        return Err(match error.constraint() {
            Some("members_pkey") => EnrolError::IdTaken,
            Some("members_external_id_key") => EnrolError::ExternalIdTaken,
            _ => error.into(),
        });
    }
    let depth = sqlx::query_scalar!(
        r#"
        with path as (
          insert into member_tree_paths (ancestor_id, descendant_id, depth)
          select $1::uuid, $1::uuid, 0::smallint
          union all
          select ancestor_id, $1, (depth + 1)::smallint
            from member_tree_paths
           where descendant_id = $2
          returning depth)
        select max(depth) as "depth!" from path
        "#,
        member.id,
        member.sponsor_id,
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::from)?;
    if member.sponsor_id.is_some() && depth == 0 {
        return Err(EnrolError::UnknownSponsor);
    }
    if i32::from(depth) > i32::from(DEPTH_MAX) {
        return Err(EnrolError::TooDeep);
    }
    sqlx::query!(
        r#"
        with sponsor as (
          insert into member_sponsors (member_id, effective_at, sponsor_id, actor, reason)
          values ($1, '-infinity', $2, $5, 'enrolment'))
        insert into member_states (member_id, effective_at, status, rank, actor, reason)
        values ($1, '-infinity', ($3::text)::member_status, $4, $5, 'enrolment')
        "#,
        member.id,
        member.sponsor_id,
        member.status.name(),
        i16::from(member.rank.0),
        actor,
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::from)?;
    let external_ids: Vec<String> = member.external_id.iter().cloned().collect();
    Ok(failures::revive_awaiting(conn, &[member.id], &external_ids).await?)
}

/// How many members there are.
pub async fn count(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "count!" from members"#).fetch_one(conn).await?)
}
