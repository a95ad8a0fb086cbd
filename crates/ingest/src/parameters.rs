//! What members' paths and queries have in common: ids, moments and pages.

use std::error::Error;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use serde::Deserialize;
use serde::de::value::Error as QueryError;
use store::tree::AsOf;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::json::pointer;
use crate::members;
use crate::problem::Problem;

/// Members of a page, unless asked otherwise.
const PAGE_DEFAULT: i64 = 100;
/// Most members of a page.
const PAGE_MAX: i64 = 1_000;

/// The moment that a question is about.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Moment {
    /// The moment that is asked about: RFC 3339; the present when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) as_of: Option<String>,
}

/// The member that the path names.
pub(crate) fn member_id(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    let Path(id) = id.map_err(|_| Problem::invalid("/id", "the member id must be a UUID"))?;
    Ok(id)
}

/// The parameters of the query, or which of them is wrong.
pub(crate) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    match query {
        Ok(Query(parameters)) => Ok(parameters),
        Err(rejection) => Err(wrong_parameter(&rejection)),
    }
}

fn wrong_parameter(rejection: &QueryRejection) -> Problem {
    let mut cause = rejection.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<serde_path_to_error::Error<QueryError>>() {
            let pointer = pointer(error.path());
            // A parameter that is there twice has no place; the error names it.
            let detail = match pointer.strip_prefix('/') {
                Some(name) => format!("{name}: {}", error.inner()),
                None => error.inner().to_string(),
            };
            return Problem::invalid(pointer, detail);
        }
        cause = error.source();
    }
    Problem::invalid("", rejection.body_text())
}

/// The moment asked about.
pub(crate) fn as_of(text: Option<&str>) -> Result<AsOf, Problem> {
    members::moment("as_of", text)
}

/// How many members a page has at most.
pub(crate) fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::invalid("/limit", format!("limit must be 1 to {PAGE_MAX}")))
    }
}

/// A member whom nobody has enrolled.
pub(crate) fn unknown_member(id: Uuid) -> Problem {
    Problem::not_found(format!("no member has the id {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        #[expect(dead_code, reason = "read by nobody but serde")]
        limit: Option<i64>,
    }

    #[test]
    fn a_wrong_parameter_is_named_by_a_pointer() {
        for (uri, pointer, detail) in [
            ("/?limit=many", "/limit", "limit: invalid digit found in string"),
            ("/?colour=red", "/colour", "colour: unknown field `colour`, expected `limit`"),
            ("/?limit=1&limit=2", "", "duplicate field `limit`"),
        ] {
            let read = Query::<Page>::try_from_uri(&uri.parse().unwrap());
            let problem = serde_json::to_value(query(read).unwrap_err()).unwrap();
            assert_eq!(problem["pointer"], pointer, "{problem}");
            assert_eq!(problem["detail"], detail, "{problem}");
            assert_eq!(problem["status"], 422, "{problem}");
        }
    }

    #[test]
    fn a_page_has_one_to_a_thousand_members() {
        assert_eq!(limit(None).unwrap(), 100);
        for (asked, is_valid) in [(0, false), (1, true), (1000, true), (1001, false)] {
            assert_eq!(limit(Some(asked)).is_ok(), is_valid, "{asked}");
        }
    }
}
