//! `PATCH /v1/members/{id}`: status and rank from a moment on; and what moves and reward splits have
//! in common with it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Extension, Path, State};
use chrono::{DateTime, Utc};
use domain::history::{Change, Refusal, Refusals, What};
use domain::member::MemberStatus;
use serde::{Deserialize, Serialize};
use store::changes::{self, Order};
use store::{PgTransaction, StoreError, programme, tree};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actions::Audit;
use crate::app::App;
use crate::auth::Caller;
use crate::json::read_object;
use crate::members::{self, MemberView};
use crate::parameters;
use crate::post_events::unreadable;
use crate::problem::Problem;

/// A change of status or rank, or of both. What is absent stays as it is at that moment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateRequest {
    /// The new status.
    #[schema(value_type = Option<String>, example = "SUSPENDED",
             pattern = "^(ACTIVE|INACTIVE|SUSPENDED|TERMINATED)$")]
    status: Option<MemberStatus>,
    /// The new rank, one of the ladder.
    #[schema(example = "SILVER")]
    rank: Option<String>,
    /// From when on: RFC 3339, after every settled sale; from now on when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<String>,
    /// Why. Stays on record.
    #[schema(value_type = String, required, example = "chargebacks under review", max_length = 200)]
    reason: Option<String>,
    /// The person that the key acts for.
    #[schema(example = "petra@example.com", max_length = 200)]
    on_behalf_of: Option<String>,
}

/// The member as they are now, and from when until when the change holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedView {
    #[serde(flatten)]
    member: MemberView,
    /// From when on the change holds.
    effective_at: DateTime<Utc>,
    /// When a later change that was recorded before takes over; `null`: the change is the present
    /// one.
    holds_until: Option<DateTime<Utc>>,
}

/// A change of state whose every field is checked but those that need the database.
struct CheckedState {
    member_id: Uuid,
    effective_at: Option<DateTime<Utc>>,
    status: Option<MemberStatus>,
    rank: Option<String>,
    motive: Motive,
    /// What of it a refusal points to.
    subject: &'static str,
}

/// Why something is changed, and for whom.
#[derive(Debug)]
pub(crate) struct Motive {
    reason: String,
    on_behalf_of: Option<String>,
}

impl Motive {
    pub(crate) fn check(
        reason: Option<String>,
        on_behalf_of: Option<String>,
    ) -> Result<Self, Problem> {
        let reason = reason
            .ok_or_else(|| Problem::invalid("/reason", "say the reason; it stays on record"))?;
        check_words("reason", &reason)?;
        if let Some(person) = &on_behalf_of {
            check_words("on_behalf_of", person)?;
        }
        Ok(Self { reason, on_behalf_of })
    }

    /// Commits a change with its record. A refusal is committed too: its record is all that it
    /// leaves.
    pub(crate) async fn commit(
        &self,
        mut tx: PgTransaction<'_>,
        audit: &Audit,
        refusals: Option<&Refusals>,
    ) -> Result<(), StoreError> {
        match refusals.map(|refusals| refusals.first()) {
            None => audit.done(&mut tx, &self.reason).await?,
            Some(first) => {
                let why = first.map(|(_, refusal)| format!("{}: {refusal}", refusal.cause()));
                audit.refused(&mut tx, &why.unwrap_or_default()).await?;
            }
        }
        tx.commit().await?;
        audit.is_recorded();
        Ok(())
    }

    /// The change as the key's order.
    pub(crate) fn order<'a>(&'a self, changes: &'a [Change], actor: &'a str) -> Order<'a> {
        Order { changes, actor, on_behalf_of: self.on_behalf_of.as_deref(), reason: &self.reason }
    }
}

/// Checks a text that must tell an auditor something.
pub(crate) fn check_words(field: &str, value: &str) -> Result<(), Problem> {
    members::check_text(field, value)?;
    if value.trim().is_empty() {
        return Err(Problem::invalid(format!("/{field}"), format!("{field} must not be blank")));
    }
    Ok(())
}

