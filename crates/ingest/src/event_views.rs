//! Reading events: `GET /v1/events…` and the feed `GET /v1/outcomes`.

mod sale;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use chrono::{DateTime, NaiveDate, Utc};
use domain::amount::Amount;
use domain::explain::Explanation;
use domain::period::Period;
use domain::sale::event_id;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::events::{self, EventDetail, FeedPosition};
use store::{StoreError, explaining, ledger, tree};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use self::sale::{BuyerView, SaleLineView};
use crate::app::App;
use crate::parameters;
use crate::problem::Problem;

/// Feed entries of a page, unless asked otherwise.
const PAGE_DEFAULT: i64 = 100;
/// Most feed entries of a page.
const PAGE_MAX: i64 = 1_000;

/// An event, its state, and what it paid.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventView {
    event_id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "SALE")]
    kind: &'static str,
    source: String,
    /// What the shop calls it.
    id: String,
    member_id: Uuid,
    #[schema(value_type = String, example = "199.9000")]
    amount: Amount,
    currency: String,
    #[schema(value_type = String, example = "150.0000")]
    volume: Amount,
    source_type: &'static str,
    product_id: Option<String>,
    #[schema(example = "STANDARD")]
    order_kind: &'static str,
    #[schema(example = "CZ")]
    market: Option<String>,
    buyer: Option<BuyerView>,
    /// The order's positions, as the shop posted them. (`lines` are the ledger's.)
    sale_lines: Vec<SaleLineView>,
    /// What the shop keeps about the order; `null` when it was erased.
    #[schema(value_type = Option<Object>)]
    order: Option<Map<String, Value>>,
    /// What else the shop keeps; `null` when it was erased.
    #[schema(value_type = Option<Object>)]
    context: Option<Map<String, Value>>,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    /// The moment that tree, statuses, ranks and rules are read at.
    as_of: DateTime<Utc>,
    #[schema(example = "2026-11")]
    earned_period: String,
    /// `settled`, `unsettled`, `retrying`, `dead` or `discarded`.
    #[schema(example = "settled")]
    state: String,
    /// Why the last attempt failed, while it is not settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    settled_at: Option<DateTime<Utc>>,
    /// What nobody qualified for.
    #[schema(value_type = Option<String>, example = "4.5000")]
    breakage: Option<Amount>,
    /// The ledger lines, once settled.
    lines: Vec<LineView>,
    /// With `explain=true`: the whole explanation. `sale` has the facts; `settled` the plan version,
    /// each rule that applied with everybody visited, what was offered, each multiplication and the
    /// verdict, the rules that did not apply and why, the plan's caps, and the sums with breakage by
    /// reason; `waiting` says instead why the sale is not settled, and what would repair that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    explanation: Option<Explanation>,
}

/// Why an event is not settled.
#[derive(Serialize, ToSchema)]
pub(crate) struct FailureView {
    #[schema(example = "unknown_member")]
    cause: String,
    detail: String,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    /// Why an operator gave it up, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    discard_reason: Option<String>,
}

/// One ledger line.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineView {
    line: i16,
    member_id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "LEVEL_COMMISSION")]
    kind: String,
    level: Option<i16>,
    depth: Option<i16>,
    /// The rule's id in its plan.
    rule: Option<String>,
    #[schema(value_type = String, example = "5.9970")]
    amount: Amount,
    currency: String,
    #[schema(value_type = String, example = "0.0000")]
    career_points: Amount,
    earned_period: String,
    posted_period: String,
    posted_at: DateTime<Utc>,
}

/// How a shop names an event.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Named {
    /// Which shop.
    source: String,
    /// What the shop calls it.
    external_id: String,
    /// Whether to say who got what, and why everybody else did not.
    explain: Option<bool>,
}

/// How much to say.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Explain {
    /// Whether to say who got what, and why everybody else did not.
    explain: Option<bool>,
}

