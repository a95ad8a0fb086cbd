//! `verify` as operators use it: periods, samples, jobs, the statement at the end, and what happens
//! when it cannot end.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use store::database::Role;
use store::testing::World;

use crate::proving::{execute, settled_world};

async fn run(world: &World, arguments: &[&str]) -> Output {
    let mut command = world.lineage();
    command.arg("verify").args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Exit status and what a program reads.
async fn verify(world: &World, arguments: &[&str]) -> (i32, Value) {
    let output = run(world, &[&["--format", "json"], arguments].concat()).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let read = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().unwrap(), read)
}

/// Copies every sale without lines so many times, a number of months away, with its outcome and
/// ledger lines, past the worker.
async fn copy_sales(world: &World, copies: u32, month: &str) {
    let statements = format!(
        "select ensure_ledger_partition('{month}');
         create temp table copied on commit drop as
           select e.id as old, gen_random_uuid() as new,
                  date '{month}' - e.earned_period as days
             from (select * from events where line_count = 0 limit 30) e,
                  generate_series(1, {copies});
         insert into events (id, member_id, occurred_at, recorded_at, earned_period, event_type,
                             source_type, currency, source, external_id, amount, volume)
         select new, member_id, occurred_at + make_interval(days => days),
                recorded_at + make_interval(days => days), '{month}', event_type,
                source_type, currency, source, new::text, amount, volume
           from copied join events on id = old;
         insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, inputs)
         select new, plan_id, semantics, lines, breakage, inputs
           from copied join commission_outcomes on event_id = old;
         insert into commission_ledger (event_id, member_id, earned_period, posted_period, rule_id,
                                        entry_type, line, level, depth, currency, amount,
                                        career_points)
         select new, member_id, '{month}', '{month}', rule_id, entry_type, line, level, depth,
                currency, amount, career_points
           from copied join commission_ledger on event_id = old;"
    );
    let mut tx = world.owner.begin().await.unwrap();
    sqlx::raw_sql("set local statement_timeout = 0").execute(&mut *tx).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    sqlx::raw_sql("analyze").execute(&world.owner).await.unwrap();
}

/// The number of jobs changes neither the digest nor the order of findings, and the digest is that of
/// what is stored: other lines, another digest.
#[tokio::test]
async fn verify_says_the_same_with_any_number_of_jobs() {
    let world = settled_world().await;
    copy_sales(&world, 20, "2026-10-01").await;
    let (status, one) = verify(&world, &["--jobs", "1"]).await;
    assert_eq!((status, &one["proved"]), (0, &Value::Bool(true)), "{one}");
    assert_eq!(one["report"]["outcomes"], 640);
    let digest = one["report"]["digest"].as_str().unwrap();
    assert_eq!((digest.len(), &digest[..7]), (71, "sha256:"));
    for jobs in ["3", "16"] {
        let (status, several) = verify(&world, &["--jobs", jobs]).await;
        assert_eq!((status, &several["report"]["digest"]), (0, &one["report"]["digest"]));
        assert_eq!(several["report"]["checks"], one["report"]["checks"]);
    }
    // Half of all outcomes are wrong.
    let damage = "update commission_outcomes set breakage = breakage + 1 \
                  where get_byte(uuid_send(event_id), 0) % 2 = 0";
    execute(&world, damage).await;
    let (status, one) = verify(&world, &["--jobs", "1"]).await;
    assert_eq!((status, &one["proved"]), (1, &Value::Bool(false)));
    assert_ne!(one["report"]["digest"], digest);
    let found = one["findings"].as_array().unwrap();
    assert!(found.len() > 200, "{}", found.len());
    assert_eq!(one["report"]["findings"], found.len());
    let ids: Vec<&str> = found.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert!(found.iter().all(|finding| finding["check"] == "outcomes"
        && finding["advice"].as_str().unwrap().contains("lineage explain")));
    for jobs in ["2", "16"] {
        let (status, several) = verify(&world, &["--jobs", jobs]).await;
        assert_eq!((status, &several["findings"]), (1, &one["findings"]), "{jobs} jobs");
        assert_eq!(several["report"]["digest"], one["report"]["digest"]);
    }
}

