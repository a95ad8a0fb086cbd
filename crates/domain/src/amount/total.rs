//! Sums of any number of amounts.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Serialize, Serializer};

use super::{AMOUNT_SCALE, Amount};

/// The exact sum of amounts, or the difference of two. It may have more digits than an amount, so that
/// no summand is ever left out: more than 10^18 of the largest amounts fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total {
    /// In units of 0.0001.
    units: i128,
}

impl Total {
    /// Nothing at all.
    pub const ZERO: Self = Self { units: 0 };

    /// Whether nothing at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.units == 0
    }

    /// The total as an amount, or `None` when it has more digits than an amount can hold.
    #[must_use]
    pub fn amount(self) -> Option<Amount> {
        Amount::from_units(self.units)
    }

    /// The same without its sign.
    #[must_use]
    pub fn abs(self) -> Self {
        Self { units: self.units.abs() }
    }
}

impl From<Amount> for Total {
    fn from(amount: Amount) -> Self {
        Self { units: amount.units() }
    }
}

impl Add for Total {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { units: self.units + other.units }
    }
}

impl Sub for Total {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { units: self.units - other.units }
    }
}

impl<T: Into<Total>> AddAssign<T> for Total {
    fn add_assign(&mut self, other: T) {
        *self = *self + other.into();
    }
}

impl<T: Into<Total>> Sum<T> for Total {
    fn sum<I: Iterator<Item = T>>(summands: I) -> Self {
        summands.fold(Self::ZERO, |sum, summand| sum + summand.into())
    }
}

impl fmt::Display for Total {
    /// Always four decimals, as amounts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let base = 10_u128.pow(AMOUNT_SCALE);
        let (whole, rest) = (self.units.unsigned_abs() / base, self.units.unsigned_abs() % base);
        f.pad(&format!("{sign}{whole}.{rest:04}"))
    }
}

impl Serialize for Total {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn a_total_has_room_for_what_no_amount_holds() {
        let most = amount("9999999999999999.9999");
        assert_eq!(most.checked_add(most), None);
        let total: Total = [most; 3].into_iter().sum();
        assert_eq!(total.to_string(), "29999999999999999.9997");
        assert_eq!(total - Total::from(most) - most.into() - most.into(), Total::ZERO);
    }

    #[test]
    fn a_total_prints_like_an_amount() {
        for text in ["0.0000", "12.3400", "-0.0001", "-7.5000"] {
            assert_eq!(Total::from(amount(text)).to_string(), text);
            assert_eq!(Total::from(amount(text)).to_string(), amount(text).to_string());
        }
        let (less, more) = (Total::from(amount("1")), Total::from(amount("3.5")));
        assert_eq!((less - more).to_string(), "-2.5000");
        assert_eq!((less - more).abs().to_string(), "2.5000");
    }
}
