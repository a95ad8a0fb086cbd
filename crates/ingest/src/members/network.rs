//! Who stands above and below a member, as it is and as it stood:
//! `GET /v1/members/{id}/upline`, `…/downline` and `…/levels`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use domain::network::DEPTH_MAX;
use serde::{Deserialize, Serialize};
use store::PgConnection;
use store::tree::{self, AsOf, Place};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::members::MemberView;
use crate::members::queries::{existing, views};
use crate::parameters::{self, Moment};
use crate::problem::Problem;

/// A member and on which level they stand above or below the one asked about.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlacedView {
    /// 1 is the sponsor, or a direct member.
    level: i32,
    #[serde(flatten)]
    member: MemberView,
}

/// A page of an upline.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UplineQuery {
    /// The `next` of the page before, which is a level; absent: from the sponsor.
    #[param(minimum = 0)]
    after: Option<i32>,
    /// Members of a page, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// The moment that is asked about: RFC 3339; the present when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<String>,
}

/// A page of an upline.
#[derive(Serialize, ToSchema)]
pub(crate) struct UplinePage {
    /// From the sponsor upwards.
    upline: Vec<PlacedView>,
    /// Pass it as `after` for what follows; `null`: nothing does.
    next: Option<i32>,
}

/// Everybody above a member, the sponsor first.
#[utoipa::path(get, path = "/v1/members/{id}/upline", tag = "members",
    operation_id = "member_upline",
    params(("id" = Uuid, Path, description = "The member's id"), UplineQuery),
    responses(
        (status = 200, body = UplinePage),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn upline(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<UplineQuery>, QueryRejection>,
) -> Result<Json<UplinePage>, Problem> {
    let id = parameters::member_id(id)?;
    let query = parameters::query(query)?;
    let as_of = parameters::as_of(query.as_of.as_deref())?;
    let limit = parameters::limit(query.limit)?;
    let after = query.after.unwrap_or(0);
    if after < 0 {
        return Err(Problem::invalid("/after", "after must be the `next` of an earlier page"));
    }
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, id, as_of).await?;
    let mut places = tree::upline(&mut tx, id, as_of, after, limit + 1).await?;
    let next = cut(&mut places, limit).map(|last| last.level);
    let upline = placed(&mut tx, &places, as_of).await?;
    Ok(Json(UplinePage { upline, next }))
}

/// A page of a downline.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DownlineQuery {
    /// How many levels down, 1 to 5000; 1: the direct members; absent: all.
    #[param(minimum = 1, maximum = 5000)]
    levels: Option<i64>,
    /// The `next` of the page before; absent: from the first direct member.
    #[param(pattern = r"^([1-9][0-9]{0,8}\.[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$")]
    after: Option<String>,
    /// Members of a page, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// The moment that is asked about: RFC 3339; the present when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<String>,
}

/// A page of a downline.
#[derive(Serialize, ToSchema)]
pub(crate) struct DownlinePage {
    /// Level by level, on each by id.
    downline: Vec<PlacedView>,
    /// Pass it as `after` for what follows; `null`: nothing does.
    next: Option<String>,
}

/// Everybody below a member, level by level, on each by id.
///
/// Whoever is below from the first page to the last, on the same level, is on exactly one page,
/// however many are enrolled meanwhile.
#[utoipa::path(get, path = "/v1/members/{id}/downline", tag = "members",
    operation_id = "member_downline",
    params(("id" = Uuid, Path, description = "The member's id"), DownlineQuery),
    responses(
        (status = 200, body = DownlinePage),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn downline(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<DownlineQuery>, QueryRejection>,
) -> Result<Json<DownlinePage>, Problem> {
    let id = parameters::member_id(id)?;
    let query = parameters::query(query)?;
    let as_of = parameters::as_of(query.as_of.as_deref())?;
    let limit = parameters::limit(query.limit)?;
    let levels = u16::try_from(query.levels.unwrap_or(DEPTH_MAX.into()));
    let levels = levels.ok().filter(|levels| (1..=DEPTH_MAX).contains(levels));
    let levels = levels
        .ok_or_else(|| Problem::invalid("/levels", format!("levels must be 1 to {DEPTH_MAX}")))?;
    let after = match query.after.as_deref() {
        None | Some("") => None,
        Some(text) => Some(
            text.parse::<Place>()
                .map_err(|error| Problem::invalid("/after", format!("after {error}")))?,
        ),
    };
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, id, as_of).await?;
    let mut places = tree::downline(&mut tx, id, as_of, levels, after, limit + 1).await?;
    let next = cut(&mut places, limit).map(|last| last.to_string());
    let downline = placed(&mut tx, &places, as_of).await?;
    Ok(Json(DownlinePage { downline, next }))
}

/// A member's network by numbers.
#[derive(Serialize, ToSchema)]
pub(crate) struct LevelsView {
    /// Whom the member sponsors themselves.
    direct_members: i64,
    /// Everybody below, on whatever level.
    network_size: i64,
    /// From level 1 down, as far as there is anybody.
    levels: Vec<LevelView>,
}

/// How many stand on a level.
#[derive(Serialize, ToSchema)]
pub(crate) struct LevelView {
    level: i32,
    members: i64,
}

/// How many members stand on each level below a member, counted exactly.
#[utoipa::path(get, path = "/v1/members/{id}/levels", tag = "members",
    operation_id = "member_levels",
    params(("id" = Uuid, Path, description = "The member's id"), Moment),
    responses(
        (status = 200, body = LevelsView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn levels(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    moment: Result<Query<Moment>, QueryRejection>,
) -> Result<Json<LevelsView>, Problem> {
    let id = parameters::member_id(id)?;
    let as_of = parameters::as_of(parameters::query(moment)?.as_of.as_deref())?;
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, id, as_of).await?;
    let counts = tree::level_counts(&mut tx, id, as_of).await?;
    Ok(Json(LevelsView {
        direct_members: counts.first().map_or(0, |direct| direct.members),
        network_size: counts.iter().map(|count| count.members).sum(),
        levels: counts
            .into_iter()
            .map(|count| LevelView { level: count.level, members: count.members })
            .collect(),
    }))
}

async fn placed(
    conn: &mut PgConnection,
    places: &[Place],
    as_of: AsOf,
) -> Result<Vec<PlacedView>, Problem> {
    let ids: Vec<Uuid> = places.iter().map(|place| place.member_id).collect();
    let members = views(conn, &ids, as_of).await?;
    let view = |(place, member): (&Place, MemberView)| PlacedView { level: place.level, member };
    Ok(places.iter().zip(members).map(view).collect())
}

/// Cuts what was read to a page; the page's last place, when more follow.
fn cut(places: &mut Vec<Place>, limit: i64) -> Option<Place> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = places.len() > limit;
    places.truncate(limit);
    places.last().copied().filter(|_| more)
}