/// Changes status or rank, from now or from an earlier moment on.
///
/// Sales are paid by the status and rank of their own moment, whenever they are settled; so a
/// moment at or before that of a settled sale is refused.
#[utoipa::path(patch, path = "/v1/members/{id}", tag = "members",
    operation_id = "change_member", request_body = StateRequest,
    params(("id" = Uuid, Path, description = "The member's id")),
    responses(
        (status = 200, description = "Changed", body = ChangedView),
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
pub(crate) async fn patch(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(audit): Extension<Audit>,
    id: Result<Path<Uuid>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ChangedView>, Problem> {
    let member_id = parameters::member_id(id)?;
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let request: StateRequest = read_object(&body)?;
    audit.on_behalf_of(request.on_behalf_of.as_deref());
    let wanted = request.check(member_id)?;
    let turn = app.turns.to_change().await?;
    Ok(Json(turn.spend(async move { change(&app, wanted, &caller, &audit).await }).await?))
}

impl StateRequest {
    fn check(self, member_id: Uuid) -> Result<CheckedState, Problem> {
        let effective_at = members::moment("effective_at", self.effective_at.as_deref())?;
        let motive = Motive::check(self.reason, self.on_behalf_of)?;
        let subject = match (self.status, &self.rank) {
            (Some(_), _) => "/status",
            (None, Some(_)) => "/rank",
            (None, None) => {
                return Err(Problem::invalid("", "say the new status, the new rank or both"));
            }
        };
        let (status, rank) = (self.status, self.rank);
        Ok(CheckedState { member_id, effective_at, status, rank, motive, subject })
    }
}

async fn change(
    app: &App,
    wanted: CheckedState,
    caller: &Caller,
    audit: &Audit,
) -> Result<ChangedView, Problem> {
    let CheckedState { member_id, effective_at, status, rank, motive, subject } = wanted;
    let mut tx = app.pool.begin().await.map_err(StoreError::from)?;
    let ladder = programme::ladder(&mut tx).await?;
    let rank = rank.map(|name| ladder.rank(&name)).transpose();
    let rank = rank.map_err(|error| Problem::invalid("/rank", error))?;
    let what = What::State { status, rank };
    let actor = format!("key:{}", caller.key_id);
    let changes = [Change { member_id, effective_at, what }];
    let made = changes::apply(&mut tx, &motive.order(&changes, &actor)).await?;
    let stored = tree::members(&mut tx, &[member_id], None).await?.pop();
    motive.commit(tx, audit, made.as_ref().err()).await?;
    let applied = made.map_err(|refusals| refused(&refusals, member_id, subject))?;
    let (stored, planned) = stored
        .zip(applied.states.first())
        .ok_or_else(|| StoreError::Damaged(format!("member {member_id} vanished")))?;
    Ok(ChangedView {
        member: MemberView::new(stored, &ladder),
        effective_at: planned.effective_at.unwrap_or(applied.now),
        holds_until: planned.holds_until,
    })
}

/// Why a member's change is refused. `subject` points to what is wanted of the member.
pub(crate) fn refused(
    refusals: &[(usize, Refusal)],
    member_id: Uuid,
    subject: &'static str,
) -> Problem {
    let Some((_, refusal)) = refusals.first() else {
        return StoreError::Damaged(format!("member {member_id}: refused without a cause")).into();
    };
    let problem = match refusal {
        Refusal::UnknownMember => parameters::unknown_member(member_id),
        Refusal::Future { .. } => Problem::invalid("/effective_at", refusal),
        Refusal::SelfSponsor | Refusal::UnknownSponsor { .. } | Refusal::Contradiction => {
            Problem::invalid(subject, refusal)
        }
        Refusal::SettledSales { .. } | Refusal::SameMoment | Refusal::UndoneLater { .. } => {
            Problem::conflict("/effective_at", refusal)
        }
        Refusal::OwnDescendant { .. }
        | Refusal::CircleLater { .. }
        | Refusal::TerminatedSponsor { .. }
        | Refusal::TooDeep
        | Refusal::NothingChanges => Problem::conflict(subject, refusal),
    };
    problem.because(refusal.cause())
}
