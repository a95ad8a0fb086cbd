//! The laws as properties over random plans of every type, sales and uplines.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::random::{
    RandomPlan, calculation, percentage, random_inputs, random_plan, random_sale, rank,
};
use super::{inputs, rule_set, sale};
use crate::decision::Verdict;
use crate::inputs::Visit;
use crate::member::MemberStatus;
use crate::reward_split::RewardSplit;

fn units(amounts: impl Iterator<Item = Amount>) -> i128 {
    amounts.map(Amount::units).sum()
}

/// Money that a line and everything split from it pays.
fn by_decision(settlement: &Settlement) -> Vec<i128> {
    let of = |place| settlement.lines.iter().filter(move |line| line.decision == place);
    (0..settlement.decisions.len()).map(|place| units(of(place).map(|line| line.amount))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// L6: for each sale and rule, paid + breakage = offered, to the last digit, whatever is
    /// compressed, rolled up, capped, split or rounded on the way. Nobody is paid less than nothing.
    #[test]
    fn l6_paid_and_breakage_are_what_rules_of_every_type_offered(
        plan in random_plan(), sale in random_sale(), inputs in random_inputs(),
    ) {
        let settlement = settle(&sale, &inputs, &plan.compile()).unwrap();
        for rule in 0..plan.rules.len() {
            let decided = || settlement.decisions.iter().filter(move |one| one.rule == rule);
            let offered = units(decided().map(|one| one.offered.money));
            let breakage = units(decided().flat_map(Decision::breakage).map(|(_, money)| money));
            let lines = settlement.lines.iter().filter(|line| line.rule == rule);
            prop_assert_eq!(units(lines.map(|line| line.amount)) + breakage, offered);
        }
        let by_reason = settlement.breakage_by_reason();
        prop_assert_eq!(units(by_reason.into_values()), settlement.breakage.units());
        for line in &settlement.lines {
            prop_assert!(line.amount >= Amount::ZERO && line.career_points >= Amount::ZERO);
            prop_assert!(!(line.amount.is_zero() && line.career_points.is_zero()));
        }
        for decision in &settlement.decisions {
            if let Verdict::Paid(taken) = decision.verdict {
                prop_assert!(taken.money <= decision.offered.money && decision.capped <= taken.money);
                let paid = decision.beneficiary.map(|who| who.visit.status);
                prop_assert_eq!(paid, Some(MemberStatus::Active), "only ACTIVE members earn");
            }
        }
    }

    /// What a unilevel, fixed or tier rule offers depends on the sale and the rule alone, never on
    /// who is there to take it.
    #[test]
    fn l6_what_is_offered_does_not_depend_on_the_upline(
        plan in random_plan(), sale in random_sale(), one in random_inputs(), other in random_inputs(),
    ) {
        let rules = plan.compile();
        let joined_alike = Inputs { seller: Visit { joined_at: one.seller.joined_at, rank: one.seller.rank, ..other.seller }, ..other };
        let (one, other) =
            (settle(&sale, &one, &rules).unwrap(), settle(&sale, &joined_alike, &rules).unwrap());
        for (place, rule) in rules.rules.iter().enumerate() {
            if rule.calculation.type_name() == "differential" {
                continue;
            }
            let offered = |settlement: &Settlement| {
                let decided = settlement.decisions.iter().filter(|one| one.rule == place);
                units(decided.map(|one| one.offered.money))
            };
            prop_assert_eq!(offered(&one), offered(&other), "{}", &rule.id);
        }
    }

    /// L4, L5, L9: what is stored (the content of the rule set, the packed inputs, cut to what was
    /// visited) gives the same settlement, byte for byte, by the version that made it.
    #[test]
    fn l4_l5_stored_inputs_and_rules_repeat_the_settlement(
        plan in random_plan(), sale in random_sale(), inputs in random_inputs(),
    ) {
        let rules = plan.compile();
        let first = settle(&sale, &inputs, &rules).unwrap();
        let reads = rules.reads();
        prop_assert!(first.visited() <= usize::from(reads.depth), "never more than it says");
        let mut looked_up = inputs.clone();
        looked_up.keep_read(usize::from(reads.depth), reads.joined_at);
        prop_assert_eq!(&settle(&sale, &looked_up, &rules).unwrap(), &expunged(&first, &rules));
        looked_up.keep_read(first.visited(), reads.joined_at);
        let stored_inputs = Inputs::unpack(&looked_up.pack()).unwrap();
        let stored_rules = RuleSet::from_content(&rules.content()).unwrap();
        let again = settle_as(SEMANTICS_VERSION, &sale, &stored_inputs, &stored_rules).unwrap();
        prop_assert_eq!(again, expunged(&first, &rules));
    }

    /// A cap cuts, but a higher cap never pays anybody less, and the sum keeps within the cap.
    #[test]
    fn a_higher_cap_pays_nobody_less(
        plan in random_plan(), sale in random_sale(), inputs in random_inputs(),
        low in 0..=1_000_000_u32, high in 0..=1_000_000_u32,
        mode in select(["pro_rata", "lowest_level_first", "hard_stop"].as_slice()),
        line in 0..=1_000_000_u32,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let capped = |share| {
            let plan = RandomPlan { caps: Some((line, mode, share)), ..plan.clone() };
            settle(&sale, &inputs, &plan.compile()).unwrap()
        };
        let free = RandomPlan { caps: None, ..plan.clone() };
        let free = by_decision(&settle(&sale, &inputs, &free.compile()).unwrap());
        let (low_paid, high_paid) = (by_decision(&capped(low)), by_decision(&capped(high)));
        for ((low, high), free) in low_paid.iter().zip(&high_paid).zip(&free) {
            prop_assert!(low <= high && high <= free);
        }
        let most = sale.amount.units() * i128::from(high) / 1_000_000;
        prop_assert!(high_paid.iter().sum::<i128>() <= most);
        let most_of_line = sale.amount.units() * i128::from(line) / 1_000_000;
        prop_assert!(high_paid.iter().all(|paid| *paid <= most_of_line));
    }

    /// A rule that matches nothing changes nothing, neither in a component of its own nor in
    /// competition with the others.
    #[test]
    fn a_rule_that_never_matches_changes_nothing(
        plan in random_plan(), sale in random_sale(), inputs in random_inputs(), other in calculation(),
    ) {
        let settlement = settle(&sale, &inputs, &plan.compile()).unwrap();
        for component in ["c0", "own"] {
            let rule = format!(
                "  - id: never\n    component: {component}\n    priority: 9\n    condition: {{any: []}}\n    \
                 calculation: {other}\n"
            );
            let with = settle(&sale, &inputs, &rule_set(&plan.yaml(&rule))).unwrap();
            prop_assert_eq!(&with.lines, &settlement.lines);
            prop_assert_eq!(&with.decisions, &settlement.decisions);
            prop_assert_eq!(with.breakage, settlement.breakage);
        }
    }

    /// Sharing rewards moves them between the sponsor and the seller, and touches nothing else.
    #[test]
    fn a_split_only_moves_what_the_sponsor_gets_to_the_seller(
        plan in random_plan(), sale in random_sale(), inputs in random_inputs(),
    ) {
        let rules = plan.compile();
        let with = settle(&sale, &inputs, &rules).unwrap();
        let without = settle(&sale, &Inputs { split: None, ..inputs.clone() }, &rules).unwrap();
        prop_assert_eq!(by_decision(&with), by_decision(&without));
        prop_assert_eq!(&with.decisions, &without.decisions);
        prop_assert_eq!(with.breakage, without.breakage);
        let points = |settlement: &Settlement| units(settlement.lines.iter().map(|l| l.career_points));
        prop_assert_eq!(points(&with), points(&without));
        for line in with.lines.iter().filter(|l| l.entry_type == EntryType::ReferralReward) {
            prop_assert_eq!(line.member_id, inputs.seller.member_id);
            prop_assert_eq!((line.level, line.depth), (1, 0));
            let decision = &with.decisions[line.decision];
            prop_assert_eq!(decision.beneficiary.map(|who| who.depth), Some(1));
        }
    }

    /// What version 1 of the arithmetic knew is paid by the present one just the same.
    #[test]
    fn plain_plans_pay_as_they_always_did(
        levels in prop::collection::btree_map(1..8_u8, (percentage(), percentage(), prop::option::of(rank())), 1..6),
        plan in random_plan(), sale in random_sale(), inputs in random_inputs(),
    ) {
        let levels: Vec<String> = levels
            .iter()
            .map(|(number, (money, points, rank))| {
                let rank = rank.map_or_else(String::new, |rank| format!(", min_rank: {rank}"));
                format!("{{level: {number}, percentage: '{money}', career_points_percentage: '{points}'{rank}}}")
            })
            .collect();
        let calculation = format!("{{type: unilevel, levels: [{}]}}", levels.join(", "));
        let plain = RandomPlan { rules: vec![("", "", calculation)], caps: None, ..plan };
        let rules = plain.compile();
        let (sale, inputs) =
            (Sale { lines: Vec::new(), ..sale }, Inputs { split: None, ..inputs });
        let now = settle_as(SEMANTICS_VERSION, &sale, &inputs, &rules).unwrap();
        let then = settle_as(1, &sale, &inputs, &rules).unwrap();
        prop_assert_eq!(&now.lines.iter().map(facts).collect::<Vec<_>>(), &then.lines.iter().map(facts).collect::<Vec<_>>());
        prop_assert_eq!(now.breakage, then.breakage);
    }
}

fn facts(line: &Line) -> (Uuid, EntryType, u16, u16, Amount, Amount) {
    let Line { member_id, entry_type, level, depth, amount, career_points, .. } = line;
    (*member_id, *entry_type, *level, *depth, *amount, *career_points)
}

/// The settlement as it is when nobody knows when members joined, unless a rule asks.
fn expunged(settlement: &Settlement, rules: &RuleSet) -> Settlement {
    let mut settlement = settlement.clone();
    if !rules.reads().joined_at {
        for who in settlement.decisions.iter_mut().filter_map(|one| one.beneficiary.as_mut()) {
            who.visit.joined_at = None;
        }
    }
    settlement
}

#[test]
fn unknown_arithmetic_is_not_guessed() {
    let plan = "plan: p\nversion: v\nvalid_from: 2023-05-01\nrules:\n  - id: r\n    component: c\n    \
                calculation: {type: fixed, to: seller, amount: {CZK: '1'}}";
    let (sale, inputs, rules) = (sale("1"), inputs(&[]), rule_set(plan));
    let refused = |semantics| settle_as(semantics, &sale, &inputs, &rules).unwrap_err();
    assert_eq!(refused(3), Unrepeatable::Semantics(3));
    assert_eq!(refused(0), Unrepeatable::Semantics(0));
    assert_eq!(refused(1), Unrepeatable::BeyondVersion1("fixed"));
}

/// What version 1 never knew, it does not guess about.
#[test]
fn version_1_knows_only_what_it_knew() {
    let plan = |more: &str, rule: &str, calculation: &str| {
        rule_set(&format!(
            "plan: p\nversion: v\nvalid_from: 2023-05-01\n{more}\nrules:\n  - id: r\n    component: c\n    \
             {rule}\n    calculation: {{type: unilevel, {calculation}}}"
        ))
    };
    let levels = "levels: [{level: 1, percentage: '1'}]";
    let (sale, sponsored) = (sale("1"), inputs(&[(0, MemberStatus::Active)]));
    let by = |rules: &RuleSet| settle_as(1, &sale, &sponsored, rules).map(|one| one.lines.len());
    assert_eq!(by(&plan("", "", levels)), Ok(1));
    let eligibility = "eligibility: {field: beneficiary.rank, op: '=', value: GOLD}";
    for (rules, beyond) in [
        (plan("caps: {line: {percentage: '1'}}", "", levels), "caps"),
        (plan("", eligibility, levels), "eligibility"),
        (plan("", "", &format!("compression: standard, {levels}")), "such levels"),
        (plan("", "", &format!("unqualified: roll_up, {levels}")), "such levels"),
        (plan("", "", "levels: [{level: 0, percentage: '1'}]"), "such levels"),
        (plan("", "", "levels: [{level: 1, amount: {CZK: '1'}}]"), "such levels"),
        (
            plan("", "", &format!("basis: volume, point_value: {{CZK: '2'}}, {levels}")),
            "such levels",
        ),
    ] {
        assert_eq!(by(&rules), Err(Unrepeatable::BeyondVersion1(beyond)));
    }
    let shared = Inputs { split: Some(RewardSplit::default()), ..sponsored };
    let refused = settle_as(1, &sale, &shared, &plan("", "", levels)).unwrap_err();
    assert_eq!(refused, Unrepeatable::BeyondVersion1("reward splits"));
}

/// An outcome as an earlier release stored it: the bytes of its inputs and the content of its rule
/// set are literals, and so are its lines.
#[test]
fn l9_an_outcome_of_version_1_is_repeated_to_the_cent() {
    let content = r#"{"plan":"retail","version":"2023-05","name":"retail","source_types":["PRODUCT"],"valid_from":"2023-04-30T22:00:00Z","max_levels":3,"rounding":{"scale":4,"mode":"half_away_from_zero"},"rules":[{"id":"base","component":"base","name":"base","valid_from":"2023-04-30T22:00:00Z","valid_to":null,"priority":0,"condition":{"field":"sale.currency","op":"in","value":["CZK","EUR"]},"calculation":{"type":"unilevel","basis":"amount","compression":"none","levels":[{"level":1,"percentage":"3.00","career_points_percentage":"10.00","min_rank":null},{"level":2,"percentage":"1.50","career_points_percentage":"0.00","min_rank":{"name":"SILVER","place":1}},{"level":5,"percentage":"1.00","career_points_percentage":"0.00","min_rank":null}]}}]}"#;
    // The format, then id, rank and status of the seller, a MEMBER, a SILVER, and an INACTIVE one.
    let visit = |id: u8, rank: u8, status: u8| [[0; 15].as_slice(), &[id, rank, status]].concat();
    let packed = [vec![1], visit(9, 0, 0), visit(1, 0, 0), visit(2, 1, 0), visit(3, 1, 1)].concat();
    let (rules, inputs) =
        (RuleSet::from_content(content).unwrap(), Inputs::unpack(&packed).unwrap());
    let settlement = settle_as(1, &sale("60000.01"), &inputs, &rules).unwrap();
    let lines: Vec<_> = settlement.lines.iter().map(facts).collect();
    let amount = |text| Amount::parse(text).unwrap();
    let line = |id, level, money, points| {
        let kind = EntryType::LevelCommission;
        (Uuid::from_u128(id), kind, level, level, amount(money), amount(points))
    };
    assert_eq!(lines, [line(1, 1, "1800.0003", "6000.001"), line(2, 2, "900.0002", "0")]);
    assert!(settlement.breakage.is_zero());
    let verdicts: Vec<_> = settlement.decisions.iter().map(Decision::reason_name).collect();
    assert_eq!(verdicts, [None, None, Some("no_tier")], "levels 1 to 3 are visited");
}
