//! The history's part of the proof: it agrees with the record of changes, with the members, and with
//! itself at every moment.

use store::PgConnection;
use store::tree_audit::{self, Kind};

use super::tree::{CIRCLE_ADVICE, about_member};
use super::{COMPARE_WITH_BACKUP, Finding, LISTED_MAX};

const MOMENT_ADVICE: &str = "unless the server's clock was set back, compare with a backup; rows were \
    changed past the triggers";

/// Checks whole tables of history, in the caller's snapshot.
pub(super) async fn check(
    conn: &mut PgConnection,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    check_rows(conn, found).await?;
    check_record(conn, found).await?;
    for (member_id, at) in tree_audit::past_circles(conn, LISTED_MAX).await? {
        let at = at.map_or_else(|| "the beginning of time".to_owned(), |at| at.to_string());
        let problem = format!("stood in a circle of sponsors from {at} on, by the history");
        found(about_member(member_id, problem, CIRCLE_ADVICE))?;
    }
    Ok(())
}

/// Looks for rows that cannot be, whatever was asked for.
async fn check_rows(
    conn: &mut PgConnection,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for id in tree_audit::rows_without_members(conn, LISTED_MAX).await? {
        let problem = "has a history in member_sponsors, member_states or member_reward_splits, \
                       but is not enrolled";
        found(about_member(id, problem.to_owned(), COMPARE_WITH_BACKUP))?;
    }
    for unknown in tree_audit::unknown_sponsors(conn, LISTED_MAX).await? {
        let problem =
            format!("has a sponsor in its history who is not enrolled: {}", unknown.sponsor_id);
        found(about_member(unknown.member_id, problem, COMPARE_WITH_BACKUP))?;
    }
    for row in tree_audit::impossible_moments(conn, LISTED_MAX).await? {
        let problem = format!(
            "has a row in {} whose {} is {}, which is no moment up to now",
            row.table_name, row.field, row.moment
        );
        found(about_member(row.member_id, problem, MOMENT_ADVICE))?;
    }
    Ok(())
}

/// Compares history with the record of changes, and what each change replaced with what held.
async fn check_record(
    conn: &mut PgConnection,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for difference in tree_audit::disagreements(conn, LISTED_MAX).await? {
        let (what, at) = (what(difference.kind), difference.effective_at);
        let problem = if difference.is_missing_in_history {
            format!("lacks the row of history of a {what} at {at} that is on record")
        } else {
            format!("has a {what} at {at} in its history that nobody is on record for")
        };
        found(about_member(difference.member_id, problem, COMPARE_WITH_BACKUP))?;
    }
    for change in tree_audit::misreplaced(conn, LISTED_MAX).await? {
        let (what, at) = (what(change.kind), change.effective_at);
        let problem = format!(
            "replaced {} by a {what} at {at}, says the record, but had {} just before by the \
             history of then",
            change.on_record, change.by_history
        );
        found(about_member(change.member_id, problem, COMPARE_WITH_BACKUP))?;
    }
    Ok(())
}

/// What a change is called.
pub(super) fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Move => "move",
        Kind::State => "change of status or rank",
        Kind::Split => "change of the reward split",
    }
}