/// A period is verified by itself: what is wrong in another one is not found, what belongs to it is,
/// wherever it was put.
#[tokio::test]
async fn verify_of_a_period_finds_what_is_wrong_in_it() {
    let world = settled_world().await;
    copy_sales(&world, 1, "2026-10-01").await;
    let months = ["2026-10", "2026-11"];
    let both = async |expected: [i32; 2], what: &str| {
        for (month, expected) in months.iter().zip(expected) {
            let (status, said) = verify(&world, &["--period", month]).await;
            assert_eq!(status, expected, "{month}, {what}: {said:#}");
        }
        let (status, _) = verify(&world, &[]).await;
        assert_eq!(status, *expected.iter().max().unwrap(), "in all, {what}");
    };
    both([0, 0], "untouched").await;
    let (_, october) = verify(&world, &["--period", "2026-10"]).await;
    let (_, november) = verify(&world, &["--period", "2026-11"]).await;
    assert_eq!(
        (&october["report"]["outcomes"], &november["report"]["outcomes"]),
        (&30.into(), &40.into())
    );
    assert_eq!(october["report"]["scope"]["period"], "2026-10");
    assert!(october["report"]["not_checked"].to_string().contains("the tree, its closure"));
    assert_eq!(october["report"]["members"], 0);

    // What is sold in November leaves October's digest alone.
    let (_, again) = verify(&world, &["--period", "2026-10", "--jobs", "2"]).await;
    assert_eq!(again["report"]["digest"], october["report"]["digest"]);
    assert_ne!(november["report"]["digest"], october["report"]["digest"]);

    // The worker's own role writes what no settlement would: a line more for a settled sale …
    let event = |month: &str| {
        format!("(select id from events where earned_period = '{month}-01' order by id limit 1)")
    };
    let line = |event: String, earned: &str, posted: &str| {
        format!(
            "insert into commission_ledger (event_id, member_id, earned_period, posted_period, \
             rule_id, entry_type, line, level, depth, currency, amount, career_points) values \
             ({event}, '00000000-0000-0000-0000-000000000001', '{earned}-01', '{posted}-01', 1, \
             'BONUS', 2, 1, 1, 'EUR', 5, 0)"
        )
    };
    let worker = world.pool_as(Role::Worker);
    let strays = [
        (line(event("2026-11"), "2026-11", "2026-11"), [0, 1], "a line more"),
        (line(event("2026-10"), "2026-10", "2026-11"), [1, 1], "posted in another partition"),
        (line(event("2026-11"), "2026-10", "2026-10"), [1, 1], "of another period's sale"),
        (line("gen_random_uuid()".to_owned(), "2026-10", "2026-10"), [1, 0], "of no sale"),
    ];
    for (stray, expected, what) in strays {
        sqlx::raw_sql(sqlx::AssertSqlSafe(stray)).execute(&worker).await.unwrap();
        both(expected, what).await;
        for partition in ["2026_10", "2026_11"] {
            let clear = format!(
                "alter table commission_ledger_{partition} disable trigger append_only; \
                 delete from commission_ledger_{partition} where entry_type = 'BONUS'; \
                 alter table commission_ledger_{partition} enable always trigger append_only"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(clear)).execute(&world.owner).await.unwrap();
        }
        both([0, 0], "mended").await;
    }
    // … or lines of a sale that sum up to something else.
    execute(&world, "update event_lines set quantity = 2, amount = amount - 0.5 where place = 1")
        .await;
    let (status, said) = verify(&world, &["--period", "2026-11"]).await;
    assert_eq!(status, 1);
    let found = said["findings"].as_array().unwrap();
    let of_lines = found.iter().filter(|finding| finding["check"] == "sale_lines");
    assert_eq!(of_lines.count(), 10, "{said:#}");
}

