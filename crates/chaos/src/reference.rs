//! What each sale pays, computed a second time, from scratch.
//!
//! Written from DESIGN §6 ("How a sale is priced") and docs/PLANS.md, and sharing no code with what
//! it judges: rules as constants of its own, whole numbers in place of decimals, and the network as
//! it stood by a walk along the sponsor history (`history`).

pub(crate) mod history;

use uuid::Uuid;

use self::history::Standing;

/// The ladder that the load applies, lowest first.
pub(crate) const LADDER: [&str; 3] = ["MEMBER", "SILVER", "GOLD"];

/// The plan that the load applies.
pub(crate) const PLAN_YAML: &str = include_str!("../plan.yaml");

const SILVER: i16 = 1;
const GOLD: i16 = 2;

/// How levels are counted.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Compression {
    /// Level n is the n-th ancestor's.
    None,
    /// Ancestors who are not ACTIVE are passed by and use up no level.
    Standard,
}

/// What a rule lists for one level.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    number: i16,
    /// In ten-thousandths of a percent: 7 % is 70,000.
    percentage: i128,
    /// The same of career points.
    points: i128,
    rank_min: i16,
}

/// One rule of the plan.
pub(crate) struct Rule {
    /// As in the plan's file.
    id: &'static str,
    component: &'static str,
    priority: i32,
    condition: fn(&Sale) -> bool,
    compression: Compression,
    levels: &'static [Level],
}

/// The facts that decide what a sale pays.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    /// In ten-thousandths of the currency.
    pub(crate) amount: i128,
    /// Three letters.
    pub(crate) currency: String,
}

/// A line that the ledger must have. Money and points are in ten-thousandths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Paid {
    pub(crate) member_id: Uuid,
    pub(crate) rule: String,
    pub(crate) level: i16,
    pub(crate) depth: i16,
    pub(crate) amount: i128,
    pub(crate) career_points: i128,
}

/// What a sale must be computed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Priced {
    /// Sorted.
    pub(crate) lines: Vec<Paid>,
    /// What was offered and nobody qualified for.
    pub(crate) breakage: i128,
}

/// Levels that are paid at most.
const LEVELS_MAX: i16 = 6;

/// The rules of `plan.yaml`.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "base",
        component: "base",
        priority: 0,
        condition: |_| true,
        compression: Compression::None,
        levels: &[
            Level { number: 1, percentage: 70_000, points: 100_000, rank_min: 0 },
            Level { number: 2, percentage: 50_000, points: 0, rank_min: SILVER },
            Level { number: 3, percentage: 33_300, points: 0, rank_min: 0 },
            Level { number: 4, percentage: 12_500, points: 25_000, rank_min: GOLD },
            Level { number: 6, percentage: 4_700, points: 0, rank_min: 0 },
        ],
    },
    Rule {
        id: "team-large",
        component: "team",
        priority: 20,
        condition: |sale| sale.amount >= 3_000_000,
        compression: Compression::Standard,
        levels: &[
            Level { number: 1, percentage: 21_000, points: 0, rank_min: 0 },
            Level { number: 2, percentage: 10_500, points: 0, rank_min: SILVER },
            Level { number: 4, percentage: 3_500, points: 10_000, rank_min: 0 },
        ],
    },
    Rule {
        id: "team-eur",
        component: "team",
        priority: 10,
        condition: |sale| sale.currency == "EUR",
        compression: Compression::Standard,
        levels: &[
            Level { number: 1, percentage: 19_000, points: 0, rank_min: 0 },
            Level { number: 2, percentage: 9_500, points: 0, rank_min: 0 },
            Level { number: 3, percentage: 3_300, points: 0, rank_min: GOLD },
        ],
    },
];

/// What a sale pays to an upline as it stood, the sponsor first.
pub(crate) fn price(rules: &[Rule], sale: &Sale, upline: &[Standing]) -> Priced {
    let mut priced = Priced::default();
    for rule in rules {
        let pays = |other: &&Rule| other.component == rule.component && (other.condition)(sale);
        let highest = rules.iter().filter(pays).map(|other| other.priority).max();
        if (rule.condition)(sale) && highest == Some(rule.priority) {
            pay(rule, sale, upline, &mut priced);
        }
    }
    priced.lines.sort_unstable();
    priced
}

fn pay(rule: &Rule, sale: &Sale, upline: &[Standing], priced: &mut Priced) {
    let mut takers = upline
        .iter()
        .zip(1_i16..)
        .filter(|(above, _)| rule.compression == Compression::None || above.is_active);
    for number in 1..=LEVELS_MAX {
        let taker = takers.next();
        let Some(level) = rule.levels.iter().find(|level| level.number == number) else { continue };
        let amount = share(sale.amount, level.percentage);
        let career_points = share(sale.amount, level.points);
        match taker {
            Some((above, depth)) if above.is_active && above.rank >= level.rank_min => {
                if amount != 0 || career_points != 0 {
                    priced.lines.push(Paid {
                        member_id: above.member_id,
                        rule: rule.id.to_owned(),
                        level: number,
                        depth,
                        amount,
                        career_points,
                    });
                }
            }
            _ => priced.breakage += amount,
        }
    }
}

/// A share of a sale that is not negative, rounded once: to ten-thousandths, half away from zero.
fn share(amount: i128, percentage: i128) -> i128 {
    const WHOLE: i128 = 1_000_000;
    (amount * percentage + WHOLE / 2) / WHOLE
}

/// Reads a decimal with at most four places, as ten-thousandths.
pub(crate) fn ten_thousandths(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || places.len() > 4 || !is_number(whole) || !is_number(places) {
        return None;
    }
    let places: i128 = format!("{places:0<4}").parse().ok()?;
    Some(sign * (whole.parse::<i128>().ok()? * 10_000 + places))
}

/// Writes ten-thousandths as a decimal, for people.
pub(crate) fn written(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    format!("{sign}{}.{:04}", value / 10_000, value % 10_000)
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
