//! A member's money: `GET /v1/members/{id}/balance` and `GET /v1/members/{id}/ledger`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use domain::period::{CalendarError, Period};
use serde::{Deserialize, Serialize};
use store::ledger::{self, AccountLine, AccountPosition, Balance};
use store::tree;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::queries::existing;
use crate::app::App;
use crate::event_views::LineView;
use crate::parameters;
use crate::problem::Problem;

/// Until when entries count.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BalanceQuery {
    /// Entries posted at or before this moment count: RFC 3339; now when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<String>,
}

/// What a member's entries sum up to.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountView {
    member_id: Uuid,
    /// Entries posted at or before this moment are counted.
    as_of: DateTime<Utc>,
    /// By currency, in the order of its code; empty when nothing was posted.
    balances: Vec<BalanceView>,
}

/// The sum of a member's entries in one currency.
#[derive(Serialize, ToSchema)]
pub(crate) struct BalanceView {
    #[schema(example = "EUR")]
    currency: String,
    #[schema(example = "5.9970")]
    balance: String,
    /// Those of entries in this currency.
    #[schema(example = "19.9900")]
    career_points: String,
}

/// Which period, and where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LedgerQuery {
    /// The period that lines were posted to, such as 2023-05; all when absent.
    #[param(example = "2023-05", pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$")]
    period: Option<String>,
    /// The `next` of the page before; absent: from the beginning.
    #[param(
        pattern = r"^([0-9]{1,18}\.[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\.[0-9]{1,4})?$"
    )]
    after: Option<String>,
    /// Lines of a page, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// A page of a member's ledger lines.
#[derive(Serialize, ToSchema)]
pub(crate) struct LedgerPage {
    member_id: Uuid,
    /// By the transaction that settled them, then by event and number: nearly, but not exactly, by
    /// `posted_at`.
    lines: Vec<MemberLineView>,
    /// Pass it as `after` for the next page; `null`: there are no more lines.
    next: Option<String>,
}

/// One ledger line, with the event that it was paid for.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberLineView {
    event_id: Uuid,
    /// Which shop.
    source: String,
    /// What the shop calls the event.
    external_id: String,
    #[serde(flatten)]
    line: LineView,
}

/// What a member has, by currency: the sum of all ledger entries as of a moment.
///
/// An entry counts from its `posted_at` on, when its settlement began. A settlement that is under
/// way now may still add to a moment that has just passed.
#[utoipa::path(get, path = "/v1/members/{id}/balance", tag = "members",
    operation_id = "get_balance",
    params(("id" = Uuid, Path, description = "The member's id"), BalanceQuery),
    responses(
        (status = 200, body = AccountView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn balance(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<BalanceQuery>, QueryRejection>,
) -> Result<Json<AccountView>, Problem> {
    let id = parameters::member_id(id)?;
    let as_of = parameters::as_of(parameters::query(query)?.as_of.as_deref())?;
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, id, None).await?;
    let account = ledger::balance(&mut tx, id, as_of).await?;
    let balances = account.balances.into_iter().map(BalanceView::from).collect();
    Ok(Json(AccountView { member_id: id, as_of: account.as_of, balances }))
}

/// A member's ledger lines, page by page.
///
/// Read to the end, the pages hold every line that was committed when the last one was read, each
/// once, whatever is settled meanwhile. While much is being settled, a page that is not the last can
/// have fewer lines than asked for, or none: only a `next` of `null` ends the list. Every page sorts
/// the lines that are left: take large pages of members who have many.
#[utoipa::path(get, path = "/v1/members/{id}/ledger", tag = "members",
    operation_id = "get_ledger",
    params(("id" = Uuid, Path, description = "The member's id"), LedgerQuery),
    responses(
        (status = 200, body = LedgerPage),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn ledger(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<LedgerQuery>, QueryRejection>,
) -> Result<Json<LedgerPage>, Problem> {
    let id = parameters::member_id(id)?;
    let query = parameters::query(query)?;
    let period: Option<Period> = query
        .period
        .map(|period| period.parse())
        .transpose()
        .map_err(|error: CalendarError| Problem::invalid("/period", error))?;
    let limit = parameters::limit(query.limit)?;
    let after = query.after.filter(|after| !after.is_empty());
    let after: Option<AccountPosition> = after
        .map(|after| after.parse())
        .transpose()
        .map_err(|error| Problem::invalid("/after", format!("after {error}")))?;
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, id, None).await?;
    let selection = (id, period.map(Period::first_day));
    let page = ledger::page(&mut tx, selection, after, limit).await?;
    Ok(Json(LedgerPage {
        member_id: id,
        lines: page.lines.into_iter().map(MemberLineView::from).collect(),
        next: page.next.map(|next| next.to_string()),
    }))
}

impl From<Balance> for BalanceView {
    /// Four decimals, as all amounts have.
    fn from(sum: Balance) -> Self {
        Self {
            currency: sum.currency,
            balance: format!("{:.4}", sum.balance),
            career_points: format!("{:.4}", sum.career_points),
        }
    }
}

impl From<AccountLine> for MemberLineView {
    fn from(line: AccountLine) -> Self {
        Self {
            event_id: line.entry.event_id,
            source: line.source,
            external_id: line.entry.external_id.clone(),
            line: line.entry.into(),
        }
    }
}
