//! Moments as operators write them: a time with its offset, or a day of the programme.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SubsecRound as _, Utc};
use domain::period::Programme;

use domain::calendar;

/// Digits of a second that PostgreSQL keeps. A moment with more would be another one once stored.
const SUBSECOND_DIGITS: u16 = 6;

/// A moment that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A time that says its offset.
    Instant(DateTime<Utc>),
    /// A day, which begins in the programme's time zone.
    Day(NaiveDate),
}

impl Moment {
    /// The instant that is meant.
    pub(crate) fn instant(self, programme: &Programme) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Day(day) => programme.start_of_day(day),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Instant(instant.with_timezone(&Utc).trunc_subsecs(SUBSECOND_DIGITS)));
        }
        calendar::day(text).map(Self::Day).map_err(|_| {
            "is neither a time such as 2023-05-31T10:00:00Z nor a day such as 2023-05-31".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Result<String, String> {
        let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
        let programme = Programme { time_zone, ..Programme::default() };
        let moment: Moment = text.parse()?;
        Ok(moment.instant(&programme).to_rfc3339())
    }

    #[test]
    fn a_moment_is_a_time_or_a_day_in_the_programmes_time_zone() {
        let expected = Ok("2023-05-30T22:00:00+00:00".to_owned());
        assert_eq!(instant("2023-05-31"), expected);
        assert_eq!(instant("2023-05-31T00:00:00+02:00"), expected);
    }

    #[test]
    fn a_moment_is_no_finer_than_what_is_stored() {
        let stored = Ok("2023-05-31T10:00:00.123456+00:00".to_owned());
        assert_eq!(instant("2023-05-31T10:00:00.123456789Z"), stored);
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["2023-5-31", "31.5.2023", "2023-02-30", "+12023-05-31", "yesterday", ""] {
            assert!(instant(text).is_err(), "{text:?}");
        }
    }
}
