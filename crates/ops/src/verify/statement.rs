//! How a verification ends: who proved what, when, of which database, by what, and what not.
//!
//! Signed off, not signed: the statement names who ran it and a digest of what was verified, so that
//! two runs can be compared. It is no cryptographic signature: whoever can write the file can write
//! another.

use chrono::{DateTime, Utc};
use domain::settle::SEMANTICS_VERSION;
use serde::Serialize;
use store::audit::Sitting;

use super::finding::{Check, Checked};
use crate::output::{facts, table};

const MEANING: &str = "A statement with a digest, not a cryptographic signature. Two runs over the \
    same outcomes and lines have the same digest.";

/// What was asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Scope {
    /// Only what belongs to this period.
    pub(crate) period: Option<String>,
    /// Only so many outcomes, drawn at random.
    pub(crate) sample: Option<Sample>,
}

/// A sample.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Outcomes that were asked for.
    pub(crate) size: u32,
    /// What they were drawn by.
    pub(crate) seed: u32,
    /// Outcomes that they were drawn from.
    pub(crate) of: u64,
}

/// Who ran it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct By {
    login: String,
    role: String,
}

/// Which database it was.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Database {
    /// Server and database, without a password.
    place: String,
    /// The database's name, as it says itself.
    name: String,
    system_identifier: String,
    postgresql: String,
    /// The newest migration.
    schema: Option<i64>,
}

/// What it was computed by.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Engine {
    version: &'static str,
    semantics: i16,
}

/// The statement at the end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Outcomes that were computed again.
    pub(crate) outcomes: u64,
    /// Ledger lines that were compared.
    pub(crate) lines: u64,
    /// Members whose place in the tree was checked.
    pub(crate) members: u64,
    /// Closure rows that are missing or too many.
    pub(crate) closure_differences: usize,
    /// Everything that was found.
    pub(crate) findings: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) scope: Scope,
    pub(crate) checks: Vec<Checked>,
    pub(crate) not_checked: Vec<String>,
    pub(crate) by: By,
    pub(crate) begun_at: DateTime<Utc>,
    pub(crate) ended_at: DateTime<Utc>,
    pub(crate) database: Database,
    pub(crate) engine: Engine,
    /// PostgreSQL's snapshot: what was recorded later is not in it.
    pub(crate) snapshot: String,
    pub(crate) digest: String,
    pub(crate) jobs: u16,
    /// The most memory that the verification has had, where the system tells.
    pub(crate) peak_memory_mib: Option<f64>,
    pub(crate) meaning: &'static str,
}

impl Report {
    /// A statement about a sitting that has just begun: nothing is checked yet.
    pub(super) fn begin(sitting: &Sitting, place: String, scope: Scope, jobs: u16) -> Self {
        Self {
            outcomes: 0,
            lines: 0,
            members: 0,
            closure_differences: 0,
            findings: 0,
            seconds: 0.0,
            scope,
            checks: Vec::new(),
            not_checked: Vec::new(),
            by: By { login: sitting.login.clone(), role: sitting.role.clone() },
            begun_at: sitting.begun_at,
            ended_at: sitting.begun_at,
            database: Database {
                place,
                name: sitting.database.clone(),
                system_identifier: sitting.system_identifier.clone(),
                postgresql: sitting.server_version.clone(),
                schema: sitting.schema_version,
            },
            engine: Engine { version: env!("CARGO_PKG_VERSION"), semantics: SEMANTICS_VERSION },
            snapshot: sitting.horizon.clone(),
            digest: String::new(),
            jobs,
            peak_memory_mib: None,
            meaning: MEANING,
        }
    }

    /// Notes how much of one kind was checked, and what was found.
    pub(super) fn note(&mut self, check: Check, rows: Option<u64>, findings: u64) {
        self.findings += findings;
        self.checks.push(Checked { check, rows, findings });
    }
}

/// The statement for people, in 80 columns where names allow it.
pub(crate) fn text(report: &Report) -> String {
    let rows = report.checks.iter().map(|checked| {
        let rows = checked.rows.map_or_else(|| "not counted".to_owned(), |rows| rows.to_string());
        vec![checked.check.what().to_owned(), rows, checked.findings.to_string()]
    });
    let checks = table(&["CHECKED", "ROWS", "FINDINGS"], &[1, 2], rows.collect());
    let missing = report.not_checked.iter().map(|what| format!("  {what}\n"));
    let Report { by, database, engine, .. } = report;
    let schema = database.schema.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
    let memory = report.peak_memory_mib.map_or_else(String::new, |mib| format!(", {mib:.0} MiB"));
    let about = facts(&[
        ("signed off by", format!("{} as {} (no signature, see below)", by.login, by.role)),
        ("begun", moment(report.begun_at)),
        ("ended", moment(report.ended_at)),
        ("database", database.place.clone()),
        ("system", format!("{}, PostgreSQL {}", database.system_identifier, database.postgresql)),
        ("engine", format!("{}, arithmetic {}, schema {schema}", engine.version, engine.semantics)),
        (
            "seen",
            format!("snapshot {}; nothing that was recorded later", horizon(&report.snapshot)),
        ),
        ("digest", report.digest.clone()),
        ("effort", format!("{:.1} s, {} job(s){memory}", report.seconds, report.jobs)),
    ]);
    format!(
        "\n{checks}\nNOT CHECKED\n{}\n{about}{}\n\n{}",
        missing.collect::<Vec<_>>().concat(),
        "A digest, not a cryptographic signature: two runs over the same outcomes and\n\
         lines have the same digest.",
        verdict(report),
    )
}

fn verdict(report: &Report) -> String {
    if report.findings > 0 {
        return format!(
            "NOT proved: {} finding(s), listed above with what to do.",
            report.findings
        );
    }
    let Scope { period, sample } = &report.scope;
    let whole =
        period.as_ref().map_or_else(|| "the books".to_owned(), |month| format!("of {month}"));
    match sample {
        Some(Sample { of, seed, .. }) => format!(
            "Proved of a sample: {} of {of} outcome(s) {}, drawn by seed {seed}, are as the rules\n\
             say. Any others were not computed again.",
            report.outcomes,
            period.as_ref().map_or_else(|| "in all".to_owned(), |_| whole),
        ),
        None if period.is_some() && report.outcomes == 0 => {
            format!(
                "Nothing was settled {whole}: there is nothing to prove, and nothing was found."
            )
        }
        None if period.is_some() => format!("Proved: everything {whole} is as the rules say."),
        None => "Proved: everything is as the rules say.".to_owned(),
    }
}

/// A snapshot in short: where it begins and ends, and how many transactions were running.
fn horizon(snapshot: &str) -> String {
    let (bounds, running) = snapshot.rsplit_once(':').unwrap_or((snapshot, ""));
    match running.split(',').filter(|id| !id.is_empty()).count() {
        0 => bounds.to_owned(),
        count => format!("{bounds} without {count} running"),
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}
