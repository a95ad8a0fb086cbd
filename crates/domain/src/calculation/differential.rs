//! `differential` (stair-step, infinity override): each upline member gets their own rank's rate
//! minus the highest rate below them.
//!
//! Shares telescope: the member with rate `r_k` gets `round(basis × r_k) − round(basis × r_(k−1))`,
//! so that all of them together are `round(basis × top rate)` whatever is rounded on the way. What
//! nobody reaches is breakage. `max_levels` does not limit the walk: it goes on until the top rate
//! is reached or the upline ends.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pay::{self, Basis, NoRate, Worth, equation};
use super::{Calculate, Deal, Description};
use crate::amount::{Percentage, PointValue};
use crate::decision::{Beneficiary, Decision, EntryType, OutOfRange, Reason, Reward, Verdict};
use crate::flaws::Compiler;
use crate::ladder::{NamedRank, Rank};
use crate::network::DEPTH_MAX;
use crate::sale::Currency;

/// A differential calculation in a plan file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Differential")]
pub struct File {
    /// What percentages are taken of.
    #[serde(default)]
    pub basis: Basis,
    /// What a point of volume is worth, by currency; absent: one unit of the sale's currency.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PointValue>")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// A rate for each rank, or a higher one. They rise with the rank.
    #[schemars(length(min = 1))]
    pub rates: Vec<RankRateFile>,
    /// What the seller's own rate does.
    #[serde(default)]
    pub seller: SellerRate,
    /// What members of an equal rank get.
    #[serde(default)]
    pub equal_rank: Option<EqualRank>,
}

/// The rate of a rank.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RankRate")]
pub struct RankRateFile {
    /// The lowest rank that it is for.
    pub rank: String,
    /// Share of the basis, in money.
    pub percentage: Percentage,
    /// Share of the basis, in career points.
    #[serde(default)]
    pub career_points_percentage: Percentage,
}

/// The difference between one's own rate and the highest rate below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differential {
    /// What percentages are taken of.
    pub basis: Basis,
    /// What a point of volume is worth; empty: one unit of the sale's currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// The rates, lowest first.
    pub rates: Vec<RankRate>,
    /// What the seller's own rate does.
    pub seller: SellerRate,
    /// What members of an equal rank get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equal_rank: Option<EqualRank>,
}

/// The rate of a rank, or a higher one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankRate {
    /// The lowest rank that it is for.
    pub rank: NamedRank,
    /// Share of the basis, in money.
    pub percentage: Percentage,
    /// Share of the basis, in career points.
    pub career_points_percentage: Percentage,
}

/// What the seller's own rate does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SellerRate {
    /// It is paid to the seller, and the upline gets what exceeds it.
    #[default]
    Paid,
    /// It is not paid by this rule, but the upline gets only what exceeds it.
    Counted,
    /// It does nothing: the sponsor's whole rate is paid.
    Ignored,
}

impl SellerRate {
    /// Every form with its name in plan files.
    pub const ALL: [(Self, &str); 3] =
        [(Self::Paid, "paid"), (Self::Counted, "counted"), (Self::Ignored, "ignored")];
}

/// What the next members get whose rate equals the highest one below. It is on top of the rates: it
/// is offered only where somebody is there for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EqualRank {
    /// Share of the basis.
    pub percentage: Percentage,
    /// How many of them, above each rate that was reached.
    #[schemars(range(min = 1))]
    pub depth: u8,
}

/// How far the walk has come.
struct Floor {
    /// The highest rate below, by its place.
    rate: Option<usize>,
    /// How many more members of an equal rank are paid.
    equals_left: u8,
}

impl Differential {
    pub(super) fn compile(file: File, compiler: &mut Compiler<'_>) -> Self {
        pay::check_point_value(file.basis, &file.point_value, compiler);
        compiler
            .require("rates", !file.rates.is_empty(), || "must list at least one rate".to_owned());
        let mut rates: Vec<RankRate> = Vec::with_capacity(file.rates.len());
        for (place, rate) in file.rates.into_iter().enumerate() {
            let at = format!("rates[{place}]");
            let Some(rank) = compiler.rank(&format!("{at}.rank"), &rate.rank) else { continue };
            if let Some(below) = rates.last() {
                compiler.require(&format!("{at}.rank"), below.rank.place < rank.place, || {
                    format!(
                        "{} must be above {}: list the lowest first",
                        rank.name, below.rank.name
                    )
                });
                compiler.require(
                    &format!("{at}.percentage"),
                    below.percentage < rate.percentage,
                    || {
                        format!(
                            "must be more than the {} % of {}",
                            below.percentage, below.rank.name
                        )
                    },
                );
                compiler.require(
                    &format!("{at}.career_points_percentage"),
                    below.career_points_percentage <= rate.career_points_percentage,
                    || {
                        let points = below.career_points_percentage;
                        format!("must not be less than the {points} % of {}", below.rank.name)
                    },
                );
            }
            rates.push(RankRate {
                rank,
                percentage: rate.percentage,
                career_points_percentage: rate.career_points_percentage,
            });
        }
        if let Some(equal) = file.equal_rank {
            compiler.require("equal_rank.depth", equal.depth > 0, || {
                "must be at least 1; leave equal_rank out to pay nobody".to_owned()
            });
        }
        Self {
            basis: file.basis,
            point_value: file.point_value,
            rates,
            seller: file.seller,
            equal_rank: file.equal_rank,
        }
    }

