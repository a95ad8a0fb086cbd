//! `lineage plan list`.

use std::process::ExitCode;

use domain::period::Programme;
use domain::rule_book::{PlanVersion, Retirement, RuleBook};
use domain::rule_set::RuleSet;
use serde_json::{Value, json};
use store::plans::{self, Listed, RetiredPlan};
use store::{StoreError, programme};

use super::pays;
use crate::connection::DatabaseArgs;
use crate::output::{self, Format};
use domain::calendar;

/// Digits of a hash that tell versions apart for people.
const HASH_DIGITS: usize = 12;

pub(super) async fn run(format: Format, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let calendar = programme::get(&mut conn).await?;
    let listed = plans::list(&mut conn).await?;
    let retirements = plans::retirements(&mut conn).await?;
    let book = book(&listed, &retirements);
    let value: Vec<_> = listed
        .iter()
        .map(|version| {
            let rules = &version.rule_set;
            json!({
                "plan": rules.plan,
                "version": rules.version,
                "number": version.number,
                "name": rules.name,
                "valid_from": calendar::rfc3339(rules.valid_from),
                "valid_to": book.valid_until(rules).map(calendar::rfc3339),
                "retired": retirement_of(rules, &book, &retirements).map(described),
                "source_types": rules.source_types,
                "rules": rules.rules.len(),
                "applied_at": calendar::rfc3339(version.applied_at),
                "applied_by": version.applied_by,
                "reason": version.reason,
                "hash": version.hash,
                "file_hash": version.file_hash,
            })
        })
        .collect();
    output::print(format, &value, |_| {
        let rows = listed.iter().map(|version| {
            let rules = &version.rule_set;
            let until = book.valid_until(rules);
            vec![
                rules.plan.clone(),
                rules.version.clone(),
                version.number.to_string(),
                calendar::beginning(&calendar, rules.valid_from),
                until.map_or_else(String::new, |until| calendar::beginning(&calendar, until)),
                pays(rules),
                rules.rules.len().to_string(),
                calendar::moment(&calendar, version.applied_at),
                version.applied_by.clone(),
                version.reason.clone(),
                version.hash.chars().take(HASH_DIGITS).collect(),
                version.file_hash.chars().take(HASH_DIGITS).collect(),
            ]
        });
        let header = [
            "plan",
            "version",
            "number",
            "from",
            "until",
            "pays",
            "rules",
            "applied at",
            "by",
            "reason",
            "rule set",
            "file",
        ];
        let mut text = output::table(&header, &[2, 6], rows.collect());
        // A retirement that a later version took back ends nothing, or the version before it only.
        let ended = |version: &Listed| retirement_of(&version.rule_set, &book, &retirements);
        let retired = listed.iter().filter_map(|version| Some((version, ended(version)?)));
        let retired = retired.map(|(version, retired)| {
            let rules = &version.rule_set;
            let (plan, version) = (&rules.plan, &rules.version);
            format!(
                "Plan {plan}: version {version} ends by retirement {}\n",
                sentence(retired, &calendar)
            )
        });
        text.extend(retired);
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The retirement that ends a version, if one does.
pub(super) fn retirement_of<'a>(
    rule_set: &RuleSet,
    book: &RuleBook,
    retirements: &'a [RetiredPlan],
) -> Option<&'a RetiredPlan> {
    let end = book.valid_until(rule_set)?;
    let ends = |retired: &&RetiredPlan| retired.plan == rule_set.plan && retired.from == end;
    // Where a version begins at that moment, it is the one that ends its predecessor.
    let begins = |rules: &RuleSet| rules.plan == rule_set.plan && rules.valid_from == end;
    let succeeded = book.versions().iter().any(|version| begins(&version.rule_set));
    retirements.iter().find(ends).filter(|_| !succeeded)
}

fn described(retired: &RetiredPlan) -> Value {
    json!({
        "from": calendar::rfc3339(retired.from),
        "retired_at": calendar::rfc3339(retired.retired_at),
        "retired_by": retired.retired_by,
        "reason": retired.reason,
    })
}

/// From when on a plan is retired, and who decided it when and why.
pub(super) fn sentence(retired: &RetiredPlan, programme: &Programme) -> String {
    format!(
        "from {} on: decided {} by {}: {}",
        calendar::beginning(programme, retired.from),
        calendar::moment(programme, retired.retired_at),
        retired.retired_by,
        retired.reason
    )
}

/// The rule book of what is listed, to ask it for the end of each version.
pub(super) fn book(listed: &[Listed], retirements: &[RetiredPlan]) -> RuleBook {
    let version = |listed: &Listed| PlanVersion {
        number: listed.number,
        rule_numbers: Vec::new(),
        rule_set: listed.rule_set.clone(),
    };
    let retirement =
        |retired: &RetiredPlan| Retirement { plan: retired.plan.clone(), from: retired.from };
    RuleBook::new(listed.iter().map(version).collect())
        .with_retirements(retirements.iter().map(retirement))
}
