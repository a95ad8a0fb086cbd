//! What one level of a unilevel rule gets, and who may take it.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::pay::{self, Amounts, NoRate, Worth};
use super::{Deal, LEVELS_MAX, deal};
use crate::amount::{Amount, Percentage};
use crate::decision::{Beneficiary, OutOfRange, Reason, Reward};
use crate::flaws::Compiler;
use crate::ladder::{NamedRank, Rank};

/// One entry of `levels` in a plan file: a level, or several with `through`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Level", transform = one_pay)]
pub struct LevelFile {
    /// 1 is the seller's sponsor, 0 the seller.
    #[schemars(range(max = 64))]
    pub level: u8,
    /// The last of several levels that get the same.
    #[serde(default)]
    #[schemars(range(max = 64))]
    pub through: Option<u8>,
    /// Share of the basis, in money.
    #[serde(default)]
    pub percentage: Option<Percentage>,
    /// Fixed amounts by currency, in place of `percentage`.
    #[serde(default)]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Amount>>")]
    pub amount: Option<Amounts>,
    /// Rates by rank, in place of `percentage`.
    #[serde(default)]
    pub rates: Option<Vec<RateFile>>,
    /// Share of the basis, in career points.
    #[serde(default)]
    pub career_points_percentage: Option<Percentage>,
    /// The lowest rank that may take it; absent: any.
    #[serde(default)]
    pub min_rank: Option<String>,
}

/// A level is paid in one of three ways.
fn one_pay(schema: &mut Schema) {
    pay::one_of(schema, &["percentage", "amount", "rates"]);
}

/// What members of a rank, or a higher one, get.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rate", transform = pay::percentage_or_amount)]
pub struct RateFile {
    /// The lowest rank that it is for.
    pub rank: String,
    /// Share of the basis, in money.
    #[serde(default)]
    pub percentage: Option<Percentage>,
    /// Fixed amounts by currency, in place of `percentage`.
    #[serde(default)]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Amount>>")]
    pub amount: Option<Amounts>,
    /// Share of the basis, in career points.
    #[serde(default)]
    pub career_points_percentage: Percentage,
}

/// What one level gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// 1 is the seller's sponsor, 0 the seller.
    pub level: u8,
    /// Share of the basis, in money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percentage>,
    /// Share of the basis, in career points.
    pub career_points_percentage: Percentage,
    /// The lowest rank that may take it.
    pub min_rank: Option<NamedRank>,
    /// Fixed amounts by currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amounts>,
    /// Rates by rank, lowest first; who is below the first one is under rank.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<Rate>,
}

/// What members of a rank, or a higher one, get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The lowest rank that it is for.
    pub rank: NamedRank,
    /// Share of the basis, in money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percentage>,
    /// Fixed amounts by currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amounts>,
    /// Share of the basis, in career points.
    pub career_points_percentage: Percentage,
}

/// What somebody takes, and by which of the level's rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) reward: Reward,
    pub(super) rate: Option<usize>,
}

impl Level {
    /// The levels that an entry of a plan file stands for.
    pub(super) fn compile(at: &str, file: LevelFile, compiler: &mut Compiler<'_>) -> Vec<Self> {
        let last = file.through.unwrap_or(file.level);
        compiler.require(&format!("{at}.level"), file.level <= LEVELS_MAX, || {
            format!("must be 0 to {LEVELS_MAX}; 1 is the seller's sponsor, 0 the seller")
        });
        let is_range = file.through.is_none_or(|last| file.level <= last && last <= LEVELS_MAX);
        compiler.require(&format!("{at}.through"), is_range, || {
            format!("must be {} to {LEVELS_MAX}: the last of several levels", file.level)
        });
        let forms = [file.percentage.is_some(), file.amount.is_some(), file.rates.is_some()];
        compiler.require(at, forms.into_iter().filter(|given| *given).count() == 1, || {
            "must have one of percentage, amount and rates".to_owned()
        });
        if let Some(amounts) = &file.amount {
            pay::check_amounts(&format!("{at}.amount"), amounts, compiler);
        }
        if file.rates.is_some() {
            compiler.require(
                &format!("{at}.career_points_percentage"),
                file.career_points_percentage.is_none(),
                || "belongs to each of the rates".to_owned(),
            );
        }
        let rates = compile_rates(&format!("{at}.rates"), file.rates, compiler);
        let min_rank =
            file.min_rank.as_ref().and_then(|name| compiler.rank(&format!("{at}.min_rank"), name));
        let level = |level| Self {
            level,
            percentage: file.percentage,
            career_points_percentage: file.career_points_percentage.unwrap_or_default(),
            min_rank: min_rank.clone(),
            amount: file.amount.clone(),
            rates: rates.clone(),
        };
        (file.level..=last.min(LEVELS_MAX)).map(level).collect()
    }

