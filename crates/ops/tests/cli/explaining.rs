//! `lineage explain`: statements, other worlds, and the search for the world that pays an amount.

use domain::amount::Amount;
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::sale::{self, OrderKind, SourceType};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use store::enrolment::{self, NewMember};
use store::events::{self, Details, Facts, NewEvent};
use store::testing::World;
use uuid::Uuid;

const PLAN: &str = r#"
plan: retail
version: "1"
valid_from: 2020-01-01
rules:
  - id: base
    component: base
    name: Base commission
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "7.00", career_points_percentage: "10.00"}
        - {level: 2, percentage: "3.33", min_rank: SILVER}
        - {level: 3, percentage: "1.25"}
"#;

/// Four below one another; the lowest, M-4, sells for 100, 200 and 300 EUR and for 50 CZK. M-2
/// becomes SILVER a week later.
async fn world() -> World {
    let world = World::new().await;
    world.ladder(&["MEMBER", "SILVER", "GOLD"]).await;
    world.plan(PLAN).await;
    let mut tx = world.owner.begin().await.unwrap();
    for number in 1..=4 {
        let new = NewMember {
            id: Uuid::from_u128(number),
            external_id: Some(format!("M-{number}")),
            name: Some(format!("Member {number}")),
            sponsor_id: (number > 1).then(|| Uuid::from_u128(number - 1)),
            status: MemberStatus::Active,
            rank: Rank(u8::from(number == 1)),
            joined_at: None,
        };
        enrolment::enrol(&mut tx, &new, "test").await.unwrap();
    }
    let period = "2026-11-01".parse().unwrap();
    store::ledger::ensure_partition(&mut tx, period).await.unwrap();
    let mut sales: Vec<NewEvent> =
        [("1", "100", "EUR"), ("2", "200", "EUR"), ("3", "300", "EUR"), ("4", "50", "CZK")]
            .into_iter()
            .map(|(id, amount, currency)| NewEvent {
                id: sale::event_id("shop", id),
                source: "shop".to_owned(),
                external_id: id.to_owned(),
                facts: Facts {
                    member_id: Uuid::from_u128(4),
                    occurred_at: format!("2026-11-0{id}T10:15:00Z").parse().unwrap(),
                    source_type: SourceType::Product,
                    currency: currency.parse().unwrap(),
                    amount: Amount::parse(amount).unwrap(),
                    volume: Amount::parse(amount).unwrap(),
                    product_id: None,
                    order_kind: OrderKind::Standard,
                    market: None,
                    buyer_type: None,
                    lines: Vec::new(),
                },
                details: Details::default(),
                recorded_at: "2026-11-05T00:00:00Z".parse().unwrap(),
                earned_period: period,
            })
            .collect();
    sales.sort_unstable_by_key(|sale| sale.id);
    events::record(&mut tx, &sales.iter().collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();
    let ids: Vec<Uuid> = sales.iter().map(|sale| sale.id).collect();
    world.ringer().publish(&ids).await.unwrap();
    let worker = world.worker(&[]);
    world.wait_until_settled().await;
    assert!(worker.stop().success());
    let later = ["members", "set", "M-2", "--rank", "SILVER", "--reason", "test"];
    let at = ["--effective-at", "2026-11-10T00:00:00Z"];
    assert!(lineage(&world, &[&later[..], &at].concat()).await.0);
    world
}

/// Whether it ended with 0, and what it wrote.
async fn lineage(world: &World, arguments: &[&str]) -> (bool, String) {
    let mut command = world.lineage();
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let remarks = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), format!("{said}{remarks}"))
}