/// One event with its state and ledger lines.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "events",
    params(("id" = Uuid, Path, description = "The event's id"), Explain),
    responses(
        (status = 200, body = EventView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such event", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn get(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<Explain>, QueryRejection>,
) -> Result<Json<EventView>, Problem> {
    let Path(id) = id.map_err(|_| Problem::invalid("/id", "the event id must be a UUID"))?;
    let asked = parameters::query(query)?.explain.unwrap_or(false);
    view(&app, id, asked).await
}

/// The same by source and the shop's own id.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(Named),
    responses(
        (status = 200, body = EventView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such event", body = Problem),
        (status = 422, description = "A parameter is missing", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn find(
    State(app): State<App>,
    named: Result<Query<Named>, QueryRejection>,
) -> Result<Json<EventView>, Problem> {
    let named = parameters::query(named)?;
    let id = event_id(&named.source, &named.external_id);
    view(&app, id, named.explain.unwrap_or(false)).await
}

async fn view(app: &App, id: Uuid, explain: bool) -> Result<Json<EventView>, Problem> {
    let mut tx = tree::begin(&app.pool).await?;
    let event = events::find(&mut tx, id).await?;
    let event = event.ok_or_else(|| Problem::not_found(format!("no event has the id {id}")))?;
    let lines = ledger::of_event(&mut tx, id).await?;
    let mut view = EventView::new(event, lines)?;
    if explain {
        view.explanation = explaining::explain(&mut tx, id).await?;
    }
    Ok(Json(view))
}

impl EventView {
    fn new(event: EventDetail, lines: Vec<ledger::Entry>) -> Result<Self, Problem> {
        let details = event.details;
        Ok(Self {
            event_id: event.id,
            kind: "SALE",
            source: event.source,
            id: event.external_id,
            member_id: event.facts.member_id,
            amount: event.facts.amount,
            currency: event.facts.currency.to_string(),
            volume: event.facts.volume,
            source_type: event.facts.source_type.name(),
            product_id: event.facts.product_id,
            order_kind: event.facts.order_kind.name(),
            market: event.facts.market,
            buyer: event.facts.buyer_type.map(|kind| BuyerView::new(kind, details.buyer_id)),
            sale_lines: event.facts.lines.into_iter().map(SaleLineView::from).collect(),
            order: sale::kept(details.order)?,
            context: sale::kept(details.context)?,
            occurred_at: event.facts.occurred_at,
            recorded_at: event.recorded_at,
            as_of: event.as_of,
            earned_period: month(event.earned_period),
            state: event.state,
            failure: event.failure.map(|failure| FailureView {
                cause: failure.cause,
                detail: failure.last_error,
                attempts: failure.attempts,
                next_attempt_at: failure.next_attempt_at,
                discard_reason: failure.discard_reason,
            }),
            settled_at: event.settled_at,
            breakage: event.breakage,
            lines: lines.into_iter().map(LineView::from).collect(),
            explanation: None,
        })
    }
}

impl From<ledger::Entry> for LineView {
    fn from(entry: ledger::Entry) -> Self {
        Self {
            line: entry.line,
            member_id: entry.member_id,
            kind: entry.entry_type,
            level: entry.level,
            depth: entry.depth,
            rule: entry.rule,
            amount: entry.amount,
            currency: entry.currency,
            career_points: entry.career_points,
            earned_period: month(entry.earned_period),
            posted_period: month(entry.posted_period),
            posted_at: entry.posted_at,
        }
    }
}

/// A period by its first day, as the API writes it.
fn month(first_day: NaiveDate) -> String {
    Period::containing(first_day).to_string()
}

/// Where to go on in the feed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedQuery {
    /// The `next` of the page before; absent: from the beginning.
    #[param(pattern = r"^([0-9]{1,18}\.[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$")]
    after: Option<String>,
    /// Entries of a page, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// A page of settled events.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedPage {
    /// Settled events, in an order that only grows at its end.
    outcomes: Vec<FeedView>,
    /// Pass it as `after` for what follows, now or later. Unchanged when there is nothing new.
    next: Option<String>,
}

/// One settled event.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedView {
    event_id: Uuid,
    source: String,
    /// What the shop calls it.
    id: String,
    settled_at: DateTime<Utc>,
    /// How many ledger lines it has.
    lines: i16,
    #[schema(value_type = String, example = "4.5000")]
    breakage: Amount,
    currency: String,
}

/// Settled events by key: read a page, keep `next`, come back with it. Nothing is missed, however
/// many workers settle meanwhile.
#[utoipa::path(get, path = "/v1/outcomes", tag = "events", params(FeedQuery),
    responses(
        (status = 200, body = FeedPage),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 422, description = "A parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn feed(
    State(app): State<App>,
    query: Result<Query<FeedQuery>, QueryRejection>,
) -> Result<Json<FeedPage>, Problem> {
    let query = parameters::query(query)?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid("/limit", format!("limit must be 1 to {PAGE_MAX}")));
    }
    let after = match query.after.as_deref() {
        None | Some("") => FeedPosition { settled_in: 0, event_id: Uuid::nil() },
        Some(text) => parse_position(text).ok_or_else(|| {
            Problem::invalid("/after", "after must be the `next` of an earlier page")
        })?,
    };
    let mut conn = app.pool.acquire().await.map_err(StoreError::from)?;
    let entries = events::feed(&mut conn, after, limit).await?;
    let last = entries.last().map(|entry| entry.position);
    let next = last.map(|at| format!("{}.{}", at.settled_in, at.event_id)).or(query.after);
    let outcomes = entries
        .into_iter()
        .map(|entry| FeedView {
            event_id: entry.position.event_id,
            source: entry.source,
            id: entry.external_id,
            settled_at: entry.settled_at,
            lines: entry.lines,
            breakage: entry.breakage,
            currency: entry.currency,
        })
        .collect();
    Ok(Json(FeedPage { outcomes, next }))
}

fn parse_position(text: &str) -> Option<FeedPosition> {
    let (settled_in, event_id) = text.split_once('.')?;
    let settled_in = settled_in.parse().ok().filter(|position| *position >= 0)?;
    Some(FeedPosition { settled_in, event_id: Uuid::parse_str(event_id).ok()? })
}
