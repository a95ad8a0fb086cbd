//! The laws as properties over random plans of every type, sales and uplines.

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::{inputs, rule_set, sale};
use crate::amount::Percentage;
use crate::decision::Verdict;
use crate::inputs::Visit;
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::reward_split::RewardSplit;
use crate::sale::SaleLine;

const RANKS: [&str; 3] = ["MEMBER", "SILVER", "GOLD"];

fn percentage() -> impl Strategy<Value = String> {
    (0..=1_000_000_u32).prop_map(|units| format!("{}.{:04}", units / 10_000, units % 10_000))
}

fn rank() -> impl Strategy<Value = &'static str> {
    select(RANKS.as_slice())
}

/// `percentage: "3.0000", career_points_percentage: "1.0000"`, or fixed amounts.
fn pay() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (percentage(), percentage())
            .prop_map(|(a, b)| format!("percentage: '{a}', career_points_percentage: '{b}'")),
        1 => (0..100_000_u32).prop_map(|n| format!("amount: {{CZK: '{n}.0050', EUR: '1'}}")),
        1 => Just("amount: {EUR: '7.5'}".to_owned()),
    ]
}

fn rates() -> impl Strategy<Value = String> {
    prop::collection::btree_map(0..3_usize, pay(), 1..4).prop_map(|rates| {
        let each: Vec<String> =
            rates.iter().map(|(rank, pay)| format!("{{rank: {}, {pay}}}", RANKS[*rank])).collect();
        format!("rates: [{}]", each.join(", "))
    })
}

fn level() -> impl Strategy<Value = String> {
    let what = prop_oneof![2 => pay(), 1 => rates()];
    (what, prop::option::of(rank())).prop_map(|(what, rank)| {
        let rank = rank.map_or_else(String::new, |rank| format!(", min_rank: {rank}"));
        format!("{what}{rank}")
    })
}

fn basis() -> impl Strategy<Value = &'static str> {
    select(
        [
            "basis: amount",
            "basis: volume",
            "basis: volume, point_value: {CZK: '0.3333', EUR: '2'}",
            "basis: volume, point_value: {EUR: '2'}",
        ]
        .as_slice(),
    )
}

fn unilevel() -> impl Strategy<Value = String> {
    let mode = select(
        [
            "compression: none",
            "compression: standard",
            "compression: dynamic",
            "unqualified: roll_up",
        ]
        .as_slice(),
    );
    let levels = prop::collection::btree_map(0..8_u8, level(), 1..6);
    (basis(), mode, levels).prop_map(|(basis, mode, levels)| {
        let levels: Vec<String> =
            levels.iter().map(|(number, what)| format!("{{level: {number}, {what}}}")).collect();
        format!("{{type: unilevel, {basis}, {mode}, levels: [{}]}}", levels.join(", "))
    })
}

fn differential() -> impl Strategy<Value = String> {
    let rates = prop::collection::btree_set(1..=1_000_000_u32, 3)
        .prop_map(|set| set.into_iter().collect::<Vec<u32>>());
    let seller = select(["paid", "counted", "ignored"].as_slice());
    let equal = prop::option::of((percentage(), 1..4_u8));
    (basis(), rates, 0..3_usize, seller, equal).prop_map(|(basis, rates, first, seller, equal)| {
        let each: Vec<String> = (first..3)
            .map(|place| {
                let units = rates[place];
                let percentage = format!("{}.{:04}", units / 10_000, units % 10_000);
                format!("{{rank: {}, percentage: '{percentage}'}}", RANKS[place])
            })
            .collect();
        let equal = equal.map_or_else(String::new, |(percentage, depth)| {
            format!(", equal_rank: {{percentage: '{percentage}', depth: {depth}}}")
        });
        let rates = each.join(", ");
        format!("{{type: differential, {basis}, seller: {seller}, rates: [{rates}]{equal}}}")
    })
}

fn to() -> impl Strategy<Value = &'static str> {
    select(["seller", "sponsor", "3"].as_slice())
}

fn bonus() -> impl Strategy<Value = String> {
    let tiers = (basis(), to(), percentage(), percentage(), 1..50_000_u32);
    prop_oneof![
        (to(), 0..1_000_u32).prop_map(|(to, sum)| format!(
            "{{type: fixed, to: {to}, amount: {{CZK: '{sum}.01'}}, career_points: '2'}}"
        )),
        (to(), pay(), 1..60_u8).prop_map(|(to, pay, days)| format!(
            "{{type: fast_start, to: {to}, days: {days}, {pay}}}"
        )),
        (tiers, any::<bool>()).prop_map(|((basis, to, low, high, edge), marginal)| {
            let kind = if marginal { "marginal_tiers" } else { "whole_tiers" };
            format!(
                "{{type: {kind}, {basis}, to: {to}, tiers: [{{from: '10', percentage: '{low}'}}, \
                 {{from: '{}', percentage: '{high}'}}]}}",
                10 + edge
            )
        }),
    ]
}

fn calculation() -> impl Strategy<Value = String> {
    prop_oneof![3 => unilevel(), 2 => differential(), 2 => bonus()]
}

