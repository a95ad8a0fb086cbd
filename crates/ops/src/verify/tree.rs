//! The tree's part of the proof: closure, present and history agree.

use std::collections::HashSet;

use indicatif::ProgressBar;
use store::PgConnection;
use store::tree_audit::{self, Suspicion};
use uuid::Uuid;

use super::{COMPARE_WITH_BACKUP, Finding, LISTED_MAX, Listing, Report, unsigned};

/// Members that are looked at in one query.
const PAGE: i64 = 2_000;
/// Suspects whose uplines are held at a time.
const EXAMINED_MAX: usize = 200;
const CLOSURE_ADVICE: &str = "stop the workers and restore member_tree_paths from a backup";
pub(super) const CIRCLE_ADVICE: &str =
    "stop the workers and restore members, member_sponsors and member_tree_paths from a backup";

const UNEXPLAINED_ADVICE: &str =
    "compare member_tree_paths with a backup, and report this: `verify` should have named the row";

pub(super) fn about_member(id: Uuid, problem: String, advice: &'static str) -> Finding {
    Finding { about: "member", id: id.to_string(), problem, advice }
}

/// Reads all members page by page, and examines those whose closure rows look wrong. In the caller's
/// snapshot.
pub(super) async fn check(
    conn: &mut PgConnection,
    bar: &ProgressBar,
    report: &mut Report,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut closure = Closure::default();
    let mut closure_rows = 0;
    let mut after = None;
    loop {
        let page = tree_audit::page(conn, after, PAGE).await?;
        let Some(last) = page.last else { break };
        after = Some(last);
        report.members += unsigned(page.members);
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
        for suspects in page.suspects.chunks(EXAMINED_MAX) {
            for (id, suspicion) in tree_audit::examine(conn, suspects).await? {
                closure.judge(id, suspicion, found)?;
            }
        }
        bar.inc(unsigned(page.members));
    }
    closure.finish(found)?;
    report.closure_differences = closure.differences;
    if tree_audit::closure_rows(conn).await? != closure_rows {
        for id in tree_audit::closure_without_members(conn, LISTED_MAX).await? {
            report.closure_differences += 1;
            let problem = "has closure rows, but is not enrolled";
            found(about_member(id, problem.to_owned(), CLOSURE_ADVICE))?;
        }
    }
    Ok(())
}

/// What examining suspects showed so far.
#[derive(Default)]
struct Closure {
    /// Rows that are missing or too many.
    differences: usize,
    /// Who stands in a circle that was told, or has a sponsor of whom it was told that nobody has
    /// the id.
    told: HashSet<Uuid>,
    listing: Listing,
    /// Members whose rows are right, though they do not follow from their sponsor's; and one.
    cleared: u64,
    example: Option<Uuid>,
}

impl Closure {
    /// Says what is wrong with a suspect. A circle is told once, however many stand in or below it.
    fn judge(
        &mut self,
        id: Uuid,
        suspicion: Suspicion,
        found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match suspicion {
            Suspicion::Cleared => {
                self.cleared += 1;
                self.example = self.example.or(Some(id));
                Ok(())
            }
            Suspicion::Circle(members) => {
                if self.told.contains(&members[0]) || !self.listing.has_room() {
                    return Ok(());
                }
                let names: Vec<String> = members.iter().map(ToString::to_string).collect();
                let problem = format!("is in a circle of sponsors: {}", names.join(" below "));
                let first = members[0];
                self.told.extend(members);
                found(about_member(first, problem, CIRCLE_ADVICE))
            }
            Suspicion::SponsorMissing { member_id, sponsor_id } => {
                if self.told.contains(&member_id) || !self.listing.has_room() {
                    return Ok(());
                }
                self.told.insert(member_id);
                let problem = format!("has a sponsor who does not exist: {sponsor_id}");
                found(about_member(member_id, problem, COMPARE_WITH_BACKUP))
            }
            Suspicion::Rows { missing, surplus } => {
                self.differences += missing.len() + surplus.len();
                let lacks = missing.into_iter().map(|(ancestor, depth)| {
                    format!("lacks the closure row for {ancestor}, {depth} above")
                });
                let has = surplus.into_iter().map(|(ancestor, depth)| {
                    format!("has a wrong closure row: {ancestor}, {depth} above")
                });
                for problem in lacks.chain(has) {
                    if self.listing.has_room() {
                        found(about_member(id, problem, CLOSURE_ADVICE))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Says what was not listed, and that something must be wrong where nothing was found.
    fn finish(&self, found: &mut impl FnMut(Finding) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.listing.close("differences of the closure", CLOSURE_ADVICE, found)?;
        match self.example {
            Some(id) if self.listing.listed == 0 => {
                let problem = format!(
                    "and {} other(s) have closure rows that do not follow from their sponsors', \
                     yet no row was found wrong",
                    self.cleared - 1
                );
                found(about_member(id, problem, UNEXPLAINED_ADVICE))
            }
            _ => Ok(()),
        }
    }
}
