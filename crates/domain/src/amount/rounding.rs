//! Exact products, and the one function that rounds them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AMOUNT_SCALE, Amount, PERCENTAGE_SCALE, Percentage, PointValue};

/// How a calculated amount is brought to the decimals that are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rounding {
    /// Decimals that remain, 0 to 4.
    #[serde(default = "default_scale")]
    #[schemars(range(max = 4))]
    pub scale: u32,
    /// What happens to the rest.
    #[serde(default)]
    pub mode: RoundingMode,
}

/// What happens to digits beyond the scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoundingMode {
    /// To the nearest; exactly half goes away from zero.
    #[default]
    HalfAwayFromZero,
    /// To the nearest; exactly half goes to the even neighbour.
    HalfEven,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

fn default_scale() -> u32 {
    AMOUNT_SCALE
}

impl Default for Rounding {
    fn default() -> Self {
        Self { scale: AMOUNT_SCALE, mode: RoundingMode::default() }
    }
}

/// A product of an amount before it is rounded: a whole number of units of `10^-scale`.
///
/// The largest one, amount × point value × percentage, has 20 + 12 + 7 digits and is at most 10^38,
/// which an `i128` holds. So nothing is ever rounded on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    mantissa: i128,
    scale: u32,
}

impl From<Amount> for Exact {
    fn from(amount: Amount) -> Self {
        Self { mantissa: amount.units(), scale: AMOUNT_SCALE }
    }
}

impl Exact {
    /// So many hundredths of it.
    #[must_use]
    pub fn percent(self, percentage: Percentage) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(i128::from(percentage.units()))?;
        Some(Self { mantissa, scale: self.scale + PERCENTAGE_SCALE + 2 })
    }

    /// The money that so much volume is worth.
    #[must_use]
    pub fn at(self, value: PointValue) -> Option<Self> {
        if value == PointValue::ONE {
            return Some(self);
        }
        let mantissa = self.mantissa.checked_mul(value.0.units())?;
        Some(Self { mantissa, scale: self.scale + AMOUNT_SCALE })
    }

    /// The exact sum.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let widen = |exact: Self| exact.mantissa.checked_mul(10_i128.pow(scale - exact.scale));
        Some(Self { mantissa: widen(self)?.checked_add(widen(other)?)?, scale })
    }
}

impl fmt::Display for Exact {
    /// Every digit that there is, at least four decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut mantissa, mut scale) = (self.mantissa, self.scale);
        while scale > AMOUNT_SCALE && mantissa % 10 == 0 {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        let sign = if mantissa < 0 { "-" } else { "" };
        let base = 10_u128.pow(scale);
        let (whole, rest) = (mantissa.unsigned_abs() / base, mantissa.unsigned_abs() % base);
        f.pad(&format!("{sign}{whole}.{rest:0width$}", width = scale as usize))
    }
}

impl Rounding {
    /// Brings a product to the decimals that are paid. The only place where Lineage rounds. `None`:
    /// the result has more digits than an amount can hold.
    #[must_use]
    pub fn round(self, exact: Exact) -> Option<Amount> {
        let scale = self.scale.min(AMOUNT_SCALE);
        let steps = self.divide(exact.mantissa, 10_i128.pow(exact.scale.checked_sub(scale)?));
        Amount::from_units(steps.checked_mul(10_i128.pow(AMOUNT_SCALE - scale))?)
    }

    /// `basis × percentage ÷ 100`, rounded once. Never more than the basis, so it always fits.
    #[must_use]
    pub fn share(self, basis: Amount, percentage: Percentage) -> Amount {
        Exact::from(basis).percent(percentage).and_then(|exact| self.round(exact)).unwrap_or(basis)
    }

    /// `amount × part ÷ whole`, rounded down, of amounts that are not negative and a part that is
    /// not more than the whole. `None`: the whole is nothing.
    #[must_use]
    pub fn fraction(self, amount: Amount, part: Amount, whole: Amount) -> Option<Amount> {
        let step = 10_i128.pow(AMOUNT_SCALE - self.scale.min(AMOUNT_SCALE));
        let (amount, part, whole) = (amount.units(), part.units(), whole.units());
        // The product has up to 40 digits, more than an i128: so it is divided in two pieces.
        let (high, low) = (amount >> 34, amount & ((1 << 34) - 1));
        let (quotient, rest) = ((high * part).checked_div(whole)?, (high * part) % whole);
        let units = (quotient << 34) + ((rest << 34) + low * part) / whole;
        Amount::from_units(units / step * step)
    }

    /// Rounds down whatever the mode says: for limits that must not be exceeded.
    #[must_use]
    pub fn down(self) -> Self {
        Self { mode: RoundingMode::Down, ..self }
    }

    /// A quotient of whole numbers, brought to a whole number.
    fn divide(self, dividend: i128, divisor: i128) -> i128 {
        let (quotient, rest) = (dividend / divisor, dividend % divisor);
        let twice = rest.unsigned_abs() * 2;
        let half = divisor.unsigned_abs();
        let away = match self.mode {
            RoundingMode::HalfAwayFromZero => twice >= half,
            RoundingMode::HalfEven => twice > half || (twice == half && quotient % 2 != 0),
            RoundingMode::Down => false,
            RoundingMode::Up => rest != 0,
        };
        quotient + if away { dividend.signum() } else { 0 }
    }
}
