//! `marginal_tiers` and `whole_tiers`: percentages by the size of the sale, to one person.
//!
//! 30,000 by tiers of 5, 7 and 10 % from 0, 10,000 and 25,000: *marginal* pays each slice by its own
//! percentage, 500 + 1,050 + 500 = 2,050; *whole* pays all of it by the tier that it reaches, 3,000.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one_person::{self, To};
use super::pay::{self, Basis, NoRate, Worth, equation};
use super::{Calculate, Deal, Description};
use crate::amount::{Amount, Exact, Percentage, PointValue};
use crate::decision::{Decision, EntryType, OutOfRange, Reason, Reward};
use crate::flaws::Compiler;
use crate::sale::Currency;

/// Tiers in a plan file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tiers")]
pub struct File {
    /// Who is paid; the seller when absent.
    #[serde(default = "seller")]
    pub to: To,
    /// What tiers and percentages are about.
    #[serde(default)]
    pub basis: Basis,
    /// What a point of volume is worth, by currency; absent: one unit of the sale's currency.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PointValue>")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// The tiers, lowest first. Below the first one nothing is paid.
    #[schemars(length(min = 1))]
    pub tiers: Vec<Tier>,
}

fn seller() -> To {
    To::SELLER
}

/// One tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Where it begins; included.
    pub from: Amount,
    /// Share in money.
    pub percentage: Percentage,
    /// Share in career points.
    #[serde(default)]
    pub career_points_percentage: Percentage,
}

/// What both kinds of tiers consist of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// The level that is paid; 0 is the seller.
    pub to: u8,
    /// What tiers and percentages are about.
    pub basis: Basis,
    /// What a point of volume is worth; empty: one unit of the sale's currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// The tiers, lowest first.
    #[serde(rename = "tiers")]
    pub list: Vec<Tier>,
}

/// A share of each slice of the sale by the slice's own percentage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MarginalTiers(pub Tiers);

/// A share of the whole sale by the percentage of the tier that it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WholeTiers(pub Tiers);

impl MarginalTiers {
    pub(super) fn compile(file: File, compiler: &mut Compiler<'_>) -> Self {
        Self(Tiers::compile(file, compiler))
    }
}

impl WholeTiers {
    pub(super) fn compile(file: File, compiler: &mut Compiler<'_>) -> Self {
        Self(Tiers::compile(file, compiler))
    }
}

impl Tiers {
    fn compile(file: File, compiler: &mut Compiler<'_>) -> Self {
        pay::check_point_value(file.basis, &file.point_value, compiler);
        compiler
            .require("tiers", !file.tiers.is_empty(), || "must list at least one tier".to_owned());
        let mut below: Option<Amount> = None;
        for (place, tier) in file.tiers.iter().enumerate() {
            let at = format!("tiers[{place}].from");
            compiler.require(&at, tier.from >= Amount::ZERO, || "must not be negative".to_owned());
            compiler.require(&at, below.is_none_or(|below| below < tier.from), || {
                "must be above the tier before: list the lowest first".to_owned()
            });
            below = Some(tier.from);
        }
        let to = file.to.compile(compiler);
        Self { to, basis: file.basis, point_value: file.point_value, list: file.tiers }
    }

    fn worth(&self) -> Worth<'_> {
        Worth { basis: self.basis, point_value: &self.point_value }
    }

    /// The tier that an amount reaches.
    fn reached(&self, measure: Amount) -> Option<&Tier> {
        self.list.iter().rfind(|tier| tier.from <= measure)
    }

    /// The slices of an amount, each with its tier.
    fn slices(&self, measure: Amount) -> Vec<(Tier, Amount)> {
        let ends = self.list.iter().skip(1).map(|tier| tier.from).chain([measure]);
        let slices = self.list.iter().zip(ends).filter(|(tier, _)| tier.from < measure);
        // The difference of two amounts that are not negative always fits.
        slices
            .filter_map(|(tier, end)| Some((*tier, end.min(measure).checked_sub(tier.from)?)))
            .collect()
    }

    fn describe(&self, kind: &str) -> Description {
        let facts = vec![
            ("to", one_person::describe(self.to)),
            ("share of", format!("{}, {kind}", self.worth().describe())),
        ];
        let rows = self.list.iter().map(|tier| {
            vec![
                tier.from.to_string(),
                format!("{} %", tier.percentage),
                format!("{} %", tier.career_points_percentage),
            ]
        });
        Description { facts, header: vec!["from", "money", "career points"], rows: rows.collect() }
    }
}

