//! `unilevel`: a share for each level of the upline, with or without compression.
//!
//! ```text
//! compression none       level n goes to the ancestor n steps up, or to breakage;
//!                        with roll_up to the next one above who qualifies for it
//! compression standard   one walk up: who is not ACTIVE is skipped and uses up no level
//! compression dynamic    the same, and who does not qualify for the level at hand is skipped too
//! ```
//!
//! With compression a level is used up once somebody takes it, and whoever was skipped is not
//! reconsidered higher up. A level that the rule does not list asks only for ACTIVE.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::level::{Level, LevelFile, Take};
use super::pay::{self, Basis, NoRate, Worth};
use super::{Calculate, Deal, Description, deal};
use crate::amount::PointValue;
use crate::decision::{
    Beneficiary, Decision, EntryType, OutOfRange, Passage, Reason, Reward, Verdict,
};
use crate::flaws::Compiler;
use crate::network::DEPTH_MAX;
use crate::sale::Currency;

/// A unilevel calculation in a plan file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Unilevel")]
pub struct File {
    /// What percentages are taken of.
    #[serde(default)]
    pub basis: Basis,
    /// What a point of volume is worth, by currency; absent: one unit of the sale's currency.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PointValue>")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// Whether members who do not earn use up a level.
    #[serde(default)]
    pub compression: Compression,
    /// What becomes of a level whose member does not qualify. Not together with compression.
    #[serde(default)]
    pub unqualified: Unqualified,
    /// What each level gets. A level that is not listed gets nothing.
    #[schemars(length(min = 1))]
    pub levels: Vec<LevelFile>,
}

/// A share for each level of the upline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unilevel {
    /// What percentages are taken of.
    pub basis: Basis,
    /// What a point of volume is worth; empty: one unit of the sale's currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub point_value: BTreeMap<Currency, PointValue>,
    /// Whether members who do not earn use up a level.
    pub compression: Compression,
    /// What becomes of a level whose member does not qualify.
    #[serde(default, skip_serializing_if = "Unqualified::is_default")]
    pub unqualified: Unqualified,
    /// The levels, lowest first.
    pub levels: Vec<Level>,
}

/// Whether members who do not earn use up a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// They do: their share is breakage.
    #[default]
    None,
    /// Members who are not ACTIVE do not.
    Standard,
    /// Members who are not ACTIVE, or do not qualify for the level at hand, do not.
    Dynamic,
}

/// What becomes of a level whose member does not qualify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unqualified {
    /// It is breakage.
    #[default]
    Breakage,
    /// The next member above who qualifies for it takes it, besides their own level.
    RollUp,
}

/// What compression is called among modes.
pub const COMPRESSION: &str = "compression";

impl Compression {
    /// Every mode with its name in plan files.
    pub const ALL: [(Self, &str); 3] =
        [(Self::None, "none"), (Self::Standard, "standard"), (Self::Dynamic, "dynamic")];
}

impl Unqualified {
    /// Whether it is what holds when nothing is said.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Unilevel {
    pub(super) fn compile(file: File, compiler: &mut Compiler<'_>) -> Self {
        pay::check_point_value(file.basis, &file.point_value, compiler);
        compiler.require("levels", !file.levels.is_empty(), || {
            "must list at least one level".to_owned()
        });
        let is_clear =
            file.compression == Compression::None || file.unqualified == Unqualified::Breakage;
        compiler.require("unqualified", is_clear, || {
            "roll_up does not go together with compression, which already moves levels up"
                .to_owned()
        });
        let mut levels: Vec<Level> = Vec::with_capacity(file.levels.len());
        for (place, entry) in file.levels.into_iter().enumerate() {
            let at = format!("levels[{place}]");
            for level in Level::compile(&at, entry, compiler) {
                let is_new = levels.iter().all(|other| other.level != level.level);
                compiler.require(&format!("{at}.level"), is_new, || {
                    format!("level {} is listed twice", level.level)
                });
                levels.push(level);
            }
        }
        levels.sort_by_key(|level| level.level);
        Self {
            basis: file.basis,
            point_value: file.point_value,
            compression: file.compression,
            unqualified: file.unqualified,
            levels,
        }
    }

