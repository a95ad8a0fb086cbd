//! `POST /v1/members/{id}/move`: another sponsor from a moment on, with the whole downline.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Extension, Path, State};
use chrono::{DateTime, Utc};
use domain::history::{Change, LevelChange, What};
use serde::{Deserialize, Deserializer, Serialize};
use store::changes::{self, Applied};
use store::{StoreError, tree};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actions::Audit;
use crate::app::App;
use crate::auth::Caller;
use crate::json::read_object;
use crate::members;
use crate::members::changes::{Motive, refused};
use crate::parameters;
use crate::post_events::unreadable;
use crate::problem::Problem;

/// Where the field is that a move is about.
const NEW_SPONSOR: &str = "/new_sponsor_id";

/// A move of a member with everybody below.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRequest {
    /// Who sponsors the member from then on; `null`: nobody, the member becomes the top of a tree
    /// of their own.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>, required)]
    new_sponsor_id: NewSponsor,
    /// From when on: RFC 3339, after every settled sale; from now on when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<String>,
    /// Why. Stays on record.
    #[schema(value_type = String, required, example = "enrolled under the wrong person",
             max_length = 200)]
    reason: Option<String>,
    /// The person that the key acts for.
    #[schema(example = "petra@example.com", max_length = 200)]
    on_behalf_of: Option<String>,
    /// Whether to say only what would happen. Nothing is changed and nothing recorded.
    #[serde(default)]
    dry_run: bool,
}

/// The new sponsor as the body says it: `null` is an answer, leaving it out is none.
#[derive(Clone, Copy, Debug, Default)]
enum NewSponsor {
    #[default]
    Absent,
    Given(Option<Uuid>),
}

impl<'de> Deserialize<'de> for NewSponsor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Given)
    }
}

/// A move that was made, or would be.
#[derive(Serialize, ToSchema)]
pub(crate) struct MoveView {
    member_id: Uuid,
    /// Who sponsored the member until then.
    old_sponsor_id: Option<Uuid>,
    /// Who sponsors the member from then on.
    new_sponsor_id: Option<Uuid>,
    /// From when on the move holds.
    effective_at: DateTime<Utc>,
    /// When a later move that was recorded before takes over; `null`: the move is the present one.
    holds_until: Option<DateTime<Utc>>,
    /// The member and everybody below, at present.
    subtree_size: i64,
    dry_run: bool,
    /// Of a dry run: who stands above the member before or after, as of the move's moment; first
    /// the new upline from the sponsor upwards, then who would be above no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    level_changes: Option<Vec<LevelChangeView>>,
}

/// On which level a member stands above the moved one.
#[derive(Serialize, ToSchema)]
pub(crate) struct LevelChangeView {
    member_id: Uuid,
    /// 1 is the sponsor; `null`: not above before.
    level_before: Option<usize>,
    /// `null`: not above any longer.
    level_after: Option<usize>,
}

/// A move whose every field is checked but those that need the database.
struct CheckedMove {
    change: Change,
    new_sponsor_id: Option<Uuid>,
    motive: Motive,
    dry_run: bool,
}

/// Moves a member with the whole downline below another sponsor. To undo it, move them back.
///
/// Sales are paid to the upline of their own moment, whenever they are settled; so a moment at or
/// before that of a settled sale is refused. A refused attempt stays on record.
#[utoipa::path(post, path = "/v1/members/{id}/move", tag = "members",
    operation_id = "move_member", request_body = MoveRequest,
    params(("id" = Uuid, Path, description = "The id of the member who moves")),
    responses(
        (status = 200, description = "Moved, or what a move would do", body = MoveView),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks admin", body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 409, description = "The new sponsor stands in the member's own downline, has \
                                      left, or sponsors them already, or what is settled or \
                                      recorded forbids that moment", body = Problem),
        (status = 413, description = "The body is larger than 2 MiB", body = Problem),
        (status = 422, description = "A field is not valid", body = Problem),
        (status = 503, description = "PostgreSQL is away, a lock was held too long, or too many \
                                      changes are waiting: nothing was changed, unless the \
                                      detail says that it is not known", body = Problem)),
    security(("key" = ["admin"])))]
