//! The tree's part of the proof: closure, present, history and the record of changes agree.

use indicatif::ProgressBar;
use store::tree_audit::{self, Suspicion};
use store::{PgConnection, PgPool, StoreError, audit, enrolment};
use uuid::Uuid;

use super::{COMPARE_WITH_BACKUP, Finding, LISTED_MAX, Report};

/// Members that are looked at in one query.
const PAGE: i64 = 2_000;
const CLOSURE_ADVICE: &str = "stop the workers and restore member_tree_paths from a backup";
const CIRCLE_ADVICE: &str =
    "stop the workers and restore members, member_sponsors and member_tree_paths from a backup";

/// Checks every member, in one snapshot.
pub(super) async fn check(
    pool: &PgPool,
    bar: &ProgressBar,
    report: &mut Report,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    audit::hold_snapshot(&mut tx).await?;
    bar.set_message("checking the tree");
    bar.set_position(0);
    bar.set_length(u64::try_from(enrolment::count(&mut tx).await?).unwrap_or(0));
    let suspects = check_members(&mut tx, bar, report, found).await?;
    check_closure(&mut tx, suspects, report, found).await?;
    check_history(&mut tx, found).await?;
    tx.rollback().await.map_err(StoreError::from)?;
    Ok(())
}

fn about_member(id: Uuid, problem: String, advice: &'static str) -> Finding {
    Finding { about: "member", id: id.to_string(), problem, advice }
}

/// Reads all members page by page. Returns those whose closure rows look wrong, at most so many as
/// are listed.
async fn check_members(
    conn: &mut PgConnection,
    bar: &ProgressBar,
    report: &mut Report,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Uuid>> {
    let mut suspects = Vec::new();
    let mut closure_rows = 0;
    let mut after = None;
    loop {
        let page = tree_audit::page(conn, after, PAGE).await?;
        let Some(last) = page.last else { break };
        after = Some(last);
        report.members += page.members;
        closure_rows += page.closure_rows;
        for id in page.without_beginning {
            let problem = "has no first row in member_sponsors or member_states; history must \
                           begin at the beginning of time";
            found(about_member(id, problem.to_owned(), COMPARE_WITH_BACKUP))?;
        }
        for id in page.off_history {
            let problem = "has another sponsor, status or rank, or since another moment, than the history \
                 ends in";
            found(about_member(id, problem.to_owned(), COMPARE_WITH_BACKUP))?;
        }
        let room = usize::try_from(LISTED_MAX).unwrap_or(0).saturating_sub(suspects.len());
        suspects.extend(page.suspects.into_iter().take(room));
        bar.inc(u64::try_from(page.members).unwrap_or(0));
    }
    if tree_audit::closure_rows(conn).await? != closure_rows {
        for id in tree_audit::closure_without_members(conn, LISTED_MAX).await? {
            report.closure_differences += 1;
            let problem = "has closure rows, but is not enrolled";
            found(about_member(id, problem.to_owned(), CLOSURE_ADVICE))?;
        }
    }
    Ok(suspects)
}

/// Says what is wrong with each suspect. A circle is told once, however many stand in or below it.
async fn check_closure(
    conn: &mut PgConnection,
    suspects: Vec<Uuid>,
    report: &mut Report,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut in_circles: Vec<Uuid> = Vec::new();
    for id in suspects {
        match tree_audit::examine(conn, id).await? {
            Suspicion::Cleared => {}
            Suspicion::Circle(members) => {
                if members.iter().any(|member| in_circles.contains(member)) {
                    continue;
                }
                let names: Vec<String> = members.iter().map(ToString::to_string).collect();
                let problem = format!("is in a circle of sponsors: {}", names.join(" below "));
                found(about_member(members[0], problem, CIRCLE_ADVICE))?;
                in_circles.extend(members);
            }
            Suspicion::SponsorMissing { member_id, sponsor_id } => {
                let problem = format!("has a sponsor who does not exist: {sponsor_id}");
                found(about_member(member_id, problem, COMPARE_WITH_BACKUP))?;
            }
            Suspicion::Rows { missing, surplus } => {
                report.closure_differences += missing.len() + surplus.len();
                for (ancestor, depth) in missing {
                    let problem = format!("lacks the closure row for {ancestor}, {depth} above");
                    found(about_member(id, problem, CLOSURE_ADVICE))?;
                }
                for (ancestor, depth) in surplus {
                    let problem = format!("has a wrong closure row: {ancestor}, {depth} above");
                    found(about_member(id, problem, CLOSURE_ADVICE))?;
                }
            }
        }
    }
    Ok(())
}

/// Compares history with the record of changes, and looks for circles at any moment of the past.
async fn check_history(
    conn: &mut PgConnection,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for difference in tree_audit::disagreements(conn, LISTED_MAX).await? {
        let what = if difference.kind == "MOVE" { "move" } else { "change of status or rank" };
        let at = difference.effective_at;
        let problem = if difference.is_missing_in_history {
            format!("lacks the row of history of a {what} at {at} that is on record")
        } else {
            format!("has a {what} at {at} in its history that nobody is on record for")
        };
        found(about_member(difference.member_id, problem, COMPARE_WITH_BACKUP))?;
    }
    for (member_id, at) in tree_audit::past_circles(conn, LISTED_MAX).await? {
        let problem = format!("stood in a circle of sponsors from {at} on, by the history");
        found(about_member(member_id, problem, CIRCLE_ADVICE))?;
    }
    Ok(())
}
