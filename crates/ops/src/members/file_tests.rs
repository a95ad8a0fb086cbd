use domain::ladder::Ladder;
use domain::member::MemberStatus;
use domain::period::Programme;

use super::*;

const A: &str = "00000000-0000-0000-0000-00000000000a";
const B: &str = "00000000-0000-0000-0000-00000000000b";

fn read_bytes(csv: &[u8]) -> anyhow::Result<(MemberFile, Vec<(u64, String)>)> {
    let ladder = Ladder::new(["MEMBER", "SILVER"].map(str::to_owned).to_vec()).unwrap();
    let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
    let programme = Programme { time_zone, ..Programme::default() };
    let mut flaws = Flaws::default();
    let file = read(csv, Meaning { ladder: &ladder, programme: &programme }, &mut flaws, |_| ())?;
    let flaws = flaws.in_order().into_iter().map(|flaw| (flaw.line, flaw.reason));
    Ok((file, flaws.collect()))
}

fn good(csv: &str) -> MemberFile {
    let (file, flaws) = read_bytes(csv.as_bytes()).unwrap();
    assert_eq!(flaws, []);
    file
}

/// The flaws of a file with these rows below a full header.
fn flaws(rows: &str) -> Vec<(u64, String)> {
    let header = "id,sponsor_id,status,rank,joined_at,external_id,name";
    read_bytes(format!("{header}\n{rows}\n").as_bytes()).unwrap().1
}

#[test]
fn columns_stand_in_any_order_and_empty_fields_have_defaults() {
    let file = good(&format!(
        "name,rank,id,sponsor_id,status,joined_at,external_id\n\
         \"Nováková, Jana\",SILVER,{A},,SUSPENDED,2023-05-31,M-1\n,,{B},{A},,,\n"
    ));
    let (jana, other) = (&file.members[0], &file.members[1]);
    assert_eq!(jana.name.as_deref(), Some("Nováková, Jana"));
    assert_eq!((jana.rank, jana.status), (Rank(1), MemberStatus::Suspended));
    let prague_midnight = "2023-05-30T22:00:00Z".parse().unwrap();
    assert_eq!(jana.joined_at, Some(prague_midnight));
    assert_eq!(other.sponsor_id.map(|id| id.to_string()).as_deref(), Some(A));
    assert_eq!((other.rank, other.status), (Rank(0), MemberStatus::Active));
    assert_eq!((&other.joined_at, &other.name, &other.external_id), (&None, &None, &None));
}

#[test]
fn files_of_other_programs_are_read() {
    let file = good(&format!("\u{feff}id,joined_at\r\n {A} ,2023-05-31T10:00:00+02:00\r\n"));
    let joined_at = "2023-05-31T08:00:00Z".parse().unwrap();
    assert_eq!(file.members[0].joined_at, Some(joined_at));
    assert_eq!(good("id\n").members.len(), 0);
}

#[test]
fn every_bad_field_is_named_with_its_line() {
    let day = "is neither a time such as 2023-05-31T10:00:00Z nor a day such as 2023-05-31";
    let long = "x".repeat(201);
    let cases = [
        ("nonsense,,,,,,", "id \"nonsense\" is not a UUID".to_owned()),
        (",,,,,,", "id is empty".to_owned()),
        (&format!("{A},7,,,,,"), "sponsor_id \"7\" is not a UUID".to_owned()),
        (
            &format!("{A},,Active,,,,"),
            "status \"Active\" must be ACTIVE, INACTIVE, SUSPENDED or TERMINATED".to_owned(),
        ),
        (
            &format!("{A},,,GOLD,,,"),
            "rank \"GOLD\" is not on the ladder (MEMBER, SILVER)".to_owned(),
        ),
        (&format!("{A},,,,2023-02-30,,"), format!("joined_at \"2023-02-30\" {day}")),
        (&format!("{A},,,,2023-5-1,,"), format!("joined_at \"2023-5-1\" {day}")),
        (&format!("{A},,,,31.5.2023,,"), format!("joined_at \"31.5.2023\" {day}")),
        (
            &format!("{A},,,,,{long},"),
            format!("external_id \"{}\"… must have at most 200 characters", "x".repeat(60)),
        ),
        (
            &format!("{A},,,,,,\"a\nb\""),
            "name \"a\\nb\" must not contain control characters".to_owned(),
        ),
        (A, "has 1 field(s), the header has 7".to_owned()),
        (&format!("{A},,,,,,,"), "has 8 field(s), the header has 7".to_owned()),
    ];
    for (row, expected) in cases {
        assert_eq!(flaws(row), [(2, expected)], "{row:?}");
    }
}

#[test]
fn lines_are_those_of_the_file() {
    let rows = format!("{A},,,,,,\"a\nb\"\n\n{B},,x,,,,\n{B},,,y,,,");
    let lines: Vec<u64> = flaws(&rows).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 5, 6], "line breaks in quotes and empty lines count");
    let lines: Vec<u64> =
        flaws(&rows.replace('\n', "\r\n")).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 5, 6], "and so they do where lines end in two characters");
}

#[test]
fn a_row_can_have_several_flaws() {
    let found = flaws("nonsense,7,Active,,,,");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn bytes_that_are_no_text_are_a_flaw() {
    let mut csv = format!("id,name\n{A},").into_bytes();
    csv.extend_from_slice(b"J\xe9r\xf4me\n");
    assert_eq!(read_bytes(&csv).unwrap().1, [(2, "name is not UTF-8".to_owned())]);
}

#[test]
fn a_wrong_header_concerns_the_whole_file() {
    let refused = |csv: &str| read_bytes(csv.as_bytes()).unwrap_err().to_string();
    assert!(refused("id,mail\n").starts_with("line 1: unknown column \"mail\"; known are id, "));
    assert_eq!(refused("id,name,id\n"), "line 1: column id stands there twice");
    assert!(refused("name,rank\n").starts_with("line 1: column id is missing"));
    assert!(refused("").starts_with("line 1: column id is missing"));
    assert_eq!(refused("id;name\n"), "line 1: columns must be separated by commas");
}