    fn worth(&self) -> Worth<'_> {
        Worth { basis: self.basis, point_value: &self.point_value }
    }

    /// The rate of a rank: of the highest one that is not above it.
    fn rate_of(&self, rank: Rank) -> Option<usize> {
        self.rates.iter().rposition(|rate| rate.rank.place <= rank)
    }

    /// What a rate is worth as a whole; nothing without one.
    fn whole(&self, deal: &Deal<'_>, rate: Option<usize>) -> Result<Reward, OutOfRange> {
        let Some(rate) = rate.and_then(|place| self.rates.get(place)) else {
            return Ok(Reward::default());
        };
        let share = self.worth().share(deal, rate.percentage, rate.career_points_percentage)?;
        Ok(share.unwrap_or_default())
    }

    /// What one rate is worth above another.
    fn difference(
        &self,
        deal: &Deal<'_>,
        rate: Option<usize>,
        floor: Option<usize>,
    ) -> Result<Reward, OutOfRange> {
        let (above, below) = (self.whole(deal, rate)?, self.whole(deal, floor)?);
        above.checked_sub(below).ok_or(OutOfRange)
    }

    /// The seller's own rate.
    fn decide_on_seller(
        &self,
        deal: &Deal<'_>,
        floor: &mut Floor,
    ) -> Result<Option<Decision>, OutOfRange> {
        let Some(seller) = deal.at(0).filter(|_| self.seller != SellerRate::Ignored) else {
            return Ok(None);
        };
        let nothing =
            |reason| deal.decision(0, Some(seller), Reward::default(), Verdict::NotPaid(reason));
        if let Err(reason) = deal.can_earn(&seller, 0) {
            return Ok(Some(nothing(reason)));
        }
        let Some(rate) = self.rate_of(seller.visit.rank) else {
            return Ok(Some(nothing(Reason::UnderRank)));
        };
        self.raise(floor, rate);
        if self.seller == SellerRate::Counted {
            return Ok(Some(Decision { rate: Some(rate), ..nothing(Reason::Counted) }));
        }
        self.pay(deal, seller, 0, Some(rate), None).map(Some)
    }

    /// Somebody in the upline.
    fn decide_on(
        &self,
        deal: &Deal<'_>,
        who: Beneficiary,
        floor: &mut Floor,
    ) -> Result<Decision, OutOfRange> {
        let level = who.depth;
        let nothing = |reason| {
            let decision =
                deal.decision(level, Some(who), Reward::default(), Verdict::NotPaid(reason));
            Decision { floor: floor.rate, ..decision }
        };
        if let Err(reason) = deal.can_earn(&who, level) {
            return Ok(nothing(reason));
        }
        let Some(rate) = self.rate_of(who.visit.rank) else {
            return Ok(nothing(Reason::UnderRank));
        };
        if floor.rate.is_none_or(|below| below < rate) {
            let below = floor.rate;
            self.raise(floor, rate);
            return self.pay(deal, who, level, Some(rate), below);
        }
        match self.equal_rank {
            Some(equal) if floor.rate == Some(rate) && floor.equals_left > 0 => {
                floor.equals_left -= 1;
                let share = self.worth().share(deal, equal.percentage, Percentage::default())?;
                let decision = close(deal, who, level, share.unwrap_or_default());
                // A rate that equals the floor marks the share of an equal rank.
                Ok(Decision { rate: Some(rate), floor: floor.rate, ..decision })
            }
            _ => Ok(Decision { rate: Some(rate), ..nothing(Reason::NotHigher) }),
        }
    }

    fn pay(
        &self,
        deal: &Deal<'_>,
        who: Beneficiary,
        level: u16,
        rate: Option<usize>,
        floor: Option<usize>,
    ) -> Result<Decision, OutOfRange> {
        let decision = close(deal, who, level, self.difference(deal, rate, floor)?);
        Ok(Decision { rate, floor, ..decision })
    }

    fn raise(&self, floor: &mut Floor, rate: usize) {
        floor.rate = Some(rate);
        floor.equals_left = self.equal_rank.map_or(0, |equal| equal.depth);
    }

    fn top(&self) -> Option<usize> {
        self.rates.len().checked_sub(1)
    }
}