    /// What the level offers: of several rates the highest.
    pub(super) fn offer(
        &self,
        deal: &Deal<'_>,
        worth: Worth<'_>,
    ) -> Result<Result<Reward, NoRate>, OutOfRange> {
        if self.rates.is_empty() {
            return reward(
                deal,
                worth,
                self.percentage,
                self.amount.as_ref(),
                self.career_points_percentage,
            );
        }
        let mut highest = Err(NoRate);
        for rate in &self.rates {
            if let Ok(reward) = rate.reward(deal, worth)? {
                highest = Ok(highest.map_or(reward, |other: Reward| other.max(reward)));
            }
        }
        Ok(highest)
    }

    /// What somebody would take of it, or why they may not.
    pub(super) fn judge(
        &self,
        deal: &Deal<'_>,
        worth: Worth<'_>,
        who: &Beneficiary,
    ) -> Result<Result<Take, Reason>, OutOfRange> {
        let rate = match self.qualify(deal, who) {
            Ok(rate) => rate,
            Err(reason) => return Ok(Err(reason)),
        };
        let reward = match rate {
            Some(place) => self.rates[place].reward(deal, worth)?,
            None => self.offer(deal, worth)?,
        };
        Ok(Ok(Take { reward: reward.unwrap_or_default(), rate }))
    }

    /// Whether somebody qualifies for the level, and for which of its rates.
    fn qualify(&self, deal: &Deal<'_>, who: &Beneficiary) -> Result<Option<usize>, Reason> {
        deal::check_active(who)?;
        let rank = who.visit.rank;
        let rate = self.rate_of(rank);
        let is_below = self.min_rank.as_ref().is_some_and(|lowest| rank < lowest.place);
        if is_below || (rate.is_none() && !self.rates.is_empty()) {
            return Err(Reason::UnderRank);
        }
        deal.check_eligible(who, u16::from(self.level))?;
        Ok(rate)
    }

    /// The rate of a rank: of the highest one that is not above it.
    fn rate_of(&self, rank: Rank) -> Option<usize> {
        self.rates.iter().rposition(|rate| rate.rank.place <= rank)
    }

    /// The lowest rank that may take it.
    pub(super) fn lowest_rank(&self) -> Option<NamedRank> {
        let of_rates = self.rates.first().map(|rate| rate.rank.clone());
        [self.min_rank.clone(), of_rates].into_iter().flatten().max_by_key(|rank| rank.place)
    }

    /// How the amounts of a decision come about.
    pub(super) fn written_out(
        &self,
        deal: &Deal<'_>,
        worth: Worth<'_>,
        rate: Option<usize>,
        reward: Reward,
    ) -> Vec<String> {
        let (percentage, amounts, points) = match rate.and_then(|place| self.rates.get(place)) {
            Some(rate) => (rate.percentage, &rate.amount, rate.career_points_percentage),
            None => (self.percentage, &self.amount, self.career_points_percentage),
        };
        let mut written = Vec::new();
        if let Some(percentage) = percentage.filter(|percentage| !percentage.is_zero()) {
            written.push(worth.product(deal, percentage, reward.money));
        }
        if let Some(amount) = amounts.as_ref().and_then(|known| known.get(&deal.sale.currency)) {
            written.push(format!("a fixed {amount} {}", deal.sale.currency));
        }
        if !points.is_zero() {
            written.push(worth.points_product(deal, points, reward.points));
        }
        written
    }

