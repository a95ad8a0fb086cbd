//! Exact amounts: money, volume and career points, and the one function that rounds them.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

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

/// How a calculated amount is brought to the decimals that are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rounding {
    /// Decimals that remain, 0 to 4.
    #[serde(default = "default_scale")]
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
    "^-?[0-9]{1,16}(\\.[0-9]{1,4})?$"
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
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn amounts_of_one_value_are_one_amount() {
        assert_eq!(amount("150"), amount("150.00"));
        assert_eq!(amount("150").to_string(), "150.0000");
        assert_eq!(amount("0150.00000"), amount("150"), "zeros beyond the scale change nothing");
        assert_eq!(amount("-0"), Amount::ZERO);
        assert_eq!(amount("12.5").units(), 125_000);
    }

    #[test]
    fn what_cannot_be_stored_exactly_is_refused() {
        let refused = |text| Amount::parse(text).unwrap_err();
        assert_eq!(refused("1.00001"), DecimalError::TooPrecise(4));
        assert_eq!(refused("12345678901234567"), DecimalError::TooLarge(16));
        assert_eq!(refused("123456789012345678901234567890"), DecimalError::TooLarge(16));
        for text in ["", "-", ".5", "5.", "1e3", "+1", "1_000", "1,5", " 1", "NaN", "٣", "--1"] {
            assert_eq!(refused(text), DecimalError::Malformed, "{text:?}");
        }
        assert_eq!(Amount::parse_non_negative("-0.01"), Err(DecimalError::Negative));
        assert_eq!(Amount::parse_non_negative("0.01"), Ok(amount("0.01")));
        assert_eq!(Amount::parse_non_negative("-0"), Ok(Amount::ZERO));
        assert_eq!(amount("9999999999999999.9999").units(), 10_i128.pow(20) - 1);
    }

    #[test]
    fn json_numbers_are_refused_because_they_have_lost_digits() {
        let error = serde_json::from_str::<Amount>("12345678901234567.89").unwrap_err();
        assert!(error.to_string().contains("in quotes"), "{error}");
        assert_eq!(serde_json::from_str::<Amount>("\"12.50\"").unwrap(), amount("12.5"));
    }

    #[test]
    fn a_share_is_rounded_once_half_away_from_zero() {
        let share = |rounding: Rounding, basis, percentage| {
            rounding.share(amount(basis), Percentage::parse(percentage).unwrap()).to_string()
        };
        let standard = Rounding::default();
        assert_eq!(share(standard, "60000", "3.00"), "1800.0000");
        assert_eq!(share(standard, "0.0050", "1"), "0.0001", "half goes away from zero");
        assert_eq!(share(standard, "0.0049", "1"), "0.0000");
        assert_eq!(share(standard, "9999999999999999.9999", "99.9999"), "9999989999999999.9999");
        let cents = |mode| Rounding { scale: 2, mode };
        assert_eq!(share(cents(RoundingMode::HalfEven), "0.50", "5"), "0.0200");
        assert_eq!(share(cents(RoundingMode::HalfAwayFromZero), "0.50", "5"), "0.0300");
        assert_eq!(share(cents(RoundingMode::Down), "0.99", "99"), "0.9800");
        assert_eq!(share(cents(RoundingMode::Up), "0.01", "1"), "0.0100");
    }

    #[test]
    fn products_are_exact_to_the_last_digit_before_they_are_rounded() {
        let largest = amount("9999999999999999.9999");
        let value = PointValue::parse("99999999.9999").unwrap();
        let product = Exact::from(largest).at(value).unwrap();
        let all = product.percent(Percentage::HUNDRED).unwrap();
        assert_eq!(all.mantissa, (10_i128.pow(20) - 1) * (10_i128.pow(12) - 1) * 1_000_000);
        assert_eq!(Rounding::default().round(all), None, "more digits than an amount can hold");
        let tenth = PointValue::parse("0.1").unwrap();
        let exact = Exact::from(amount("0.0005")).at(tenth).unwrap();
        let rounded = |exact| Rounding::default().round(exact).unwrap().to_string();
        assert_eq!(rounded(exact), "0.0001", "0.00005 is half a unit");
        let sum = exact.checked_add(Exact::from(amount("1"))).unwrap();
        assert_eq!(rounded(sum), "1.0001");
        assert_eq!(PointValue::parse("0"), Err(DecimalError::NotPositive));
        assert_eq!(PointValue::parse("100000000"), Err(DecimalError::TooLarge(8)));
    }

    #[test]
    fn fractions_are_exact_and_rounded_down() {
        let fraction = |scale, amounts: [&str; 3]| {
            let rounding = Rounding { scale, mode: RoundingMode::Up };
            let [a, b, c] = amounts.map(amount);
            rounding.fraction(a, b, c).map(|amount| amount.to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(fraction(4, ["20", "95", "120"]), some("15.8333"));
        assert_eq!(fraction(2, ["20", "95", "120"]), some("15.8300"));
        assert_eq!(fraction(4, ["7", "3", "3"]), some("7.0000"));
        assert_eq!(fraction(4, ["7", "0", "3"]), some("0.0000"));
        assert_eq!(fraction(4, ["0", "0", "0"]), None);
        let most = "9999999999999999.9999";
        assert_eq!(fraction(4, [most, most, most]), some(most));
        let (less, half) = ("9999999999999999.9998", "4999999999999999.9999");
        assert_eq!(fraction(4, [less, half, less]), some(half));
        assert_eq!(fraction(0, [less, half, less]), some("4999999999999999.0000"));
    }

    proptest::proptest! {
        /// Against the same quotient in one piece, where it fits.
        #[test]
        fn fractions_are_those_of_whole_numbers(
            amount in 0..10_i128.pow(18), part in 0..10_i128.pow(18), more in 1..10_i128.pow(18),
        ) {
            let of = |units| Amount::from_units(units).unwrap();
            let whole = part + more;
            let fraction = Rounding::default().fraction(of(amount), of(part), of(whole)).unwrap();
            proptest::prop_assert_eq!(fraction.units(), amount * part / whole);
        }
    }

    #[test]
    fn negative_products_round_like_positive_ones() {
        let rounded = |mode, text| {
            let exact = Exact::from(amount(text));
            Rounding { scale: 0, mode }.round(exact).unwrap().units() / 10_000
        };
        for (mode, expected) in [
            (RoundingMode::HalfAwayFromZero, [-3, -2, 3, 2]),
            (RoundingMode::HalfEven, [-2, -2, 2, 2]),
            (RoundingMode::Down, [-2, -2, 2, 2]),
            (RoundingMode::Up, [-3, -3, 3, 3]),
        ] {
            let texts = ["-2.5", "-2.4", "2.5", "2.4"];
            assert_eq!(texts.map(|text| rounded(mode, text)), expected, "{mode:?}");
        }
        assert_eq!(rounded(RoundingMode::HalfEven, "3.5"), 4);
    }

    #[test]
    fn rounding_is_to_four_decimals_unless_a_plan_says_otherwise() {
        let read = |yaml| yaml_serde::from_str::<Rounding>(yaml).unwrap();
        assert_eq!(read("{}"), Rounding { scale: 4, mode: RoundingMode::HalfAwayFromZero });
        assert_eq!(read("{mode: up}"), Rounding { scale: 4, mode: RoundingMode::Up });
        assert_eq!(read("{scale: 2}"), Rounding { scale: 2, mode: RoundingMode::HalfAwayFromZero });
    }

    #[test]
    fn exact_products_print_every_digit_that_counts() {
        let product = |basis, percentage| {
            let percentage = Percentage::parse(percentage).unwrap();
            Exact::from(amount(basis)).percent(percentage).unwrap().to_string()
        };
        assert_eq!(product("199.90", "3"), "5.9970");
        assert_eq!(product("199.90", "0.125"), "0.249875");
        assert_eq!(product("-0.0001", "0.5"), "-0.0000005");
        assert_eq!(product("0", "1"), "0.0000");
    }

    #[test]
    fn sums_and_differences_keep_within_what_an_amount_can_hold() {
        assert_eq!(sum([amount("1.5"), amount("2")]), Some(amount("3.5")));
        assert_eq!(sum([]), Some(Amount::ZERO));
        let largest = amount("9999999999999999.9999");
        assert_eq!(largest.checked_add(amount("0.0001")), None);
        assert_eq!(amount("1").checked_sub(amount("1.5")), Some(amount("-0.5")));
        for units in [10_i128.pow(20), -(10_i128.pow(20))] {
            assert_eq!(Amount::from_units(units), None);
            assert!(Amount::from_units(units - units.signum()).is_some());
        }
        assert_eq!(Amount::from_units(-15_000), Some(amount("-1.5")));
    }

    #[test]
    fn percentages_keep_to_a_hundred() {
        assert_eq!(Percentage::parse("100.0001"), Err(DecimalError::OverHundred));
        assert_eq!(Percentage::parse("-1"), Err(DecimalError::Negative));
        assert_eq!(Percentage::parse("3").unwrap().to_string(), "3.00");
        assert_eq!(Percentage::parse("0.125").unwrap().to_string(), "0.125");
        assert_eq!(Percentage::parse("0.5").unwrap().to_string(), "0.50");
        assert_eq!(Percentage::parse("0.125").unwrap().units(), 1_250);
        assert_eq!(Percentage::from_units(1_250), Percentage::parse("0.125").ok());
        assert_eq!(Percentage::from_units(1_000_001), None);
        assert_eq!(Percentage::parse("70").unwrap().rest().to_string(), "30.00");
    }
}
