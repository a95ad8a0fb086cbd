//! Compression, roll-up and differentials against models that are written down differently: who
//! stands where is computed by filtering lists, shares by whole numbers.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::{inputs, rule_set, sale};
use crate::inputs::Visit;
use crate::member::MemberStatus;

const RANKS: [&str; 3] = ["MEMBER", "SILVER", "GOLD"];

/// Level, percentage in hundredths, place of the lowest rank.
type Levels = Vec<(u16, i128, u8)>;

/// Level, depth, units.
type Paid = Vec<(u16, u16, i128)>;

/// The share in units of 0.0001, half away from zero, of percentages in hundredths.
fn share(basis_units: i128, hundredths: i128) -> i128 {
    (basis_units * hundredths * 2 + 10_000) / 20_000
}

fn sale_of(units: i128) -> Sale {
    let mut sale = sale("1");
    sale.amount = Amount::from_units(units).unwrap();
    sale
}

fn plan(mode: &str, levels: &Levels, max_levels: u16) -> RuleSet {
    let level = |(level, hundredths, rank): &(u16, i128, u8)| {
        let rank = RANKS[usize::from(*rank)];
        let percentage = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        format!("{{level: {level}, percentage: '{percentage}', min_rank: {rank}}}")
    };
    let levels: Vec<_> = levels.iter().map(level).collect();
    rule_set(&format!(
        "plan: p\nversion: v\nvalid_from: 2023-05-01\nmax_levels: {max_levels}\nrules:\n  - id: r\n    \
         component: c\n    calculation: {{type: unilevel, {mode}, levels: [{}]}}",
        levels.join(", ")
    ))
}

fn is_active(visit: &Visit) -> bool {
    visit.status == MemberStatus::Active
}

prop_compose! {
    fn any_upline()(
        upline in prop::collection::vec((0..3_u8, select([0_u8, 0, 1, 2, 3].as_slice())), 0..14)
    ) -> Inputs {
        let status = |code| MemberStatus::from_code(code).unwrap();
        let upline: Vec<_> = upline.into_iter().map(|(rank, code)| (rank, status(code))).collect();
        inputs(&upline)
    }
}

prop_compose! {
    fn any_levels()(
        levels in prop::collection::btree_map(1..8_u16, (0..=10_000_i128, 0..3_u8), 1..7)
    ) -> Levels {
        levels.into_iter().map(|(level, (share, rank))| (level, share, rank)).collect()
    }
}

/// Without compression: level n is the n-th ancestor's.
fn by_place(upline: &[Visit], number: usize, rank: u8) -> Option<usize> {
    let visit = upline.get(number - 1)?;
    (is_active(visit) && visit.rank.0 >= rank).then_some(number)
}

/// Roll-up: level n is the first one's from the n-th ancestor on who qualifies.
fn by_rolling_up(upline: &[Visit], number: usize, rank: u8) -> Option<usize> {
    (number..=upline.len()).find(|depth| by_place(upline, *depth, rank).is_some())
}

/// Standard compression: level n is the n-th active ancestor's.
fn among_active(upline: &[Visit], number: usize, rank: u8) -> Option<usize> {
    let mut active = (1..=upline.len()).filter(|depth| is_active(&upline[depth - 1]));
    active.nth(number - 1).filter(|depth| upline[depth - 1].rank.0 >= rank)
}

