//! How a member shares direct rewards with the member who made the sale.

use thiserror::Error;

use crate::amount::Percentage;

/// What a member keeps of a reward on a sale of somebody whom they sponsor themselves, separately
/// for money and career points. The rest goes to the seller. Nobody who has configured nothing
/// shares anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewardSplit {
    /// Share of the money that the member keeps.
    pub money_to_self: Percentage,
    /// Share of the career points that the member keeps.
    pub points_to_self: Percentage,
}

/// Shares that are not the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("to_self and to_referral must sum up to 100, not {sum}")]
pub struct NotAHundred {
    /// What they sum up to.
    pub sum: rust_decimal::Decimal,
}

impl Default for RewardSplit {
    /// Everything is kept.
    fn default() -> Self {
        Self { money_to_self: Percentage::HUNDRED, points_to_self: Percentage::HUNDRED }
    }
}

impl RewardSplit {
    /// Whether nothing goes to the seller.
    #[must_use]
    pub fn keeps_everything(self) -> bool {
        self == Self::default()
    }
}

/// The share that a member keeps, if it and the referral's sum up to a hundred.
pub fn share_to_self(
    to_self: Percentage,
    to_referral: Percentage,
) -> Result<Percentage, NotAHundred> {
    if to_self == to_referral.rest() {
        return Ok(to_self);
    }
    Err(NotAHundred { sum: to_self.to_decimal() + to_referral.to_decimal() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shares_make_a_hundred() {
        let percent = |text| Percentage::parse(text).unwrap();
        let share = |a, b| share_to_self(percent(a), percent(b));
        assert_eq!(share("70", "30"), Ok(percent("70")));
        assert_eq!(share("33.3333", "66.6667"), Ok(percent("33.3333")));
        let error = share("70", "29.9999").unwrap_err();
        assert_eq!(error.to_string(), "to_self and to_referral must sum up to 100, not 99.9999");
        assert!(share("70", "70").is_err());
    }

    #[test]
    fn nobody_shares_unless_they_say_so() {
        assert!(RewardSplit::default().keeps_everything());
        let half = Percentage::parse("50").unwrap();
        assert!(!RewardSplit { points_to_self: half, ..RewardSplit::default() }.keeps_everything());
    }
}