    fn worth(&self) -> Worth<'_> {
        Worth { basis: self.basis, point_value: &self.point_value }
    }

    /// The highest level that is paid.
    fn last(&self, max_levels: u8) -> u16 {
        let paid = self.levels.iter().map(|level| level.level);
        u16::from(paid.filter(|level| *level <= max_levels).max().unwrap_or(0))
    }

    fn listed(&self, number: u16) -> Option<&Level> {
        self.levels.iter().find(|level| u16::from(level.level) == number)
    }

    /// Each level to whom stands there.
    fn decide_by_place(
        &self,
        deal: &Deal<'_>,
        decisions: &mut Vec<Decision>,
    ) -> Result<(), OutOfRange> {
        for number in 1..=self.last(deal.max_levels) {
            let who = deal.at(number);
            match (self.listed(number), who) {
                (None, None) => {}
                (None, Some(who)) => decisions.push(no_tier(deal, number, who)),
                (Some(level), None) => decisions.push(self.unclaimed(deal, level)?),
                (Some(level), Some(who)) => {
                    let decision = match level.judge(deal, self.worth(), &who)? {
                        Ok(take) => self.taken(deal, level, who, take)?,
                        Err(reason) => self.refused(deal, level, Some(who), reason)?,
                    };
                    decisions.push(decision);
                }
            }
        }
        Ok(())
    }

    /// Each level to whom stands there, else to the next one above who qualifies for it.
    fn decide_by_rolling_up(
        &self,
        deal: &Deal<'_>,
        decisions: &mut Vec<Decision>,
    ) -> Result<(), OutOfRange> {
        for number in 1..=self.last(deal.max_levels) {
            let Some(level) = self.listed(number) else {
                decisions.extend(deal.at(number).map(|who| no_tier(deal, number, who)));
                continue;
            };
            let mut is_open = true;
            for who in deal.upline().skip(usize::from(number) - 1) {
                match level.judge(deal, self.worth(), &who)? {
                    Ok(take) => {
                        decisions.push(self.taken(deal, level, who, take)?);
                        is_open = false;
                        break;
                    }
                    Err(reason) => {
                        decisions.push(passed(deal, number, who, reason, Passage::RolledUp));
                    }
                }
            }
            if is_open {
                decisions.push(self.unclaimed(deal, level)?);
            }
        }
        Ok(())
    }

    /// One walk up, in which skipped members use up no level.
    fn decide_by_compressing(
        &self,
        deal: &Deal<'_>,
        decisions: &mut Vec<Decision>,
    ) -> Result<(), OutOfRange> {
        let last = self.last(deal.max_levels);
        let skips_unqualified = self.compression == Compression::Dynamic;
        let mut number = 1;
        for who in deal.upline() {
            if number > last {
                return Ok(());
            }
            let judgement = match self.listed(number) {
                Some(level) => level.judge(deal, self.worth(), &who)?.map(|take| (level, take)),
                None => match deal::check_active(&who) {
                    Ok(()) => {
                        decisions.push(no_tier(deal, number, who));
                        number += 1;
                        continue;
                    }
                    Err(reason) => Err(reason),
                },
            };
            match judgement {
                Ok((level, take)) => {
                    decisions.push(self.taken(deal, level, who, take)?);
                    number += 1;
                }
                Err(reason) if skips_unqualified || reason == Reason::Inactive => {
                    decisions.push(passed(deal, number, who, reason, Passage::Compressed));
                }
                Err(reason) => {
                    if let Some(level) = self.listed(number) {
                        decisions.push(self.refused(deal, level, Some(who), reason)?);
                    }
                    number += 1;
                }
            }
        }
        for number in number..=last {
            if let Some(level) = self.listed(number) {
                decisions.push(self.unclaimed(deal, level)?);
            }
        }
        Ok(())
    }

    /// Somebody takes what they may of a level's offer.
    fn taken(
        &self,
        deal: &Deal<'_>,
        level: &Level,
        who: Beneficiary,
        take: Take,
    ) -> Result<Decision, OutOfRange> {
        let offer = level.offer(deal, self.worth())?;
        let offered = offer.unwrap_or_default();
        let verdict = match offer {
            Err(NoRate) => Verdict::NotPaid(Reason::NoRate),
            Ok(_) if offered.is_nothing() => Verdict::NotPaid(Reason::Zero),
            Ok(_) if take.reward.is_nothing() => Verdict::NotPaid(Reason::RateBelowTop),
            Ok(_) => Verdict::Paid(take.reward),
        };
        let decision = deal.decision(u16::from(level.level), Some(who), offered, verdict);
        Ok(Decision { rate: take.rate, ..decision })
    }

    /// A level's offer goes to breakage.
    fn refused(
        &self,
        deal: &Deal<'_>,
        level: &Level,
        who: Option<Beneficiary>,
        reason: Reason,
    ) -> Result<Decision, OutOfRange> {
        let offered = level.offer(deal, self.worth())?.unwrap_or_default();
        Ok(deal.decision(u16::from(level.level), who, offered, Verdict::NotPaid(reason)))
    }

    /// Nobody is there for a level.
    fn unclaimed(&self, deal: &Deal<'_>, level: &Level) -> Result<Decision, OutOfRange> {
        self.refused(deal, level, None, Reason::NoUpline)
    }
}

