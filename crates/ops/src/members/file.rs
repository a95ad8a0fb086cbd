//! Reading a members file: from CSV to members, with the line of each.

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDate, Utc};
use csv::ByteRecord;
use domain::ladder::{Ladder, Rank};
use domain::member::MemberStatus;
use domain::period::Programme;
use domain::text;
use store::import::ImportedMember;
use uuid::Uuid;

use super::flaws::{Flaws, quote};

/// The columns there are.
const COLUMNS: [&str; 7] =
    ["id", "sponsor_id", "status", "rank", "joined_at", "external_id", "name"];

/// The rows whose id could be read.
#[derive(Debug, Default)]
pub(crate) struct MemberFile {
    /// The members, in the order of the file.
    pub(crate) members: Vec<ImportedMember>,
    /// The line on which each begins.
    pub(crate) lines: Vec<u64>,
}

/// Rows between two reports of progress.
const PROGRESS_EVERY: usize = 1 << 12;

/// What names and days in the file mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning<'a> {
    /// The ranks there are.
    pub(crate) ladder: &'a Ladder,
    /// When a day begins.
    pub(crate) programme: &'a Programme,
}

/// Reads every row. What is wrong with a row goes to `flaws`; an error concerns the whole file.
/// `progress` hears, now and then, how many bytes are read.
pub(crate) fn read(
    csv: &[u8],
    meaning: Meaning<'_>,
    flaws: &mut Flaws,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<MemberFile> {
    // Rows of another length than the header's are flaws like others, not the reader's errors.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
    let columns = Columns::read(reader.byte_headers().context("the header cannot be read")?)?;
    let mut file = MemberFile::default();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).context("a row cannot be read")? {
        let line = line(csv, &record);
        if file.lines.len() % PROGRESS_EVERY == 0 {
            progress(reader.position().byte());
        }
        if record.len() != columns.count {
            let (found, count) = (record.len(), columns.count);
            flaws.add(line, format!("has {found} field(s), the header has {count}"));
            continue;
        }
        let mut row = Row { record: &record, columns: &columns, line, flaws };
        if let Some(member) = row.member(meaning) {
            file.members.push(member);
            file.lines.push(line);
        }
    }
    Ok(file)
}

/// The line on which a record begins. The reader says where it began to look for it: before empty
/// lines, and before the second half of a line break.
fn line(csv: &[u8], record: &ByteRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let ahead = csv.get(start..).unwrap_or_default();
    let breaks = ahead.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    position.line() + breaks.filter(|byte| **byte == b'\n').count() as u64
}

/// Where each column stands.
struct Columns {
    places: [Option<usize>; COLUMNS.len()],
    count: usize,
}

impl Columns {
    fn read(header: &ByteRecord) -> anyhow::Result<Self> {
        let mut columns = Self { places: [None; COLUMNS.len()], count: header.len() };
        if header.len() == 1 && header[0].iter().any(|byte| matches!(byte, b';' | b'\t')) {
            bail!("line 1: columns must be separated by commas");
        }
        for (place, name) in header.iter().enumerate() {
            let name = String::from_utf8_lossy(name);
            let name = name.trim();
            let Some(column) = COLUMNS.iter().position(|known| *known == name) else {
                let (known, name) = (COLUMNS.join(", "), quote(name));
                bail!("line 1: unknown column {name}; known are {known}");
            };
            if columns.places[column].replace(place).is_some() {
                bail!("line 1: column {name} stands there twice");
            }
        }
        if columns.places[0].is_none() {
            bail!("line 1: column id is missing; the first line must name the columns");
        }
        Ok(columns)
    }
}

/// One row being read.
struct Row<'a> {
    record: &'a ByteRecord,
    columns: &'a Columns,
    line: u64,
    flaws: &'a mut Flaws,
}

impl<'a> Row<'a> {
    /// The member, unless not even the id can be read: a row with another flaw still takes part
    /// in the checks of the network, so that it causes no flaws of others.
    fn member(&mut self, meaning: Meaning<'_>) -> Option<ImportedMember> {
        let id = match self.text("id") {
            Some("") => {
                self.flaws.add(self.line, "id is empty");
                None
            }
            Some(text) => self.read("id", text, uuid),
            None => None,
        };
        let sponsor_id = self.field("sponsor_id", uuid);
        let status = self.field("status", |text| {
            text.parse::<MemberStatus>().map_err(|error| error.to_string())
        });
        let rank = self.field("rank", |text| {
            let rank = meaning.ladder.rank(text);
            let known = || format!("is not on the ladder ({})", meaning.ladder.names().join(", "));
            rank.map_err(|_| known())
        });
        let joined_at = self.field("joined_at", |text| joined_at(text, meaning.programme));
        let external_id = self.field("external_id", printable);
        let name = self.field("name", printable);
        Some(ImportedMember {
            id: id?,
            sponsor_id,
            external_id,
            name,
            status: status.unwrap_or_default(),
            rank: rank.unwrap_or(Rank(0)),
            joined_at,
        })
    }

    /// A field that has a value, as `read` understands it.
    fn field<T>(
        &mut self,
        column: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(column).filter(|text| !text.is_empty())?;
        self.read(column, text, read)
    }

    fn read<T>(
        &mut self,
        column: &'static str,
        text: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let complain =
            |reason| self.flaws.add(self.line, format!("{column} {} {reason}", quote(text)));
        read(text).map_err(complain).ok()
    }

    /// A field without the blanks around it; `None` when its column is missing or it is no text.
    fn text(&mut self, column: &'static str) -> Option<&'a str> {
        let index = COLUMNS.iter().position(|known| *known == column)?;
        let bytes = self.record.get(self.columns.places[index]?)?;
        let text = std::str::from_utf8(bytes);
        text.map_err(|_| self.flaws.add(self.line, format!("{column} is not UTF-8")))
            .map(str::trim)
            .ok()
    }
}

fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|_| "is not a UUID".to_owned())
}

fn printable(text: &str) -> Result<String, String> {
    text::check(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

fn joined_at(text: &str, programme: &Programme) -> Result<DateTime<Utc>, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.with_timezone(&Utc));
    }
    // The parser alone would take 2023-5-1 and other spellings.
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let day = day.filter(|day| day.to_string() == text);
    day.map(|day| programme.start_of_day(day)).ok_or_else(|| {
        "is neither a time such as 2023-05-31T10:00:00Z nor a day such as 2023-05-31".to_owned()
    })
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
