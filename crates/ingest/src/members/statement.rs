//! A member's statement: `GET /v1/members/{id}/statement`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use domain::explain::{StatementHead, StatementLine, Sums};
use domain::period::Period;
use serde::{Deserialize, Serialize};
use store::explaining::{self, Books, LinePosition};
use store::tree;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::queries::existing;
use crate::app::App;
use crate::parameters;
use crate::problem::Problem;

/// Which period, and where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatementQuery {
    /// The period that lines were earned in, such as 2023-05.
    #[param(value_type = String, required, example = "2023-05",
            pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$")]
    period: Option<String>,
    /// The `next` of the page before; absent: from the beginning.
    #[param(pattern = r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\.[0-9]{1,4})?$")]
    after: Option<String>,
    /// Lines of a page, 1 to 1000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// A page of a member's statement.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatementView {
    /// Whose statement it is: `member` with id and names, `period`, `first_day`, `last_day` and
    /// `time_zone`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    head: StatementHead,
    /// The lines by currency, moment, event and number. Each has `event_id`, `line`, `source`,
    /// `external_id`, `date`, `as_of`, `seller`, `sale_amount`, `type`, `level`, `depth`, `rule`,
    /// `rule_name`, `plan`, `version`, `rank` and `status` (as they were then), `calculations` and
    /// `verdict` in words, `amount`, `currency`, `career_points` and, where the ledger differs from
    /// what the rules give, `problems`. Amounts are those that are computed again.
    #[schema(value_type = Vec<Object>)]
    lines: Vec<StatementLine>,
    /// What the lines of this page come to: `currency`, `lines`, `amount`, `career_points`.
    #[schema(value_type = Vec<Object>)]
    page_sums: Sums,
    /// What the whole period comes to by the ledger, in the same form. The sums of all pages together
    /// are these.
    #[schema(value_type = Vec<Object>)]
    ledger: Sums,
    /// How many lines of this page cannot be explained, or differ from what the rules give. Never
    /// any, unless somebody changed what is stored.
    unexplained_lines: usize,
    /// Pass it as `after` for the next page; `null`: there are no more lines.
    next: Option<String>,
}

/// What a member earned in a period, line by line, with rule and inputs.
///
/// Every line is computed again from its stored sale, inputs and rules; only names are those of
/// today.
#[utoipa::path(get, path = "/v1/members/{id}/statement", tag = "members",
    operation_id = "get_statement",
    params(("id" = Uuid, Path, description = "The member's id"), StatementQuery),
    responses(
        (status = 200, body = StatementView),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "No such member", body = Problem),
        (status = 422, description = "The id or a parameter is not valid", body = Problem),
        (status = 503, body = Problem)),
    security(("key" = ["read"])))]
pub(crate) async fn get(
    State(app): State<App>,
    id: Result<Path<Uuid>, PathRejection>,
    query: Result<Query<StatementQuery>, QueryRejection>,
) -> Result<Json<StatementView>, Problem> {
    let id = parameters::member_id(id)?;
    let query = parameters::query(query)?;
    let period = query.period.ok_or_else(|| {
        Problem::invalid("/period", "say the period that the lines were earned in, such as 2023-05")
    })?;
    let period: Period = period
        .parse()
        .map_err(|error: domain::period::CalendarError| Problem::invalid("/period", error))?;
    let limit = parameters::limit(query.limit)?;
    let after = query.after.filter(|after| !after.is_empty());
    let after: Option<LinePosition> = after
        .map(|after| after.parse())
        .transpose()
        .map_err(|error| Problem::invalid("/after", format!("after {error}")))?;
    let mut tx = tree::begin(&app.pool).await?;
    existing(&mut tx, id, None).await?;
    let books = Books::read(&mut tx).await?;
    let member = explaining::people(&mut tx, &[id]).await?.person(id);
    let waiting = explaining::waiting_sales(&mut tx, id, period).await?;
    let ledger = explaining::ledger_sums(&mut tx, id, period).await?;
    let page = explaining::statement_page(&mut tx, (id, period), after, limit, &books).await?;
    let mut page_sums = Sums::default();
    for line in &page.lines {
        page_sums.add(line);
    }
    Ok(Json(StatementView {
        head: StatementHead::new(member, period, &books.programme, waiting),
        unexplained_lines: page.lines.iter().filter(|line| !line.problems.is_empty()).count(),
        lines: page.lines,
        page_sums,
        ledger,
        next: page.next.map(|next| next.to_string()),
    }))
}