/// Dynamic compression: whoever fits a level takes it, the rest of the upline is for the next ones.
fn among_qualified(upline: &[Visit], number: usize, levels: &Levels) -> Option<usize> {
    let mut rest = 0;
    for place in 1..=number {
        let rank = levels.iter().find(|(level, ..)| usize::from(*level) == place);
        let rank = rank.map_or(0, |(_, _, rank)| *rank);
        let fits = |visit: &Visit| is_active(visit) && visit.rank.0 >= rank;
        rest += upline[rest..].iter().position(fits)? + 1;
    }
    Some(rest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// Every way of moving levels up pays whom the model pays, and what the model does not pay is
    /// breakage.
    #[test]
    fn levels_go_to_whom_a_plain_model_gives_them(
        units in 1..10_i128.pow(12),
        inputs in any_upline(),
        levels in any_levels(),
        max_levels in 1..8_u16,
        mode in select([
            "compression: none", "unqualified: roll_up", "compression: standard",
            "compression: dynamic",
        ].as_slice()),
    ) {
        let settlement =
            settle(&sale_of(units), &inputs, &plan(mode, &levels, max_levels)).unwrap();
        let upline = &inputs.upline;
        let (mut paid, mut breakage): (Paid, i128) = (Vec::new(), 0);
        for (level, hundredths, rank) in levels.iter().filter(|(level, ..)| *level <= max_levels) {
            let number = usize::from(*level);
            let depth = match mode {
                "compression: none" => by_place(upline, number, *rank),
                "unqualified: roll_up" => by_rolling_up(upline, number, *rank),
                "compression: standard" => among_active(upline, number, *rank),
                _ => among_qualified(upline, number, &levels),
            };
            let amount = share(units, *hundredths);
            match depth {
                Some(depth) if amount > 0 => {
                    paid.push((*level, u16::try_from(depth).unwrap(), amount));
                }
                Some(_) => {}
                None => breakage += amount,
            }
        }
        let lines: Paid = settlement
            .lines
            .iter()
            .map(|line| (line.level, line.depth, line.amount.units()))
            .collect();
        prop_assert_eq!(lines, paid);
        prop_assert_eq!(settlement.breakage.units(), breakage);
        for line in &settlement.lines {
            let who = &upline[usize::from(line.depth) - 1];
            prop_assert_eq!(line.member_id, who.member_id);
        }
    }

    /// A differential pays each member who can earn and whose rate is a new maximum the step from
    /// the maximum before; all steps and the breakage together are the top rate's whole.
    #[test]
    fn differentials_pay_the_steps_of_a_running_maximum(
        units in 1..10_i128.pow(12),
        inputs in any_upline(),
        seller_rank in 0..3_u8,
        seller_status in select([0_u8, 0, 1].as_slice()),
        rates in prop::collection::btree_set(1..=10_000_i128, 3),
        first in 0..3_usize,
        mode in select(["paid", "counted", "ignored"].as_slice()),
        equal in prop::option::of((1..1_000_i128, 1..3_usize)),
    ) {
        let rates: Vec<i128> = rates.into_iter().collect();
        let each: Vec<String> = (first..3)
            .map(|place| {
                let percentage = format!("{}.{:02}", rates[place] / 100, rates[place] % 100);
                format!("{{rank: {}, percentage: '{percentage}'}}", RANKS[place])
            })
            .collect();
        let equal_yaml = equal.map_or_else(String::new, |(hundredths, depth)| {
            let percentage = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            format!(", equal_rank: {{percentage: '{percentage}', depth: {depth}}}")
        });
        let rules = rule_set(&format!(
            "plan: p\nversion: v\nvalid_from: 2023-05-01\nrules:\n  - id: r\n    component: c\n    \
             calculation: {{type: differential, seller: {mode}, rates: [{}]{equal_yaml}}}",
            each.join(", ")
        ));
        let mut inputs = inputs;
        inputs.seller.rank.0 = seller_rank;
        inputs.seller.status = MemberStatus::from_code(seller_status).unwrap();

        let whole = |rank: Option<u8>| rank.map_or(0, |rank| share(units, rates[usize::from(rank)]));
        let everybody: Vec<&Visit> = std::iter::once(&inputs.seller).chain(&inputs.upline).collect();
        let (mut floor, mut equals): (Option<u8>, usize) = (None, 0);
        let mut paid: Paid = Vec::new();
        let mut counted = 0;
        for (depth, visit) in everybody.into_iter().enumerate() {
            let can_earn = is_active(visit) && usize::from(visit.rank.0) >= first;
            if (depth == 0 && mode == "ignored") || !can_earn {
                continue;
            }
            let level = u16::try_from(depth).unwrap();
            let rank = Some(visit.rank.0);
            if rank > floor {
                let step = whole(rank) - whole(floor);
                (floor, equals) = (rank, 0);
                if depth == 0 && mode == "counted" {
                    counted = step;
                } else if step > 0 {
                    paid.push((level, level, step));
                }
            } else if let (true, Some((hundredths, most))) = (rank == floor, equal)
                && equals < most
            {
                equals += 1;
                let amount = share(units, hundredths);
                if amount > 0 {
                    paid.push((level, level, amount));
                }
            }
        }
        let settlement = settle(&sale_of(units), &inputs, &rules).unwrap();
        let lines: Paid = settlement
            .lines
            .iter()
            .map(|line| (line.level, line.depth, line.amount.units()))
            .collect();
        prop_assert_eq!(&lines, &paid);
        let steps = whole(floor) - counted;
        prop_assert_eq!(settlement.breakage.units(), whole(Some(2)) - counted - steps);
    }
}
