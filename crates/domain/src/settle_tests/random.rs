//! Random plans of every type, sales and uplines.

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::{inputs, rule_set, sale};
use crate::amount::Percentage;
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::reward_split::RewardSplit;
use crate::sale::SaleLine;

const RANKS: [&str; 3] = ["MEMBER", "SILVER", "GOLD"];

pub(super) fn percentage() -> impl Strategy<Value = String> {
    (0..=1_000_000_u32).prop_map(|units| format!("{}.{:04}", units / 10_000, units % 10_000))
}

pub(super) fn rank() -> impl Strategy<Value = &'static str> {
    select(RANKS.as_slice())
}

/// `percentage: "3.0000", career_points_percentage: "1.0000"`, or fixed amounts.
pub(super) fn pay() -> impl Strategy<Value = String> {
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

pub(super) fn calculation() -> impl Strategy<Value = String> {
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
pub(super) struct RandomPlan {
    pub(super) rules: Vec<(&'static str, &'static str, String)>,
    pub(super) caps: Option<(u32, &'static str, u32)>,
    pub(super) rounding: (u8, &'static str),
    pub(super) max_levels: u8,
}

prop_compose! {
    pub(super) fn random_plan()(
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
    pub(super) fn yaml(&self, more_rules: &str) -> String {
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

    pub(super) fn compile(&self) -> RuleSet {
        rule_set(&self.yaml(""))
    }
}

prop_compose! {
    pub(super) fn random_inputs()(
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
    pub(super) fn random_sale()(
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

prop_compose! {
    /// Rules, inputs and a sale of every kind, for the laws of other modules.
    pub(crate) fn random_case()(
        plan in random_plan(), inputs in random_inputs(), sale in random_sale(),
    ) -> (RuleSet, Inputs, Sale) {
        (plan.compile(), inputs, sale)
    }
}