/// What somebody gets is what was offered to them.
fn close(deal: &Deal<'_>, who: Beneficiary, level: u16, reward: Reward) -> Decision {
    let verdict =
        if reward.is_nothing() { Verdict::NotPaid(Reason::Zero) } else { Verdict::Paid(reward) };
    deal.decision(level, Some(who), reward, verdict)
}

impl Calculate for Differential {
    fn entry_type(&self) -> EntryType {
        EntryType::Differential
    }

    fn depth(&self, _max_levels: u8) -> u16 {
        DEPTH_MAX
    }

    fn decide(&self, deal: &Deal<'_>, decisions: &mut Vec<Decision>) -> Result<(), OutOfRange> {
        if let Err(NoRate) = self.worth().money(deal, deal.volume)? {
            let no_rate = Verdict::NotPaid(Reason::NoRate);
            decisions.push(deal.decision(0, None, Reward::default(), no_rate));
            return Ok(());
        }
        let mut floor = Floor { rate: None, equals_left: 0 };
        decisions.extend(self.decide_on_seller(deal, &mut floor)?);
        let mut walked = 0;
        for who in deal.upline() {
            if floor.rate == self.top() && floor.equals_left == 0 {
                break;
            }
            walked = who.depth;
            decisions.push(self.decide_on(deal, who, &mut floor)?);
        }
        if floor.rate != self.top() {
            let rest = self.difference(deal, self.top(), floor.rate)?;
            let below = Verdict::NotPaid(Reason::RateBelowTop);
            let decision = deal.decision(walked + 1, None, rest, below);
            decisions.push(Decision { rate: self.top(), floor: floor.rate, ..decision });
        }
        Ok(())
    }

    fn written_out(&self, deal: &Deal<'_>, decision: &Decision) -> Vec<String> {
        let reward = match decision.verdict {
            Verdict::Paid(taken) => taken,
            Verdict::NotPaid(_) if !decision.offered.is_nothing() => decision.offered,
            Verdict::NotPaid(_) | Verdict::Passed(..) => return Vec::new(),
        };
        let rate = |place: Option<usize>| place.and_then(|place| self.rates.get(place));
        let Some(above) = rate(decision.rate) else { return Vec::new() };
        if let (Some(equal), true) = (self.equal_rank, decision.rate == decision.floor) {
            return vec![format!(
                "equal rank: {}",
                self.worth().product(deal, equal.percentage, reward.money)
            )];
        }
        let wholes = |place| self.whole(deal, place).unwrap_or_default();
        let (high, low) = (wholes(decision.rate), wholes(decision.floor));
        let mut written = vec![self.worth().product(deal, above.percentage, high.money)];
        if let Some(below) = rate(decision.floor) {
            let below = self.worth().product(deal, below.percentage, low.money);
            written.push(format!("less the highest rate below: {below}"));
            written.push(equation(&format!("{} − {}", high.money, low.money), None, reward.money));
        }
        if !above.career_points_percentage.is_zero() {
            let points = above.career_points_percentage;
            let product = self.worth().points_product(deal, points, high.points);
            written.push(match rate(decision.floor) {
                Some(_) => format!("{product}, less {} below = {}", low.points, reward.points),
                None => product,
            });
        }
        written
    }

    fn why_not(
        &self,
        _deal: &Deal<'_>,
        decision: &Decision,
        reason: Reason,
        rank: &str,
    ) -> Option<String> {
        let rate = |place: Option<usize>| place.and_then(|place| self.rates.get(place));
        match reason {
            Reason::UnderRank => Some(format!("rank {rank} is below {}", self.rates.first()?.rank)),
            Reason::RateBelowTop => Some("nobody above has the highest rate".to_owned()),
            Reason::NotHigher => {
                let (own, below) = (rate(decision.rate)?, rate(decision.floor)?);
                Some(format!(
                    "the {} % of rank {rank} is not above the highest rate below, {} %",
                    own.percentage, below.percentage
                ))
            }
            _ => None,
        }
    }

    fn describe(&self, _max_levels: u8) -> Description {
        let seller = match self.seller {
            SellerRate::Paid => "gets their own rate",
            SellerRate::Counted => "own rate counts, but is not paid here",
            SellerRate::Ignored => "own rate does not count",
        };
        let mut facts = vec![("share of", self.worth().describe()), ("seller", seller.to_owned())];
        if let Some(equal) = self.equal_rank {
            facts.push((
                "equal rank",
                format!("{} % for {} member(s) above", equal.percentage, equal.depth),
            ));
        }
        let rows = self.rates.iter().map(|rate| {
            vec![
                rate.rank.name.clone(),
                format!("{} %", rate.percentage),
                format!("{} %", rate.career_points_percentage),
            ]
        });
        Description { facts, header: vec!["rank", "money", "career points"], rows: rows.collect() }
    }
}
