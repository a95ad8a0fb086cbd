//! Exact amounts: money, volume and career points, and the one function that rounds them.

mod rounding;
mod total;

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

pub use self::rounding::{Exact, Rounding, RoundingMode};
pub use self::total::Total;

/// Decimal places of every stored amount, as in `numeric(20,4)`.
pub const AMOUNT_SCALE: u32 = 4;
/// Digits before the decimal point that `numeric(20,4)` holds.
const AMOUNT_INTEGER_DIGITS: usize = 16;
/// Units of an amount that no longer fit `numeric(20,4)`.
const UNITS_END: i128 = 10_i128.pow(20);
/// Decimal places a percentage may have.
const PERCENTAGE_SCALE: u32 = 4;
/// Digits before the decimal point that a point value may have.
const POINT_VALUE_INTEGER_DIGITS: usize = 8;

/// An exact amount of money, volume or career points: up to 16 digits before the decimal point
/// and 4 after. Arithmetic never rounds; only [`Rounding::round`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(Decimal);

/// Why a text is not an exact decimal of the asked form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// Not `digits[.digits]`, optionally signed.
    #[error("must be a decimal such as \"150.00\": digits with an optional decimal point")]
    Malformed,
    /// More digits after the point than are stored.
    #[error("must have at most {0} digits after the decimal point")]
    TooPrecise(u32),
    /// More digits before the point than are stored.
    #[error("must have at most {0} digits before the decimal point")]
    TooLarge(usize),
    /// Below zero where only zero and more make sense.
    #[error("must not be negative")]
    Negative,
    /// Zero or below where only more makes sense.
    #[error("must be more than zero")]
    NotPositive,
    /// A percentage over 100.
    #[error("must be at most 100")]
    OverHundred,
}

impl Amount {
    /// Nothing at all.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Reads an amount, refusing exponents, separators and anything that would have to be rounded.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        parse_decimal(text, AMOUNT_INTEGER_DIGITS, AMOUNT_SCALE).map(Self)
    }

    /// Like [`Amount::parse`], for amounts that cannot be below zero.
    pub fn parse_non_negative(text: &str) -> Result<Self, DecimalError> {
        let amount = Self::parse(text)?;
        if amount.0.is_sign_negative() && !amount.is_zero() {
            return Err(DecimalError::Negative);
        }
        Ok(amount)
    }

    /// The amount as a number for the database. Its scale is at most 4.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        self.0
    }

    /// Takes over a number that the database holds as `numeric(20,4)`.
    pub fn from_decimal(value: Decimal) -> Result<Self, DecimalError> {
        let value = value.normalize();
        if value.scale() > AMOUNT_SCALE {
            return Err(DecimalError::TooPrecise(AMOUNT_SCALE));
        }
        if value.trunc().mantissa().unsigned_abs() >= 10_u128.pow(16) {
            return Err(DecimalError::TooLarge(AMOUNT_INTEGER_DIGITS));
        }
        Ok(Self(value))
    }

    /// The amount in units of 0.0001.
    #[must_use]
    pub fn units(self) -> i128 {
        let missing = AMOUNT_SCALE.saturating_sub(self.0.scale());
        self.0.mantissa() * 10_i128.pow(missing)
    }

    /// The amount of so many units of 0.0001, or `None` when it has more digits than an amount can
    /// hold.
    #[must_use]
    pub fn from_units(units: i128) -> Option<Self> {
        let fits = -UNITS_END < units && units < UNITS_END;
        fits.then(|| Self(Decimal::from_i128_with_scale(units, AMOUNT_SCALE)))
    }

    /// Whether nothing at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The difference, or `None` when it has more digits than an amount can hold.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self(-other.0))
    }

    /// The sum, or `None` when it has more digits than an amount can hold.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = self.0.checked_add(other.0)?;
        Self::from_decimal(sum).ok()
    }
}

/// The sum of amounts, or `None` when it has more digits than an amount can hold.
#[must_use]
pub fn sum(amounts: impl IntoIterator<Item = Amount>) -> Option<Amount> {
    amounts.into_iter().try_fold(Amount::ZERO, Amount::checked_add)
}

impl fmt::Display for Amount {
    /// Always four decimals, so that equal amounts print equally.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.4}", self.0))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(DecimalText)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A share of a hundred, from 0 to 100 with up to 4 decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage(Decimal);

impl Percentage {
    /// Reads a percentage such as `3.00`.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let value = parse_decimal(text, 3, PERCENTAGE_SCALE)?;
        if value.is_sign_negative() && !value.is_zero() {
            return Err(DecimalError::Negative);
        }
        if value > Decimal::ONE_HUNDRED {
            return Err(DecimalError::OverHundred);
        }
        Ok(Self(value))
    }