    /// Rows for people: one for the level, or one for each rate.
    pub(super) fn describe(&self, max_levels: u8) -> Vec<Vec<String>> {
        let beyond = self.level > max_levels;
        let row = |level: String, money: String, points: Percentage, rank: Option<&NamedRank>| {
            let rank = rank.map_or("any", |rank| rank.name.as_str());
            let note = if beyond { " (beyond max_levels: not paid)" } else { "" };
            vec![level, money, format!("{points} %"), format!("{rank}{note}")]
        };
        let money = |percentage: Option<Percentage>, amounts: Option<&Amounts>| match percentage {
            Some(percentage) => format!("{percentage} %"),
            None => amounts.map(pay::phrase).unwrap_or_default(),
        };
        if self.rates.is_empty() {
            let money = money(self.percentage, self.amount.as_ref());
            let points = self.career_points_percentage;
            return vec![row(self.level.to_string(), money, points, self.min_rank.as_ref())];
        }
        let rates = self.rates.iter().enumerate().map(|(place, rate)| {
            let level = if place == 0 { self.level.to_string() } else { String::new() };
            let money = money(rate.percentage, rate.amount.as_ref());
            row(level, money, rate.career_points_percentage, Some(&rate.rank))
        });
        rates.collect()
    }
}

impl Rate {
    fn reward(
        &self,
        deal: &Deal<'_>,
        worth: Worth<'_>,
    ) -> Result<Result<Reward, NoRate>, OutOfRange> {
        let points = self.career_points_percentage;
        reward(deal, worth, self.percentage, self.amount.as_ref(), points)
    }
}

/// A percentage of the basis, or a fixed amount; points are always a percentage.
pub(super) fn reward(
    deal: &Deal<'_>,
    worth: Worth<'_>,
    percentage: Option<Percentage>,
    amounts: Option<&Amounts>,
    points: Percentage,
) -> Result<Result<Reward, NoRate>, OutOfRange> {
    match amounts {
        Some(amounts) => Ok(match amounts.get(&deal.sale.currency) {
            Some(money) => {
                let points = deal.rounding.share(worth.measure(deal), points);
                Ok(Reward { money: *money, points })
            }
            None => Err(NoRate),
        }),
        None => worth.share(deal, percentage.unwrap_or_default(), points),
    }
}

fn compile_rates(at: &str, files: Option<Vec<RateFile>>, compiler: &mut Compiler<'_>) -> Vec<Rate> {
    let Some(files) = files else { return Vec::new() };
    compiler.require(at, !files.is_empty(), || "must list at least one rate".to_owned());
    let mut rates: Vec<Rate> = Vec::with_capacity(files.len());
    for (place, file) in files.into_iter().enumerate() {
        let at = format!("{at}[{place}]");
        compiler.require(&at, file.percentage.is_some() != file.amount.is_some(), || {
            "must have one of percentage and amount".to_owned()
        });
        if let Some(amounts) = &file.amount {
            pay::check_amounts(&format!("{at}.amount"), amounts, compiler);
        }
        let Some(rank) = compiler.rank(&format!("{at}.rank"), &file.rank) else { continue };
        let is_new = rates.iter().all(|other| other.rank != rank);
        compiler.require(&format!("{at}.rank"), is_new, || {
            format!("rank {} is listed twice", rank.name)
        });
        rates.push(Rate {
            rank,
            percentage: file.percentage,
            amount: file.amount,
            career_points_percentage: file.career_points_percentage,
        });
    }
    rates.sort_by_key(|rate| rate.rank.place);
    rates
}
