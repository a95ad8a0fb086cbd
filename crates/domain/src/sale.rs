//! A sale: the facts that a commission is computed from.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use uuid::Uuid;

use crate::amount::{Amount, sum};
use crate::period::{Period, Programme};

/// The namespace of event ids. Never changes: a business event keeps its id for ever.
const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x9f1d_3c5e_0a5b_5c0e_8b1d_6a6f_4c69_6e65);
/// How far a shop's clock may run ahead of the database's.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(5);

/// The id of the business event that `source` knows as `external_id`: the same event is always the
/// same row. The separator cannot occur in either part, as both are printable.
#[must_use]
pub fn event_id(source: &str, external_id: &str) -> Uuid {
    Uuid::new_v5(&EVENT_NAMESPACE, format!("{source}\u{1f}{external_id}").as_bytes())
}

/// What was sold. A plan may pay one kind only.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum SourceType {
    /// Goods and services.
    #[default]
    Product,
    /// Participations.
    Investment,
}

impl SourceType {
    /// Every source type.
    pub const ALL: [Self; 2] = [Self::Product, Self::Investment];

    /// The name in files, messages and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "PRODUCT",
            Self::Investment => "INVESTMENT",
        }
    }
}

impl fmt::Display for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no source type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be PRODUCT or INVESTMENT")]
pub struct UnknownSourceType;

impl FromStr for SourceType {
    type Err = UnknownSourceType;

    fn from_str(text: &str) -> Result<Self, UnknownSourceType> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownSourceType)
    }
}

/// An ISO 4217 code by its form: three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The text has not the form of a currency code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be a currency code of three capital letters, such as EUR")]
pub struct NotACurrency;

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = NotACurrency;

    fn from_str(text: &str) -> Result<Self, NotACurrency> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(NotACurrency),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("{text:?} {error}")))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// Most lines that a sale can have.
pub const LINES_MAX: usize = 500;

/// Why an order was placed.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderKind {
    /// An order like any other.
    #[default]
    Standard,
    /// The starter kit of somebody who enrols.
    Enrolment,
    /// Repeats by itself.
    Subscription,
}

impl OrderKind {
    /// Every order kind.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Enrolment, Self::Subscription];

    /// The name in files, messages and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Enrolment => "ENROLMENT",
            Self::Subscription => "SUBSCRIPTION",
        }
    }
}

impl fmt::Display for OrderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no order kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be STANDARD, ENROLMENT or SUBSCRIPTION")]
pub struct UnknownOrderKind;

impl FromStr for OrderKind {
    type Err = UnknownOrderKind;

    fn from_str(text: &str) -> Result<Self, UnknownOrderKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownOrderKind)
    }
}

/// Who bought.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum BuyerType {
    /// A member of the programme, the seller perhaps.
    Member,
    /// Somebody outside it.
    Customer,
}

impl BuyerType {
    /// Every buyer type.
    pub const ALL: [Self; 2] = [Self::Member, Self::Customer];

    /// The name in files, messages and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "MEMBER",
            Self::Customer => "CUSTOMER",
        }
    }
}

impl fmt::Display for BuyerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no buyer type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be MEMBER or CUSTOMER")]
pub struct UnknownBuyerType;

impl FromStr for BuyerType {
    type Err = UnknownBuyerType;

    fn from_str(text: &str) -> Result<Self, UnknownBuyerType> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownBuyerType)
    }
}

/// One position of an order. Each selects its rules by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleLine {
    /// The shop's name for the position, unique within the sale.
    pub id: String,
    /// The product.
    pub product_id: String,
    /// The kind of product, when the shop says.
    pub category: Option<String>,
    /// How many; more than zero.
    pub quantity: Amount,
    /// The position's commissionable value.
    pub amount: Amount,
    /// The points that the programme gives the position.
    pub volume: Amount,
}

