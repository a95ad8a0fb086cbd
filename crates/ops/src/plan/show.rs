//! `lineage plan show`: the rules of a version, for people.

use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, Utc};
use domain::amount::{Rounding, RoundingMode};
use domain::caps::Caps;
use domain::period::Programme;
use domain::rule_set::{Rule, RuleSet};
use store::plans::{self, Listed, RetiredPlan};
use store::{StoreError, programme};

use super::apply::validity;
use super::{ShowArgs, list};
use crate::connection::DatabaseArgs;
use crate::output::{self, Format, print_text};
use domain::calendar;

pub(super) async fn run(args: &ShowArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let calendar = programme::get(&mut conn).await?;
    let listed = plans::list(&mut conn).await?;
    let retirements = plans::retirements(&mut conn).await?;
    let version = choose(&listed, &args.plan, args.version.as_deref())?;
    print_text(&match args.output.format {
        Format::Table => {
            let book = list::book(&listed, &retirements);
            let valid_to = book.valid_until(&version.rule_set);
            let retired = list::retirement_of(&version.rule_set, &book, &retirements);
            text(version, valid_to, retired, &calendar)
        }
        Format::Json => version.rule_set.content(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The version that is asked for. Labels are for people and may repeat; numbers do not.
fn choose<'a>(
    listed: &'a [Listed],
    plan: &str,
    version: Option<&str>,
) -> anyhow::Result<&'a Listed> {
    let of_plan: Vec<&Listed> = listed.iter().filter(|known| known.rule_set.plan == plan).collect();
    let Some(latest) = of_plan.last() else {
        bail!("no plan {plan:?} is applied; see `lineage plan list`");
    };
    let Some(wanted) = version else { return Ok(latest) };
    let labelled: Vec<&&Listed> =
        of_plan.iter().filter(|known| known.rule_set.version == wanted).collect();
    match labelled.as_slice() {
        [one] => return Ok(one),
        [] => {}
        several => {
            let numbers: Vec<String> = several.iter().map(|one| one.number.to_string()).collect();
            bail!(
                "plan {plan} has several versions labelled {wanted:?}; give one of the numbers {}",
                numbers.join(", ")
            );
        }
    }
    let is_wanted =
        |known: &Listed| known.number.to_string() == wanted || known.hash.starts_with(wanted);
    match of_plan.iter().find(|known| is_wanted(known)) {
        Some(one) => Ok(one),
        None => bail!("plan {plan} has no version {wanted:?}; see `lineage plan list`"),
    }
}

/// A version for people.
fn text(
    version: &Listed,
    valid_to: Option<DateTime<Utc>>,
    retired: Option<&RetiredPlan>,
    programme: &Programme,
) -> String {
    let rule_set = &version.rule_set;
    let applied =
        format!("{} by {}", calendar::moment(programme, version.applied_at), version.applied_by);
    let mut text = format!("Plan {}, version {}\n", rule_set.plan, rule_set.version);
    let mut rows = vec![
        ("name", rule_set.name.clone()),
        ("number", version.number.to_string()),
        ("rule set", version.hash.clone()),
        ("file", version.file_hash.clone()),
        ("valid", validity(rule_set.valid_from, valid_to, programme)),
        ("pays", format!("{} sales, {} level(s) at most", pays(rule_set), rule_set.max_levels)),
        ("rounding", rounding(rule_set.rounding)),
    ];
    rows.extend(rule_set.caps.iter().flat_map(Caps::describe));
    rows.extend([("applied", applied), ("reason", version.reason.clone())]);
    rows.extend(retired.map(|retired| ("retired", list::sentence(retired, programme))));
    text.push_str(&output::facts(&rows));
    for rule in &rule_set.rules {
        text.push('\n');
        text.push_str(&rule_text(rule, rule_set, programme));
    }
    text
}

fn rule_text(rule: &Rule, rule_set: &RuleSet, programme: &Programme) -> String {
    let mut text = format!("Rule {}: {}\n", rule.id, rule.name);
    let from = calendar::beginning(programme, rule.valid_from);
    let until = rule.valid_to.map_or_else(
        || "as long as the version".to_owned(),
        |end| format!("until {} (exclusive)", calendar::beginning(programme, end)),
    );
    let sales = rule
        .condition
        .as_ref()
        .map_or_else(|| "all".to_owned(), domain::condition::Condition::phrase);
    let description = rule.calculation.as_calculate().describe(rule_set.max_levels);
    let mut facts = vec![
        ("component", format!("{}, priority {}", rule.component, rule.priority)),
        ("valid", format!("from {from} {until}")),
        ("sales", sales),
    ];
    if let Some(eligibility) = &rule.eligibility {
        facts.push(("members", eligibility.phrase()));
    }
    facts.push(("pays", rule.calculation.type_name().to_owned()));
    facts.extend(description.facts);
    for line in output::facts(&facts).lines() {
        text.extend(["  ", line, "\n"]);
    }
    if description.header.is_empty() {
        return text;
    }
    let mut header = description.header;
    let right: &[usize] = if header[0] == "rank" { &[1, 2] } else { &[0, 1, 2] };
    let first = format!("  {}", header.remove(0));
    let header: Vec<&str> = std::iter::once(first.as_str()).chain(header).collect();
    let rows = description.rows.into_iter().map(|mut row| {
        row[0].insert_str(0, "  ");
        row
    });
    text.push_str(&output::table(&header, right, rows.collect()));
    text
}

/// What a plan pays.
pub(crate) fn pays(rule_set: &RuleSet) -> String {
    if rule_set.source_types.is_empty() {
        return "all other".to_owned();
    }
    let names: Vec<&str> = rule_set.source_types.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

fn rounding(rounding: Rounding) -> String {
    let mode = match rounding.mode {
        RoundingMode::HalfAwayFromZero => "half away from zero",
        RoundingMode::HalfEven => "half to even",
        RoundingMode::Down => "down",
        RoundingMode::Up => "up",
    };
    format!("once a level, to {} decimals, {mode}", rounding.scale)
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
