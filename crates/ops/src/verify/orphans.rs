//! The books' part of the proof: no outcome and no line that nothing accounts for.

use store::audit::{self, Month, Orphans, Scanned};
use store::{PgConnection, StoreError};
use uuid::Uuid;

use super::finding::{COMPARE_WITH_BACKUP, Check, Finding, LISTED_MAX};
use super::statement::Report;
use super::{Tally, unsigned};

const STRAY_ADVICE: &str = "do not pay it out: nothing says what it is for; compare with a backup, and \
    find out who could write to the ledger";

const TWICE_ADVICE: &str = "do not pay it out twice: only one of them has the id that its source and \
    external id make; find out who could write events past ingest";

/// What whole tables showed.
pub(super) struct Looked {
    orphans: Orphans,
    scanned: Scanned,
}

/// Looks through whole tables; of a month, at what belongs to it.
pub(super) async fn look(
    conn: &mut PgConnection,
    month: Option<Month>,
) -> Result<Looked, StoreError> {
    let orphans = audit::orphans(conn, month, LISTED_MAX).await?;
    let scanned = audit::scanned(conn, month).await?;
    Ok(Looked { orphans, scanned })
}

impl Looked {
    /// Says what was found, and how much was looked at.
    pub(super) fn tell<F: FnMut(Check, &Finding) -> anyhow::Result<()>>(
        self,
        report: &mut Report,
        tally: &mut Tally<'_, F>,
    ) -> anyhow::Result<()> {
        let Self { orphans, scanned } = self;
        let about = |id: Uuid, problem: &str, advice| Finding {
            about: "event",
            id: id.to_string(),
            problem: problem.to_owned(),
            advice,
        };
        let kinds = [
            (orphans.lines_without_outcome, "has ledger lines but no outcome"),
            (orphans.lines_of_other_months, "has ledger lines in this period, but is of another"),
            (
                orphans.lines_off_months,
                "has ledger lines in a period that is not a month's first day",
            ),
        ];
        for (ids, problem) in kinds {
            let mut found = tally.of(Check::LedgerLines);
            ids.into_iter().try_for_each(|id| found(about(id, problem, STRAY_ADVICE)))?;
        }
        report.note(Check::LedgerLines, Some(unsigned(scanned.ledger_lines)), tally.take());
        let checks = [
            (
                Check::OutcomesWithoutEvent,
                orphans.outcomes_without_event,
                "has an outcome but is not recorded",
                scanned.outcomes,
            ),
            (
                Check::SaleLines,
                orphans.sale_lines_miscounted,
                "has other lines than it was recorded with",
                scanned.sales_with_lines,
            ),
        ];
        for (check, ids, problem, rows) in checks {
            let mut found = tally.of(check);
            ids.into_iter().try_for_each(|id| found(about(id, problem, COMPARE_WITH_BACKUP)))?;
            drop(found);
            report.note(check, Some(unsigned(rows)), tally.take());
        }
        let kinds = [
            (
                orphans.recorded_twice,
                "is a sale that is recorded under another id, too",
                TWICE_ADVICE,
            ),
            (
                orphans.failures_without_event,
                "could not be settled and is not recorded",
                COMPARE_WITH_BACKUP,
            ),
        ];
        for (ids, problem, advice) in kinds {
            let mut found = tally.of(Check::Events);
            ids.into_iter().try_for_each(|id| found(about(id, problem, advice)))?;
        }
        report.note(Check::Events, Some(unsigned(scanned.events)), tally.take());
        Ok(())
    }
}
