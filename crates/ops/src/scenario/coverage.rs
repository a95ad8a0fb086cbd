//! `lineage scenario coverage`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::bail;
use domain::scenario::{PlanOrigin, Reached, Subject};
use serde_json::{Value, json};

use super::CoverageArgs;
use super::files::File;
use crate::output;

/// Scenarios that everything needs but the rules of plans inside scenarios.
const NEEDED: usize = 2;
/// Scenarios that a rule of a plan inside a scenario needs: its own.
const NEEDED_INLINE: usize = 1;

/// What scenarios reach something.
struct Row {
    kind: &'static str,
    name: String,
    plan_file: Option<String>,
    scenarios: BTreeSet<String>,
    needed: usize,
}

impl Row {
    fn is_covered(&self) -> bool {
        self.scenarios.len() >= self.needed
    }
}

pub(super) fn run(args: &CoverageArgs) -> anyhow::Result<ExitCode> {
    let files = File::read_all(&args.paths)?;
    let flaws: Vec<String> = files.iter().flat_map(File::flaws).collect();
    if !flaws.is_empty() {
        bail!("some scenarios cannot be read:\n{}", flaws.join("\n"));
    }
    let rows = rows(&files);
    let lacking = rows.iter().filter(|row| !row.is_covered()).count();
    let value = json!({
        "covered": lacking == 0,
        "subjects": rows.iter().map(view).collect::<Vec<_>>(),
    });
    output::print(args.output.format, &value, |_| text(&rows, lacking))?;
    Ok(if lacking == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rows(files: &[File]) -> Vec<Row> {
    // A rule inside a scenario is that scenario's alone, whatever others call theirs.
    let mut reached_by: BTreeMap<(Subject, Option<String>), BTreeSet<String>> =
        Subject::all().into_iter().map(|subject| ((subject, None), BTreeSet::new())).collect();
    for file in files {
        let Ok(scenario) = &file.scenario else { continue };
        let reached = Reached::of(scenario, &scenario.run());
        let own = |subject: Subject| {
            let is_inline =
                matches!(&subject, Subject::Rule(rule) if rule.origin == PlanOrigin::Inline);
            (subject, is_inline.then(|| file.name()))
        };
        for rule in reached.rules {
            reached_by.entry(own(Subject::Rule(rule))).or_default();
        }
        for subject in reached.reached {
            reached_by.entry(own(subject)).or_default().insert(file.name());
        }
    }
    let row = |((subject, _), scenarios): ((Subject, Option<String>), BTreeSet<String>)| {
        let plan_file = match &subject {
            Subject::Rule(rule) => match &rule.origin {
                PlanOrigin::File(file) => Some(file.clone()),
                PlanOrigin::Inline => None,
            },
            _ => None,
        };
        let is_inline = matches!(&subject, Subject::Rule(_)) && plan_file.is_none();
        let needed = if is_inline { NEEDED_INLINE } else { NEEDED };
        Row { kind: subject.kind(), name: subject.name(), plan_file, scenarios, needed }
    };
    let mut rows: Vec<Row> = reached_by.into_iter().map(row).collect();
    rows.sort_by_key(|row| row.kind == "rule");
    rows
}

fn view(row: &Row) -> Value {
    json!({
        "kind": row.kind,
        "name": row.name,
        "plan_file": row.plan_file,
        "scenarios": row.scenarios,
        "needed": row.needed,
        "covered": row.is_covered(),
    })
}

/// So many scenarios are named in a row of the table.
const NAMED: usize = 3;

fn text(rows: &[Row], lacking: usize) -> String {
    let rows_of_text = rows.iter().map(|row| {
        let count = row.scenarios.len();
        let stem = |path: &String| {
            let stem = std::path::Path::new(path).file_stem().unwrap_or_default();
            stem.to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = row.scenarios.iter().take(NAMED).map(stem).collect();
        if count > NAMED {
            names.push(format!("and {} more", count - NAMED));
        }
        let mark = if row.is_covered() { "" } else { "LACKING" };
        let name = match &row.plan_file {
            Some(file) => format!("{} ({file})", row.name),
            None => row.name.clone(),
        };
        vec![row.kind.to_owned(), name, count.to_string(), mark.to_owned(), names.join(", ")]
    });
    let header = ["kind", "name", "scenarios", "", "which"];
    let table = output::table(&header, &[2], rows_of_text.collect());
    match lacking {
        0 => format!("{table}\nEverything is reached by enough scenarios.\n"),
        lacking => format!(
            "{table}\n{lacking} lacking: everything needs {NEEDED} scenarios, a rule of a plan \
             inside a scenario {NEEDED_INLINE}.\n"
        ),
    }
}