pub(crate) async fn post(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(audit): Extension<Audit>,
    id: Result<Path<Uuid>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<MoveView>, Problem> {
    let member_id = parameters::member_id(id)?;
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let request: MoveRequest = read_object(&body)?;
    audit.on_behalf_of(request.on_behalf_of.as_deref());
    if request.dry_run {
        audit.is_only_tried();
    }
    let wanted = request.check(member_id)?;
    let turn = app.turns.to_change().await?;
    let moved = turn.spend(async move {
        if wanted.dry_run {
            preview(&app, &wanted).await
        } else {
            make(&app, &wanted, &caller, &audit).await
        }
    });
    Ok(Json(moved.await?))
}

impl MoveRequest {
    fn check(self, member_id: Uuid) -> Result<CheckedMove, Problem> {
        let NewSponsor::Given(new_sponsor_id) = self.new_sponsor_id else {
            let detail = "say the new sponsor, or null for a tree of the member's own";
            return Err(Problem::invalid(NEW_SPONSOR, detail));
        };
        let effective_at = members::moment("effective_at", self.effective_at.as_deref())?;
        let what = What::Move { new_sponsor_id };
        Ok(CheckedMove {
            change: Change { member_id, effective_at, what },
            new_sponsor_id,
            motive: Motive::check(self.reason, self.on_behalf_of)?,
            dry_run: self.dry_run,
        })
    }
}

async fn make(
    app: &App,
    wanted: &CheckedMove,
    caller: &Caller,
    audit: &Audit,
) -> Result<MoveView, Problem> {
    let actor = format!("key:{}", caller.key_id);
    let order = wanted.motive.order(std::slice::from_ref(&wanted.change), &actor);
    let mut tx = app.pool.begin().await.map_err(StoreError::from)?;
    let made = changes::apply(&mut tx, &order).await?;
    wanted.motive.commit(tx, audit, made.as_ref().err()).await?;
    let member_id = wanted.change.member_id;
    let applied = made.map_err(|refusals| refused(&refusals, member_id, NEW_SPONSOR))?;
    view(&applied, None)
}

async fn preview(app: &App, wanted: &CheckedMove) -> Result<MoveView, Problem> {
    let Change { member_id, effective_at, .. } = wanted.change;
    let mut tx = app.pool.begin().await.map_err(StoreError::from)?;
    let would_be = changes::preview(&mut tx, &[wanted.change]).await?;
    let applied = would_be.map_err(|refusals| refused(&refusals, member_id, NEW_SPONSOR))?;
    let changes =
        tree::level_changes(&mut tx, member_id, wanted.new_sponsor_id, effective_at).await?;
    view(&applied, Some(changes))
}

fn view(applied: &Applied, changes: Option<Vec<LevelChange>>) -> Result<MoveView, Problem> {
    let done = applied.moves.first();
    let done = done.ok_or_else(|| StoreError::Damaged("a move without a mover".to_owned()))?;
    let dry_run = changes.is_some();
    let level_change = |change: LevelChange| LevelChangeView {
        member_id: change.ancestor_id,
        level_before: change.before,
        level_after: change.after,
    };
    Ok(MoveView {
        member_id: done.planned.member_id,
        old_sponsor_id: done.planned.old_sponsor_id,
        new_sponsor_id: done.planned.new_sponsor_id,
        effective_at: done.planned.effective_at.unwrap_or(applied.now),
        holds_until: done.planned.holds_until,
        subtree_size: done.subtree_size,
        dry_run,
        level_changes: changes.map(|changes| changes.into_iter().map(level_change).collect()),
    })
}
