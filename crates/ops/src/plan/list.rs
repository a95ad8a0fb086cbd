//! `lineage plan list`.

use std::process::ExitCode;

use domain::rule_book::{PlanVersion, RuleBook};
use serde_json::json;
use store::plans::{self, Listed};
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
    let book = book(&listed);
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
                version.hash.chars().take(HASH_DIGITS).collect(),
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
            "hash",
        ];
        output::table(&header, &[2, 6], rows.collect())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The rule book of what is listed, to ask it for the end of each version.
pub(super) fn book(listed: &[Listed]) -> RuleBook {
    let version = |listed: &Listed| PlanVersion {
        number: listed.number,
        rule_numbers: Vec::new(),
        rule_set: listed.rule_set.clone(),
    };
    RuleBook::new(listed.iter().map(version).collect())
}
