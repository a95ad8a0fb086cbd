//! `lineage plan`: versions, what they change, retirements, and who decided them when and why.

use std::path::PathBuf;

use serde_json::{Value, json};
use store::testing::World;

const FIRST: &str = r#"
plan: retail
version: "2023-01"
valid_from: 2023-01-01
source_types: [PRODUCT]
rules:
  - id: base
    component: base
    calculation: {type: unilevel, levels: [{level: 1, percentage: "3.00"}, {level: 2, percentage: "1.50"}]}
  - id: winter
    component: season
    calculation: {type: unilevel, levels: [{level: 1, percentage: "1.00"}]}
"#;

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

async fn plan(world: &World, arguments: &[&str]) -> Said {
    let mut command = world.lineage();
    command.arg("plan").args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(world: &World, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{}-plan.yaml", world.name()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn prague() -> World {
    let world = World::new().await;
    world.ladder(&["MEMBER"]).await;
    let mut command = world.lineage();
    command.args(["program", "set", "--time-zone", "Europe/Prague", "--period", "month"]);
    assert!(command.output().unwrap().status.success());
    world
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap()
}

/// The dry run shows the difference to the version in force until then, and changes nothing.
#[tokio::test]
async fn a_dry_run_shows_what_a_version_changes() {
    let world = prague().await;
    let file = File::new(&world, FIRST);
    let tried = plan(&world, &["apply", file.path(), "--dry-run", "--format", "json"]).await;
    let difference = &tried.json()["difference"];
    assert_eq!(difference["to"], Value::Null);
    assert_eq!(difference["added"][0], json!({ "id": "base", "name": "base" }));
    assert_eq!(count(&world, "select count(*) from commission_plans").await, 0);
    let applied = plan(&world, &["apply", file.path(), "--reason", "start"]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");

    let second =
        FIRST.replace("2023-01", "2023-06").replace("1.50", "2.00").replace("winter", "summer");
    std::fs::write(file.path(), second).unwrap();
    // The dry run's number went to nobody.
    let lines = "Difference to version 2023-01, number 2, in force until then:\n\
                 + rule summer\n\
                 ~ rule base  calculation.levels[level 2].percentage: 1.50 → 2.00\n\
                 - rule winter\n\
                 1 rule(s) added, 1 changed, 1 closed, 0 unchanged\n";
    let open =
        "Only `lineage plan apply --dry-run` also looks at sales that are settled already.\n";
    for (command, end) in [
        (&["apply", file.path(), "--dry-run"][..], lines.to_owned()),
        (&["check", file.path()], format!("{lines}{open}")),
    ] {
        let said = plan(&world, command).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.ends_with(&end), "{}", said.out);
    }
    let checked = plan(&world, &["check", file.path(), "--format", "json"]).await.json();
    let change = &checked["difference"]["changed"][0]["changes"][0];
    assert_eq!((&change["old"], &change["new"]), (&json!("1.50"), &json!("2.00")));
    assert_eq!(count(&world, "select count(*) from commission_plans").await, 1);
}

/// How far rules look: a number of levels, or as far as there is somebody.
#[tokio::test]
async fn a_check_says_how_far_the_rules_look() {
    let world = prague().await;
    let file = File::new(&world, FIRST);
    let compressed = FIRST.replace("type: unilevel,", "type: unilevel, compression: standard,");
    for (text, sentence, levels) in [
        (FIRST, " 2, paying up to 2 level(s)\n", json!(2)),
        (&compressed, " 2, looking up to the top of the tree\n", Value::Null),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let said = plan(&world, &["check", file.path()]).await;
        assert!(said.out.contains(sentence), "{said:?}");
        let json = plan(&world, &["check", file.path(), "--format", "json"]).await.json();
        assert_eq!(json["levels"], levels);
    }
}

/// A retirement is tried, made, repeated and ended by a later version; lists say who and why.
#[tokio::test]
async fn a_plan_is_retired_from_a_local_day_on() {
    let world = prague().await;
    let file = File::new(&world, FIRST);
    assert_eq!(plan(&world, &["apply", file.path(), "--reason", "start"]).await.code, Some(0));
    let retire = ["retire", "retail", "--from", "2023-03-26", "--reason", "board of 1 March"];
    let json_of = |more: &[&'static str]| [&retire[..], more, &["--format", "json"]].concat();

    let tried = plan(&world, &json_of(&["--dry-run"])).await.json();
    assert_eq!((&tried["status"], &tried["dry_run"]), (&json!("retired"), &json!(true)));
    assert_eq!(count(&world, "select count(*) from plan_retirements").await, 0);
    let made = plan(&world, &retire).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(
        made.out,
        "Retired plan retail from 2023-03-26 on.\nIt comes back when a later version of it is applied.\n"
    );
    let again = plan(&world, &json_of(&[])).await;
    assert_eq!((again.code, &again.json()["status"]), (Some(0), &json!("already_retired")));
    assert_eq!(again.json()["from"], "2023-03-25T23:00:00Z");

    for (arguments, said) in [
        (["retire", "retial", "--from", "2023-03-26"], "no plan \"retial\" is applied"),
        (["retire", "retail", "--from", "2023-01-01"], "version 2023-01 of plan retail begins"),
        (["retire", "retail", "--from", "2022-06-01"], "it begins at 2022-12-31 23:00:00 UTC"),
        (
            ["retire", "retail", "--from", "2023-05-01"],
            "it is retired from 2023-03-25 23:00:00 UTC",
        ),
    ] {
        let refused = plan(&world, &[&arguments[..], &["--reason", "test"]].concat()).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }

    let listed = plan(&world, &["list", "--format", "json"]).await.json();
    assert_eq!(listed[0]["valid_to"], "2023-03-25T23:00:00Z");
    assert_eq!(listed[0]["retired"]["reason"], "board of 1 March");
    assert!(listed[0]["retired"]["retired_by"].as_str().unwrap().starts_with("role:"));
    assert_eq!(listed[0]["reason"], "start");
    let file_hash = listed[0]["file_hash"].as_str().unwrap().to_owned();
    let table = plan(&world, &["list"]).await.out;
    assert!(
        table.contains(
            "Plan retail: version 2023-01 ends by retirement from 2023-03-26 on: decided "
        ),
        "{table}"
    );
    assert!(table.contains("start") && table.contains(&file_hash[..12]), "{table}");
    let shown = plan(&world, &["show", "retail"]).await.out;
    assert!(shown.contains("until 2023-03-26 (exclusive)"), "{shown}");
    assert!(shown.contains("board of 1 March") && shown.contains(&file_hash), "{shown}");

    std::fs::write(file.path(), FIRST.replace("2023-01", "2023-06")).unwrap();
    let back = plan(&world, &["apply", file.path(), "--format", "json"]).await;
    assert_eq!(back.code, Some(0), "{back:?}");
    assert_eq!(back.json()["difference"]["to"], Value::Null, "none was in force");
    let listed = plan(&world, &["list", "--format", "json"]).await.json();
    assert_eq!(listed[0]["valid_to"], "2023-03-25T23:00:00Z");
    assert_eq!(listed[1]["retired"], Value::Null);
}

/// Auditors ask why: a blank is no reason.
#[tokio::test]
async fn a_blank_reason_is_refused() {
    let world = prague().await;
    let file = File::new(&world, FIRST);
    for reason in ["", "  ", "\u{a0}"] {
        let refused = plan(&world, &["apply", file.path(), "--reason", reason]).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("must not be empty"), "{refused:?}");
        let retire = ["retire", "retail", "--from", "2023-03-26", "--reason", reason];
        assert_eq!(plan(&world, &retire).await.code, Some(2));
    }
    let without = plan(&world, &["retire", "retail", "--from", "2023-03-26"]).await;
    assert_eq!(without.code, Some(2), "retiring a plan has a reason: {without:?}");
    let no_day = ["retire", "retail", "--from", "26.3.2023", "--reason", "test"];
    assert_eq!(plan(&world, &no_day).await.code, Some(2));
    assert_eq!(count(&world, "select count(*) from commission_plans").await, 0);
}
