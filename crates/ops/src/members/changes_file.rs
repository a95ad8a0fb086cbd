//! Reading a file of changes: from CSV to changes, with the line of each.

use domain::history::{Change, What};

use super::flaws::Flaws;
use super::rows::{self, Meaning, Row, instant, uuid};

/// The columns there are.
const COLUMNS: [&str; 5] = ["id", "effective_at", "sponsor_id", "status", "rank"];
/// The `sponsor_id` of a member who becomes the top of a tree of their own.
const NO_SPONSOR: &str = "none";

/// The changes that could be read.
#[derive(Debug, Default)]
pub(crate) struct ChangesFile {
    /// The changes, in the order of the file. A row that changes both sponsor and state makes two.
    pub(crate) changes: Vec<Change>,
    /// The line on which the row of each begins.
    pub(crate) lines: Vec<u64>,
    /// How many rows there are.
    pub(crate) rows: usize,
}

/// Reads every row. What is wrong with a row goes to `flaws`; an error concerns the whole file.
/// `progress` hears, now and then, how many bytes are read.
pub(crate) fn read(
    csv: &[u8],
    meaning: Meaning<'_>,
    flaws: &mut Flaws,
    progress: impl FnMut(u64),
) -> anyhow::Result<ChangesFile> {
    let mut file = ChangesFile::default();
    rows::read(csv, &COLUMNS, flaws, progress, |row| {
        file.rows += 1;
        for change in changes(row, meaning) {
            file.changes.push(change);
            file.lines.push(row.line);
        }
    })?;
    Ok(file)
}

/// What a row changes. A row with a flaw still takes part in the checks with the changes that could
/// be read, so that it causes no flaws of others; without its member or moment it has none.
fn changes(row: &mut Row<'_>, meaning: Meaning<'_>) -> Vec<Change> {
    let id = row.id();
    let effective_at = row.field("effective_at", |text| instant(text, meaning.programme));
    let has_a_place = !row.has_flaw;
    let sponsor = row.field("sponsor_id", |text| match text {
        NO_SPONSOR => Ok(None),
        text => uuid(text).map(Some).map_err(|reason| format!("{reason}, nor {NO_SPONSOR}")),
    });
    let (status, rank) = (row.status(), row.rank(meaning.ladder));
    let moves = sponsor.map(|new_sponsor_id| What::Move { new_sponsor_id });
    let state = (status.is_some() || rank.is_some()).then_some(What::State { status, rank });
    if !row.has_flaw && moves.is_none() && state.is_none() {
        row.complain("changes nothing: sponsor_id, status or rank must have a value");
    }
    let Some(member_id) = id.filter(|_| has_a_place) else { return Vec::new() };
    let whats = moves.into_iter().chain(state);
    whats.map(|what| Change { member_id, effective_at, what }).collect()
}

#[cfg(test)]
mod tests {
    use domain::ladder::{Ladder, Rank};
    use domain::member::MemberStatus;
    use domain::period::Programme;
    use uuid::Uuid;

    use super::*;

    const A: Uuid = Uuid::from_u128(0xa);
    const B: Uuid = Uuid::from_u128(0xb);

    /// Each with its line.
    type Lines<T> = Vec<(u64, T)>;

    fn read_all(csv: &str) -> anyhow::Result<(ChangesFile, Lines<String>)> {
        let ladder = Ladder::new(["MEMBER", "SILVER"].map(str::to_owned).to_vec()).unwrap();
        let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
        let programme = Programme { time_zone, ..Programme::default() };
        let meaning = Meaning { ladder: &ladder, programme: &programme };
        let mut flaws = Flaws::default();
        let file = read(csv.as_bytes(), meaning, &mut flaws, |_| ())?;
        let flaws = flaws.in_order().into_iter().map(|flaw| (flaw.line, flaw.reason));
        Ok((file, flaws.collect()))
    }

    /// The changes of a file with these rows below a full header, and its flaws.
    fn rows(rows: &str) -> (Lines<Change>, Lines<String>) {
        let csv = format!("id,effective_at,sponsor_id,status,rank\n{rows}\n");
        let (file, flaws) = read_all(&csv).unwrap();
        (file.lines.into_iter().zip(file.changes).collect(), flaws)
    }

    #[test]
    fn a_row_can_change_several_things() {
        let (changes, flaws) = rows(&format!(
            "{A},2023-05-31,{B},SUSPENDED,SILVER\n{B},,none,,\n{B},2023-05-31T10:00:00Z,,,MEMBER"
        ));
        assert_eq!(flaws, []);
        let prague_midnight = "2023-05-30T22:00:00Z".parse().ok();
        let change = |member_id, effective_at, what| Change { member_id, effective_at, what };
        let state = |status, rank| What::State { status, rank };
        let expected = [
            (2, change(A, prague_midnight, What::Move { new_sponsor_id: Some(B) })),
            (2, change(A, prague_midnight, state(Some(MemberStatus::Suspended), Some(Rank(1))))),
            (3, change(B, None, What::Move { new_sponsor_id: None })),
            (4, change(B, "2023-05-31T10:00:00Z".parse().ok(), state(None, Some(Rank(0))))),
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn columns_but_the_id_may_be_missing() {
        let (file, flaws) = read_all(&format!("rank,id\nSILVER,{A}\n")).unwrap();
        let what = What::State { status: None, rank: Some(Rank(1)) };
        assert_eq!(file.changes, [Change { member_id: A, effective_at: None, what }]);
        assert_eq!((file.rows, flaws), (1, Vec::new()));
        let refused = read_all("rank,sponsor_id\n").unwrap_err().to_string();
        assert!(refused.starts_with("line 1: column id is missing"), "{refused}");
    }

    #[test]
    fn every_bad_row_is_named() {
        let nothing = "changes nothing: sponsor_id, status or rank must have a value";
        for (row, expected) in [
            (format!("{A},,,,"), nothing),
            (format!("{A},2023-05-31,,,"), nothing),
            (format!("{A},,7,,"), "sponsor_id \"7\" is not a UUID, nor none"),
            (
                format!("{A},,,Active,"),
                "status \"Active\" must be ACTIVE, INACTIVE, SUSPENDED or TERMINATED",
            ),
            (format!("{A},,,,GOLD"), "rank \"GOLD\" is not on the ladder (MEMBER, SILVER)"),
            (",,none,,".to_owned(), "id is empty"),
            (format!("{A},none"), "has 2 field(s), the header has 5"),
        ] {
            let (changes, flaws) = rows(&row);
            assert_eq!((changes.len(), flaws), (0, vec![(2, expected.to_owned())]), "{row:?}");
        }
    }

    #[test]
    fn what_can_be_read_of_a_bad_row_takes_part_in_the_checks() {
        let (changes, flaws) = rows(&format!("{A},,{B},Active,"));
        assert_eq!((changes.len(), flaws.len()), (1, 1));
        let (changes, flaws) = rows(&format!("{A},yesterday,{B},,"));
        assert_eq!((changes.len(), flaws.len()), (0, 1), "a move at no moment is none");
    }
}
