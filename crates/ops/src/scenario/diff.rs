//! `lineage scenario diff`: the review sheet for a plan change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use domain::amount::Total;
use domain::explain::as_if_in_force;
use domain::line;
use domain::plan::PlanFile;
use domain::rule_set::RuleSet;
use domain::scenario::{Outcome, PlanOrigin, PlanSource, Run, Scenario, StepKind};
use serde::Serialize;
use serde_json::json;

use super::DiffArgs;
use super::files::{self, File};
use crate::{input, output};

/// Who gets how much with each plan.
#[derive(Serialize)]
struct Change {
    member: String,
    currency: String,
    base: Total,
    with: Total,
    difference: Total,
}

/// A scenario that applies the plan.
#[derive(Serialize)]
struct Compared {
    scenario: String,
    file: String,
    /// Members whose money changes.
    changes: Vec<Change>,
    /// Sales and steps that end otherwise, and members whose career points change.
    notes: Vec<String>,
}

/// Money by member and currency.
type Money = BTreeMap<(String, String), Total>;

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let (base, with) = (Plan::read(&args.base)?, Plan::read(&args.with)?);
    let files = File::read_all(&args.paths)?;
    let flaws: Vec<String> = files.iter().flat_map(File::flaws).collect();
    if !flaws.is_empty() {
        bail!("some scenarios cannot be read:\n{}", flaws.join("\n"));
    }
    let mut compared = Vec::new();
    let (mut base_totals, mut with_totals) = (Money::new(), Money::new());
    for file in &files {
        let Ok(scenario) = &file.scenario else { continue };
        let Some((before, after)) = both(scenario, &base, &with)? else { continue };
        let (before, after) = (before.run(), after.run());
        let (before_money, after_money) = (money(&before), money(&after));
        for (totals, money) in [(&mut base_totals, &before_money), (&mut with_totals, &after_money)]
        {
            for ((_, currency), sum) in money {
                *totals.entry((String::new(), currency.clone())).or_default() += *sum;
            }
        }
        compared.push(Compared {
            scenario: scenario.name.clone(),
            file: file.name(),
            changes: changes(&before_money, &after_money),
            notes: notes(&before, &after),
        });
    }
    if compared.is_empty() {
        bail!("none of the {} scenario(s) applies {}", files.len(), args.base);
    }
    let totals = changes_and_equals(&base_totals, &with_totals);
    let changed = compared.iter().filter(|one| one.is_changed()).count();
    let value = json!({
        "base": args.base,
        "with": args.with,
        "scenarios": compared,
        "changed": changed,
        "totals": totals,
    });
    output::print(args.output.format, &value, |_| text(&compared, changed, &totals, args))?;
    Ok(ExitCode::SUCCESS)
}

impl Compared {
    fn is_changed(&self) -> bool {
        !self.changes.is_empty() || !self.notes.is_empty()
    }
}

/// A plan file that is compiled by each scenario's own ladder and calendar.
struct Plan {
    name: String,
    identity: String,
    text: String,
    file: PlanFile,
}

impl Plan {
    fn read(path: &str) -> anyhow::Result<Self> {
        let text = input::read_text(path)?;
        let file = match PlanFile::from_yaml(&text) {
            Ok(file) => file,
            Err(error) => bail!("{path}: {error}"),
        };
        let identity = files::identity(Path::new(path));
        Ok(Self { name: path.to_owned(), identity, text, file })
    }

    fn compile(&self, scenario: &Scenario) -> Result<RuleSet, String> {
        RuleSet::compile(&self.file, &scenario.ladder, &scenario.programme).map_err(|flaws| {
            let said = flaws.iter().map(|flaw| {
                let line = line::of(&self.text, &flaw.path);
                let line = line.map_or_else(String::new, |line| format!("line {line}: "));
                format!("{}: {line}{flaw}", self.name)
            });
            said.collect::<Vec<_>>().join("\n")
        })
    }
}

