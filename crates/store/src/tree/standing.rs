//! Who members are: by their ids, as they are and as they were.

use domain::ladder::Rank;
use domain::member::MemberStatus;
use sqlx::PgConnection;
use uuid::Uuid;

use super::AsOf;
use crate::StoreError;
use crate::enrolment::Member;

/// The member of an id, else of an external id.
pub async fn resolve(conn: &mut PgConnection, name: &str) -> Result<Option<Uuid>, StoreError> {
    if let Ok(id) = Uuid::try_parse(name) {
        let found = sqlx::query_scalar!("select id from members where id = $1", id);
        if let Some(id) = found.fetch_optional(&mut *conn).await? {
            return Ok(Some(id));
        }
    }
    of_external_id(conn, name).await
}

/// The member of an external id.
pub async fn of_external_id(
    conn: &mut PgConnection,
    external_id: &str,
) -> Result<Option<Uuid>, StoreError> {
    let found = sqlx::query_scalar!("select id from members where external_id = $1", external_id);
    Ok(found.fetch_optional(conn).await?)
}

/// Members as they were, in the order of the ids; unknown ones are left out.
pub async fn members(
    conn: &mut PgConnection,
    ids: &[Uuid],
    as_of: AsOf,
) -> Result<Vec<Member>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select m.id, m.external_id, m.name, m.joined_at,
               case when $2::timestamptz is null then m.sponsor_id else sponsor.sponsor_id end
                 as "sponsor_id?",
               coalesce(state.status, m.status)::text as "status!",
               coalesce(state.rank, m.rank) as "rank!"
          from unnest($1::uuid[]) with ordinality as wanted (id, turn)
         cross join lateral (select * from members where id = wanted.id offset 0) m
          left join lateral (
               select sponsor_id from member_sponsors
                where member_id = m.id and effective_at <= $2
                order by effective_at desc limit 1) sponsor on true
          left join lateral (
               select status, rank from member_states
                where member_id = m.id and effective_at <= $2
                order by effective_at desc limit 1) state on true
         order by wanted.turn
        "#,
        ids,
        as_of,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Member {
                id: row.id,
                external_id: row.external_id,
                name: row.name,
                sponsor_id: row.sponsor_id,
                status: row.status.parse::<MemberStatus>().map_err(StoreError::damaged)?,
                rank: Rank(u8::try_from(row.rank).map_err(StoreError::damaged)?),
                joined_at: row.joined_at,
            })
        })
        .collect()
}