/// Why lines do not make up a sale.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinesError {
    /// More than [`LINES_MAX`].
    #[error("a sale has at most {LINES_MAX} lines")]
    TooMany,
    /// Two lines with one id.
    #[error("line {place}: the id {id:?} is used twice")]
    Twice {
        /// The line's place, counted from 0.
        place: usize,
        /// The id.
        id: String,
    },
    /// A line of nothing.
    #[error("line {place}: quantity must be more than zero")]
    NoQuantity {
        /// The line's place, counted from 0.
        place: usize,
    },
    /// A line that takes something away. Refunds are events of their own.
    #[error("line {place}: {field} must not be negative")]
    Negative {
        /// The line's place, counted from 0.
        place: usize,
        /// `amount` or `volume`.
        field: &'static str,
    },
    /// Lines that no sale is large enough for.
    #[error("the lines' {field} sums up to more than 16 digits before the decimal point")]
    TooLarge {
        /// `amount` or `volume`.
        field: &'static str,
    },
    /// The lines are not the sale.
    #[error("the lines' {field} sums up to {sum}, the sale's is {total}")]
    Sum {
        /// `amount` or `volume`.
        field: &'static str,
        /// Of the lines.
        sum: Amount,
        /// Of the sale.
        total: Amount,
    },
}

/// Checks that lines make up a sale of this amount and volume. No lines always do: the sale is then
/// priced as a whole.
pub fn check_lines(lines: &[SaleLine], amount: Amount, volume: Amount) -> Result<(), LinesError> {
    if lines.len() > LINES_MAX {
        return Err(LinesError::TooMany);
    }
    for (place, line) in lines.iter().enumerate() {
        if lines[..place].iter().any(|other| other.id == line.id) {
            return Err(LinesError::Twice { place, id: line.id.clone() });
        }
        if line.quantity <= Amount::ZERO {
            return Err(LinesError::NoQuantity { place });
        }
        for (field, value) in [("amount", line.amount), ("volume", line.volume)] {
            if value < Amount::ZERO {
                return Err(LinesError::Negative { place, field });
            }
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    for (field, value, total) in [
        ("amount", (|line| line.amount) as fn(&SaleLine) -> Amount, amount),
        ("volume", |line| line.volume, volume),
    ] {
        let Some(sum) = sum(lines.iter().map(value)) else {
            return Err(LinesError::TooLarge { field });
        };
        if sum != total {
            return Err(LinesError::Sum { field, sum, total });
        }
    }
    Ok(())
}

/// The facts of one accepted sale, as the calculation reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// The event's id, see [`event_id`].
    pub event_id: Uuid,
    /// The commissionable value: after discounts, without tax and shipping.
    pub amount: Amount,
    /// The points that the programme gives the sale.
    pub volume: Amount,
    /// The currency of `amount`, and of what is paid.
    pub currency: Currency,
    /// What was sold.
    pub source_type: SourceType,
    /// The product, when the shop says.
    pub product_id: Option<String>,
    /// Why it was ordered.
    pub order_kind: OrderKind,
    /// The market, when the shop says.
    pub market: Option<String>,
    /// Who bought, when the shop says.
    pub buyer_type: Option<BuyerType>,
    /// The positions; empty: the sale is priced as a whole. They sum up to `amount` and `volume`,
    /// see [`check_lines`].
    pub lines: Vec<SaleLine>,
    /// The sale's moment: tree, statuses, ranks, rules and period are read at it.
    pub as_of: DateTime<Utc>,
    /// The period that the commission is earned in.
    pub earned_period: Period,
}

/// When a sale counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The earlier of when it happened and when it was recorded.
    pub as_of: DateTime<Utc>,
    /// The period that `as_of` falls into, in the programme's time zone.
    pub period: Period,
}

/// Why a sale cannot count at the moment it claims.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MomentError {
    /// Further ahead than a clock may be.
    #[error("is more than 5 minutes in the future (the database's clock reads {now})")]
    Future {
        /// The database's clock.
        now: DateTime<Utc>,
    },
    /// Before there was a programme.
    #[error("is before {starts_on}, when the programme starts (see `lineage program set`)")]
    BeforeStart {
        /// The programme's first day.
        starts_on: chrono::NaiveDate,
    },
}

