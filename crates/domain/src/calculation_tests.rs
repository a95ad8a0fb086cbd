//! What a calculation may say, and what is refused with its place.

use super::*;
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::plan::PlanFile;
use crate::rule_set::RuleSet;

/// Compiles a plan with one rule that has this calculation, in YAML's flow form.
fn compile(calculation: &str, more: &str) -> Result<Calculation, Vec<(String, String)>> {
    let yaml = format!(
        "plan: p\nversion: v\nvalid_from: 2023-05-01\n{more}\nrules:\n  - id: r\n    component: c\n    \
         calculation: {calculation}"
    );
    let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap();
    let file = PlanFile::from_yaml(&yaml).unwrap();
    match RuleSet::compile(&file, &ladder, &Programme::default()) {
        Ok(mut rule_set) => Ok(rule_set.rules.remove(0).calculation),
        Err(flaws) => {
            let place = |path: String| {
                path.strip_prefix("rules[0].calculation").map_or(path.clone(), str::to_owned)
            };
            Err(flaws.into_iter().map(|flaw| (place(flaw.path), flaw.message)).collect())
        }
    }
}

/// The one flaw that a calculation has.
fn flaw(calculation: &str) -> (String, String) {
    let mut flaws = compile(calculation, "").unwrap_err();
    assert_eq!(flaws.len(), 1, "{calculation}: {flaws:?}");
    flaws.remove(0)
}

