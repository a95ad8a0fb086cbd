//! What a run has shown, as a table for people and for `docs/RELIABILITY.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::evidence::Finding;
use crate::faults::Fault;
use crate::load::Counts;
use crate::recovery::Recovery;

/// How often a kind may be tried in vain before the harness itself is in doubt.
const MISSED_MAX: u64 = 3;

/// What happened to one kind of fault.
#[derive(Clone, Debug, Default)]
struct Row {
    /// From each fault's end.
    recoveries: Vec<Recovery>,
    /// How often it could not be injected.
    missed: u64,
}

/// A run, while it goes on and afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) lasted: Duration,
    pub(crate) quiet_after: Duration,
    pub(crate) counts: Counts,
    rows: BTreeMap<Fault, Row>,
    left_out: BTreeMap<Fault, String>,
}

impl Report {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            lasted: Duration::ZERO,
            quiet_after: Duration::ZERO,
            counts: Counts::default(),
            rows: BTreeMap::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// A fault happened, and the installation was itself again after so long.
    pub(crate) fn injected(&mut self, fault: Fault, recovery: Recovery) {
        self.rows.entry(fault).or_default().recoveries.push(recovery);
    }

    /// A fault was tried in vain.
    pub(crate) fn missed(&mut self, fault: Fault) {
        self.rows.entry(fault).or_default().missed += 1;
    }

    /// A fault cannot be had on this machine.
    pub(crate) fn left_out(&mut self, fault: Fault, why: String) {
        self.left_out.insert(fault, why);
    }

    /// How many faults happened.
    pub(crate) fn faults(&self) -> usize {
        self.rows.values().map(|row| row.recoveries.len()).sum()
    }

    /// Kinds that were tried again and again and never happened. Once may be bad luck on a busy
    /// machine.
    pub(crate) fn never_happened(&self) -> Vec<Fault> {
        let never = self
            .rows
            .iter()
            .filter(|(_, row)| row.recoveries.is_empty() && row.missed >= MISSED_MAX);
        never.map(|(fault, _)| *fault).collect()
    }

    /// The whole report as Markdown.
    pub(crate) fn markdown(&self, findings: &[Finding]) -> String {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "Seed {}, {} minutes {} seconds of faults on {cores} cores; {} faults of {} kinds; \
             {} findings. Quiet {} after the last fault.\n",
            self.seed,
            self.lasted.as_secs() / 60,
            self.lasted.as_secs() % 60,
            self.faults(),
            self.rows.len(),
            findings.len(),
            seconds(self.quiet_after),
        );
        let _ = writeln!(
            text,
            "| fault | name | times | settles again: median | longest | all work again: longest |"
        );
        let _ = writeln!(text, "|---|---|--:|--:|--:|--:|");
        for (fault, row) in &self.rows {
            let mut settles: Vec<_> = row.recoveries.iter().map(|after| after.settles).collect();
            settles.sort_unstable();
            let complete = row.recoveries.iter().map(|after| after.complete).max();
            let shown = |time: Option<Duration>| time.map_or("–".to_owned(), seconds);
            let median = shown(settles.get(settles.len() / 2).copied());
            let (longest, complete) = (shown(settles.last().copied()), shown(complete));
            let (says, name) = (fault.says(), fault.name());
            let _ = write!(text, "| {says} | `{name}` | {}", settles.len());
            if row.missed > 0 {
                let _ = write!(text, " (and {} in vain)", row.missed);
            }
            let _ = writeln!(text, " | {median} | {longest} | {complete} |");
        }
        for (fault, why) in &self.left_out {
            let _ =
                writeln!(text, "| {} | `{}` | left out: {why} | | | |", fault.says(), fault.name());
        }
        text.push_str(&self.load());
        for finding in findings {
            let _ = writeln!(text, "\n- **{}**: {}", finding.promise, finding.detail);
        }
        text
    }

    fn load(&self) -> String {
        let counts = &self.counts;
        let rows = [
            ("sales acknowledged", counts.sales),
            ("requests with several sales", counts.batches),
            ("sales posted again after their answer", counts.duplicates),
            ("sales posted to both ingests at once", counts.simultaneous),
            ("sales that came days or months late", counts.late),
            ("other facts under a known id, refused by 409", counts.contradictions),
            ("sales of members enrolled later, or never", counts.of_unknown_members),
            ("sales whose shop went away", counts.given_up),
            ("stream entries that name a sale once more", counts.rung_twice),
            ("enrolments", counts.enrolments),
            ("moves", counts.moves),
            ("changes of status or rank", counts.changes),
            ("changes refused for what they asked", counts.refused),
            ("requests without an answer, repeated", counts.unanswered),
            ("requests put off by 429 or 503, repeated", counts.put_off),
        ];
        let mut text = "\n| load | |\n|---|--:|\n".to_owned();
        for (what, count) in rows {
            let _ = writeln!(text, "| {what} | {count} |");
        }
        text
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_kind_with_its_median_and_longest_recovery() {
        let mut report = Report::new(7);
        for millis in [300, 100, 900] {
            let settles = Duration::from_millis(millis);
            report.injected(Fault::KillWorker, Recovery { settles, complete: 2 * settles });
        }
        (0..3).for_each(|_| report.missed(Fault::Failpoint(1)));
        report.left_out(Fault::DiskFull, "only root may mount".to_owned());
        let text = report.markdown(&[]);
        assert!(text.contains("| `kill_worker` | 3 | 0.3 s | 0.9 s | 1.8 s |"), "{text}");
        assert!(text.contains("| `after_read` | 0 (and 3 in vain) | – | – | – |"), "{text}");
        assert!(text.contains("| `disk_full` | left out: only root may mount | | | |"), "{text}");
        assert_eq!((report.faults(), report.never_happened()), (3, vec![Fault::Failpoint(1)]));
    }
}
