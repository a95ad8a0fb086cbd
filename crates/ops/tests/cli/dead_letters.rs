//! `lineage dead-letters`: what failed is listed, shown, retried and discarded, and all of it is on
//! record.

use serde_json::Value;
use store::failures::{self, FailedAttempt};
use store::testing::World;
use uuid::Uuid;

use crate::network::{Done, done, small_network};

const PLAN: &str = r#"
plan: retail
version: "1"
valid_from: 2020-01-01
rules:
  - id: base
    component: base
    calculation: {type: unilevel, levels: [{level: 1, percentage: "10"}]}
"#;

/// Runs `lineage dead-letters …`.
async fn dead_letters(world: &World, arguments: &[&str]) -> Done {
    let mut command = world.lineage();
    command.arg("dead-letters").args(arguments);
    done(command).await
}

async fn ask(world: &World, arguments: &[&str]) -> (Option<i32>, Value) {
    let done = dead_letters(world, &[arguments, &["--format", "json"]].concat()).await;
    (done.code, done.json())
}

/// Records sales of member 3, and failures of all but the last: two of them dead.
pub(crate) async fn failed_sales(world: &World) -> Vec<Uuid> {
    // As whoever records the first sale of a period does.
    sqlx::query("select ensure_ledger_partition('2026-11-01')")
        .execute(&world.owner)
        .await
        .unwrap();
    let ids: Vec<Uuid> = (1..=4).map(|n| Uuid::from_u128(0xe000 + n)).collect();
    for (id, name) in ids.iter().zip(["one", "two", "three", "four"]) {
        sqlx::query(
            "insert into events (id, source, external_id, event_type, member_id, amount, volume,
                                 currency, source_type, occurred_at, recorded_at, earned_period)
             values ($1, 'shop', $2, 'SALE', $3, 100, 100, 'EUR', 'PRODUCT', '2026-11-03',
                     '2026-11-03', '2026-11-01')",
        )
        .bind(id)
        .bind(name)
        .bind(Uuid::from_u128(3))
        .execute(&world.owner)
        .await
        .unwrap();
    }
    for (id, cause, wait) in [
        (ids[0], "damaged_tree", None),
        (ids[1], "out_of_range", None),
        (ids[2], "no_plan", Some(3600.0)),
    ] {
        // Each in a transaction of its own, so that each has its own moment.
        let mut conn = world.owner.acquire().await.unwrap();
        let failed = FailedAttempt {
            event_id: id,
            attempts_before: 0,
            cause,
            error: format!("the error of {cause}"),
            awaited_member_id: None,
            retry_after_seconds: wait,
        };
        assert!(failures::record(&mut conn, &failed).await.unwrap());
    }
    ids
}

/// An action on record: what, on what, how it ended, and for whom.
type Recorded = (String, Option<String>, String, Option<String>);

async fn actions(world: &World) -> Vec<Recorded> {
    let query = "select action, subject, result, on_behalf_of from operator_actions \
                 where actor like 'role:%' order by id";
    sqlx::query_as(query).fetch_all(&world.owner).await.unwrap()
}