fn eligibility() -> impl Strategy<Value = &'static str> {
    select(
        [
            "",
            "",
            "eligibility: {field: beneficiary.rank, op: '>=', value: SILVER}",
            "eligibility: {field: beneficiary.days_since_joining, op: '>', value: '20'}",
            "eligibility: {field: beneficiary.depth, op: '<=', value: '4'}",
            "eligibility: {not: {field: beneficiary.level, op: '=', value: '2'}}",
        ]
        .as_slice(),
    )
}

fn condition() -> impl Strategy<Value = &'static str> {
    select(
        [
            "",
            "",
            "condition: {field: sale.category, op: '=', value: tea}",
            "condition: {field: sale.line_amount, op: '>', value: '100'}",
            "condition: {field: seller.rank, op: '>', value: MEMBER}",
        ]
        .as_slice(),
    )
}

#[derive(Clone, Debug)]
struct RandomPlan {
    rules: Vec<(&'static str, &'static str, String)>,
    caps: Option<(u32, &'static str, u32)>,
    rounding: (u8, &'static str),
    max_levels: u8,
}

prop_compose! {
    fn random_plan()(
        rules in prop::collection::vec((condition(), eligibility(), calculation()), 1..4),
        caps in prop::option::of((
            0..=1_000_000_u32,
            select(["pro_rata", "lowest_level_first", "hard_stop"].as_slice()),
            0..=1_000_000_u32,
        )),
        rounding in (0..=4_u8, select(["half_away_from_zero", "half_even", "down", "up"].as_slice())),
        max_levels in 1..8_u8,
    ) -> RandomPlan {
        RandomPlan { rules, caps, rounding, max_levels }
    }
}

impl RandomPlan {
    fn yaml(&self, more_rules: &str) -> String {
        let percent = |units: u32| format!("{}.{:04}", units / 10_000, units % 10_000);
        let caps = self.caps.map_or_else(String::new, |(line, mode, sale)| {
            let (line, sale) = (percent(line), percent(sale));
            format!("caps: {{line: {{percentage: '{line}'}}, sale: {{percentage: '{sale}', mode: {mode}}}}}")
        });
        let rules: Vec<String> = self
            .rules
            .iter()
            .enumerate()
            .map(|(place, (condition, eligibility, calculation))| {
                format!(
                    "  - id: r{place}\n    component: c{place}\n    priority: 5\n    {condition}\n    \
                     {eligibility}\n    calculation: {calculation}\n"
                )
            })
            .collect();
        let (scale, mode) = self.rounding;
        format!(
            "plan: p\nversion: v\nvalid_from: 2023-05-01\nmax_levels: {}\n{caps}\n\
             rounding: {{scale: {scale}, mode: {mode}}}\nrules:\n{}{more_rules}",
            self.max_levels,
            rules.concat()
        )
    }

    fn compile(&self) -> RuleSet {
        rule_set(&self.yaml(""))
    }
}

prop_compose! {
    fn random_inputs()(
        members in prop::collection::vec((0..3_u8, 0..6_u8, 0..80_i64), 1..12),
        split in prop::option::of((0..=1_000_000_u32, 0..=1_000_000_u32)),
    ) -> Inputs {
        // Two in three are ACTIVE.
        let status = |code| MemberStatus::from_code(code).unwrap_or_default();
        let upline: Vec<_> =
            members[1..].iter().map(|(rank, code, _)| (*rank, status(*code))).collect();
        let mut inputs = inputs(&upline);
        (inputs.seller.rank, inputs.seller.status) = (Rank(members[0].0), status(members[0].1));
        let as_of = sale("1").as_of;
        let everybody = std::iter::once(&mut inputs.seller).chain(&mut inputs.upline);
        for (visit, (_, _, days)) in everybody.zip(&members) {
            visit.joined_at = Some(as_of - TimeDelta::days(*days));
        }
        let share = |units| Percentage::from_units(units).unwrap();
        inputs.split = split.map(|(money, points)| RewardSplit {
            money_to_self: share(money),
            points_to_self: share(points),
        });
        inputs
    }
}

prop_compose! {
    /// A sale of up to five lines, or of none.
    fn random_sale()(
        whole in (0..10_i128.pow(10), 1..10_i128.pow(10)),
        lines in prop::collection::vec((0..10_i128.pow(9), 0..10_i128.pow(9), any::<bool>()), 0..5),
    ) -> Sale {
        let units = |units| Amount::from_units(units).unwrap();
        let mut sale = sale("1");
        let line = |(place, (amount, volume, tea)): (usize, (i128, i128, bool))| SaleLine {
            id: place.to_string(),
            product_id: format!("SKU-{place}"),
            category: tea.then(|| "tea".to_owned()),
            quantity: units(10_000),
            amount: units(amount),
            volume: units(volume),
        };
        sale.lines = lines.into_iter().enumerate().map(line).collect();
        (sale.amount, sale.volume) = if sale.lines.is_empty() {
            (units(whole.0), units(whole.1))
        } else {
            let total = |value: fn(&SaleLine) -> Amount| amount::sum(sale.lines.iter().map(value));
            (total(|line| line.amount).unwrap(), total(|line| line.volume).unwrap())
        };
        sale
    }
}

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

prop_compose! {
    /// Rules, inputs and a sale of every kind, for the laws of other modules.
    pub(crate) fn random_case()(
        plan in random_plan(), inputs in random_inputs(), sale in random_sale(),
    ) -> (RuleSet, Inputs, Sale) {
        (plan.compile(), inputs, sale)
    }
}