/// The scenario with each plan; `None`: it does not apply the base plan.
fn both(
    scenario: &Scenario,
    base: &Plan,
    with: &Plan,
) -> anyhow::Result<Option<(Scenario, Scenario)>> {
    let compiled = base.compile(scenario).ok();
    let is_base = |source: &PlanSource| {
        source.origin == PlanOrigin::File(base.identity.clone())
            || (compiled.is_some() && source.rule_set.as_ref().ok() == compiled.as_ref())
    };
    let mut other = scenario.clone();
    let in_timeline = other.timeline.iter_mut().filter_map(|step| match &mut step.kind {
        StepKind::Plan(source) => Some(source),
        _ => None,
    });
    let mut sources: Vec<&mut PlanSource> =
        other.plans.iter_mut().chain(in_timeline).filter(|source| is_base(source)).collect();
    if sources.is_empty() {
        return Ok(None);
    }
    let rule_set = match with.compile(scenario) {
        Ok(rule_set) => rule_set,
        Err(flaws) => bail!("{}, in scenario {}:\n{flaws}", with.name, scenario.name),
    };
    for source in &mut sources {
        // A successor begins later. What it would change is asked of the same sales.
        let begins = source.rule_set.as_ref().map_or(rule_set.valid_from, |base| base.valid_from);
        source.rule_set = Ok(as_if_in_force(&rule_set, begins));
    }
    Ok(Some((scenario.clone(), other)))
}

fn money(run: &Run) -> Money {
    let mut money = Money::new();
    each_line(run, |member, currency, line| {
        *money.entry((member, currency)).or_default() += line.amount;
    });
    money
}

fn each_line(run: &Run, mut see: impl FnMut(String, String, &domain::settle::Line)) {
    for sale in &run.sales {
        let Outcome::Settled(settled) = &sale.outcome else { continue };
        for line in &settled.settlement.lines {
            see(run.name(line.member_id).to_owned(), sale.sale.sale.currency.to_string(), line);
        }
    }
}

fn changes(base: &Money, with: &Money) -> Vec<Change> {
    let all = changes_and_equals(base, with);
    all.into_iter().filter(|change| !change.difference.is_zero()).collect()
}

fn changes_and_equals(base: &Money, with: &Money) -> Vec<Change> {
    let keys: BTreeSet<_> = base.keys().chain(with.keys()).collect();
    let change = |key: &(String, String)| {
        let of = |money: &Money| money.get(key).copied().unwrap_or_default();
        let (base, with) = (of(base), of(with));
        let difference = with - base;
        let (member, currency) = key.clone();
        Change { member, currency, base, with, difference }
    };
    keys.into_iter().map(change).collect()
}

/// What ends otherwise beside money.
fn notes(before: &Run, after: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    let state = |outcome: &Outcome| match outcome {
        Outcome::Settled(_) => "settled",
        Outcome::Waiting { cause, .. } => cause,
    };
    for (was, is) in before.sales.iter().zip(&after.sales) {
        let (from, to) = (state(&was.outcome), state(&is.outcome));
        if from != to {
            notes.push(format!("sale {}: {from}, then {to}", was.sale.name));
        }
    }
    for refused in after.refused.iter().filter(|refused| !before.refused.contains(refused)) {
        notes.push(format!("refused with it: {}, {}", refused.what, refused.message));
    }
    for refused in before.refused.iter().filter(|refused| !after.refused.contains(refused)) {
        notes.push(format!("no longer refused: {}", refused.what));
    }
    let points = |run: &Run| {
        let mut points: BTreeMap<String, Total> = BTreeMap::new();
        each_line(run, |member, _, line| {
            *points.entry(member).or_default() += line.career_points;
        });
        points
    };
    let (was, is) = (points(before), points(after));
    let members: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for member in members {
        let of = |points: &BTreeMap<String, Total>| points.get(member).copied().unwrap_or_default();
        let (from, to) = (of(&was), of(&is));
        if from != to {
            notes.push(format!("{member}: {from} career points, then {to}"));
        }
    }
    notes
}

fn text(compared: &[Compared], changed: usize, totals: &[Change], args: &DiffArgs) -> String {
    let mut text = format!("{} -> {}\n", args.base, args.with);
    for one in compared.iter().filter(|one| one.is_changed()) {
        let _ = write!(text, "\n{} ({})\n", one.scenario, one.file);
        if !one.changes.is_empty() {
            text.push_str(&table("member", &one.changes));
        }
        for note in &one.notes {
            let _ = writeln!(text, "{note}");
        }
    }
    let count = compared.len();
    let _ = write!(text, "\n{changed} of {count} scenario(s) with this plan change.\n\n");
    text.push_str(&table("all", totals));
    text
}

fn table(title: &str, changes: &[Change]) -> String {
    let rows = changes.iter().map(|change| {
        let sign = if change.difference > Total::ZERO { "+" } else { "" };
        vec![
            change.member.clone(),
            change.currency.clone(),
            change.base.to_string(),
            change.with.to_string(),
            format!("{sign}{}", change.difference),
        ]
    });
    output::table(&[title, "currency", "base", "with", "difference"], &[2, 3, 4], rows.collect())
}
