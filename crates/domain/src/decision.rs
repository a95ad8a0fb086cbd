//! What rules decide: who gets what of an offer, and why nobody does.

use thiserror::Error;

use crate::amount::Amount;
use crate::inputs::Visit;

/// What a line is, in the ledger's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryType {
    /// A share for a level of the upline.
    LevelCommission,
    /// The difference between a rank's rate and the highest below.
    Differential,
    /// Once a sale: fixed, fast start or by tiers.
    Bonus,
    /// The seller's part of a direct reward that the sponsor shares.
    ReferralReward,
}

impl EntryType {
    /// Every type that settlement writes.
    pub const ALL: [Self; 4] =
        [Self::LevelCommission, Self::Differential, Self::Bonus, Self::ReferralReward];

    /// The name in the database and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LevelCommission => "LEVEL_COMMISSION",
            Self::Differential => "DIFFERENTIAL",
            Self::Bonus => "BONUS",
            Self::ReferralReward => "REFERRAL_REWARD",
        }
    }
}

/// Money and career points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reward {
    /// In the sale's currency.
    pub money: Amount,
    /// Career points.
    pub points: Amount,
}

impl Reward {
    /// Neither money nor points.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self.money.is_zero() && self.points.is_zero()
    }

    /// The higher of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { money: self.money.max(other.money), points: self.points.max(other.points) }
    }

    /// The difference of each.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            money: self.money.checked_sub(other.money)?,
            points: self.points.checked_sub(other.points)?,
        })
    }
}

/// Somebody on the way up, or the seller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beneficiary {
    /// As they stood.
    pub visit: Visit,
    /// How far above the seller.
    pub depth: u16,
}

/// What one rule decided about one person, or about an offer that nobody is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule, by its place in the rule set.
    pub rule: usize,
    /// The level; 0 is the seller.
    pub level: u16,
    /// Who; `None`: the upline does not reach so far.
    pub beneficiary: Option<Beneficiary>,
    /// What was on offer here. Nothing when the offer stays open for the next member.
    pub offered: Reward,
    /// Who gets it.
    pub verdict: Verdict,
    /// Which of the rule's rates was taken, by its place, where there are several.
    pub rate: Option<usize>,
    /// Differential: the highest rate below, by its place.
    pub floor: Option<usize>,
    /// What caps cut of the money that was taken.
    pub capped: Amount,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The member takes this of it; the rest is breakage, `rate_below_top`.
    Paid(Reward),
    /// Nobody gets it, for this reason.
    NotPaid(Reason),
    /// The member does not get it for this reason, and it goes on to the next one.
    Passed(Reason, Passage),
}

/// How an offer goes on to the next member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Compression: the member uses up no level.
    Compressed,
    /// The level rolls up.
    RolledUp,
}

/// Why somebody gets nothing, or why money is breakage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The member's status is not `ACTIVE`.
    Inactive,
    /// The member's rank is below what the level asks for.
    UnderRank,
    /// The rule's eligibility does not admit the member.
    Ineligible,
    /// The upline ends below.
    NoUpline,
    /// The rule does not list this level, or the sale is below the first tier.
    NoTier,
    /// The share of this sale rounds to nothing.
    Zero,
    /// Higher ranks would get more; nobody of such a rank was there.
    RateBelowTop,
    /// Differential: the member's rate is not above the highest below.
    NotHigher,
    /// Differential: the seller's own rate counts, but is not paid here.
    Counted,
    /// Fast start: the seller joined too long ago.
    OutsideWindow,
    /// The rule has no amount or point value in the sale's currency.
    NoRate,
    /// A cap of the plan cut it.
    Capped,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Inactive,
        Self::UnderRank,
        Self::Ineligible,
        Self::NoUpline,
        Self::NoTier,
        Self::Zero,
        Self::RateBelowTop,
        Self::NotHigher,
        Self::Counted,
        Self::OutsideWindow,
        Self::NoRate,
        Self::Capped,
    ];

    /// The name in programs' output and in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::UnderRank => "under_rank",
            Self::Ineligible => "ineligible",
            Self::NoUpline => "no_upline",
            Self::NoTier => "no_tier",
            Self::Zero => "zero",
            Self::RateBelowTop => "rate_below_top",
            Self::NotHigher => "not_higher",
            Self::Counted => "counted",
            Self::OutsideWindow => "outside_window",
            Self::NoRate => "no_rate",
            Self::Capped => "capped",
        }
    }
}

impl Passage {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Compressed, Self::RolledUp];

    /// The name in programs' output and in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compressed => "compressed",
            Self::RolledUp => "rolled_up",
        }
    }
}

impl Decision {
    /// Why the member gets nothing, by name: a passage goes before the reason behind it.
    #[must_use]
    pub fn reason_name(&self) -> Option<&'static str> {
        match self.verdict {
            Verdict::Paid(taken) if taken.money == self.capped && taken.points.is_zero() => {
                Some(Reason::Capped.name())
            }
            Verdict::Paid(_) => None,
            Verdict::NotPaid(reason) => Some(reason.name()),
            Verdict::Passed(_, passage) => Some(passage.name()),
        }
    }

    /// The money that is breakage, by reason.
    pub fn breakage(&self) -> impl Iterator<Item = (Reason, Amount)> {
        let lost = match self.verdict {
            Verdict::NotPaid(reason) => [Some((reason, self.offered.money)), None],
            Verdict::Passed(..) => [None, None],
            Verdict::Paid(taken) => [
                // Nobody takes more than is offered, so the difference fits.
                self.offered
                    .money
                    .checked_sub(taken.money)
                    .map(|rest| (Reason::RateBelowTop, rest)),
                Some((Reason::Capped, self.capped)),
            ],
        };
        lost.into_iter().flatten().filter(|(_, money)| !money.is_zero())
    }
}

/// Sums beyond what an amount can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what the sale offers has more digits than the ledger can hold")]
pub struct OutOfRange;