async fn answer(world: &World, arguments: &[&str]) -> Value {
    let arguments = [&["explain"], arguments, &["--format", "json"]].concat();
    let (_, said) = lineage(world, &arguments).await;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// L9: every line of the member's period is told, and the sum is the ledger's.
#[tokio::test]
async fn l9_a_statement_sums_up_to_the_ledger() {
    let world = world().await;
    let (whole, text) =
        lineage(&world, &["explain", "--member", "M-3", "--period", "2026-11"]).await;
    assert!(whole, "{text}");
    let begin = "Statement of commissions
  member  Member 3 (M-3)
  period  2026-11: 2026-11-01 to 2026-11-30, days in UTC

CZK
  2026-11-04  level commission: 3.5000 CZK and 5.0000 career points, sale 4 of
              shop
              sold by Member 4 (M-4) for 50.0000 CZK; the member is the seller's
              level 1, the sponsor
              rule base (Base commission) of plan retail, version 1; the member
              was MEMBER and ACTIVE then
              7.00 % of 50.0000 CZK = 3.5000
              10.00 % of 50.0000 CZK = 5.0000 career points
              paid 3.5000 CZK, credited 5.0000 career points

  Sum of 1 line(s): 3.5000 CZK and 5.0000 career points

EUR
  2026-11-01  ";
    assert!(text.starts_with(begin), "{text}");
    assert!(
        text.contains("\n  Sum of 3 line(s): 42.0000 EUR and 60.0000 career points\n"),
        "{text}"
    );

    let json = answer(&world, &["--member", "M-3", "--period", "2026-11"]).await;
    let lines = json["lines"].as_array().unwrap();
    let days: Vec<_> = lines.iter().map(|line| line["date"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-11-04", "2026-11-01", "2026-11-02", "2026-11-03"]);
    assert_eq!((&json["agrees"], &json["sums"]), (&json!(true), &json["ledger"]));
    let ledger: Decimal = sqlx::query_scalar(
        "select sum(amount) from commission_ledger where member_id = $1 and currency = 'EUR'",
    )
    .bind(Uuid::from_u128(3))
    .fetch_one(&world.owner)
    .await
    .unwrap();
    let sums = json["sums"].as_array().unwrap();
    assert_eq!(sums[1]["amount"], format!("{ledger:.4}"));
    assert_eq!((&lines[0]["rank"], &lines[0]["rule"]), (&json!("MEMBER"), &json!("base")));

    let (whole, text) =
        lineage(&world, &["explain", "--member", "M-4", "--period", "2026-11"]).await;
    assert!(whole && text.ends_with("\nNothing was earned in this period.\n"), "{text}");
    assert!(!text.contains("Not settled yet"), "{text}");

    // A sale of the member's own that waits is named, in its period only.
    let event = "insert into events (id, member_id, occurred_at, recorded_at, earned_period, \
        event_type, source_type, currency, source, external_id, amount, volume) values ($1, $2, \
        '2026-11-05', now(), '2026-11-01', 'SALE', 'INVESTMENT', 'EUR', 's', 'w', 1, 1)";
    let waiting = Uuid::from_u128(77);
    sqlx::query(event).bind(waiting).bind(Uuid::from_u128(4)).execute(&world.owner).await.unwrap();
    let failure = "insert into event_failures (event_id, state, cause, attempts, last_error) \
        values ($1, 'dead', 'no_plan', 4, 'x')";
    sqlx::query(failure).bind(waiting).execute(&world.owner).await.unwrap();
    let statement = |member: &'static str, period: &'static str| {
        let world = &world;
        async move { lineage(world, &["explain", "--member", member, "--period", period]).await.1 }
    };
    assert!(statement("M-4", "2026-11").await.contains("that wait: 1 for no_plan."));
    assert!(!statement("M-4", "2026-12").await.contains("that wait"));
    assert!(!statement("M-3", "2026-11").await.contains("that wait"), "another seller's");
}

/// What somebody changed past the triggers is named, and the exit status says so.
#[tokio::test]
async fn l9_a_statement_that_does_not_agree_with_the_ledger_says_so_loudly() {
    let world = world().await;
    let damage = "alter table commission_ledger_2026_11 disable trigger append_only;
        update commission_ledger_2026_11 set amount = amount + 1
         where level = 1 and currency = 'CZK'";
    sqlx::raw_sql(damage).execute(&world.owner).await.unwrap();
    let (whole, text) =
        lineage(&world, &["explain", "--member", "M-3", "--period", "2026-11"]).await;
    assert!(!whole, "{text}");
    let loud = "THIS STATEMENT DOES NOT AGREE WITH THE LEDGER; run `lineage verify`:";
    assert!(text.contains(loud), "{text}");
    assert!(
        text.contains("NOT EXPLAINED: line 0: the amount is 4.5000, computed 3.5000"),
        "{text}"
    );
    let json = answer(&world, &["--member", "M-3", "--period", "2026-11"]).await;
    assert_eq!((&json["agrees"], &json["unexplained_lines"]), (&json!(false), &json!(1)));
    let (whole, _) = lineage(&world, &["explain", "--source", "shop", "--external-id", "4"]).await;
    assert!(!whole, "a sale's explanation says so too");
}

#[tokio::test]
async fn another_rank_another_moment_and_another_plan_are_compared_line_by_line() {
    let world = world().await;
    let sale = ["--source", "shop", "--external-id", "1"];
    let other =
        async |world_arguments: &[&str]| answer(&world, &[&sale, world_arguments].concat()).await;
    let ranked = other(&["--rank", "M-2=GOLD"]).await;
    let as_of = other(&["--as-of", "2026-11-10"]).await;
    for json in [&ranked, &as_of] {
        let changes = json["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 1, "{json}");
        let (before, after) = (&changes[0]["before"], &changes[0]["after"]);
        assert_eq!(changes[0]["member"]["external_id"], "M-2");
        assert_eq!((&before["amount"], &after["amount"]), (&json!("0.0000"), &json!("3.3300")));
        assert_eq!(before["why"], "not paid: rank MEMBER is below SILVER");
        assert_eq!(after["why"], "3.33 % of 100.0000 EUR = 3.3300; paid 3.3300 EUR");
        let totals = json!({
            "paid": {"before": "8.2500", "after": "11.5800"},
            "breakage": {"before": "3.3300", "after": "0.0000"},
            "career_points": {"before": "10.0000", "after": "10.0000"},
        });
        assert_eq!(json["totals"], totals);
    }
    assert_eq!(other(&["--as-of", "2026-11-09"]).await["changes"], json!([]));

    // A file that begins in the future and walks further up than the plan that priced the sale.
    let file = std::env::temp_dir().join(format!("{}.yaml", world.name()));
    let later = PLAN.replace("2020-01-01", "2030-01-01").replace("\"1\"", "\"2\"");
    std::fs::write(
        &file,
        later.replace("7.00", "8.00").replace("level: 3", "level: 1, through: 3"),
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let (ended, said) =
        lineage(&world, &["explain", "--source", "shop", "--external-id", "1", "--against", path])
            .await;
    assert!(!ended && said.contains("level 1 is listed twice"), "{said}");
    std::fs::write(&file, later.replace("7.00", "8.00")).unwrap();
    let json = other(&["--against", path]).await;
    assert_eq!(
        json["versions"],
        json!({"before": "retail, version 1", "after": "retail, version 2"})
    );
    assert_eq!(json["changes"][0]["after"]["amount"], "8.0000");

    let month = ["--member", "M-3", "--period", "2026-11", "--against", path];
    let json = answer(&world, &month).await;
    assert_eq!(json["sales_compared"], 4);
    assert_eq!(json["sales"].as_array().unwrap().len(), 4);
    let totals = json!({
        "CZK": {"before": "3.5000", "after": "4.0000"},
        "EUR": {"before": "42.0000", "after": "48.0000"},
    });
    assert_eq!(json["totals"], totals);
    let (_, text) = lineage(&world, &[&["explain"], &month[..]].concat()).await;
    std::fs::remove_file(&file).unwrap();
    let end = "Sum: 3.5000 → 4.0000 CZK
Sum: 42.0000 → 48.0000 EUR
Nothing was written; the ledger stays as it is.
";
    assert!(text.ends_with(end), "{text}");
    assert!(text.contains("  Member 3 (M-3): level 1, rule base: 7.0000 → 8.0000 EUR\n"), "{text}");
    let lines: i64 = sqlx::query_scalar("select count(*) from commission_ledger")
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(lines, 8, "nothing was written");
}

/// "Why 0 and not 19.98?": because the rank came a week too late.
#[tokio::test]
async fn why_not_finds_the_world_that_pays_the_amount() {
    let world = world().await;
    let later = PLAN.replace("2020-01-01", "2026-12-01").replace("\"1\"", "\"2\"");
    world.plan(&later.replace("3.33", "3.00").replace("SILVER", "MEMBER")).await;
    let sale = ["--source", "shop", "--external-id", "1", "--member", "M-2", "--why-not"];
    let json = answer(&world, &[&sale[..], &["3.33"]].concat()).await;
    assert_eq!(json["actual"], json!({"EUR": "0.0000"}));
    let worlds: Vec<_> = json["exact"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tried| tried["world"].as_str().unwrap())
        .collect();
    assert_eq!(
        worlds,
        [
            "with rank SILVER instead of MEMBER for Member 2 (M-2)",
            "with rank GOLD instead of MEMBER for Member 2 (M-2)",
            "with tree, ranks, statuses and reward splits as they stood from 2026-11-10 00:00:00 \
             UTC on, when Member 2 (M-2) changed in status or rank",
            "with tree, ranks, statuses and reward splits as they stand now",
        ]
    );
    assert_eq!(json["closest"], json!([]));

    let (ended, text) = lineage(&world, &[&["explain"], &sale[..], &["0"]].concat()).await;
    assert!(ended && text == "sale 1 of shop does pay Member 2 (M-2) 0.0000 EUR.\n", "{text}");

    let month = ["--member", "M-2", "--period", "2026-11", "--why-not"];
    let (ended, text) = lineage(&world, &[&["explain"], &month[..], &["19.98"]].concat()).await;
    let sentence =
        "With rank SILVER instead of MEMBER for Member 2 (M-2) it would be 19.9800 EUR; 4
  sale(s) would differ
";
    assert!(ended && text.contains(sentence), "{text}");
    let (_, text) = lineage(&world, &[&["explain"], &month[..], &["18"]].concat()).await;
    let version = "With plan retail, version 2 (in force from 2026-12-01) it would be 18.0000 EUR";
    assert!(text.contains(version), "{text}");
    let (_, text) = lineage(&world, &[&["explain"], &month[..], &["19"]].concat()).await;
    let ends = ["    that is 0.9800 too much\n", "that is 1.0000 short\n"];
    assert!(ends.iter().all(|end| text.contains(end)), "{text}");

    let json = answer(&world, &[&sale[..], &["3.4"]].concat()).await;
    assert_eq!((&json["exact"], &json["worlds_max"]), (&json!([]), &json!(64)));
    assert_eq!(json["closest"][0]["remaining"], "0.0700");
    let amounts: Vec<_> =
        json["closest"].as_array().unwrap().iter().map(|tried| &tried["amount"]).collect();
    assert_eq!(amounts, ["3.3300", "3.0000"], "one world for each amount");
    assert_eq!((&json["no_closer"], &json["left_out"]), (&json!(0), &json!([])));

    // Nothing is paid, and everything else is farther from next to nothing.
    let json = answer(&world, &[&sale[..], &["0.5"]].concat()).await;
    assert_eq!((&json["exact"], &json["closest"]), (&json!([]), &json!([])));
    assert!(json["no_closer"].as_u64().unwrap() >= 5, "{json}");
    let (_, text) = lineage(&world, &[&["explain"], &sale[..], &["0.5"]].concat()).await;
    let sentence = "No world that was tried pays exactly 0.5000, and none comes closer than what is
  paid; ";
    assert!(text.contains(sentence), "{text}");

    // What the limits leave out is said.
    for day in 1..=21 {
        let more = later.replace("2026-12-01", &format!("2027-01-{day:02}"));
        world.plan(&more.replace("version: \"2\"", &format!("version: \"2027-{day}\""))).await;
    }
    let json = answer(&world, &[&sale[..], &["3.33"]].concat()).await;
    assert_eq!(json["left_out"], json!(["2 version(s) of the plan farther from the sale"]));
    let (_, text) = lineage(&world, &[&["explain"], &sale[..], &["3.33"]].concat()).await;
    assert!(text.replace('\n', " ").contains("Left out: 2 version(s) of the plan"), "{text}");
}

/// Another world is computed by the arithmetic of the outcome; where that knows no such rules, by
/// the present one, and the answer says so.
#[tokio::test]
async fn another_world_is_computed_by_the_arithmetic_of_the_outcome() {
    let world = world().await;
    let older = "alter table commission_outcomes disable trigger user;
        update commission_outcomes set semantics = 1";
    sqlx::raw_sql(older).execute(&world.owner).await.unwrap();
    let sale = ["--source", "shop", "--external-id", "1"];
    let ranked = answer(&world, &[&sale[..], &["--rank", "M-2=GOLD"]].concat()).await;
    assert_eq!(ranked["changes"][0]["after"]["amount"], "3.3300");
    assert_eq!(ranked["arithmetic"], Value::Null, "{ranked}");
    let file = std::env::temp_dir().join(format!("{}-capped.yaml", world.name()));
    let capped = format!("{PLAN}caps:\n  line: {{percentage: \"5\"}}\n");
    std::fs::write(&file, capped).unwrap();
    let against = [&sale[..], &["--against", file.to_str().unwrap()]].concat();
    let json = answer(&world, &against).await;
    let said = "by version 2 of the arithmetic, because version 1 knows no caps";
    assert_eq!(json["arithmetic"], said, "{json}");
    assert_eq!(json["changes"][0]["after"]["amount"], "5.0000");
    let (_, text) = lineage(&world, &[&["explain"], &against[..]].concat()).await;
    assert!(
        text.contains("It would be computed by version 2 of the arithmetic, because"),
        "{text}"
    );

    std::fs::write(&file, PLAN.replace("min_rank: SILVER", "min_rank: PLATINUM")).unwrap();
    let (ended, text) = lineage(&world, &[&["explain"], &against[..]].concat()).await;
    std::fs::remove_file(&file).unwrap();
    let flaw = "\n  line 13: rules[0].calculation.levels[1].min_rank: ";
    assert!(!ended && text.contains(flaw), "{text}");
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let world = world().await;
    for (arguments, expected) in [
        (vec![], "give --event, or --source and --external-id, or --member and --period"),
        (vec!["--member", "M-2"], "give --event, or --source and --external-id, or --member and"),
        (vec!["--period", "2026-11"], "--member"),
        (vec!["--member", "M-9", "--period", "2026-11"], "no member has the id or external id"),
        (vec!["--source", "shop", "--external-id", "9"], "no event \"9\" of \"shop\" was recorded"),
        (vec!["--source", "shop", "--external-id", "1", "--why-not", "5"], "say --member"),
        (vec!["--source", "shop", "--external-id", "1", "--rank", "M-2"], "write MEMBER=RANK"),
        (vec!["--source", "shop", "--external-id", "1", "--rank", "M-2=X"], "rank X is not on"),
        (
            vec![
                "--source",
                "shop",
                "--external-id",
                "1",
                "--rank",
                "M-2=GOLD",
                "--rank",
                "M-2=SILVER",
            ],
            "M-2 is given two ranks",
        ),
        (
            vec!["--member", "M-2", "--period", "2026-11", "--rank", "M-2=GOLD", "--why-not", "5"],
            "cannot be used with",
        ),
    ] {
        let (ended, said) = lineage(&world, &[&["explain"], &arguments[..]].concat()).await;
        assert!(!ended && said.contains(expected), "{arguments:?}: {said}");
    }
}