impl Moment {
    /// Decides when a sale counts that happened at `occurred_at` and is recorded at `recorded_at`.
    pub fn of(
        occurred_at: DateTime<Utc>,
        recorded_at: DateTime<Utc>,
        programme: &Programme,
    ) -> Result<Self, MomentError> {
        if occurred_at > recorded_at + AHEAD_MAX {
            return Err(MomentError::Future { now: recorded_at });
        }
        let as_of = occurred_at.min(recorded_at);
        if programme.day_of(as_of) < programme.starts_on {
            return Err(MomentError::BeforeStart { starts_on: programme.starts_on });
        }
        Ok(Self { as_of, period: programme.period_of(as_of) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_depends_on_source_and_id_alone() {
        assert_eq!(event_id("shop", "1"), event_id("shop", "1"));
        assert_ne!(event_id("shop", "1"), event_id("shop", "2"));
        assert_ne!(event_id("a", "bc"), event_id("ab", "c"));
        let known = "03d6503c-8434-5c56-a368-f466aee7305a";
        assert_eq!(event_id("shop-eu", "order-1001").to_string(), known, "ids hold for ever");
    }

    #[test]
    fn currencies_have_the_form_of_iso_4217() {
        assert_eq!("EUR".parse::<Currency>().unwrap().to_string(), "EUR");
        for text in ["eur", "EURO", "E1R", "", "€€€"] {
            assert_eq!(text.parse::<Currency>(), Err(NotACurrency), "{text:?}");
        }
    }

    fn line(id: &str, quantity: &str, amount: &str, volume: &str) -> SaleLine {
        let amount_of = |text| Amount::parse(text).unwrap();
        SaleLine {
            id: id.to_owned(),
            product_id: "SKU".to_owned(),
            category: None,
            quantity: amount_of(quantity),
            amount: amount_of(amount),
            volume: amount_of(volume),
        }
    }

    #[test]
    fn lines_sum_up_to_the_sale() {
        let total = |text| Amount::parse(text).unwrap();
        let check = |lines: &[SaleLine]| check_lines(lines, total("10"), total("7"));
        let (a, b) = (line("a", "1", "4", "5"), line("b", "0.5", "6", "2"));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[a.clone(), b.clone()]), Ok(()));
        assert_eq!(
            check(std::slice::from_ref(&a)),
            Err(LinesError::Sum { field: "amount", sum: total("4"), total: total("10") })
        );
        assert_eq!(
            check(&[a.clone(), line("b", "1", "6", "2.0001")]),
            Err(LinesError::Sum { field: "volume", sum: total("7.0001"), total: total("7") })
        );
        let twice = LinesError::Twice { place: 1, id: "a".to_owned() };
        assert_eq!(check(&[a.clone(), line("a", "1", "6", "2")]), Err(twice));
        let nothing = line("b", "0", "6", "2");
        assert_eq!(check(&[a.clone(), nothing]), Err(LinesError::NoQuantity { place: 1 }));
        let (more, less) = (line("a", "1", "11", "5"), line("b", "1", "-1", "2"));
        assert_eq!(check(&[more, less]), Err(LinesError::Negative { place: 1, field: "amount" }));
        // No sum at all is not a sum of zero.
        let most = "9999999999999999";
        let beyond = [line("a", "1", most, "0"), line("b", "1", most, "0")];
        let too_large = LinesError::TooLarge { field: "amount" };
        assert_eq!(check_lines(&beyond, Amount::ZERO, Amount::ZERO), Err(too_large));
        let many: Vec<_> = (0..=LINES_MAX).map(|n| line(&n.to_string(), "1", "0", "0")).collect();
        assert_eq!(check_lines(&many, Amount::ZERO, Amount::ZERO), Err(LinesError::TooMany));
    }

    #[test]
    fn a_sale_counts_when_it_happened_but_not_in_the_future() {
        let programme = Programme::default();
        let now: DateTime<Utc> = "2026-11-03T10:15:00Z".parse().unwrap();
        let moment = |ahead| Moment::of(now + ahead, now, &programme);
        assert_eq!(moment(TimeDelta::days(-40)).unwrap().as_of, now - TimeDelta::days(40));
        assert_eq!(moment(TimeDelta::days(-40)).unwrap().period.to_string(), "2026-09");
        assert_eq!(moment(TimeDelta::minutes(4)).unwrap().as_of, now);
        assert_eq!(moment(TimeDelta::minutes(5)).unwrap().as_of, now);
        let beyond = TimeDelta::minutes(5) + TimeDelta::microseconds(1);
        assert_eq!(moment(beyond), Err(MomentError::Future { now }));
        let error = moment(TimeDelta::days(-365 * 30)).unwrap_err();
        assert!(matches!(error, MomentError::BeforeStart { .. }));
    }
}
