//! Figures that were computed by hand. Those of EXAMPLES.md keep their numbers.

use super::*;

fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An upline, the sponsor first: rank, or `None` for who is not active. Members are numbered from 1.
fn upline(ranks: &[Option<i16>]) -> Vec<Standing> {
    (1..)
        .zip(ranks)
        .map(|(number, rank)| Standing {
            member_id: member(number),
            is_active: rank.is_some(),
            rank: rank.unwrap_or(GOLD),
        })
        .collect()
}

fn eur(amount: &str) -> Sale {
    Sale { amount: ten_thousandths(amount).unwrap(), currency: "EUR".to_owned() }
}

fn unilevel(levels: &'static [Level]) -> [Rule; 1] {
    let compression = Compression::None;
    [Rule { id: "r", component: "c", priority: 0, condition: |_| true, compression, levels }]
}

fn paid(priced: &Priced) -> Vec<(u128, &str, i16, i16, String, String)> {
    let line = |paid: &Paid| {
        let (amount, points) = (written(paid.amount), written(paid.career_points));
        (paid.member_id.as_u128(), paid.rule.clone(), paid.level, paid.depth, amount, points)
    };
    priced
        .lines
        .iter()
        .map(line)
        .map(|(member, rule, level, depth, amount, points)| {
            let rule = RULES.iter().find(|known| known.id == rule).map_or("r", |known| known.id);
            (member, rule, level, depth, amount, points)
        })
        .collect()
}

fn line(
    member: u128,
    rule: &'static str,
    (level, depth): (i16, i16),
    amount: &str,
    points: &str,
) -> (u128, &'static str, i16, i16, String, String) {
    (member, rule, level, depth, amount.to_owned(), points.to_owned())
}

/// Example 1: 200 CV, a pool of 40 %, 5 % of it a level, so 2 % of 200: 4.00 to each of four.
#[test]
fn example_1_four_levels_of_a_pool() {
    const LEVELS: [Level; 4] = [
        Level { number: 1, percentage: 20_000, points: 0, rank_min: 0 },
        Level { number: 2, percentage: 20_000, points: 0, rank_min: 0 },
        Level { number: 3, percentage: 20_000, points: 0, rank_min: 0 },
        Level { number: 4, percentage: 20_000, points: 0, rank_min: 0 },
    ];
    let priced = price(&unilevel(&LEVELS), &eur("200"), &upline(&[Some(0); 4]));
    let each: Vec<String> = priced.lines.iter().map(|line| written(line.amount)).collect();
    assert_eq!(each, ["4.0000"; 4]);
    assert_eq!(priced.breakage, 0);
}

/// Example 2: Jana has 3 % of B's 60,000 and 1.5 % of C's 40,000: 1,800 and 600.
#[test]
fn example_2_override_on_two_levels() {
    const LEVELS: [Level; 2] = [
        Level { number: 1, percentage: 30_000, points: 0, rank_min: GOLD },
        Level { number: 2, percentage: 15_000, points: 0, rank_min: GOLD },
    ];
    let rules = unilevel(&LEVELS);
    let from_b = price(&rules, &eur("60000"), &upline(&[Some(GOLD)]));
    assert_eq!(paid(&from_b), [line(1, "r", (1, 1), "1800.0000", "0.0000")]);
    assert_eq!(written(from_b.breakage), "900.0000", "nobody is above Jana");
    let from_c = price(&rules, &eur("40000"), &upline(&[Some(0), Some(GOLD)]));
    assert_eq!(paid(&from_c), [line(2, "r", (2, 2), "600.0000", "0.0000")]);
    assert_eq!(written(from_c.breakage), "1200.0000", "B is not of the rank");
    let own = price(&rules, &eur("80000"), &[]);
    assert_eq!((own.lines.len(), written(own.breakage)), (0, "3600.0000".to_owned()));
}

/// Example 10, one line of it: 20 % of 132, 78 and 147 is 26.40 + 15.60 + 29.40 = 71.40.
#[test]
fn example_10_fast_start_sums() {
    let sum: i128 = ["132", "78", "147"].iter().map(|v| share(eur(v).amount, 200_000)).sum();
    assert_eq!(written(sum), "71.4000");
}