/// The exact sum of shares of slices: money with its point value, or points.
fn slice_sum(
    slices: &[(Tier, Amount)],
    percentage: fn(&Tier) -> Percentage,
    money: impl Fn(Amount) -> Option<Exact>,
) -> Option<Exact> {
    slices.iter().try_fold(Exact::from(Amount::ZERO), |sum, (tier, slice)| {
        sum.checked_add(money(*slice)?.percent(percentage(tier))?)
    })
}

impl Calculate for MarginalTiers {
    fn entry_type(&self) -> EntryType {
        EntryType::Bonus
    }

    fn depth(&self, _max_levels: u8) -> u16 {
        u16::from(self.0.to)
    }

    fn decide(&self, deal: &Deal<'_>, decisions: &mut Vec<Decision>) -> Result<(), OutOfRange> {
        let (tiers, worth) = (&self.0, self.0.worth());
        let measure = worth.measure(deal);
        if tiers.reached(measure).is_none() {
            one_person::offer_nothing(deal, tiers.to, Reason::NoTier, decisions);
            return Ok(());
        }
        let slices = tiers.slices(measure);
        let offer = if worth.money(deal, measure)?.is_ok() {
            let money = |slice| worth.money(deal, slice).ok()?.ok();
            let money = slice_sum(&slices, |tier| tier.percentage, money);
            let points = |tier: &Tier| tier.career_points_percentage;
            let points = slice_sum(&slices, points, |slice| Some(Exact::from(slice)));
            let round = |exact: Option<Exact>| {
                exact.and_then(|exact| deal.rounding.round(exact)).ok_or(OutOfRange)
            };
            Ok(Reward { money: round(money)?, points: round(points)? })
        } else {
            Err(NoRate)
        };
        one_person::offer_to(deal, tiers.to, offer, decisions);
        Ok(())
    }

    fn written_out(&self, deal: &Deal<'_>, decision: &Decision) -> Vec<String> {
        if decision.offered.is_nothing() {
            return Vec::new();
        }
        let worth = self.0.worth();
        let slices = self.0.slices(worth.measure(deal));
        let mut sum = Exact::from(Amount::ZERO);
        let mut written = Vec::new();
        for (tier, slice) in &slices {
            let exact = worth.money(deal, *slice).ok().and_then(Result::ok);
            let Some(exact) = exact.and_then(|exact| exact.percent(tier.percentage)) else {
                continue;
            };
            written.push(format!("{} % of {slice} from {} = {exact}", tier.percentage, tier.from));
            sum = sum.checked_add(exact).unwrap_or(sum);
        }
        if written.len() > 1 {
            written.push(equation("in all", Some(sum), decision.offered.money));
        }
        if !decision.offered.points.is_zero() {
            written.push(format!("{} career points by the same tiers", decision.offered.points));
        }
        written
    }

    fn describe(&self, _max_levels: u8) -> Description {
        self.0.describe("each slice by its own tier")
    }
}

impl Calculate for WholeTiers {
    fn entry_type(&self) -> EntryType {
        EntryType::Bonus
    }

    fn depth(&self, _max_levels: u8) -> u16 {
        u16::from(self.0.to)
    }

    fn decide(&self, deal: &Deal<'_>, decisions: &mut Vec<Decision>) -> Result<(), OutOfRange> {
        let (tiers, worth) = (&self.0, self.0.worth());
        match tiers.reached(worth.measure(deal)) {
            None => one_person::offer_nothing(deal, tiers.to, Reason::NoTier, decisions),
            Some(tier) => {
                let offer = worth.share(deal, tier.percentage, tier.career_points_percentage)?;
                one_person::offer_to(deal, tiers.to, offer, decisions);
            }
        }
        Ok(())
    }

    fn written_out(&self, deal: &Deal<'_>, decision: &Decision) -> Vec<String> {
        let worth = self.0.worth();
        let reached = self.0.reached(worth.measure(deal));
        let Some(tier) = reached.filter(|_| !decision.offered.is_nothing()) else {
            return Vec::new();
        };
        let product = worth.product(deal, tier.percentage, decision.offered.money);
        let mut written = vec![format!("tier from {}: {product}", tier.from)];
        let points = tier.career_points_percentage;
        if !points.is_zero() {
            written.push(worth.points_product(deal, points, decision.offered.points));
        }
        written
    }

    fn describe(&self, _max_levels: u8) -> Description {
        self.0.describe("all of it by the tier that it reaches")
    }
}