    /// Everything.
    pub const HUNDRED: Self = Self(Decimal::ONE_HUNDRED);

    /// What is missing to a hundred.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(Decimal::ONE_HUNDRED - self.0)
    }

    /// Whether nothing is given.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The percentage in units of 0.0001 of a hundredth, for storage: 1,000,000 is all.
    #[must_use]
    pub fn units(self) -> u32 {
        let missing = PERCENTAGE_SCALE.saturating_sub(self.0.scale());
        let units = self.0.mantissa() * 10_i128.pow(missing);
        u32::try_from(units).unwrap_or_else(|_| unreachable!("a percentage is 0 to 100"))
    }

    /// The percentage of so many units, or `None` when it is more than a hundred.
    #[must_use]
    pub fn from_units(units: u32) -> Option<Self> {
        let value = Decimal::from_i128_with_scale(i128::from(units), PERCENTAGE_SCALE);
        (value <= Decimal::ONE_HUNDRED).then_some(Self(value))
    }

    /// The percentage as a number for the database.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        self.0
    }
}

impl fmt::Display for Percentage {
    /// At least two decimals, as percentages are written: `3.00`, `0.125`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0.normalize();
        if value.scale() < 2 {
            value.rescale(2);
        }
        f.pad(&value.to_string())
    }
}

impl Serialize for Percentage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percentage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(DecimalText)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// What one point of volume is worth in a currency: more than 0, with up to 8 digits before the
/// decimal point and 4 after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointValue(Amount);

impl PointValue {
    /// One unit of the currency for one point.
    pub const ONE: Self = Self(Amount(Decimal::ONE));

    /// Reads a point value such as `0.85`.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let value = Amount(parse_decimal(text, POINT_VALUE_INTEGER_DIGITS, AMOUNT_SCALE)?);
        if value <= Amount::ZERO {
            return Err(DecimalError::NotPositive);
        }
        Ok(Self(value))
    }
}

impl fmt::Display for PointValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for PointValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PointValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(DecimalText)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

macro_rules! decimal_text_schema {
    ($type:ident, $description:literal, $pattern:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $description, "pattern": $pattern })
            }
        }
    };
}

decimal_text_schema!(
    Amount,
    "An exact decimal in quotes: up to 16 digits before the point and 4 after.",
    "^[0-9]{1,16}(\\.[0-9]{1,4})?$"
);
decimal_text_schema!(
    Percentage,
    "A percentage in quotes, 0 to 100, with up to 4 decimals.",
    "^(100(\\.0{1,4})?|[0-9]{1,2}(\\.[0-9]{1,4})?)$"
);
decimal_text_schema!(
    PointValue,
    "What one point is worth, in quotes: more than 0, up to 8 digits before the point and 4 after.",
    "^[0-9]{1,8}(\\.[0-9]{1,4})?$"
);

/// Reads `[-]digits[.digits]` with at most so many digits before and after the point. Zeros that
/// change nothing (leading, or trailing beyond the scale) do not count.
fn parse_decimal(text: &str, integer_digits: usize, scale: u32) -> Result<Decimal, DecimalError> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (integer, fraction) = match unsigned.split_once('.') {
        Some((integer, fraction)) if !fraction.is_empty() => (integer, fraction),
        Some(_) => return Err(DecimalError::Malformed),
        None => (unsigned, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if integer.is_empty() || !all_digits(integer) || !all_digits(fraction) {
        return Err(DecimalError::Malformed);
    }
    let integer = integer.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if integer.len() > integer_digits {
        return Err(DecimalError::TooLarge(integer_digits));
    }
    if fraction.len() > scale as usize {
        return Err(DecimalError::TooPrecise(scale));
    }
    let sign = if unsigned.len() < text.len() { "-" } else { "" };
    Decimal::from_str_exact(&format!("{sign}0{integer}.{fraction}0"))
        .map(|value| value.normalize())
        .map_err(|_| DecimalError::Malformed)
}

/// Accepts a decimal written as text and refuses a number, which has already lost digits to
/// binary floating point when it arrives here.
struct DecimalText;

impl de::Visitor<'_> for DecimalText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal in quotes, such as \"150.00\" (numbers lose digits)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
#[path = "amount_tests.rs"]
mod tests;