/// A sample is one that can be drawn again, says that it is one, and of how many.
#[tokio::test]
async fn verify_of_a_sample_can_be_repeated() {
    let world = settled_world().await;
    let (status, first) = verify(&world, &["--sample", "12"]).await;
    assert_eq!((status, &first["report"]["outcomes"]), (0, &12.into()));
    let sample = &first["report"]["scope"]["sample"];
    assert_eq!((&sample["size"], &sample["of"]), (&12.into(), &40.into()));
    assert!(first["report"]["not_checked"].to_string().contains("28 outcome(s)"), "{first:#}");
    let seed = sample["seed"].to_string();
    let (_, again) = verify(&world, &["--sample", "12", "--seed", &seed, "--jobs", "1"]).await;
    assert_eq!(again["report"]["digest"], first["report"]["digest"]);
    let mut others = Vec::new();
    for seed in ["1", "2", "3"] {
        let (_, other) = verify(&world, &["--sample", "12", "--seed", seed]).await;
        others.push(other["report"]["digest"].to_string());
    }
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 3, "other seeds draw other samples");
    let (_, whole) = verify(&world, &[]).await;
    let (_, all) = verify(&world, &["--sample", "1000"]).await;
    assert_eq!(all["report"]["digest"], whole["report"]["digest"], "a sample of everything");
    let said = run(&world, &["--sample", "12", "--seed", "7"]).await;
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.contains("Proved of a sample: 12 of 40 outcome(s) in all, drawn by seed 7"),
        "{said}"
    );
    // Whole tables are looked at all the same.
    execute(
        &world,
        "delete from commission_outcomes where event_id = \
                     (select event_id from commission_outcomes limit 1)",
    )
    .await;
    assert_eq!(verify(&world, &["--sample", "1"]).await.0, 1);
}

