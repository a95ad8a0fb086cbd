//! `PUT` and `GET /v1/members/{id}/reward-split`: how a member shares direct rewards with those whom
//! they sponsor.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use chrono::{DateTime, Utc};
use domain::amount::Percentage;
use domain::history::{Change, What};
use domain::reward_split::{RewardSplit, share_to_self};
use serde::{Deserialize, Serialize};
use store::reward_splits::{self, HeldSplit};
use store::{StoreError, changes, tree};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actions::Audit;
use crate::app::App;
use crate::auth::Caller;
use crate::json::read_object;
use crate::members;
use crate::members::changes::{Motive, refused};
use crate::members::queries::existing;
use crate::parameters::{self, Moment};
use crate::post_events::unreadable;
use crate::problem::Problem;

/// Who gets which share of a direct reward, in percent; together 100.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shares {
    /// What the member keeps.
    #[schema(value_type = String, example = "70.00",
             pattern = r"^(0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]{1,4}0*)?)|-0+(\.0+)?)$")]
    to_self: Percentage,
    /// What goes to the seller whom the member sponsors.
    #[schema(value_type = String, example = "30.00",
             pattern = r"^(0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]{1,4}0*)?)|-0+(\.0+)?)$")]
    to_referral: Percentage,
}

/// How a member shares from a moment on. What is absent stays as it is at that moment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitRequest {
    /// The shares of money.
    monetary: Option<Shares>,
    /// The shares of career points.
    career_points: Option<Shares>,
    /// From when on: RFC 3339, after every settled sale; from now on when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<String>,
    /// Why. Stays on record.
    #[schema(value_type = String, required, example = "as the member asked", max_length = 200)]
    reason: Option<String>,
    /// The person that the key acts for.
    #[schema(example = "petra@example.com", max_length = 200)]
    on_behalf_of: Option<String>,
}

/// How a member shares at a moment.
#[derive(Serialize, ToSchema)]
pub(crate) struct SplitView {
    member_id: Uuid,
    /// The shares of money.
    monetary: Shares,
    /// The shares of career points.
    career_points: Shares,
    /// Since when; `null`: nothing was shared before, either.
    since: Option<DateTime<Utc>>,
    /// The moment asked about, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<DateTime<Utc>>,
}

/// How the member shares now, and from when until when the change holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedSplitView {
    #[serde(flatten)]
    now: SplitView,
    /// From when on the change holds.
    effective_at: DateTime<Utc>,
    /// When a later change that was recorded before takes over; `null`: the change is the present
    /// one.
    holds_until: Option<DateTime<Utc>>,
}

/// A change whose every field is checked but those that need the database.
struct CheckedSplit {
    change: Change,
    motive: Motive,
    /// What of it a refusal points to.
    subject: &'static str,
}

/// Changes how a member shares direct rewards, from now or from an earlier moment on.
///
/// Sales are paid by the split of their own moment, whenever they are settled; so a moment at or
/// before that of a settled sale is refused. The change holds until the member's next recorded one.
/// Moves do not touch it. A refused attempt stays on record.
#[utoipa::path(put, path = "/v1/members/{id}/reward-split", tag = "members",
    operation_id = "change_reward_split", request_body = SplitRequest,
    params(("id" = Uuid, Path, description = "The member's id")),
    responses(
        (status = 200, description = "Changed", body = ChangedSplitView),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks members:write", body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 409, description = "It is so already, or what is settled or recorded forbids \
                                      that moment; the attempt is on record", body = Problem),
        (status = 413, description = "The body is larger than 2 MiB", body = Problem),
        (status = 422, description = "A field is not valid", body = Problem),
        (status = 503, description = "PostgreSQL is away, a lock was held too long, or too many \
                                      changes are waiting: nothing was changed, unless the \
                                      detail says that it is not known", body = Problem)),
    security(("key" = ["members:write"])))]
