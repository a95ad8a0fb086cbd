//! Names in expectations that nothing has: such an expectation could never be met.

use std::collections::BTreeSet;

use super::expected::{BreakageFile, ExpectFile};
use crate::decision::{EntryType, Passage, Reason};

/// Every unknown name, with its path.
pub(super) fn check(
    expect: &ExpectFile,
    sales: &BTreeSet<&str>,
    members: &BTreeSet<&str>,
) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    for (at, sale) in sales_named(expect).into_iter().filter(|(_, sale)| !sales.contains(sale)) {
        wrong.push((at, format!("no sale is called {sale:?}")));
    }
    let members_named = members_named(expect).into_iter();
    for (at, member) in members_named.filter(|(_, member)| !members.contains(member)) {
        wrong.push((at, format!("no member is called {member:?}")));
    }
    let types = EntryType::ALL.map(EntryType::name);
    for (place, line) in expect.ledger.iter().flatten().enumerate() {
        if let Some(name) = line.entry_type.as_deref().filter(|name| !types.contains(name)) {
            let message = format!("{name:?} is no type of line; known are {}", types.join(", "));
            wrong.push((format!("expect.ledger[{place}].type"), message));
        }
    }
    for (place, expected) in expect.reasons.iter().enumerate() {
        if expected.reason.is_none() && expected.because.is_none() {
            let message = "say the reason, or what lies behind it".to_owned();
            wrong.push((format!("expect.reasons[{place}]"), message));
        }
    }
    let reasons = Reason::ALL.map(Reason::name);
    let passages = Passage::ALL.map(Passage::name);
    for (at, name, may_be_passage) in reasons_named(expect) {
        let is_known = reasons.contains(&name) || (may_be_passage && passages.contains(&name));
        if !is_known {
            let known = reasons.iter().chain(passages.iter().filter(|_| may_be_passage));
            let known = known.copied().collect::<Vec<_>>().join(", ");
            wrong.push((at, format!("{name:?} is no reason; known are {known}")));
        }
    }
    wrong
}

fn sales_named(expect: &ExpectFile) -> Vec<(String, &str)> {
    let mut named: Vec<(String, &str)> = Vec::new();
    for (place, line) in expect.ledger.iter().flatten().enumerate() {
        named.push((format!("expect.ledger[{place}].event"), &line.event));
    }
    for (place, expected) in expect.reasons.iter().enumerate() {
        named.push((format!("expect.reasons[{place}].event"), &expected.event));
    }
    for event in expect.breakage.keys() {
        named.push((format!("expect.breakage.{event}"), event));
    }
    for event in expect.unsettled.keys() {
        named.push((format!("expect.unsettled.{event}"), event));
    }
    named
}

fn members_named(expect: &ExpectFile) -> Vec<(String, &str)> {
    let mut named: Vec<(String, &str)> = Vec::new();
    for member in expect.totals.iter().flat_map(|totals| totals.keys()) {
        named.push((format!("expect.totals.{member}"), member));
    }
    for member in expect.career_points.iter().flat_map(|points| points.keys()) {
        named.push((format!("expect.career_points.{member}"), member));
    }
    for (place, line) in expect.ledger.iter().flatten().enumerate() {
        named.push((format!("expect.ledger[{place}].member"), &line.member));
    }
    for (place, expected) in expect.reasons.iter().enumerate() {
        let member = expected.member.as_deref();
        named.extend(member.map(|member| (format!("expect.reasons[{place}].member"), member)));
    }
    named
}

/// Reasons, and whether `compressed` and `rolled_up` may stand there.
fn reasons_named(expect: &ExpectFile) -> Vec<(String, &str, bool)> {
    let mut named: Vec<(String, &str, bool)> = Vec::new();
    for (place, expected) in expect.reasons.iter().enumerate() {
        let at = |field: &str| format!("expect.reasons[{place}].{field}");
        named.extend(expected.reason.as_deref().map(|name| (at("reason"), name, true)));
        named.extend(expected.because.as_deref().map(|name| (at("because"), name, false)));
    }
    for (event, breakage) in &expect.breakage {
        let BreakageFile::ByReason(by_reason) = breakage else { continue };
        for name in by_reason.keys() {
            named.push((format!("expect.breakage.{event}.{name}"), name, false));
        }
    }
    named
}
