//! Reading a members file: from CSV to members, with the line of each.

use domain::ladder::Rank;
use store::import::ImportedMember;

use super::flaws::Flaws;
use super::rows::{self, Meaning, Row, instant, uuid};
use crate::input::printable;

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

/// Reads every row. What is wrong with a row goes to `flaws`; an error concerns the whole file.
/// `progress` hears, now and then, how many bytes are read.
pub(crate) fn read(
    csv: &[u8],
    meaning: Meaning<'_>,
    flaws: &mut Flaws,
    progress: impl FnMut(u64),
) -> anyhow::Result<MemberFile> {
    let mut file = MemberFile::default();
    rows::read(csv, &COLUMNS, flaws, progress, |row| {
        if let Some(member) = member(row, meaning) {
            file.members.push(member);
            file.lines.push(row.line);
        }
    })?;
    Ok(file)
}

/// The member, unless not even the id can be read: a row with another flaw still takes part in the
/// checks of the network, so that it causes no flaws of others.
fn member(row: &mut Row<'_>, meaning: Meaning<'_>) -> Option<ImportedMember> {
    let id = row.id();
    let sponsor_id = row.field("sponsor_id", uuid);
    let status = row.status();
    let rank = row.rank(meaning.ladder);
    let joined_at = row.field("joined_at", |text| instant(text, meaning.programme));
    let external_id = row.field("external_id", printable);
    let name = row.field("name", printable);
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

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
