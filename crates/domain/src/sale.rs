//! A sale: the facts that a commission is computed from.

mod kinds;
mod lines;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use uuid::Uuid;

use crate::amount::Amount;
use crate::period::{Period, Programme};

pub use self::kinds::{
    BuyerType, OrderKind, SourceType, UnknownBuyerType, UnknownOrderKind, UnknownSourceType,
};
pub use self::lines::{LINES_MAX, LinesError, SaleLine, check_lines};

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
