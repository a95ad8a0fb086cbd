//! Reading one member, as they are and as they were: `GET /v1/members…`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::enrolment::Member;
use store::tree::{self, AsOf};
use store::{PgConnection, StoreError, programme};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::members::{self, MemberView};
use crate::parameters::{self, Moment, unknown_member};
use crate::problem::Problem;

/// A member as of a moment.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberAsOf {
    #[serde(flatten)]
    member: MemberView,
    /// The moment asked about, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<DateTime<Utc>>,
}

/// How the company names a member.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Named {
    /// What the company calls the member.
    #[param(value_type = String, required, min_length = 1, max_length = 200,
            pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    external_id: Option<String>,
    /// The moment that is asked about: RFC 3339; the present when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<String>,
}

/// One member.
///
/// First sponsor, status and rank hold from the beginning of time, before the member joined too.
#[utoipa::path(get, path = "/v1/members/{id}", tag = "members",
    operation_id = "get_member",
    params(("id" = Uuid, Path, description = "The member's id"), Moment),
    responses(
        (status = 200, body = MemberAsOf),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn get(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    moment: Result<Query<Moment>, QueryRejection>,
) -> Result<Json<MemberAsOf>, Problem> {
    let id = parameters::member_id(id)?;
    let as_of = parameters::as_of(parameters::query(moment)?.as_of.as_deref())?;
    let mut tx = tree::begin(&app.pool).await?;
    let member = existing(&mut tx, id, as_of).await?;
    let ladder = programme::ladder(&mut tx).await?;
    Ok(Json(MemberAsOf { member: MemberView::new(member, &ladder), as_of }))
}

/// The same by the company's own id.
#[utoipa::path(get, path = "/v1/members", tag = "members",
    operation_id = "find_member",
    params(Named),
    responses(
        (status = 200, body = MemberAsOf),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "A parameter is missing or not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn find(
    State(app): State<App>,
    named: Result<Query<Named>, QueryRejection>,
) -> Result<Json<MemberAsOf>, Problem> {
    let named = parameters::query(named)?;
    let as_of = parameters::as_of(named.as_of.as_deref())?;
    let external_id = named.external_id.ok_or_else(|| {
        Problem::invalid("/external_id", "say the external_id; members are listed by downline")
    })?;
    // PostgreSQL does not take a NUL.
    members::check_text("external_id", &external_id)?;
    let mut tx = tree::begin(&app.pool).await?;
    let nobody = || Problem::not_found(format!("no member has the external_id {external_id}"));
    let id = tree::of_external_id(&mut tx, &external_id).await?.ok_or_else(nobody)?;
    let member = existing(&mut tx, id, as_of).await?;
    let ladder = programme::ladder(&mut tx).await?;
    Ok(Json(MemberAsOf { member: MemberView::new(member, &ladder), as_of }))
}

/// The member as they were, if somebody has the id.
pub(crate) async fn existing(
    conn: &mut PgConnection,
    id: Uuid,
    as_of: AsOf,
) -> Result<Member, Problem> {
    tree::members(conn, &[id], as_of).await?.pop().ok_or_else(|| unknown_member(id))
}

/// The members of the ids as they were, in that order.
pub(crate) async fn views(
    conn: &mut PgConnection,
    ids: &[Uuid],
    as_of: AsOf,
) -> Result<Vec<MemberView>, Problem> {
    let ladder = programme::ladder(conn).await?;
    let members = tree::members(conn, ids, as_of).await?;
    if members.len() != ids.len() {
        let damage = "somebody stands in the tree who is not enrolled".to_owned();
        return Err(StoreError::Damaged(damage).into());
    }
    Ok(members.into_iter().map(|member| MemberView::new(member, &ladder)).collect())
}
