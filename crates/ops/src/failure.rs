//! What went wrong, said to the person who meets it: what happened, where, what to do next.

use std::io::ErrorKind;
use std::process::ExitCode;

use store::StoreError;

use crate::output::remark;

/// Prints an error and says how the process ends. Whoever closed stdout (`lineage … | head`) has
/// read enough: that is no failure.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    remark(&format!("error: {}", message(error)));
    if let Some(advice) = advice(error) {
        remark(advice);
    }
    ExitCode::FAILURE
}

/// Whether the error is that nobody reads stdout any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        let csv = cause.downcast_ref::<csv::Error>().and_then(|error| match error.kind() {
            csv::ErrorKind::Io(io) => Some(io),
            _ => None,
        });
        io.or(csv).is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}

/// The chain of causes as one text. Libraries repeat their cause in their own text; it is said
/// once.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let server = cause.downcast_ref::<StoreError>().and_then(StoreError::server_message);
        let text = server.map_or_else(|| cause.to_string(), |said| format!("PostgreSQL: {said}"));
        if message.is_empty() {
            message = text;
        } else if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        if server.is_some() {
            // What follows is the driver's wording of the same.
            break;
        }
    }
    message
}

/// What to do about an error of PostgreSQL that operators meet when they set things up.
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>())?;
    if store.is_about_tls() {
        return None; // Its text says what to do.
    }
    if store.is_unreachable() {
        return Some("Is PostgreSQL running there, and is DATABASE_URL right?");
    }
    if matches!(store, StoreError::Migration(_)) {
        return Some(
            "The database may have been migrated by a newer version of lineage; if so, use that \
             version.",
        );
    }
    match store.sqlstate()?.as_str() {
        // Undefined table, column, function, object, schema; and a role that SET ROLE lacks.
        "42P01" | "42703" | "42883" | "42704" | "3F000" | "22023" => {
            Some("The database is not migrated, or not to this version: run `lineage migrate`.")
        }
        "42501" => Some(
            "The login lacks rights: give it those of the operator's role with \
             `grant lineage_ops to …`, or for `migrate` use the owner of the schema.",
        ),
        "53300" => Some("PostgreSQL has no connection left: try again, or with a smaller --jobs."),
        "3D000" => Some("Create the database first, for example with `createdb`."),
        "28P01" | "28000" => Some("Check user name and password in DATABASE_URL."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn a_cause_that_is_repeated_is_said_once() {
        let error = anyhow!("no such file").context("cannot read a.csv: no such file");
        assert_eq!(message(&error), "cannot read a.csv: no such file");
        let error = anyhow!("no such file").context("cannot read a.csv");
        assert_eq!(message(&error), "cannot read a.csv: no such file");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = || std::io::Error::from(ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::new(closed())));
        assert!(is_closed_pipe(&anyhow::Error::new(csv::Error::from(closed()))));
        let other = Err::<(), _>(std::io::Error::from(ErrorKind::NotFound)).context("x");
        assert!(!is_closed_pipe(&other.unwrap_err()));
    }
}
