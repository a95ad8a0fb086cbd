//! How two members stand to one another: `GET /v1/members/{id}/path` and `…/above/{other}`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use domain::network::path_between;
use serde::{Deserialize, Serialize};
use store::tree;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::members::MemberView;
use crate::members::queries::{existing, views};
use crate::parameters::{self, Moment};
use crate::problem::Problem;

/// Where a path leads.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PathQuery {
    /// The id of the member that it leads to.
    #[param(value_type = Uuid, required)]
    to: Option<Uuid>,
    /// The moment that is asked about: RFC 3339; the present when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<String>,
}

/// The way between two members: up to whom both have above them (or are), and down again.
#[derive(Serialize, ToSchema)]
pub(crate) struct PathView {
    from: Uuid,
    to: Uuid,
    /// Whether they stand in the same tree.
    connected: bool,
    /// Levels from the first member up to the turning point; `null` when not connected.
    levels_up: Option<usize>,
    /// Levels from the turning point down to the second member; `null` when not connected.
    levels_down: Option<usize>,
    /// From the first member to the second, both included.
    path: Vec<MemberView>,
}

/// The way from one member to another through the tree.
#[utoipa::path(get, path = "/v1/members/{id}/path", tag = "members",
    operation_id = "member_path",
    params(("id" = Uuid, Path, description = "The id of the member where it begins"), PathQuery),
    responses(
        (status = 200, body = PathView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "One of the two is no member", body = Problem),
        (status = 422, description = "An id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn path(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<PathQuery>, QueryRejection>,
) -> Result<Json<PathView>, Problem> {
    let from = parameters::member_id(id)?;
    let query = parameters::query(query)?;
    let as_of = parameters::as_of(query.as_of.as_deref())?;
    let to = query.to.ok_or_else(|| Problem::invalid("/to", "say the id that it leads to"))?;
    let mut tx = tree::begin(&app.pool).await?;
    for id in [from, to] {
        existing(&mut tx, id, as_of).await?;
    }
    let uplines = (
        tree::member_and_upline(&mut tx, from, as_of).await?,
        tree::member_and_upline(&mut tx, to, as_of).await?,
    );
    let Some(between) = path_between(&uplines.0, &uplines.1) else {
        let (levels_up, levels_down) = (None, None);
        let path = Vec::new();
        return Ok(Json(PathView { from, to, connected: false, levels_up, levels_down, path }));
    };
    Ok(Json(PathView {
        from,
        to,
        connected: true,
        levels_up: Some(between.turning_point),
        levels_down: Some(between.members.len() - 1 - between.turning_point),
        path: views(&mut tx, &between.members, as_of).await?,
    }))
}

/// Whether one member stands above another.
#[derive(Serialize, ToSchema)]
pub(crate) struct AboveView {
    is_above: bool,
    /// How many levels; 1: the sponsor; `null`: not above.
    levels: Option<i32>,
}

/// Whether one member stands above another. Nobody stands above themselves.
#[utoipa::path(get, path = "/v1/members/{id}/above/{other}", tag = "members",
    operation_id = "member_above",
    params(
        ("id" = Uuid, Path, description = "The id of the member who may stand above"),
        ("other" = Uuid, Path, description = "The id of the member who may stand below"),
        Moment),
    responses(
        (status = 200, body = AboveView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "One of the two is no member", body = Problem),
        (status = 422, description = "An id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn above(
    State(app): State<App>,
    ids: Result<Path<(String, String)>, PathRejection>,
    moment: Result<Query<Moment>, QueryRejection>,
) -> Result<Json<AboveView>, Problem> {
    let Path((id, other)) = ids.map_err(|error| Problem::invalid("", error.body_text()))?;
    let id = member_id("/id", &id)?;
    let other = member_id("/other", &other)?;
    let as_of = parameters::as_of(parameters::query(moment)?.as_of.as_deref())?;
    let mut tx = tree::begin(&app.pool).await?;
    for id in [id, other] {
        existing(&mut tx, id, as_of).await?;
    }
    let levels = tree::levels_above(&mut tx, id, other, as_of).await?;
    Ok(Json(AboveView { is_above: levels.is_some(), levels }))
}

fn member_id(pointer: &str, text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::invalid(pointer, "the member id must be a UUID"))
}
