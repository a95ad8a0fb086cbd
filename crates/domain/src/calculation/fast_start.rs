//! `fast_start`: a share of what a new member sells in the first days.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::level::reward;
use super::one_person::{self, To};
use super::pay::{self, Amounts, Basis, Worth};
use super::{Calculate, Deal, Description};
use crate::amount::{Percentage, PointValue};
use crate::calendar;
use crate::decision::{Decision, EntryType, OutOfRange, Reason};
use crate::flaws::Compiler;
use crate::sale::Currency;

/// A fast-start bonus in a plan file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FastStart", transform = pay::percentage_or_amount)]
pub struct File {
    /// How many days of 24 hours from the seller's joining on.
    #[schemars(range(min = 1))]
    pub days: u16,
    /// Who is paid; the sponsor when absent.
    #[serde(default = "sponsor")]
    pub to: To,
    /// What percentages are taken of.
    #[serde(default)]
    pub basis: Basis,
    /// What a point of volume is worth, by currency; absent: one unit of the sale's currency.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PointValue>")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// Share of the basis, in money.
    #[serde(default)]
    pub percentage: Option<Percentage>,
    /// Fixed amounts by currency, in place of `percentage`.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, crate::amount::Amount>>")]
    pub amount: Option<Amounts>,
    /// Share of the basis, in career points.
    #[serde(default)]
    pub career_points_percentage: Percentage,
}

fn sponsor() -> To {
    To::SPONSOR
}

/// A share of the sales that a new member makes in the first days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FastStart {
    /// How many days of 24 hours from the seller's joining on.
    pub days: u16,
    /// The level that is paid; 0 is the seller.
    pub to: u8,
    /// What percentages are taken of.
    pub basis: Basis,
    /// What a point of volume is worth; empty: one unit of the sale's currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// Share of the basis, in money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percentage>,
    /// Fixed amounts by currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amounts>,
    /// Share of the basis, in career points.
    pub career_points_percentage: Percentage,
}

impl FastStart {
    pub(super) fn compile(file: File, compiler: &mut Compiler<'_>) -> Self {
        pay::check_point_value(file.basis, &file.point_value, compiler);
        compiler.require("days", file.days > 0, || "must be at least 1".to_owned());
        compiler.require("", file.percentage.is_some() != file.amount.is_some(), || {
            "must have one of percentage and amount".to_owned()
        });
        if let Some(amounts) = &file.amount {
            pay::check_amounts("amount", amounts, compiler);
        }
        let to = file.to.compile(compiler);
        Self {
            days: file.days,
            to,
            basis: file.basis,
            point_value: file.point_value,
            percentage: file.percentage,
            amount: file.amount,
            career_points_percentage: file.career_points_percentage,
        }
    }

    fn worth(&self) -> Worth<'_> {
        Worth { basis: self.basis, point_value: &self.point_value }
    }

    /// Whether the sale is one of the seller's first days; the end is excluded. A sale before
    /// joining is: the starter kit often precedes the account.
    fn is_within(&self, deal: &Deal<'_>) -> bool {
        let joined_at = deal.inputs.seller.joined_at;
        joined_at.is_some_and(|joined_at| {
            deal.sale.as_of.signed_duration_since(joined_at) < TimeDelta::days(self.days.into())
        })
    }
}

impl Calculate for FastStart {
    fn entry_type(&self) -> EntryType {
        EntryType::Bonus
    }

    fn depth(&self, _max_levels: u8) -> u16 {
        u16::from(self.to)
    }

    fn reads_joined_at(&self) -> bool {
        true
    }

    fn decide(&self, deal: &Deal<'_>, decisions: &mut Vec<Decision>) -> Result<(), OutOfRange> {
        if !self.is_within(deal) {
            one_person::offer_nothing(deal, self.to, Reason::OutsideWindow, decisions);
            return Ok(());
        }
        let points = self.career_points_percentage;
        let offer = reward(deal, self.worth(), self.percentage, self.amount.as_ref(), points)?;
        one_person::offer_to(deal, self.to, offer, decisions);
        Ok(())
    }

    fn written_out(&self, deal: &Deal<'_>, decision: &Decision) -> Vec<String> {
        let mut written = Vec::new();
        if decision.offered.is_nothing() {
            return written;
        }
        match self.percentage {
            Some(percentage) => {
                written.push(self.worth().product(deal, percentage, decision.offered.money));
            }
            None => {
                written.push(format!("a fixed {} {}", decision.offered.money, deal.sale.currency));
            }
        }
        let points = self.career_points_percentage;
        if !points.is_zero() {
            written.push(self.worth().points_product(deal, points, decision.offered.points));
        }
        written
    }

    fn why_not(
        &self,
        deal: &Deal<'_>,
        _decision: &Decision,
        reason: Reason,
        _rank: &str,
    ) -> Option<String> {
        let joined_at = deal.inputs.seller.joined_at.filter(|_| reason == Reason::OutsideWindow)?;
        let elapsed = deal.sale.as_of.signed_duration_since(joined_at).num_days();
        Some(format!(
            "the seller joined {elapsed} days before the sale (at {}), not less than {} days",
            calendar::rfc3339(joined_at),
            self.days
        ))
    }

    fn describe(&self, _max_levels: u8) -> Description {
        let share = match (self.percentage, &self.amount) {
            (Some(percentage), _) => format!("{percentage} % of {}", self.worth().describe()),
            (None, Some(amounts)) => pay::phrase(amounts),
            (None, None) => String::new(),
        };
        let mut facts = vec![
            ("to", one_person::describe(self.to)),
            ("within", format!("{} days of the seller's joining", self.days)),
            ("share", share),
        ];
        if !self.career_points_percentage.is_zero() {
            facts.push(("points", format!("{} %", self.career_points_percentage)));
        }
        Description { facts, ..Description::default() }
    }
}
