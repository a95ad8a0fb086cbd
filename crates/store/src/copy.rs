//! PostgreSQL's binary COPY format, for the two places that write rows by the thousand:
//! settlement and import.

use chrono::{DateTime, NaiveDate, Utc};
use domain::amount::Amount;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// PostgreSQL counts days and microseconds from 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// `-infinity` as a timestamp.
const BEGINNING_OF_TIME: i64 = i64::MIN;
/// Rows are sent when so many bytes are waiting.
const CHUNK_BYTES: usize = 1 << 20;

/// Rows in the making. Each row is begun with its number of fields, then gets exactly so many.
pub struct Rows(Vec<u8>);

impl Default for Rows {
    fn default() -> Self {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(SIGNATURE);
        bytes.extend_from_slice(&[0; 8]);
        Self(bytes)
    }
}

impl Rows {
    /// Begins a row.
    pub fn begin(&mut self, fields: i16) -> &mut Self {
        self.0.extend_from_slice(&fields.to_be_bytes());
        self
    }

    fn field<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        self.bytes(&bytes)
    }

    /// A `bytea`, or any type in its binary form.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// A `null`.
    pub fn null(&mut self) -> &mut Self {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    /// A `text`, or an enum by its label.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// A `text` that may be absent.
    pub fn text_or_null(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// A `uuid`.
    pub fn uuid(&mut self, id: Uuid) -> &mut Self {
        self.field(id.into_bytes())
    }

    /// A `uuid` that may be absent.
    pub fn uuid_or_null(&mut self, id: Option<Uuid>) -> &mut Self {
        match id {
            Some(id) => self.uuid(id),
            None => self.null(),
        }
    }

    /// A `smallint`.
    pub fn smallint(&mut self, value: i16) -> &mut Self {
        self.field(value.to_be_bytes())
    }

    /// An `integer`.
    pub fn integer(&mut self, value: i32) -> &mut Self {
        self.field(value.to_be_bytes())
    }

    /// A `date`.
    pub fn date(&mut self, day: NaiveDate) -> &mut Self {
        self.integer(day.to_epoch_days() - EPOCH_DAYS)
    }

    /// A `timestamptz`.
    pub fn instant(&mut self, instant: DateTime<Utc>) -> &mut Self {
        self.field((instant.timestamp_micros() - EPOCH_MICROS).to_be_bytes())
    }

    /// The `timestamptz` `-infinity`.
    pub fn beginning_of_time(&mut self) -> &mut Self {
        self.field(BEGINNING_OF_TIME.to_be_bytes())
    }

    /// A `numeric` with four decimals.
    pub fn amount(&mut self, amount: Amount) -> &mut Self {
        let bytes = numeric(amount);
        self.bytes(&bytes)
    }
}

/// The binary form of a `numeric`: groups of four decimal digits. An amount's units are 0.0001, so
/// its last group is exactly the four decimals.
fn numeric(amount: Amount) -> Vec<u8> {
    let units = amount.units();
    let mut groups: Vec<u16> = Vec::with_capacity(7);
    let mut rest = units.unsigned_abs();
    while rest > 0 {
        groups.push(u16::try_from(rest % 10_000).unwrap_or(0));
        rest /= 10_000;
    }
    // The first group is the most significant; zeros at the end are not sent.
    let weight = i16::try_from(groups.len()).unwrap_or(0) - 2;
    let trailing = groups.iter().take_while(|group| **group == 0).count();
    let digits = &groups[trailing..];
    let sign: u16 = if units < 0 { 0x4000 } else { 0 };
    let count = u16::try_from(digits.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(8 + 2 * digits.len());
    for header in [count, weight.cast_unsigned(), sign, 4] {
        bytes.extend_from_slice(&header.to_be_bytes());
    }
    for group in digits.iter().rev() {
        bytes.extend_from_slice(&group.to_be_bytes());
    }
    bytes
}

/// Writes rows by one COPY. `statement` names table and columns; two round trips.
pub async fn copy_in(
    conn: &mut PgConnection,
    statement: &'static str,
    rows: Rows,
) -> Result<u64, StoreError> {
    copy_in_streaming(conn, statement, rows, |_| false).await
}

/// Writes rows by one COPY while `more` goes on filling the next chunk; it returns whether there
/// is anything left to fill. Memory stays within a chunk or two.
pub async fn copy_in_streaming(
    conn: &mut PgConnection,
    statement: &'static str,
    mut rows: Rows,
    mut more: impl FnMut(&mut Rows) -> bool,
) -> Result<u64, StoreError> {
    let mut copy = conn.copy_in_raw(statement).await?;
    loop {
        let goes_on = more(&mut rows);
        if !goes_on {
            rows.0.extend_from_slice(&(-1_i16).to_be_bytes());
        }
        if !goes_on || rows.0.len() >= CHUNK_BYTES {
            // A COPY that is dropped midway poisons the connection: it is ended either way.
            if let Err(error) = copy.send(rows.0.as_slice()).await {
                copy.abort("the client failed to send").await?;
                return Err(error.into());
            }
            rows.0.clear();
        }
        if !goes_on {
            return Ok(copy.finish().await?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> Vec<u16> {
        let bytes = numeric(Amount::parse(text).unwrap());
        bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
    }

    /// Count, weight, sign, scale, then the groups, as PostgreSQL's `numeric_send` writes them.
    #[test]
    fn numerics_have_postgresqls_binary_form() {
        assert_eq!(groups("0"), [0, 0xfffe, 0, 4]);
        assert_eq!(groups("1"), [1, 0, 0, 4, 1]);
        assert_eq!(groups("12345.6789"), [3, 1, 0, 4, 1, 2345, 6789]);
        assert_eq!(groups("-0.05"), [1, 0xffff, 0x4000, 4, 500]);
        assert_eq!(groups("10000"), [1, 1, 0, 4, 1]);
        assert_eq!(groups("9999999999999999.9999"), [5, 3, 0, 4, 9999, 9999, 9999, 9999, 9999]);
    }
}