/// What the record says of each action.
async fn details(world: &World) -> Vec<String> {
    let query = "select detail from operator_actions order by id";
    sqlx::query_scalar(query).fetch_all(&world.owner).await.unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let letters = list["dead_letters"].as_array().unwrap().iter();
    letters.map(|letter| letter["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn failed_events_are_listed_by_state_and_cause_and_page_by_page() {
    let world = small_network().await;
    failed_sales(&world).await;
    for (arguments, expected) in [
        (&["list"][..], &["one", "two"][..]),
        (&["list", "--state", "all"], &["one", "two", "three"]),
        (&["list", "--state", "retrying"], &["three"]),
        (&["list", "--state", "discarded"], &[]),
        (&["list", "--cause", "out_of_range"], &["two"]),
    ] {
        let (code, list) = ask(&world, arguments).await;
        assert_eq!((code, names(&list)), (Some(0), expected.to_vec()), "{arguments:?}");
    }
    let mut after = String::new();
    let mut met = Vec::new();
    loop {
        let mut arguments = vec!["list", "--state", "all", "--limit", "1"];
        if !after.is_empty() {
            arguments.extend(["--after", &after]);
        }
        let (_, page) = ask(&world, &arguments).await;
        let Some(name) = names(&page).first().map(ToString::to_string) else { break };
        met.push(name);
        after = page["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(met, ["one", "two", "three"]);

    let csv = dead_letters(&world, &["list", "--format", "csv"]).await.out;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(&reader.headers().unwrap()[2], "cause");
    let causes: Vec<String> =
        reader.records().map(|record| record.unwrap()[2].to_owned()).collect();
    assert_eq!(causes, ["damaged_tree", "out_of_range"]);
    let table = dead_letters(&world, &["list"]).await.out;
    assert!(table.starts_with("EVENT") && table.contains("damaged_tree"), "{table}");
    let wrong = dead_letters(&world, &["list", "--after", "x"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[tokio::test]
async fn one_event_is_shown_with_what_would_repair_it() {
    let world = small_network().await;
    let ids = failed_sales(&world).await;
    let shown = dead_letters(&world, &["show", &ids[0].to_string()]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in
        ["one of shop", "100.0000 EUR", "the error of damaged_tree", "lineage dead-letters retry"]
    {
        assert!(shown.out.contains(part), "{part} is missing in {}", shown.out);
    }
    let (_, value) = ask(&world, &["show", &ids[2].to_string()]).await;
    assert_eq!((&value["state"], &value["attempts"]), (&"retrying".into(), &1.into()));
    let untried = dead_letters(&world, &["show", &ids[3].to_string()]).await;
    assert_eq!(untried.code, Some(1));
    assert!(untried.err.contains("is unsettled, no dead letter"), "{untried:?}");
    // What it advises works as it is printed.
    let mut advice = untried.err.split('`').nth(1).unwrap().split_whitespace();
    assert_eq!(advice.next(), Some("lineage"));
    let mut command = world.lineage();
    command.args(advice);
    let explained = done(command).await;
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(explained.out.contains("No worker has tried it yet."), "{explained:?}");
    let unknown = dead_letters(&world, &["show", &Uuid::from_u128(9).to_string()]).await;
    assert!(unknown.err.contains("no event has the id"), "{unknown:?}");
}

#[tokio::test]
async fn a_discard_needs_a_reason_keeps_the_row_and_can_be_undone() {
    let world = small_network().await;
    let ids = failed_sales(&world).await;
    let id = ids[1].to_string();
    let silent = dead_letters(&world, &["discard", &id]).await;
    assert_eq!(silent.code, Some(2), "a reason is needed: {silent:?}");
    let blank = dead_letters(&world, &["discard", &id, "--reason", " "]).await;
    assert_eq!(blank.code, Some(2), "{blank:?}");
    let arguments = ["discard", &id, "--reason", "a test order", "--on-behalf-of", "petra"];
    assert_eq!(ask(&world, &arguments).await, (Some(0), serde_json::json!({"discarded": 1})));
    let (_, shown) = ask(&world, &["show", &id]).await;
    assert_eq!(shown["state"], "discarded");
    assert_eq!(shown["discard"]["reason"], "a test order");
    let remedy = format!("`lineage dead-letters retry {id}` brings it back.");
    assert!(shown["remedy"].as_str().unwrap().ends_with(&remedy), "{shown}");
    let mut explain = world.lineage();
    explain.args(["explain", "--event", &id, "--format", "json"]);
    let explained = done(explain).await.json();
    assert_eq!(explained["waiting"]["remedy"], shown["remedy"], "both say the same");
    assert_eq!(shown["discard"]["on_behalf_of"], "petra");
    assert!(shown["discard"]["by"].as_str().unwrap().starts_with("role:"), "{shown}");
    let state: (String, String) =
        sqlx::query_as("select state, discard_reason from event_state where event_id = $1")
            .bind(ids[1])
            .fetch_one(&world.owner)
            .await
            .unwrap();
    assert_eq!(state, ("discarded".to_owned(), "a test order".to_owned()));

    let (code, again) = ask(&world, &arguments).await;
    assert_eq!((code, &again["refusals"][0]["cause"]), (Some(1), &"already_discarded".into()));
    let (code, retried) = ask(&world, &["retry", &id]).await;
    assert_eq!((code, &retried["retried"]), (Some(0), &1.into()));
    let (_, shown) = ask(&world, &["show", &id]).await;
    assert_eq!((&shown["state"], &shown["attempts"]), (&"retrying".into(), &1.into()));
    assert_eq!(shown["discard"]["reason"], "a test order", "it stays with the event");

    let petra = Some("petra".to_owned());
    let expected = [
        ("dead_letter.discard", "done", petra.clone()),
        ("dead_letter.discard", "refused", petra),
        ("dead_letter.retry", "done", None),
    ];
    let expected = expected.map(|(action, result, person)| {
        (action.to_owned(), Some(id.clone()), result.to_owned(), person)
    });
    assert_eq!(actions(&world).await, expected);
}

#[tokio::test]
async fn what_cannot_be_retried_is_refused_with_the_way_out_and_nothing_is_retried() {
    let world = small_network().await;
    world.plan(PLAN).await;
    let ids = failed_sales(&world).await;
    let _worker = world.worker(&["--sweep-every", "1"]);
    // The one that never failed, and the one that waited for a plan, which there is: retried.
    let (code, _) = ask(&world, &["retry", &ids[2].to_string()]).await;
    assert_eq!(code, Some(0));
    let settled = "select count(*) = 2 from commission_outcomes";
    world.wait_until("the retried one and the untried one are settled", settled).await;
    let unknown = Uuid::from_u128(9).to_string();
    let (dead, done) = (ids[0].to_string(), ids[3].to_string());
    let arguments = ["retry", &dead, &unknown, &done];
    let (code, answer) = ask(&world, &arguments).await;
    assert_eq!(code, Some(1));
    let causes: Vec<_> =
        answer["refusals"].as_array().unwrap().iter().map(|one| &one["cause"]).collect();
    assert_eq!(causes, ["unknown_event", "settled"]);
    let (_, list) = ask(&world, &["list"]).await;
    assert_eq!(names(&list), ["one", "two"], "the dead one was not retried either");
    let recorded = actions(&world).await;
    let refused: Vec<_> = recorded.iter().filter(|action| action.2 == "refused").collect();
    assert_eq!((refused.len(), &refused[0].1), (1, &None), "one row a command: {recorded:?}");
    let detail = details(&world).await.pop().unwrap();
    assert!(detail.contains(&unknown) && detail.contains(&format!("settled: event {done}")));
    let discard = dead_letters(&world, &["discard", &done, "--reason", "no"]).await;
    assert!(discard.err.contains("is settled"), "{discard:?}");
}

/// By cause or all: the dead ones, and only those.
#[tokio::test]
async fn the_dead_are_retried_by_cause_or_all_and_settled() {
    let world = small_network().await;
    world.plan(PLAN).await;
    let ids = failed_sales(&world).await;
    let discarded = ids[0].to_string();
    dead_letters(&world, &["discard", &discarded, "--reason", "no"]).await;
    let (_, none) = ask(&world, &["retry", "--cause", "damaged_tree"]).await;
    assert_eq!(none["retried"], 0, "the discarded one is not meant");
    let reason = ["--reason", "mended", "--on-behalf-of", "petra"];
    let (_, one) =
        ask(&world, &[&["retry", "--cause", "out_of_range"], &reason[..]].concat()).await;
    assert_eq!(one["retried"], 1);
    let (code, none) = ask(&world, &["retry", "--all"]).await;
    assert_eq!((code, &none["retried"]), (Some(0), &0.into()));
    for (which, words) in [
        (&["retry", "--all"][..], "No dead letter.\n"),
        (&["retry", "--cause", "damaged_tree"], "No dead letter of that cause.\n"),
    ] {
        assert_eq!(dead_letters(&world, which).await.out, words);
    }
    let neither = dead_letters(&world, &["retry"]).await;
    assert_eq!(neither.code, Some(2), "{neither:?}");
    let both = dead_letters(&world, &["retry", "--all", "--cause", "no_plan"]).await;
    assert_eq!(both.code, Some(2), "{both:?}");

    // The commands rang: no sweep is needed.
    let _worker = world.worker(&["--sweep-every", "86400"]);
    let settled = "select exists (select from commission_outcomes o join events e \
                   on e.id = o.event_id where e.external_id = 'two')";
    world.wait_until("the retried one is settled", settled).await;
    assert_eq!(
        details(&world).await,
        [
            format!("no; 1 event(s): {discarded}").as_str(),
            "0 dead event(s) of the cause damaged_tree",
            "mended; 1 dead event(s) of the cause out_of_range",
            "0 dead event(s)",
            "0 dead event(s)",
            "0 dead event(s) of the cause damaged_tree",
        ]
    );
    assert!(actions(&world).await[1..].iter().all(|action| action.1.is_none()));
}
