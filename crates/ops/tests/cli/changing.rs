//! `lineage members changes apply`: many changes of history, all or none.

use std::path::PathBuf;

use domain::amount::Amount;
use domain::sale::{self, OrderKind, SourceType};
use serde_json::json;
use store::events::{self, Details, Facts, NewEvent};
use store::testing::World;

use crate::network::{Done, ask, id, member, members, recorded, small_network, upline};

const HEADER: &str = "id,effective_at,sponsor_id,status,rank\n";

/// Applies a file with these rows.
async fn apply(world: &World, rows: &str, options: &[&str]) -> Done {
    let file = File::new(world, &format!("{HEADER}{rows}"));
    let path = file.0.to_str().unwrap();
    let arguments = ["changes", "apply", path, "--reason", "test", "--format", "json"];
    members(world, &[&arguments[..], options].concat()).await
}

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(world: &World, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{}-changes.csv", world.name()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn rows_in_any_order_are_checked_at_their_moments() {
    let world = small_network().await;
    // In June Petr goes below Eva, who has left his downline in May. Only then is he no longer
    // above her.
    let rows = format!(
        "{petr},2024-06-01,{eva},,\n{eva},2024-05-01,{jana},INACTIVE,SILVER\n{lida},,none,,\n",
        petr = id(2),
        eva = id(3),
        jana = id(1),
        lida = id(7),
    );
    let tried = apply(&world, &rows, &["--dry-run"]).await;
    assert_eq!(tried.code, Some(0), "{tried:?}");
    assert_eq!((&tried.json()["applied"], &tried.json()["moves"]), (&json!(false), &json!(3)));
    assert_eq!(upline(&world, 2, None).await, [1], "a dry run changes nothing");

    let applied = apply(&world, &rows, &["--on-behalf-of", "Jana"]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let answer = applied.json();
    assert_eq!(answer["applied"], true);
    for (counted, number) in [
        ("rows", 3),
        ("moves", 3),
        ("moved_members", 3),
        ("status_changes", 1),
        ("rank_changes", 1),
    ] {
        assert_eq!(answer[counted], number, "{counted}");
    }
    assert_eq!(answer["first_effective_at"], "2024-05-01T00:00:00Z");
    assert_eq!(upline(&world, 5, Some("2024-04-30")).await, [2, 1]);
    assert_eq!(upline(&world, 4, Some("2024-05-31")).await, [3, 1]);
    assert_eq!(upline(&world, 5, None).await, [2, 3, 1]);
    assert_eq!(upline(&world, 7, None).await, [] as [u128; 0]);
    world.assert_tree_is_sound().await;
}

#[tokio::test]
async fn changes_of_one_moment_are_simultaneous() {
    let world = small_network().await;
    // Petr and Eva swap places: one after the other, each step would close a circle or move more.
    let rows = format!(
        "{petr},2024-05-01,{eva},,\n{eva},2024-05-01,{jana},,\n{karel},2024-05-01,{petr},,\n",
        petr = id(2),
        eva = id(3),
        jana = id(1),
        karel = id(4),
    );
    let applied = apply(&world, &rows, &[]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert_eq!(upline(&world, 4, None).await, [2, 3, 1]);
    assert_eq!(upline(&world, 4, Some("2024-04-30")).await, [3, 2, 1]);
    world.assert_tree_is_sound().await;
}

#[tokio::test]
async fn every_bad_line_is_named_and_nothing_is_applied() {
    let world = small_network().await;
    let rows = format!(
        "{lida},2024-05-01,{otto},,\n\
         {petr},2024-05-01,{karel},,\n\
         {petr},,,RETIRED,\n\
         nonsense,,none,,\n\
         {nobody},2024-05-01,none,ACTIVE,\n\
         {eva},,,,\n\
         {eva},2124-05-01,{jana},,\n\
         {otto},2024-05-01,,ACTIVE,\n",
        petr = id(2),
        eva = id(3),
        karel = id(4),
        otto = id(6),
        jana = id(1),
        lida = id(7),
        nobody = id(99),
    );
    let refused = apply(&world, &rows, &[]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let answer = refused.json();
    assert_eq!(answer["applied"], false);
    let flaws: Vec<(u64, &str)> = answer["flaws"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flaw| (flaw["line"].as_u64().unwrap(), flaw["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        (3, "downline"),
        (4, "RETIRED"),
        (5, "not a UUID"),
        (6, "no member has this id"),
        (7, "changes nothing: sponsor_id"),
        (8, "future"),
        (9, "changes nothing: it is so"),
    ];
    assert_eq!(flaws.len(), expected.len(), "each line once: {flaws:#?}");
    for ((line, reason), (expected_line, part)) in flaws.iter().zip(expected) {
        assert_eq!(*line, expected_line, "{reason}");
        assert!(reason.contains(part), "line {line}: {reason:?} does not say {part:?}");
    }
    assert_eq!(answer["flaw_count"], expected.len());
    assert!(refused.err.contains("nothing was applied"), "{refused:?}");
    assert_eq!(upline(&world, 7, None).await, [1], "the good line is not applied either");
}

/// A refused circle is on record although nothing of the file was applied.
#[tokio::test]
async fn an_attempt_at_a_circle_is_recorded() {
    let world = small_network().await;
    let rows = format!("{},,{},,\n{},,none,,\n", id(2), id(4), id(7));
    assert_eq!(apply(&world, &rows, &["--dry-run"]).await.code, Some(1));
    assert_eq!(recorded(&world, 2).await.len(), 1, "a dry run leaves nothing");
    assert_eq!(apply(&world, &rows, &[]).await.code, Some(1));
    let refusal = Some("own_descendant".to_owned());
    assert_eq!(recorded(&world, 2).await[1..], [("MOVE".to_owned(), refusal)]);
    assert_eq!(recorded(&world, 7).await.len(), 1, "nothing was wrong with the other");
}

const PLAN: &str = r#"
plan: retail
version: "1"
valid_from: 2020-01-01
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels: [{level: 1, percentage: "10.00"}]
"#;

/// L8: the history of another system comes in before its sales, which then pay the upline of
/// their own moments. Once they are settled, nothing before them can change.
#[tokio::test]
async fn l8_a_legacy_history_comes_in_before_its_sales() {
    let world = small_network().await;
    world.plan(PLAN).await;
    let rows = format!(
        "{eva},2024-03-01,{otto},,\n{eva},2024-05-01,{lida},,\n",
        eva = id(3),
        otto = id(6),
        lida = id(7),
    );
    assert_eq!(apply(&world, &rows, &[]).await.code, Some(0));
    let months = ["2024-02-15", "2024-03-15", "2024-05-15"];
    for month in months {
        sell(&world, month).await;
    }
    let worker = world.worker(&[]);
    world.wait_until_settled().await;
    assert!(worker.stop().success());
    let paid: Vec<(String, uuid::Uuid)> = sqlx::query_as(
        "select e.external_id, l.member_id
           from commission_ledger l join events e on e.id = l.event_id order by 1",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let expected = [2, 6, 7].map(member);
    assert_eq!(paid, months.map(str::to_owned).into_iter().zip(expected).collect::<Vec<_>>());

    let too_early = format!("{},2024-05-15,none,,\n{},2024-05-16,none,,\n", id(3), id(7));
    let refused = apply(&world, &too_early, &[]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let answer = refused.json();
    assert_eq!(answer["flaw_count"], 1, "only what holds from before the sale on: {answer}");
    assert_eq!(answer["flaws"][0]["line"], 2);
    let (_, history) = ask(&world, &["history", "M-3"]).await;
    let last = history["history"].as_array().unwrap().last().unwrap();
    assert_eq!(last["refusal"], "settled_sales");
    assert_eq!(upline(&world, 3, None).await, [7, 1]);
}

/// A sale of Eva at noon of a day, which is its name, too.
async fn sell(world: &World, day: &str) {
    let occurred_at = format!("{day}T12:00:00Z").parse().unwrap();
    let earned_period = format!("{}-01", &day[..7]).parse().unwrap();
    let amount = Amount::parse("100.00").unwrap();
    let event = NewEvent {
        id: sale::event_id("test", day),
        source: "test".to_owned(),
        external_id: day.to_owned(),
        facts: Facts {
            member_id: member(3),
            occurred_at,
            source_type: SourceType::Product,
            currency: "EUR".parse().unwrap(),
            amount,
            volume: amount,
            product_id: None,
            order_kind: OrderKind::Standard,
            market: None,
            buyer_type: None,
            lines: Vec::new(),
        },
        details: Details::default(),
        recorded_at: occurred_at,
        earned_period,
    };
    let mut tx = world.owner.begin().await.unwrap();
    store::ledger::ensure_partition(&mut tx, earned_period).await.unwrap();
    events::record(&mut tx, &[&event]).await.unwrap();
    tx.commit().await.unwrap();
    world.ringer().publish(&[event.id]).await.unwrap();
}

/// A line that cannot be read does not hide an attempt at a circle on another.
#[tokio::test]
async fn a_flawed_file_leaves_a_record_of_what_it_tried() {
    let world = small_network().await;
    let rows = format!("{jana},,{petr},,\nnonsense,,none,,\n", jana = id(1), petr = id(2));
    let attempts = "select count(*) from member_changes where refusal = 'own_descendant'";
    for (options, expected) in [(&["--dry-run"][..], 0), (&[], 1)] {
        let refused = apply(&world, &rows, options).await;
        assert_eq!((refused.code, &refused.json()["flaw_count"]), (Some(1), &json!(2)));
        let recorded: i64 = sqlx::query_scalar(attempts).fetch_one(&world.owner).await.unwrap();
        assert_eq!(recorded, expected, "{options:?}");
    }
}

/// The file that README shows can be applied to the sample as it shows it.
#[tokio::test]
async fn the_sample_of_changes_is_applied() {
    let world = World::new().await;
    world.ladder(&["MEMBER", "SILVER", "GOLD"]).await;
    let sample = |file| format!("{}/../../deploy/sample/{file}", env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(sample("../../README.md")).unwrap();
    let changes = std::fs::read_to_string(sample("changes.csv")).unwrap();
    assert!(readme.contains(&changes), "README shows another file");
    let imported = members(&world, &["import", &sample("members.csv")]).await;
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let path = sample("changes.csv");
    let applied = members(&world, &["changes", "apply", &path, "--reason", "test"]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    world.assert_tree_is_sound().await;
}
