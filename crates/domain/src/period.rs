//! The programme's calendar: its time zone, its periods, and days as instants.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The company's calendar. Set before the first event; fixed from then on, because every stored
/// period was computed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programme {
    /// Where a day and a period begin.
    pub time_zone: Tz,
    /// How long a period is.
    pub period: PeriodLength,
    /// The first day that a sale may have. Guards the ledger against typing errors: the ledger
    /// has a partition for every period with a sale.
    pub starts_on: NaiveDate,
}

/// How long a commission period is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeriodLength {
    /// A calendar month.
    #[default]
    Month,
}

/// A calendar month in the programme's time zone, known by its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(NaiveDate);

/// A text that names no period, period length or time zone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CalendarError {
    /// Not `YYYY-MM`.
    #[error("{0:?} is not a period; write a month such as 2023-05")]
    Period(String),
    /// Not a known length.
    #[error("{0:?} is not a period length; only \"month\" is supported")]
    Length(String),
    /// Not in the IANA database.
    #[error("{0:?} is not an IANA time zone such as Europe/Prague")]
    TimeZone(String),
}

impl Default for Programme {
    /// UTC, months, sales from the year 2000 on.
    fn default() -> Self {
        Self {
            time_zone: Tz::UTC,
            period: PeriodLength::Month,
            starts_on: NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default(),
        }
    }
}

impl Programme {
    /// Reads the time zone by its IANA name.
    pub fn parse_time_zone(name: &str) -> Result<Tz, CalendarError> {
        name.parse().map_err(|_| CalendarError::TimeZone(name.to_owned()))
    }

    /// The period that an instant falls into.
    #[must_use]
    pub fn period_of(&self, instant: DateTime<Utc>) -> Period {
        match self.period {
            PeriodLength::Month => Period::containing(self.day_of(instant)),
        }
    }

    /// The local day of an instant.
    #[must_use]
    pub fn day_of(&self, instant: DateTime<Utc>) -> NaiveDate {
        instant.with_timezone(&self.time_zone).date_naive()
    }

    /// The instant at which a local day begins: midnight or, where the clocks skip midnight, the
    /// first moment that exists; where midnight comes twice, the first one.
    #[must_use]
    pub fn start_of_day(&self, day: NaiveDate) -> DateTime<Utc> {
        let midnight = NaiveDateTime::from(day);
        (0..=24 * 4)
            .map(|quarters| midnight + TimeDelta::minutes(15 * quarters))
            .find_map(|local| self.time_zone.from_local_datetime(&local).earliest())
            .map_or_else(|| midnight.and_utc(), |local| local.with_timezone(&Utc))
    }
}

impl Period {
    /// The month that a day belongs to.
    #[must_use]
    pub fn containing(day: NaiveDate) -> Self {
        Self(day - Days::new(u64::from(day.day0())))
    }

    /// The month's first day; what the database stores.
    #[must_use]
    pub fn first_day(self) -> NaiveDate {
        self.0
    }

    /// The month after, or the same one at the end of the calendar.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add_months(Months::new(1)).unwrap_or(self.0))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.format("%Y-%m").to_string())
    }
}

impl FromStr for Period {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, CalendarError> {
        NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d")
            .ok()
            .filter(|day| Self(*day).to_string() == text)
            .map(Self)
            .ok_or_else(|| CalendarError::Period(text.to_owned()))
    }
}

impl FromStr for PeriodLength {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, CalendarError> {
        match text {
            "month" => Ok(Self::Month),
            other => Err(CalendarError::Length(other.to_owned())),
        }
    }
}

impl fmt::Display for PeriodLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Month => f.pad("month"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programme(zone: &str) -> Programme {
        Programme { time_zone: Programme::parse_time_zone(zone).unwrap(), ..Programme::default() }
    }

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_period_begins_at_local_midnight() {
        let prague = programme("Europe/Prague");
        let period = |text| prague.period_of(instant(text)).to_string();
        assert_eq!(period("2023-04-30T21:59:59.999999Z"), "2023-04");
        assert_eq!(period("2023-04-30T22:00:00Z"), "2023-05", "summer time is two hours ahead");
        assert_eq!(period("2022-12-31T22:59:59Z"), "2022-12");
        assert_eq!(period("2022-12-31T23:00:00Z"), "2023-01", "winter time is one hour ahead");
        assert_eq!(
            programme("UTC").period_of(instant("2023-05-31T23:59:59Z")).to_string(),
            "2023-05"
        );
    }

    #[test]
    fn a_day_begins_even_where_midnight_is_skipped_or_repeated() {
        let start = |zone, day: &str| programme(zone).start_of_day(day.parse().unwrap());
        assert_eq!(start("Europe/Prague", "2023-03-26"), instant("2023-03-25T23:00:00Z"));
        assert_eq!(start("Europe/Prague", "2023-03-27"), instant("2023-03-26T22:00:00Z"));
        // Cairo's clocks went from 00:00 to 01:00 on this day, Havana's from 01:00 back to 00:00.
        assert_eq!(start("Africa/Cairo", "2023-04-28"), instant("2023-04-27T22:00:00Z"));
        assert_eq!(start("America/Havana", "2023-11-05"), instant("2023-11-05T04:00:00Z"));
    }

    #[test]
    fn periods_are_written_as_months() {
        let may: Period = "2023-05".parse().unwrap();
        assert_eq!(may.first_day().to_string(), "2023-05-01");
        assert_eq!(may.next().to_string(), "2023-06");
        assert_eq!("2023-12".parse::<Period>().unwrap().next().to_string(), "2024-01");
        for text in ["2023", "2023-13", "2023-5", "2023-05-01", "May 2023", ""] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }
}