/// Calculation, path of the flaw, part of its message.
const REFUSED: &[(&str, &str, &str)] = &[
    // form
    ("[]", "", "must be a calculation"),
    ("{levels: []}", ".type", "say the type, one of unilevel, differential"),
    ("{type: 5}", ".type", "say the type"),
    ("{type: binary}", ".type", "\"binary\" is no type of calculation; use unilevel"),
    ("{type: fixed, amount: {EUR: '1'}}", "", "missing field `to`"),
    ("{type: fixed, to: nobody, amount: {EUR: '1'}}", ".to", "seller, sponsor, or the number"),
    ("{type: fixed, to: 300, amount: {EUR: '1'}}", ".to", "seller, sponsor, or the number"),
    ("{type: fixed, to: -1, amount: {EUR: '1'}}", ".to", "seller, sponsor, or the number"),
    ("{type: fixed, to: 65, amount: {EUR: '1'}}", ".to", "a level from 1 to 64"),
    ("{type: fixed, to: 1, amount: {EUR: 1}}", ".amount.EUR", "in quotes"),
    ("{type: fixed, to: 1, amount: {euro: '1'}}", ".amount.euro", "three capital letters"),
    ("{type: fixed, to: 1, amount: {EUR: '1'}, levels: []}", ".levels", "unknown field"),
    ("{type: unilevel, levels: [{level: 1, percentage: 3}]}", ".levels[0].percentage", "in quotes"),
    // unilevel
    ("{type: unilevel, levels: []}", ".levels", "at least one level"),
    ("{type: unilevel, levels: [{level: 65, percentage: '1'}]}", ".levels[0].level", "0 to 64"),
    ("{type: unilevel, levels: [{level: 1}]}", ".levels[0]", "one of percentage, amount and rates"),
    (
        "{type: unilevel, levels: [{level: 1, percentage: '1', amount: {EUR: '1'}}]}",
        ".levels[0]",
        "one of percentage, amount and rates",
    ),
    (
        "{type: unilevel, levels: [{level: 2, through: 1, percentage: '1'}]}",
        ".levels[0].through",
        "must be 2 to 64",
    ),
    (
        "{type: unilevel, levels: [{level: 2, through: 65, percentage: '1'}]}",
        ".levels[0].through",
        "must be 2 to 64",
    ),
    (
        "{type: unilevel, levels: [{level: 1, through: 3, percentage: '1'}, {level: 3, percentage: '1'}]}",
        ".levels[1].level",
        "level 3 is listed twice",
    ),
    (
        "{type: unilevel, levels: [{level: 1, percentage: '1', min_rank: BRONZE}]}",
        ".levels[0].min_rank",
        "BRONZE is not on the ladder",
    ),
    (
        "{type: unilevel, levels: [{level: 1, amount: {}}]}",
        ".levels[0].amount",
        "at least one currency",
    ),
    (
        "{type: unilevel, levels: [{level: 1, amount: {EUR: '-0.01'}}]}",
        ".levels[0].amount.EUR",
        "must not be negative",
    ),
    ("{type: unilevel, levels: [{level: 1, rates: []}]}", ".levels[0].rates", "at least one rate"),
    (
        "{type: unilevel, levels: [{level: 1, rates: [{rank: GOLD}]}]}",
        ".levels[0].rates[0]",
        "one of percentage and amount",
    ),
    (
        "{type: unilevel, levels: [{level: 1, rates: [{rank: GOLD, percentage: '1', amount: {EUR: '1'}}]}]}",
        ".levels[0].rates[0]",
        "one of percentage and amount",
    ),
    (
        "{type: unilevel, levels: [{level: 1, rates: [{rank: GOLD, amount: {EUR: '-1'}}]}]}",
        ".levels[0].rates[0].amount.EUR",
        "must not be negative",
    ),
    (
        "{type: unilevel, levels: [{level: 1, rates: [{rank: GOLD, percentage: '1'}, {rank: GOLD, percentage: '2'}]}]}",
        ".levels[0].rates[1].rank",
        "GOLD is listed twice",
    ),
    (
        "{type: unilevel, levels: [{level: 1, career_points_percentage: '1', rates: [{rank: GOLD, percentage: '1'}]}]}",
        ".levels[0].career_points_percentage",
        "belongs to each of the rates",
    ),
    (
        "{type: unilevel, compression: standard, unqualified: roll_up, levels: [{level: 1, percentage: '1'}]}",
        ".unqualified",
        "does not go together with compression",
    ),
    (
        "{type: unilevel, compression: full, levels: [{level: 1, percentage: '1'}]}",
        ".compression",
        "unknown variant `full`",
    ),
    (
        "{type: unilevel, basis: volume, point_value: {EUR: '0'}, levels: [{level: 1, percentage: '1'}]}",
        ".point_value.EUR",
        "more than zero",
    ),
    (
        "{type: unilevel, point_value: {EUR: '1'}, levels: [{level: 1, percentage: '1'}]}",
        ".point_value",
        "belongs to `basis: volume`",
    ),
    // differential
    ("{type: differential, rates: []}", ".rates", "at least one rate"),
    (
        "{type: differential, rates: [{rank: GOLD, percentage: '1'}, {rank: SILVER, percentage: '2'}]}",
        ".rates[1].rank",
        "SILVER must be above GOLD",
    ),
    (
        "{type: differential, rates: [{rank: GOLD, percentage: '1'}, {rank: GOLD, percentage: '2'}]}",
        ".rates[1].rank",
        "GOLD must be above GOLD",
    ),
    (
        "{type: differential, rates: [{rank: SILVER, percentage: '2'}, {rank: GOLD, percentage: '2'}]}",
        ".rates[1].percentage",
        "more than the 2.00 % of SILVER",
    ),
    (
        "{type: differential, rates: [{rank: SILVER, percentage: '1', career_points_percentage: '2'}, \
             {rank: GOLD, percentage: '2', career_points_percentage: '1'}]}",
        ".rates[1].career_points_percentage",
        "not be less than the 2.00 % of SILVER",
    ),
    (
        "{type: differential, rates: [{rank: GOLD, percentage: '1'}], equal_rank: {percentage: '1', depth: 0}}",
        ".equal_rank.depth",
        "at least 1",
    ),
    // once a sale
    ("{type: fast_start, days: 0, percentage: '1'}", ".days", "at least 1"),
    ("{type: fast_start, days: 5}", "", "one of percentage and amount"),
    ("{type: fast_start, days: 5, amount: {EUR: '-1'}}", ".amount.EUR", "must not be negative"),
    (
        "{type: fixed, to: seller, amount: {EUR: '1'}, career_points: '-1'}",
        ".career_points",
        "must not be negative",
    ),
    ("{type: whole_tiers, tiers: []}", ".tiers", "at least one tier"),
    (
        "{type: marginal_tiers, tiers: [{from: '-1', percentage: '1'}]}",
        ".tiers[0].from",
        "must not be negative",
    ),
    (
        "{type: marginal_tiers, tiers: [{from: '5', percentage: '1'}, {from: '5', percentage: '2'}]}",
        ".tiers[1].from",
        "above the tier before",
    ),
];

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (calculation, path, message) in REFUSED {
        let flaw = flaw(calculation);
        assert_eq!(
            flaw.0.trim_start_matches('.'),
            path.trim_start_matches('.'),
            "{calculation}: {flaw:?}"
        );
        assert!(flaw.1.contains(message), "{calculation}: {flaw:?}");
    }
}

