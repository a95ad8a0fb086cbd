//! Rows of a CSV file below a header: which column stands where, on which line a row begins, and
//! what is wrong with a field.

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use csv::ByteRecord;
use domain::ladder::{Ladder, Rank};
use domain::member::MemberStatus;
use domain::period::Programme;
use uuid::Uuid;

use super::flaws::{Flaws, quote};
use super::moment::Moment;

/// Rows between two reports of progress.
const PROGRESS_EVERY: usize = 1 << 12;

/// What names and days in a file mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning<'a> {
    /// The ranks there are.
    pub(crate) ladder: &'a Ladder,
    /// When a day begins.
    pub(crate) programme: &'a Programme,
}

/// Hands every row to `take`. `known` are the columns that there are; the first one is needed.
/// What is wrong with a row goes to `flaws`; an error concerns the whole file. `progress` hears,
/// now and then, how many bytes are read.
pub(crate) fn read(
    csv: &[u8],
    known: &'static [&'static str],
    flaws: &mut Flaws,
    mut progress: impl FnMut(u64),
    mut take: impl FnMut(&mut Row<'_>),
) -> anyhow::Result<()> {
    // Rows of another length than the header's are flaws like others, not the reader's errors.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
    let header = reader.byte_headers().context("the header cannot be read")?;
    let columns = Columns::read(known, header)?;
    let mut record = ByteRecord::new();
    let mut rows = 0_usize;
    while reader.read_byte_record(&mut record).context("a row cannot be read")? {
        let line = line(csv, &record);
        if rows.is_multiple_of(PROGRESS_EVERY) {
            progress(reader.position().byte());
        }
        rows += 1;
        if record.len() == columns.count {
            take(&mut Row { record: &record, columns: &columns, line, has_flaw: false, flaws });
        } else {
            let (found, count) = (record.len(), columns.count);
            flaws.add(line, format!("has {found} field(s), the header has {count}"));
        }
    }
    Ok(())
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
    known: &'static [&'static str],
    places: Vec<Option<usize>>,
    count: usize,
}

impl Columns {
    fn read(known: &'static [&'static str], header: &ByteRecord) -> anyhow::Result<Self> {
        let mut columns = Self { known, places: vec![None; known.len()], count: header.len() };
        if header.len() == 1 && header[0].iter().any(|byte| matches!(byte, b';' | b'\t')) {
            bail!("line 1: columns must be separated by commas");
        }
        for (place, name) in header.iter().enumerate() {
            let name = String::from_utf8_lossy(name);
            let name = name.trim();
            let Some(column) = known.iter().position(|known| *known == name) else {
                let (known, name) = (known.join(", "), quote(name));
                bail!("line 1: unknown column {name}; known are {known}");
            };
            if columns.places[column].replace(place).is_some() {
                bail!("line 1: column {name} stands there twice");
            }
        }
        if let (Some(None), Some(needed)) = (columns.places.first(), known.first()) {
            bail!("line 1: column {needed} is missing; the first line must name the columns");
        }
        Ok(columns)
    }
}

/// One row being read.
pub(crate) struct Row<'a> {
    record: &'a ByteRecord,
    columns: &'a Columns,
    /// The line on which it begins.
    pub(crate) line: u64,
    /// Whether anything is wrong with what was read of it.
    pub(crate) has_flaw: bool,
    flaws: &'a mut Flaws,
}

impl<'a> Row<'a> {
    /// Says what is wrong with it.
    pub(crate) fn complain(&mut self, reason: impl Into<String>) {
        self.has_flaw = true;
        self.flaws.add(self.line, reason);
    }

    /// The member that the row is about.
    pub(crate) fn id(&mut self) -> Option<Uuid> {
        match self.text("id")? {
            "" => {
                self.complain("id is empty");
                None
            }
            text => self.read("id", text, uuid),
        }
    }

    /// A status by its name.
    pub(crate) fn status(&mut self) -> Option<MemberStatus> {
        self.field("status", |text| text.parse::<MemberStatus>().map_err(|error| error.to_string()))
    }

    /// A rank of the ladder by its name.
    pub(crate) fn rank(&mut self, ladder: &Ladder) -> Option<Rank> {
        self.field("rank", |text| {
            let known = || format!("is not on the ladder ({})", ladder.names().join(", "));
            ladder.rank(text).map_err(|_| known())
        })
    }

    /// A field that has a value, as `read` understands it.
    pub(crate) fn field<T>(
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
        let value = read(text);
        value.map_err(|reason| self.complain(format!("{column} {} {reason}", quote(text)))).ok()
    }

    /// A field without the blanks around it; `None` when its column is missing or it is no text.
    fn text(&mut self, column: &'static str) -> Option<&'a str> {
        let index = self.columns.known.iter().position(|known| *known == column)?;
        let bytes = self.record.get(self.columns.places[index]?)?;
        let text = std::str::from_utf8(bytes);
        text.map_err(|_| self.complain(format!("{column} is not UTF-8"))).map(str::trim).ok()
    }
}

/// Reads an id.
pub(crate) fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|_| "is not a UUID".to_owned())
}

/// Reads a moment, a day of which begins in the programme's time zone.
pub(crate) fn instant(text: &str, programme: &Programme) -> Result<DateTime<Utc>, String> {
    Ok(text.parse::<Moment>()?.instant(programme))
}