/// Example 12: 2/3/5/5/6/6/7 %; the plan of the harness pays six levels, so 27 % of 100.
#[test]
fn example_12_stops_at_the_levels_that_are_paid() {
    const LEVELS: [Level; 7] = [
        Level { number: 1, percentage: 20_000, points: 0, rank_min: 0 },
        Level { number: 2, percentage: 30_000, points: 0, rank_min: 0 },
        Level { number: 3, percentage: 50_000, points: 0, rank_min: 0 },
        Level { number: 4, percentage: 50_000, points: 0, rank_min: 0 },
        Level { number: 5, percentage: 60_000, points: 0, rank_min: 0 },
        Level { number: 6, percentage: 60_000, points: 0, rank_min: 0 },
        Level { number: 7, percentage: 70_000, points: 0, rank_min: 0 },
    ];
    let priced = price(&unilevel(&LEVELS), &eur("100"), &upline(&[Some(0); 9]));
    let sum: i128 = priced.lines.iter().map(|line| line.amount).sum();
    assert_eq!((priced.lines.len(), written(sum), priced.breakage), (6, "27.0000".to_owned(), 0));
}

/// 200 EUR, below the large ones. Base: 7 % = 14 and 20 points; 5 % = 10 to SILVER; 3.33 % = 6.66;
/// 1.25 % = 2.50 and 5 points to GOLD; 0.47 % = 0.94. Team: 1.90 % = 3.80, 0.95 % = 1.90,
/// 0.33 % = 0.66 to GOLD. Not active is the second: base loses 10, team passes them by.
#[test]
fn the_plan_pays_both_components() {
    let above = upline(&[Some(0), None, Some(SILVER), Some(GOLD)]);
    let priced = price(RULES, &eur("200"), &above);
    assert_eq!(
        paid(&priced),
        [
            line(1, "base", (1, 1), "14.0000", "20.0000"),
            line(1, "team-eur", (1, 1), "3.8000", "0.0000"),
            line(3, "base", (3, 3), "6.6600", "0.0000"),
            line(3, "team-eur", (2, 3), "1.9000", "0.0000"),
            line(4, "base", (4, 4), "2.5000", "5.0000"),
            line(4, "team-eur", (3, 4), "0.6600", "0.0000"),
        ]
    );
    // The second's 10 and the sixth level's 0.94.
    assert_eq!(written(priced.breakage), "10.9400");
}

/// 300 of any currency is large: 2.10 % = 6.30, and 1.05 % = 3.15 that nobody of rank stands at.
/// Level 3 is not listed and used up by the third, so the fourth takes level 4: 0.35 % = 1.05.
#[test]
fn large_sales_choose_the_higher_priority() {
    let above = upline(&[None, Some(0), Some(0), Some(0), Some(0)]);
    let sale = Sale { currency: "CZK".to_owned(), ..eur("300.00") };
    let priced = price(&RULES[1..], &sale, &above);
    assert_eq!(
        paid(&priced),
        [
            line(2, "team-large", (1, 2), "6.3000", "0.0000"),
            line(5, "team-large", (4, 5), "1.0500", "3.0000"),
        ]
    );
    assert_eq!(written(priced.breakage), "3.1500");
    let small = Sale { currency: "CZK".to_owned(), ..eur("299.9999") };
    assert_eq!(price(&RULES[1..], &small, &above), Priced::default(), "no rule is for it");
}

/// 3.33 % of 0.15 is 0.004995, so 0.0050; 0.47 % of 0.10 is 0.00047, so 0.0005; exactly half goes
/// away from zero: 1.25 % of 0.02 is 0.00025, so 0.0003.
#[test]
fn shares_are_rounded_once_half_away_from_zero() {
    assert_eq!(written(share(eur("0.15").amount, 33_300)), "0.0050");
    assert_eq!(written(share(eur("0.10").amount, 4_700)), "0.0005");
    assert_eq!(written(share(eur("0.02").amount, 12_500)), "0.0003");
    assert_eq!(written(share(eur("0.01").amount, 4_700)), "0.0000");
}

/// What rounds to nothing is not written, unless it has points.
#[test]
fn lines_of_nothing_are_not_written() {
    let priced = price(&RULES[..1], &eur("0.0004"), &upline(&[Some(GOLD); 6]));
    // 7 % of 0.0004 is 0.000028, so nothing; 10 % of it is 0.00004, so nothing.
    assert_eq!(priced, Priced::default());
    let priced = price(&RULES[..1], &eur("0.0006"), &upline(&[Some(GOLD); 6]));
    // 7 % is 0.000042, so nothing; 10 % is 0.00006, so 0.0001 points.
    assert_eq!(paid(&priced), [line(1, "base", (1, 1), "0.0000", "0.0001")]);
}

#[test]
fn decimals_are_read_exactly() {
    for (text, value) in [
        ("0", Some(0)),
        ("199.9", Some(1_999_000)),
        ("-0.0001", Some(-1)),
        ("9999999999999999.9999", Some(99_999_999_999_999_999_999)),
        ("1.00001", None),
        ("NaN", None),
        ("", None),
        ("1e3", None),
    ] {
        assert_eq!(ten_thousandths(text), value, "{text}");
    }
    assert_eq!(written(-10_001), "-1.0001");
}