#[test]
fn the_bounds_themselves_are_fine() {
    for calculation in [
        "{type: fixed, to: 64, amount: {EUR: '0'}}",
        "{type: unilevel, levels: [{level: 0, through: 64, percentage: '100'}]}",
        "{type: unilevel, levels: [{level: 64, through: 64, amount: {EUR: '0'}}]}",
        "{type: unilevel, unqualified: roll_up, levels: [{level: 1, percentage: '0'}]}",
        "{type: unilevel, compression: dynamic, unqualified: breakage, levels: [{level: 1, percentage: '1'}]}",
        "{type: differential, rates: [{rank: SILVER, percentage: '1', career_points_percentage: '2'}, \
         {rank: GOLD, percentage: '2', career_points_percentage: '2'}], equal_rank: {percentage: '1', depth: 1}}",
        "{type: fast_start, days: 1, to: 3, amount: {EUR: '0'}}",
        "{type: whole_tiers, to: 0, tiers: [{from: '0', percentage: '1'}, {from: '0.0001', percentage: '0'}]}",
    ] {
        let compiled = compile(calculation, "").unwrap();
        let stored = serde_json::to_string(&compiled).unwrap();
        assert_eq!(serde_json::from_str::<Calculation>(&stored).unwrap(), compiled, "{stored}");
    }
}

#[test]
fn a_range_of_levels_is_each_of_them() {
    let range = "{type: unilevel, levels: [{level: 2, through: 4, percentage: '1'}, {level: 1, percentage: '2'}]}";
    let Calculation::Unilevel(unilevel) = compile(range, "").unwrap() else { panic!() };
    let levels: Vec<_> = unilevel
        .levels
        .iter()
        .map(|level| (level.level, level.percentage.unwrap().to_string()))
        .collect();
    let one = |level| (level, "1.00".to_owned());
    assert_eq!(levels, [(1, "2.00".to_owned()), one(2), one(3), one(4)]);
}

#[test]
fn how_far_each_type_walks() {
    let depth = |calculation: &str| compile(calculation, "").unwrap().as_calculate().depth(10);
    let levels = "levels: [{level: 3, percentage: '1'}, {level: 12, percentage: '1'}]";
    assert_eq!(depth(&format!("{{type: unilevel, {levels}}}")), 3, "level 12 is beyond max_levels");
    for mode in ["compression: standard", "compression: dynamic", "unqualified: roll_up"] {
        assert_eq!(depth(&format!("{{type: unilevel, {mode}, {levels}}}")), 5_000, "{mode}");
    }
    assert_eq!(depth("{type: differential, rates: [{rank: GOLD, percentage: '1'}]}"), 5_000);
    assert_eq!(depth("{type: fixed, to: 7, amount: {EUR: '1'}}"), 7);
    assert_eq!(depth("{type: fast_start, days: 5, percentage: '1'}"), 1);
    assert_eq!(depth("{type: marginal_tiers, tiers: [{from: '0', percentage: '1'}]}"), 0);
    assert_eq!(depth("{type: whole_tiers, to: 2, tiers: [{from: '0', percentage: '1'}]}"), 2);
}

#[test]
fn caps_that_make_no_sense_are_refused() {
    let caps = |caps: &str| {
        let fixed = "{type: fixed, to: seller, amount: {EUR: '1'}}";
        compile(fixed, &format!("caps: {caps}")).map(drop)
    };
    let flaw = |text: &str| caps(text).unwrap_err().remove(0);
    assert_eq!(flaw("{line: {}}").0, "caps.line");
    assert_eq!(flaw("{sale: {mode: pro_rata}}").0, "caps.sale");
    assert_eq!(flaw("{line: {amount: {EUR: '-1'}}}").0, "caps.line.amount.EUR");
    assert_eq!(flaw("{sale: {amount: {EUR: '-1'}, mode: pro_rata}}").0, "caps.sale.amount.EUR");
    assert_eq!(
        caps("{line: {amount: {EUR: '0'}}, sale: {percentage: '0', mode: hard_stop}}"),
        Ok(())
    );
}
