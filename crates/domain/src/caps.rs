//! Caps: what a line, and a sale, pays at most. They come after all components and are about money
//! alone; what they cut is breakage.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{Amount, Exact, Percentage, Rounding, sum};
use crate::flaws::Compiler;
use crate::sale::{Currency, Sale};

/// The caps of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// Of each line. Applied first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Limit>,
    /// Of all lines of a sale together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<SaleCap>,
}

/// The lower of a sum and a share of the sale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// A sum by currency; sales in other currencies are not limited by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Amount>")]
    pub amount: BTreeMap<Currency, Amount>,
    /// A share of the sale's amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percentage>,
}

/// What a sale pays at most, and who gives way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaleCap {
    /// A sum by currency; sales in other currencies are not limited by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Amount>")]
    pub amount: BTreeMap<Currency, Amount>,
    /// A share of the sale's amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percentage>,
    /// Who gives way.
    pub mode: CapMode,
}

/// Who gives way when a sale would pay more than its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapMode {
    /// Everybody by the same share, rounded down.
    ProRata,
    /// Higher levels before lower ones: lower levels get their whole until the cap is used up, the
    /// line at the edge gets the rest.
    LowestLevelFirst,
    /// In the same order, from the first line that does not fit whole on, nothing is paid.
    HardStop,
}

impl CapMode {
    /// Every mode with its name in plan files.
    pub const ALL: [(Self, &str); 3] = [
        (Self::ProRata, "pro_rata"),
        (Self::LowestLevelFirst, "lowest_level_first"),
        (Self::HardStop, "hard_stop"),
    ];
}

/// The money of a line, and the level that says who is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The level.
    pub level: u16,
    /// What it would pay.
    pub money: Amount,
}

impl Caps {
    /// Whether nothing is capped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_none() && self.sale.is_none()
    }

    pub(crate) fn check(&self, compiler: &mut Compiler<'_>) {
        if let Some(line) = &self.line {
            check_limit("line", &line.amount, line.percentage, compiler);
        }
        if let Some(sale) = &self.sale {
            check_limit("sale", &sale.amount, sale.percentage, compiler);
        }
    }

    /// What each line may pay, in the order given. `None`: sums beyond what an amount can hold.
    #[must_use]
    pub fn apply(&self, sale: &Sale, rounding: Rounding, claims: &[Claim]) -> Option<Vec<Amount>> {
        let mut granted: Vec<Amount> = claims.iter().map(|claim| claim.money).collect();
        let (line, all) = self.limits(sale, rounding);
        if let Some(most) = line {
            for money in &mut granted {
                *money = (*money).min(most);
            }
        }
        if let (Some(most), Some(cap)) = (all, &self.sale) {
            let total = sum(granted.iter().copied())?;
            if total > most {
                cut(cap.mode, most, total, rounding, claims, &mut granted)?;
            }
        }
        Some(granted)
    }

    /// What a line, and all lines of a sale together, may pay of this sale; `None`: any sum.
    #[must_use]
    pub fn limits(&self, sale: &Sale, rounding: Rounding) -> (Option<Amount>, Option<Amount>) {
        let line = self.line.as_ref();
        let line = line.and_then(|cap| lower(&cap.amount, cap.percentage, sale, rounding));
        let all = self.sale.as_ref();
        (line, all.and_then(|cap| lower(&cap.amount, cap.percentage, sale, rounding)))
    }

    /// The caps for people who read the plan.
    #[must_use]
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some(line) = &self.line {
            facts.push(("line cap", phrase(&line.amount, line.percentage)));
        }
        if let Some(sale) = &self.sale {
            let mode = match sale.mode {
                CapMode::ProRata => "everybody gives way by the same share",
                CapMode::LowestLevelFirst => "lower levels are served first",
                CapMode::HardStop => "nothing from the first line on that does not fit",
            };
            facts.push(("sale cap", format!("{}; {mode}", phrase(&sale.amount, sale.percentage))));
        }
        facts
    }
}

/// Brings lines that together pay `total` down to `most`.
fn cut(
    mode: CapMode,
    most: Amount,
    total: Amount,
    rounding: Rounding,
    claims: &[Claim],
    granted: &mut [Amount],
) -> Option<()> {
    if mode == CapMode::ProRata {
        for money in granted.iter_mut() {
            *money = rounding.fraction(*money, most, total)?;
        }
        return Some(());
    }
    let mut order: Vec<usize> = (0..claims.len()).collect();
    // Stable: lines of one level keep the order of the rules.
    order.sort_by_key(|place| claims[*place].level);
    let mut left = most;
    for place in order {
        let fits = granted[place] <= left;
        let granted_here = match (fits, mode) {
            (true, _) => granted[place],
            (false, CapMode::HardStop) => {
                left = Amount::ZERO;
                Amount::ZERO
            }
            (false, _) => left,
        };
        granted[place] = granted_here;
        left = left.checked_sub(granted_here)?.max(Amount::ZERO);
    }
    Some(())
}

/// The lower of both limits; `None`: neither limits this sale.
fn lower(
    amounts: &BTreeMap<Currency, Amount>,
    percentage: Option<Percentage>,
    sale: &Sale,
    rounding: Rounding,
) -> Option<Amount> {
    let amount = amounts.get(&sale.currency).copied();
    let share = percentage.and_then(|percentage| {
        rounding.down().round(Exact::from(sale.amount).percent(percentage)?)
    });
    [amount, share].into_iter().flatten().min()
}

fn check_limit(
    at: &str,
    amounts: &BTreeMap<Currency, Amount>,
    percentage: Option<Percentage>,
    compiler: &mut Compiler<'_>,
) {
    compiler.require(at, !amounts.is_empty() || percentage.is_some(), || {
        "must have amount or percentage, or both".to_owned()
    });
    for (currency, amount) in amounts {
        compiler.require(&format!("{at}.amount.{currency}"), *amount >= Amount::ZERO, || {
            "must not be negative".to_owned()
        });
    }
}

fn phrase(amounts: &BTreeMap<Currency, Amount>, percentage: Option<Percentage>) -> String {
    let sums = amounts.iter().map(|(currency, amount)| format!("{amount} {currency}"));
    let share = percentage.map(|percentage| format!("{percentage} % of the sale's amount"));
    let lower = if share.is_some() && !amounts.is_empty() { ", whichever is lower" } else { "" };
    format!("{}{lower}", sums.chain(share).collect::<Vec<_>>().join(" or "))
}

#[cfg(test)]
#[path = "caps_tests.rs"]
mod tests;