/// The statement says who, when, what and by which version; the file says what stdout says; nothing
/// says a password.
#[tokio::test]
async fn verify_ends_with_a_statement() {
    let world = settled_world().await;
    let file = std::env::temp_dir().join(format!("{}.report", world.name()));
    let path = file.to_str().unwrap();
    let output = run(&world, &["--format", "json", "--report", path]).await;
    let written = std::fs::read(&file).unwrap();
    assert_eq!(written, output.stdout);
    let said: Value = serde_json::from_slice(&written).unwrap();
    let report = &said["report"];
    let (login, system, name): (String, String, String) = sqlx::query_as(
        "select session_user::text, system_identifier::text, current_database()::text
           from pg_control_system()",
    )
    .fetch_one(&world.owner)
    .await
    .unwrap();
    assert_eq!(report["by"]["login"], login);
    assert_eq!(report["by"]["role"], "lineage_ops");
    assert_eq!(report["database"]["system_identifier"], system);
    assert_eq!(report["database"]["name"], name);
    assert!(report["database"]["place"].as_str().unwrap().contains(&name));
    let newest = store::database::MIGRATIONS.iter().map(|migration| migration.version).max();
    assert_eq!(report["database"]["schema"], newest.unwrap());
    assert_eq!(report["engine"]["semantics"], domain::settle::SEMANTICS_VERSION);
    assert_eq!(report["engine"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["begun_at"].as_str().unwrap() < report["ended_at"].as_str().unwrap());
    assert!(report["snapshot"].as_str().unwrap().contains(':'));
    assert!(report["meaning"].as_str().unwrap().contains("not a cryptographic signature"));
    let rows = |check: &str| {
        let checks = report["checks"].as_array().unwrap();
        let checked = checks.iter().find(|checked| checked["check"] == check);
        checked.unwrap_or_else(|| panic!("{check}: {said:#}"))["rows"].clone()
    };
    for (check, expected) in [
        ("outcomes", 40),
        ("inputs", 40),
        ("ledger_lines", 80),
        ("outcomes_without_event", 40),
        ("sale_lines", 10),
        ("tree", 4),
        ("changes_behind_sales", 0),
    ] {
        assert_eq!(rows(check), expected, "{check}");
    }

    let output = run(&world, &["--report", path]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let written = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(written.trim(), said.trim());
    for part in [
        "outcomes, computed again",
        "their inputs, as the history says",
        "NOT CHECKED",
        &format!("{login} as lineage_ops"),
        "digest         sha256:",
        "not a cryptographic signature",
        "Proved: everything is as the rules say.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let nowhere = run(&world, &["--report", "/nowhere/at/all"]).await;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("/nowhere/at/all"));
    for wrong in
        [&["--seed", "1"][..], &["--period", "2026-13"], &["--sample", "0"], &["--jobs", "0"]]
    {
        assert_eq!(run(&world, wrong).await.status.code(), Some(2), "{wrong:?}");
    }
}

/// A verification that cannot end proves nothing: a connection that is cut is no success, and what
/// was written says so.
#[tokio::test]
async fn verify_that_is_cut_off_proves_nothing() {
    let world = settled_world().await;
    for format in ["json", "table"] {
        let mut holding = world.owner.begin().await.unwrap();
        sqlx::raw_sql("lock table event_lines in access exclusive mode")
            .execute(&mut *holding)
            .await
            .unwrap();
        let arguments = ["--format", format, "--jobs", "2"];
        let (output, ()) = tokio::join!(run(&world, &arguments), async {
            let begun = Instant::now();
            let cut = "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity \
                       where application_name = 'lineage' and datname = current_database() \
                         and wait_event_type = 'Lock' limit 1) cut";
            loop {
                let cut: i64 = sqlx::query_scalar(cut).fetch_one(&world.owner).await.unwrap();
                if cut > 0 {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_secs(30), "no job waits");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            holding.commit().await.unwrap();
        });
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stdout).unwrap();
        let complained = String::from_utf8(output.stderr).unwrap();
        assert!(complained.contains("NOT proved: the verification did not end"), "{complained}");
        if format == "json" {
            let said: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said["proved"], false);
            assert!(said["report"].is_null() && said["error"].is_string(), "{said}");
        } else {
            assert!(said.contains("NOT proved: the verification did not end."), "{said}");
        }
    }
    assert_eq!(verify(&world, &[]).await.0, 0, "it was sound all the time");
}

/// What is settled while a verification is under way is no finding, and changes nothing that it says:
/// it sees one moment.
#[tokio::test]
async fn verify_is_not_disturbed_by_what_is_settled_meanwhile() {
    let world = settled_world().await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let writing = async {
        for _ in 0..15 {
            copy_sales(&world, 10, "2026-11-01").await;
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let verifying = async {
        let mut seen = Vec::new();
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let (status, said) = verify(&world, &["--jobs", "3"]).await;
            assert_eq!(status, 0, "{said:#}");
            let report = &said["report"];
            let outcomes = report["outcomes"].as_u64().unwrap();
            let checks = report["checks"].as_array().unwrap();
            let scanned = checks.iter().find(|checked| checked["check"] == "ledger_lines").unwrap();
            assert_eq!((&report["lines"], outcomes % 300), (&scanned["rows"], 40), "one moment");
            seen.push(outcomes);
        }
        assert!(seen.is_sorted() && !seen.is_empty(), "{seen:?}");
    };
    tokio::join!(writing, verifying);
}

/// Memory is bounded by the jobs, not by the books: ten times the sales cost nothing worth naming.
#[tokio::test]
async fn verify_needs_no_more_memory_for_ten_times_the_sales() {
    let world = settled_world().await;
    let mut peaks = Vec::new();
    for copies in [400, 3_000] {
        copy_sales(&world, copies, "2026-11-01").await;
        let (status, said) = verify(&world, &["--jobs", "2"]).await;
        assert_eq!(status, 0);
        let peak = said["report"]["peak_memory_mib"].as_f64().expect("/proc tells");
        peaks.push((said["report"]["outcomes"].as_u64().unwrap(), peak));
    }
    println!("{peaks:?}");
    assert_eq!((peaks[0].0, peaks[1].0), (12_040, 102_040));
    assert!(peaks[1].1 < peaks[0].1 + 8.0, "(outcomes, MiB): {peaks:?}");
}