pub(crate) async fn put(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(audit): Extension<Audit>,
    id: Result<Path<Uuid>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ChangedSplitView>, Problem> {
    let member_id = parameters::member_id(id)?;
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let request: SplitRequest = read_object(&body)?;
    audit.on_behalf_of(request.on_behalf_of.as_deref());
    let wanted = request.check(member_id)?;
    let turn = app.turns.to_change().await?;
    Ok(Json(turn.spend(async move { change(&app, wanted, &caller, &audit).await }).await?))
}

/// How a member shares direct rewards.
///
/// Who never said anything keeps everything, from the beginning of time.
#[utoipa::path(get, path = "/v1/members/{id}/reward-split", tag = "members",
    operation_id = "get_reward_split",
    params(("id" = Uuid, Path, description = "The member's id"), Moment),
    responses(
        (status = 200, body = SplitView),
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
) -> Result<Json<SplitView>, Problem> {
    let id = parameters::member_id(id)?;
    let as_of = parameters::as_of(parameters::query(moment)?.as_of.as_deref())?;
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, id, as_of).await?;
    let held = reward_splits::held(&mut tx, id, as_of).await?;
    Ok(Json(SplitView { as_of, ..SplitView::new(id, held) }))
}

impl SplitRequest {
    fn check(self, member_id: Uuid) -> Result<CheckedSplit, Problem> {
        let subject = match (&self.monetary, &self.career_points) {
            (Some(_), _) => "/monetary",
            (None, Some(_)) => "/career_points",
            (None, None) => {
                let detail = "say the shares of monetary, of career_points or of both";
                return Err(Problem::invalid("", detail));
            }
        };
        let money_to_self = to_self("/monetary", self.monetary)?;
        let points_to_self = to_self("/career_points", self.career_points)?;
        let effective_at = members::moment("effective_at", self.effective_at.as_deref())?;
        let motive = Motive::check(self.reason, self.on_behalf_of)?;
        let what = What::Split { money_to_self, points_to_self };
        Ok(CheckedSplit { change: Change { member_id, effective_at, what }, motive, subject })
    }
}

fn to_self(pointer: &str, shares: Option<Shares>) -> Result<Option<Percentage>, Problem> {
    let share = shares.map(|shares| share_to_self(shares.to_self, shares.to_referral));
    share.transpose().map_err(|error| Problem::invalid(pointer, error))
}

async fn change(
    app: &App,
    wanted: CheckedSplit,
    caller: &Caller,
    audit: &Audit,
) -> Result<ChangedSplitView, Problem> {
    let CheckedSplit { change, motive, subject } = wanted;
    let member_id = change.member_id;
    let actor = format!("key:{}", caller.key_id);
    let order = motive.order(std::slice::from_ref(&change), &actor);
    let mut tx = app.pool.begin().await.map_err(StoreError::from)?;
    let made = changes::apply(&mut tx, &order).await?;
    let held = reward_splits::held(&mut tx, member_id, None).await?;
    motive.commit(tx, audit, made.as_ref().err()).await?;
    let applied = made.map_err(|refusals| refused(&refusals, member_id, subject))?;
    let planned = applied.splits.first();
    let planned =
        planned.ok_or_else(|| StoreError::Damaged("a split without a member".to_owned()))?;
    Ok(ChangedSplitView {
        now: SplitView::new(member_id, held),
        effective_at: planned.effective_at.unwrap_or(applied.now),
        holds_until: planned.holds_until,
    })
}

impl SplitView {
    fn new(member_id: Uuid, HeldSplit { split, since }: HeldSplit) -> Self {
        let RewardSplit { money_to_self, points_to_self } = split;
        let shares = |to_self: Percentage| Shares { to_self, to_referral: to_self.rest() };
        Self {
            member_id,
            monetary: shares(money_to_self),
            career_points: shares(points_to_self),
            since,
            as_of: None,
        }
    }
}
