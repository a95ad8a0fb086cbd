//! Files of members and of changes, spoilt in every way.

use domain::ladder::Ladder;
use domain::network::{self, Link};
use domain::period::Programme;
use store::testing::fuzz::{Chance, Effort, announced_seed, mutate};

use super::flaws::{Flaw, Flaws};
use super::rows::Meaning;
use super::{changes_file, file};

/// Cases that take seconds.
const CASES: usize = 2_000;
/// Longest message: the quoted value, and what would be right.
const REASON_MAX: usize = 2_000;

const MEMBERS: &str = "id,sponsor_id,status,rank,joined_at,external_id,name\n\
    00000000-0000-0000-0000-00000000000a,,ACTIVE,SILVER,2023-05-31,M-1,\"Nov\u{e1}kov\u{e1}, \"\"Jana\"\"\"\n\
    00000000-0000-0000-0000-00000000000b,00000000-0000-0000-0000-00000000000a,,,,,\n\
    00000000-0000-0000-0000-00000000000c,00000000-0000-0000-0000-00000000000b,SUSPENDED,MEMBER,\
    2023-05-31T10:00:00+02:00,M-3,\"two\nlines\"\n";
const CHANGES: &str = "id,effective_at,sponsor_id,status,rank\r\n\
    00000000-0000-0000-0000-00000000000b,2023-06-01,none,,\r\n\
    00000000-0000-0000-0000-00000000000c,,00000000-0000-0000-0000-00000000000a,ACTIVE,SILVER\r\n";

/// Reads a file of either kind; its flaws, or why it cannot be read at all.
fn read(csv: &[u8], members: bool) -> Result<Vec<Flaw>, String> {
    let ladder = Ladder::new(["MEMBER", "SILVER"].map(str::to_owned).to_vec()).unwrap();
    let meaning = Meaning { ladder: &ladder, programme: &Programme::default() };
    let mut flaws = Flaws::default();
    if members {
        let file = file::read(csv, meaning, &mut flaws, |_| ());
        let file = file.map_err(|error| format!("{error:#}"))?;
        assert_eq!(file.members.len(), file.lines.len());
        let links = file.members.iter().map(|m| Link { id: m.id, sponsor: m.sponsor_id });
        let links: Vec<Link> = links.collect();
        if let Err(found) = network::arrange(&links, |_| false) {
            assert!(found.iter().all(|(place, _)| *place < links.len()), "{found:?}");
        }
    } else {
        let file = changes_file::read(csv, meaning, &mut flaws, |_| ());
        let file = file.map_err(|error| format!("{error:#}"))?;
        assert_eq!(file.changes.len(), file.lines.len());
    }
    Ok(flaws.in_order())
}

/// Every flaw has a line of the file and a reason of bounded length.
fn check_flaws(csv: &[u8], members: bool, what: &str) {
    let lines = 1 + csv.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
    match read(csv, members) {
        Ok(flaws) => {
            for Flaw { line, reason } in flaws {
                assert!((1..=lines).contains(&line), "line {line} of {lines}: {reason}: {what}");
                assert!(!reason.is_empty() && reason.len() < REASON_MAX, "{reason}: {what}");
            }
        }
        Err(reason) => {
            assert!(!reason.is_empty() && reason.len() < REASON_MAX, "{reason}: {what}");
        }
    }
}

#[test]
fn fuzz_spoilt_csv_is_read_or_refused_line_by_line() {
    let mut chance = Chance::new(announced_seed("-p ops fuzz_spoilt_csv"));
    for case in Effort::cases(CASES).run() {
        let members = chance.once_in(2);
        let mut csv = if members { MEMBERS } else { CHANGES }.as_bytes().to_vec();
        for _ in 0..chance.below(4) {
            mutate(&mut chance, &mut csv);
        }
        if chance.once_in(30) {
            let count = chance.below(3_000);
            csv = chance.bytes(count);
        }
        check_flaws(&csv, members, &format!("case {case}: {}", String::from_utf8_lossy(&csv)));
    }
}

#[test]
fn large_oddities_are_read_or_refused_soon() {
    let million = 1_000_000;
    let row = MEMBERS.lines().nth(1).unwrap_or_default();
    for (name, csv) in [
        ("empty lines", format!("id\n{}", "\n".repeat(3 * million))),
        ("line breaks of both kinds", format!("id\n{}x", "\r\n\n\r".repeat(million))),
        ("empty lines between rows", format!("id\n{}", "x\n\n\n".repeat(million / 10))),
        ("an open quote", format!("id\n\"{}", "x,\n".repeat(million))),
        ("a long field", format!("id\n{}", "x".repeat(million))),
        ("a long name of a column", "x".repeat(million)),
        ("many columns", ",".repeat(million)),
        ("many fields", format!("id\n{}", ",".repeat(million))),
        ("quotes", format!("id\n{}", "\"".repeat(million))),
        ("NUL", format!("id\n{}", "\0\n".repeat(million / 10))),
        (
            "one row again and again",
            format!(
                "{}\n{}",
                MEMBERS.lines().next().unwrap_or_default(),
                format!("{row}\n").repeat(20_000)
            ),
        ),
        ("no more than a mark", "\u{feff}".to_owned()),
        ("nothing", String::new()),
    ] {
        check_flaws(csv.as_bytes(), true, name);
        check_flaws(csv.as_bytes(), false, name);
    }
}