impl Calculate for Unilevel {
    fn entry_type(&self) -> EntryType {
        EntryType::LevelCommission
    }

    fn depth(&self, max_levels: u8) -> u16 {
        match (self.compression, self.unqualified) {
            (Compression::None, Unqualified::Breakage) => self.last(max_levels),
            _ => DEPTH_MAX,
        }
    }

    fn decide(&self, deal: &Deal<'_>, decisions: &mut Vec<Decision>) -> Result<(), OutOfRange> {
        if let (Some(level), Some(seller)) = (self.listed(0), deal.at(0)) {
            decisions.push(match level.judge(deal, self.worth(), &seller)? {
                Ok(take) => self.taken(deal, level, seller, take)?,
                Err(reason) => self.refused(deal, level, Some(seller), reason)?,
            });
        }
        match (self.compression, self.unqualified) {
            (Compression::None, Unqualified::Breakage) => self.decide_by_place(deal, decisions),
            (Compression::None, Unqualified::RollUp) => self.decide_by_rolling_up(deal, decisions),
            (Compression::Standard | Compression::Dynamic, _) => {
                self.decide_by_compressing(deal, decisions)
            }
        }
    }

    fn written_out(&self, deal: &Deal<'_>, decision: &Decision) -> Vec<String> {
        let Some(level) = self.listed(decision.level) else { return Vec::new() };
        if let Ok(Err(NoRate)) = level.offer(deal, self.worth()) {
            return Vec::new();
        }
        match decision.verdict {
            Verdict::Paid(taken) => level.written_out(deal, self.worth(), decision.rate, taken),
            Verdict::NotPaid(_) if level.rates.is_empty() => {
                level.written_out(deal, self.worth(), None, decision.offered)
            }
            Verdict::NotPaid(_) | Verdict::Passed(..) => Vec::new(),
        }
    }

    fn why_not(
        &self,
        _deal: &Deal<'_>,
        decision: &Decision,
        reason: Reason,
        rank: &str,
    ) -> Option<String> {
        match reason {
            Reason::NoTier => Some(format!("the rule lists no level {}", decision.level)),
            Reason::UnderRank => {
                let lowest = self.listed(decision.level)?.lowest_rank()?;
                Some(format!("rank {rank} is below {lowest}"))
            }
            Reason::RateBelowTop => Some(format!("the rate of rank {rank} is nothing")),
            _ => None,
        }
    }

    fn modes(&self) -> Vec<(&'static str, &'static str)> {
        let compression = Compression::ALL.iter().filter(|(mode, _)| *mode == self.compression);
        compression.map(|(_, name)| (COMPRESSION, *name)).collect()
    }

    fn describe(&self, max_levels: u8) -> Description {
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Standard => "standard: inactive members use up no level",
            Compression::Dynamic => "dynamic: members who do not qualify use up no level",
        };
        let mut facts = vec![("share of", self.worth().describe())];
        if self.compression != Compression::None {
            facts.push(("compression", compression.to_owned()));
        }
        if self.unqualified == Unqualified::RollUp {
            facts.push(("unqualified", "the next member above who qualifies takes it".to_owned()));
        }
        Description {
            facts,
            header: vec!["level", "money", "career points", "lowest rank"],
            rows: self.levels.iter().flat_map(|level| level.describe(max_levels)).collect(),
        }
    }
}

/// Somebody stands on a level that the rule does not list.
fn no_tier(deal: &Deal<'_>, number: u16, who: Beneficiary) -> Decision {
    deal.decision(number, Some(who), Reward::default(), Verdict::NotPaid(Reason::NoTier))
}

/// Somebody does not get a level, which stays on offer.
fn passed(
    deal: &Deal<'_>,
    number: u16,
    who: Beneficiary,
    reason: Reason,
    passage: Passage,
) -> Decision {
    deal.decision(number, Some(who), Reward::default(), Verdict::Passed(reason, passage))
}
