//! Members as the API shows them, and `POST /v1/members`.

pub(crate) mod account;
pub(crate) mod changes;
pub(crate) mod history;
pub(crate) mod moves;
pub(crate) mod network;
pub(crate) mod queries;
pub(crate) mod relations;
pub(crate) mod reward_split;
pub(crate) mod statement;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::ladder::{Ladder, Rank};
use domain::member::MemberStatus;
use domain::text;
use serde::{Deserialize, Serialize};
use store::enrolment::{self, EnrolError, Member, NewMember};
use store::{StoreError, programme, tree};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::auth::Caller;
use crate::event_requests::instant;
use crate::json::read_object;
use crate::post_events::unreadable;
use crate::problem::Problem;

/// A member to be enrolled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberRequest {
    /// The id; made up when absent.
    id: Option<Uuid>,
    /// What the company calls the member; unique.
    #[schema(example = "17850", max_length = 200)]
    external_id: Option<String>,
    /// For people.
    #[schema(example = "Jana Nováková", max_length = 200)]
    name: Option<String>,
    /// Who sponsors them; absent: the top of a tree of their own.
    sponsor_id: Option<Uuid>,
    /// RFC 3339; now when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    joined_at: Option<String>,
    /// `ACTIVE` when absent.
    #[schema(value_type = Option<String>, example = "ACTIVE",
             pattern = "^(ACTIVE|INACTIVE|SUSPENDED|TERMINATED)$")]
    status: Option<MemberStatus>,
    /// A rank of the ladder; the lowest when absent.
    #[schema(example = "SILVER")]
    rank: Option<String>,
}

/// A member, with the sponsor, status and rank of the moment asked about.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberView {
    id: Uuid,
    external_id: Option<String>,
    name: Option<String>,
    /// `null`: the top of a tree.
    sponsor_id: Option<Uuid>,
    joined_at: DateTime<Utc>,
    #[schema(value_type = String, example = "ACTIVE")]
    status: MemberStatus,
    #[schema(example = "SILVER")]
    rank: String,
}

/// Enrols a member. Sales that were credited to them before are settled now.
#[utoipa::path(post, path = "/v1/members", tag = "members",
    operation_id = "enrol_member", request_body = MemberRequest,
    responses(
        (status = 201, description = "Enrolled", body = MemberView),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No valid key", body = Problem),
        (status = 403, description = "The key lacks members:write", body = Problem),
        (status = 409, description = "The id or external_id is taken", body = Problem),
        (status = 413, description = "The body is larger than 2 MiB", body = Problem),
        (status = 422, description = "A field is not valid", body = Problem),
        (status = 503, description = "PostgreSQL is away, a lock was held too long, or too many \
                                      enrolments are waiting: nothing was changed, unless the \
                                      detail says that it is not known", body = Problem)),
    security(("key" = ["members:write"])))]
pub(crate) async fn post(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let mut request: MemberRequest = read_object(&body)?;
    let rank = request.rank.take();
    let member = check(request)?;
    let turn = app.turns.to_enrol().await?;
    let member = turn.spend(async move { enrol(&app, member, rank, &caller).await }).await?;
    let location = format!("/v1/members/{}", member.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(member)).into_response())
}

async fn enrol(
    app: &App,
    mut member: NewMember,
    rank: Option<String>,
    caller: &Caller,
) -> Result<MemberView, Problem> {
    let mut tx = app.pool.begin().await.map_err(StoreError::from)?;
    let ladder = programme::ladder(&mut tx).await?;
    if let Some(name) = rank {
        member.rank = ladder.rank(&name).map_err(|error| Problem::invalid("/rank", error))?;
    }
    let actor = format!("key:{}", caller.key_id);
    let revived = enrolment::enrol(&mut tx, &member, &actor).await.map_err(refused)?;
    let stored = tree::members(&mut tx, &[member.id], None).await?.pop();
    tx.commit().await.map_err(StoreError::from)?;
    app.publisher.ring(revived);
    let stored =
        stored.ok_or_else(|| StoreError::Damaged(format!("member {} vanished", member.id)))?;
    Ok(MemberView::new(stored, &ladder))
}

/// Checks everything but the rank, which needs the ladder: the lowest until then.
fn check(request: MemberRequest) -> Result<NewMember, Problem> {
    let texts = [("external_id", &request.external_id), ("name", &request.name)];
    for (field, value) in texts {
        if let Some(value) = value {
            check_text(field, value)?;
        }
    }
    let joined_at = moment("joined_at", request.joined_at.as_deref())?;
    let id = request.id.unwrap_or_else(new_id);
    if request.sponsor_id == Some(id) {
        return Err(Problem::invalid("/sponsor_id", "a member cannot be their own sponsor"));
    }
    Ok(NewMember {
        id,
        external_id: request.external_id,
        name: request.name,
        sponsor_id: request.sponsor_id,
        status: request.status.unwrap_or_default(),
        rank: Rank::default(),
        joined_at,
    })
}

/// Checks a text of the body.
pub(crate) fn check_text(field: &str, value: &str) -> Result<(), Problem> {
    text::check(value)
        .map_err(|error| Problem::invalid(format!("/{field}"), format!("{field} {error}")))
}

/// Reads an instant of the body or the query.
pub(crate) fn moment(field: &str, value: Option<&str>) -> Result<Option<DateTime<Utc>>, Problem> {
    value
        .map(instant)
        .transpose()
        .map_err(|detail| Problem::invalid(format!("/{field}"), format!("{field} {detail}")))
}

/// Ids that grow with time keep new members together in the indexes.
#[expect(clippy::disallowed_methods, reason = "the edge, where ids are made")]
fn new_id() -> Uuid {
    Uuid::now_v7()
}

fn refused(error: EnrolError) -> Problem {
    match error {
        EnrolError::IdTaken => Problem::conflict("/id", error),
        EnrolError::ExternalIdTaken => Problem::conflict("/external_id", error),
        EnrolError::UnknownSponsor | EnrolError::TooDeep => Problem::invalid("/sponsor_id", error),
        EnrolError::Store(error) => Problem::from(error),
    }
}

impl MemberView {
    pub(crate) fn new(member: Member, ladder: &Ladder) -> Self {
        Self {
            id: member.id,
            external_id: member.external_id,
            name: member.name,
            sponsor_id: member.sponsor_id,
            joined_at: member.joined_at,
            status: member.status,
            rank: ladder.name(member.rank),
        }
    }
}
