//! `GET /v1/members/{id}/history`: what was done to a member, by whom and why.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use domain::amount::Percentage;
use domain::ladder::Ladder;
use serde::{Deserialize, Serialize};
use store::changes::{self, RecordedChange};
use store::programme;
use store::tree;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::members::queries::existing;
use crate::parameters;
use crate::problem::Problem;

/// Everything that is recorded of a member.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryView {
    member_id: Uuid,
    /// The enrolment, then every change asked for, in the order of recording.
    history: Vec<RecordedView>,
    /// Pass it as `after` for what follows; `null`: there is no more.
    next: Option<i64>,
}

/// Which part of a history.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// The `next` of the page before; absent: from the beginning.
    after: Option<i64>,
    /// Changes of a page, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// The enrolment, or one change that somebody asked for. What the change is not about is `null`.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordedView {
    recorded_at: DateTime<Utc>,
    /// From when on it holds; `null`: from the beginning of time, or refused before that was
    /// decided.
    effective_at: Option<DateTime<Utc>>,
    /// `ENROLMENT`, `MOVE`, `STATE` or `SPLIT`.
    #[schema(example = "MOVE")]
    kind: String,
    /// Why it was refused; `null`: it was made.
    #[schema(example = "own_descendant")]
    refusal: Option<String>,
    old_sponsor_id: Option<Uuid>,
    new_sponsor_id: Option<Uuid>,
    #[schema(example = "ACTIVE")]
    old_status: Option<String>,
    #[schema(example = "SUSPENDED")]
    new_status: Option<String>,
    #[schema(example = "MEMBER")]
    old_rank: Option<String>,
    #[schema(example = "SILVER")]
    new_rank: Option<String>,
    /// Share of the money of direct rewards that the member kept.
    #[schema(value_type = Option<String>, example = "100.00")]
    old_money_to_self: Option<Percentage>,
    #[schema(value_type = Option<String>, example = "70.00")]
    new_money_to_self: Option<Percentage>,
    /// The same of career points.
    #[schema(value_type = Option<String>, example = "100.00")]
    old_points_to_self: Option<Percentage>,
    #[schema(value_type = Option<String>, example = "50.00")]
    new_points_to_self: Option<Percentage>,
    /// Of a move: the member and everybody below, when it was recorded.
    subtree_size: Option<i32>,
    /// Who did it: an API key (`key:…`) or a database login (`role:…`).
    #[schema(example = "key:9f2c41d07a3b")]
    actor: String,
    /// The person that it was done for.
    on_behalf_of: Option<String>,
    reason: String,
}

/// Everything that is recorded of a member, refused attempts too.
#[utoipa::path(get, path = "/v1/members/{id}/history", tag = "members",
    operation_id = "member_history",
    params(("id" = Uuid, Path, description = "The member's id"), HistoryQuery),
    responses(
        (status = 200, body = HistoryView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn get(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<HistoryView>, Problem> {
    let member_id = parameters::member_id(id)?;
    let HistoryQuery { after, limit } = parameters::query(query)?;
    let limit = parameters::limit(limit)?;
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, member_id, None).await?;
    let ladder = programme::ladder(&mut tx).await?;
    // One more than the page, to know whether there is one.
    let mut recorded =
        changes::recorded_changes(&mut tx, member_id, after.unwrap_or(-1), limit + 1).await?;
    let page = usize::try_from(limit).unwrap_or(0);
    let has_more = recorded.len() > page;
    recorded.truncate(page);
    let next = recorded.last().map(|change| change.position).filter(|_| has_more);
    let history = recorded.into_iter().map(|change| RecordedView::new(change, &ladder)).collect();
    Ok(Json(HistoryView { member_id, history, next }))
}

impl RecordedView {
    fn new(change: RecordedChange, ladder: &Ladder) -> Self {
        Self {
            recorded_at: change.recorded_at,
            effective_at: change.effective_at,
            kind: change.kind,
            refusal: change.refusal,
            old_sponsor_id: change.sponsors.0,
            new_sponsor_id: change.sponsors.1,
            old_status: change.statuses.0,
            new_status: change.statuses.1,
            old_rank: change.ranks.0.map(|rank| ladder.name(rank)),
            new_rank: change.ranks.1.map(|rank| ladder.name(rank)),
            old_money_to_self: change.money_to_self.0,
            new_money_to_self: change.money_to_self.1,
            old_points_to_self: change.points_to_self.0,
            new_points_to_self: change.points_to_self.1,
            subtree_size: change.subtree_size,
            actor: change.actor,
            on_behalf_of: change.on_behalf_of,
            reason: change.reason,
        }
    }
}
