//! Days and instants as people read them: in the programme's time zone.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use crate::period::Programme;

/// How long a day is written; the parser alone would take 2023-5-1 and other spellings.
const DAY_LENGTH: usize = "2023-05-31".len();

/// Reads a day: `2023-05-31`.
pub fn day(text: &str) -> Result<NaiveDate, String> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let day = day.filter(|day| text.len() == DAY_LENGTH && day.to_string() == text);
    day.ok_or_else(|| "is not a day such as 2023-05-31".to_owned())
}

/// An instant to the second, with the zone: `2026-11-03 11:15:00 CET`.
#[must_use]
pub fn moment(programme: &Programme, instant: DateTime<Utc>) -> String {
    instant.with_timezone(&programme.time_zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// The instant at which something begins: as a day where it is the beginning of one.
#[must_use]
pub fn beginning(programme: &Programme, instant: DateTime<Utc>) -> String {
    let day = programme.day_of(instant);
    if programme.start_of_day(day) == instant {
        day.to_string()
    } else {
        moment(programme, instant)
    }
}

/// An instant for programs: `2026-11-03T10:15:00Z`.
#[must_use]
pub fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_shown_in_the_programmes_time_zone() {
        let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
        let programme = Programme { time_zone, ..Programme::default() };
        let instant: DateTime<Utc> = "2026-11-03T23:00:00Z".parse().unwrap();
        assert_eq!(moment(&programme, instant), "2026-11-04 00:00:00 CET");
        assert_eq!(beginning(&programme, instant), "2026-11-04");
        assert_eq!(beginning(&Programme::default(), instant), "2026-11-03 23:00:00 UTC");
    }
}
