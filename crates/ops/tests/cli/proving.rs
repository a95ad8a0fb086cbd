//! `verify`, `explain` and `ledger export`: what was paid can be computed again, and damage shows.

use domain::amount::Amount;
use domain::decision::EntryType;
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::sale::{self, OrderKind, SaleLine, SourceType};
use serde_json::Value;
use store::database::Role;
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
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "7.00", career_points_percentage: "10.00"}
        - {level: 2, percentage: "3.33", min_rank: SILVER}
        - {level: 3, percentage: "1.25"}
"#;

fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A chain of four, forty sales of the lowest, settled by a worker.
pub(crate) async fn settled_world() -> World {
    let world = World::new().await;
    world.ladder(&["MEMBER", "SILVER"]).await;
    world.plan(PLAN).await;
    let mut tx = world.owner.begin().await.unwrap();
    for number in 1..=4 {
        let new = NewMember {
            id: member(number),
            external_id: None,
            name: Some(format!("Member {number}")),
            sponsor_id: (number > 1).then(|| member(number - 1)),
            status: MemberStatus::Active,
            rank: Rank(u8::from(number == 1)),
            joined_at: None,
        };
        enrolment::enrol(&mut tx, &new, "test").await.unwrap();
    }
    let occurred_at = "2026-11-03T10:15:00Z".parse().unwrap();
    let period = "2026-11-01".parse().unwrap();
    store::ledger::ensure_partition(&mut tx, period).await.unwrap();
    let mut sales: Vec<NewEvent> = (0..40)
        .map(|number| {
            let amount = Amount::parse(&format!("{}.{:02}", 100 + number, number)).unwrap();
            // Every fourth sale has two lines.
            let one = Amount::parse("1").unwrap();
            let line = |id: &str, amount| SaleLine {
                id: id.to_owned(),
                product_id: "SKU-7".to_owned(),
                category: None,
                quantity: one,
                amount,
                volume: amount,
            };
            let lines = vec![line("a", one), line("b", amount.checked_sub(one).unwrap())];
            NewEvent {
                id: sale::event_id("test", &number.to_string()),
                source: "test".to_owned(),
                external_id: number.to_string(),
                facts: Facts {
                    member_id: member(4),
                    occurred_at,
                    source_type: SourceType::Product,
                    currency: "EUR".parse().unwrap(),
                    amount,
                    volume: amount,
                    product_id: None,
                    order_kind: OrderKind::Standard,
                    market: None,
                    buyer_type: None,
                    lines: if number % 4 == 0 { lines } else { Vec::new() },
                },
                details: Details::default(),
                recorded_at: occurred_at,
                earned_period: period,
            }
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
    world
}

pub(crate) async fn lineage(world: &World, arguments: &[&str]) -> (bool, String) {
    let mut command = world.lineage();
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// L10: the worker, `verify` and `explain` call the same functions, so they say the same.
/// L9: the latter two know only what is stored.
#[tokio::test]
async fn l10_live_settlement_verification_and_explanation_agree() {
    let world = settled_world().await;
    let (proved, said) = lineage(&world, &["verify", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&said).unwrap();
    assert!(proved, "{said}");
    assert_eq!(report["report"]["outcomes"], 40);
    assert_eq!(report["report"]["lines"], 80, "two of three levels are paid");

    let (_, exported) = lineage(&world, &["ledger", "export", "--format", "csv"]).await;
    let mut lines = exported.lines();
    assert_eq!(
        lines.next().unwrap(),
        "source_event_id,external_id,member_id,type,level,rule,amount,currency,career_points,\
         earned_period,posted_period"
    );
    let mut paid: Vec<Vec<String>> = Vec::new();
    for line in lines {
        paid.push(line.split(',').map(str::to_owned).collect());
    }
    assert_eq!(paid.len(), 80);
    let explain = ["explain", "--source", "test", "--external-id", "7", "--format", "json"];
    let (explained, said) = lineage(&world, &explain).await;
    assert!(explained);
    let explanation: Value = serde_json::from_str(&said).unwrap();
    let levels = explanation["settled"]["rules"][0]["levels"].as_array().unwrap();
    assert_eq!(levels.len(), 3, "{said}");
    for level in levels {
        let number = level["level"].to_string();
        let of_sale = paid.iter().find(|line| line[1] == "7" && line[4] == number);
        match of_sale {
            Some(line) => {
                assert_eq!(level["paid"], true);
                assert_eq!(level["offered"], line[6].as_str());
                assert_eq!(level["offered_points"], line[8].as_str());
            }
            None => assert_eq!(level["reason"], "under_rank", "{level}"),
        }
    }
}

/// Damage that somebody does past the triggers is found, wherever it is.
#[tokio::test]
async fn l9_verify_finds_every_kind_of_damage() {
    let world = settled_world().await;
    let any_line = "(select ctid from commission_ledger_2026_11 where level = 1 limit 1)";
    for (damage, repair) in [
        (
            format!(
                "update commission_ledger_2026_11 set amount = amount + 1 where ctid = {any_line}"
            ),
            "update commission_ledger_2026_11 l set amount = (select round(amount * 0.07, 4) \
             from events e where e.id = l.event_id) where level = 1",
        ),
        (
            "update commission_outcomes set breakage = breakage + 1 where event_id = \
             (select event_id from commission_outcomes limit 1)"
                .to_owned(),
            "update commission_outcomes o set breakage = (select round(amount * 0.0333, 4) \
             from events e where e.id = o.event_id)",
        ),
        (
            "insert into event_lines (event_id, place, id, product_id, quantity, amount, volume) \
             select id, 7, 'x', 'x', 1, 0, 0 from events where line_count = 0 limit 1"
                .to_owned(),
            "delete from event_lines where place = 7",
        ),
        (
            "update member_tree_paths set depth = 9 where depth = 3".to_owned(),
            "update member_tree_paths set depth = 3 where depth = 9",
        ),
        (
            "update members set rank = 1 where rank = 0 and sponsor_id is null or id = \
             '00000000-0000-0000-0000-000000000002'"
                .to_owned(),
            "update members set rank = 0 where id = '00000000-0000-0000-0000-000000000002'",
        ),
    ] {
        assert!(lineage(&world, &["verify"]).await.0, "whole before: {damage}");
        execute(&world, &damage).await;
        let (proved, said) = lineage(&world, &["verify"]).await;
        assert!(!proved, "not found: {damage}\n{said}");
        execute(&world, repair).await;
    }
    for kind in EntryType::ALL {
        let name = kind.name();
        let stray = format!(
            "insert into commission_ledger (event_id, member_id, earned_period, posted_period, rule_id, \
             entry_type, line, level, depth, currency, amount, career_points) values \
             (gen_random_uuid(), gen_random_uuid(), '2026-11-01', '2026-11-01', 1, '{name}', 0, 1, 1, \
             'EUR', 5, 0)"
        );
        execute(&world, &stray).await;
        assert!(!lineage(&world, &["verify"]).await.0, "{name} without an outcome");
        execute(&world, "delete from commission_ledger_2026_11 where amount = 5").await;
        assert!(lineage(&world, &["verify"]).await.0, "whole after {name}");
    }
    execute(&world, "delete from commission_outcomes where event_id = (select event_id from commission_outcomes limit 1)").await;
    assert!(!lineage(&world, &["verify"]).await.0, "lines without an outcome");
}

/// L8: the version in force at a sale's moment prices it, for ever. One that somebody writes past the
/// check for settled sales is found.
#[tokio::test]
async fn l8_verify_finds_plan_versions_that_were_slipped_in_behind_settled_sales() {
    let world = settled_world().await;
    let slip_in = |from: &str| {
        let content = format!(
            "replace(replace(rule_set, '2020-01-01T00:00:00Z', '{from}'), '\"version\":\"1\"', '\"version\":\"{from}\"')"
        );
        format!(
            "with slipped as (
               insert into commission_plans (plan, version, name, source_types, valid_from, rule_set,
                                             rule_set_hash, file_hash, applied_by, reason)
               select plan, '{from}', name, source_types, '{from}', {content},
                      sha256(convert_to({content}, 'UTF8')), file_hash, 'x', 'x'
                 from commission_plans where id = (select min(id) from commission_plans)
               returning id)
             insert into commission_rules (plan_id, place, rule, component, name, valid_from, priority,
                                           calculation)
             select slipped.id, place, rule, component, name, '{from}', priority, calculation
               from commission_rules, slipped where plan_id = (select min(plan_id) from commission_rules)"
        )
    };
    execute(&world, &slip_in("2026-11-04T00:00:00Z")).await;
    let (proved, said) = lineage(&world, &["verify"]).await;
    assert!(proved, "a version for later sales is none of their business: {said}");
    execute(&world, &slip_in("2026-11-03T00:00:00Z")).await;
    let (proved, said) = lineage(&world, &["verify"]).await;
    assert!(!proved, "{said}");
    let problem =
        "it was priced by plan version number 1; in force at 2026-11-03 10:15:00 UTC is 3";
    assert!(said.contains(problem), "{said}");
}

/// L8: what a settlement saw stays true for ever. A change of history that somebody writes past the
/// locks and checks, at a moment that settled sales forbid, is found, though history, record and
/// present agree on it.
#[tokio::test]
async fn l8_verify_finds_history_that_was_changed_behind_settled_sales() {
    let world = settled_world().await;
    let ops = world.pool_as(Role::Ops);
    // From the sales' moment on, and from just after it.
    let sale_at = "2026-11-03T10:15:00Z";
    let allowed = ("2026-11-03T10:15:00.000001Z", member(2));
    let forbidden = (sale_at, member(3));
    for (effective_at, member_id) in [allowed, forbidden] {
        let (proved, said) = lineage(&world, &["verify"]).await;
        assert!(proved, "before {effective_at}: {said}");
        let statements = format!(
            "insert into member_states (member_id, effective_at, status, rank, actor, reason)
             values ('{member_id}', '{effective_at}', 'INACTIVE', 0, 'x', 'x');
             insert into member_changes (kind, member_id, effective_at, old_status, new_status,
                                         old_rank, new_rank, actor, reason)
             values ('STATE', '{member_id}', '{effective_at}', 'ACTIVE', 'INACTIVE', 0, 0, 'x', 'x');
             update members set status = 'INACTIVE', state_since = '{effective_at}'
              where id = '{member_id}'"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&ops).await.unwrap();
    }
    for (effective_at, member_id) in [allowed, (sale_at, member(1))] {
        let statements = format!(
            "insert into member_reward_splits (member_id, effective_at, money_to_self, \
                                               points_to_self, actor, reason)
             values ('{member_id}', '{effective_at}', 70, 50, 'x', 'x');
             insert into member_changes (kind, member_id, effective_at, old_money_to_self,
                                         new_money_to_self, old_points_to_self,
                                         new_points_to_self, actor, reason)
             values ('SPLIT', '{member_id}', '{effective_at}', 100, 70, 100, 50, 'x', 'x')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&ops).await.unwrap();
    }
    let (proved, said) = lineage(&world, &["verify", "--format", "json"]).await;
    assert!(!proved, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let found = said["findings"].as_array().unwrap();
    let of_check = |check: &str| found.iter().filter(|finding| finding["check"] == check).count();
    assert_eq!(of_check("changes_behind_sales"), 2, "{said}");
    // The sponsor was ACTIVE when it was settled; the other's split counts for nobody here.
    assert_eq!((of_check("inputs"), found.len()), (40, 42), "{said}");
    for (number, what) in [(3, "status or rank"), (1, "the reward split")] {
        let id = member(number).to_string();
        let problem = found.iter().find(|finding| finding["id"] == id).unwrap();
        let problem = problem["problem"].as_str().unwrap();
        let begin = format!(
            "has a change of {what} at 2026-11-03 10:15:00 UTC in its history that was recorded at "
        );
        let middle = ", after a sale of 2026-11-03 10:15:00 UTC was settled: event ";
        assert!(problem.starts_with(&begin) && problem.contains(middle), "{problem}");
    }
}

/// As a superuser who disables the triggers.
pub(crate) async fn execute(world: &World, statement: &str) {
    let mut tx = world.owner.begin().await.unwrap();
    for table in ["commission_ledger_2026_11", "commission_outcomes", "event_lines"] {
        let disable = format!("alter table {table} disable trigger append_only");
        sqlx::query(sqlx::AssertSqlSafe(disable)).execute(&mut *tx).await.unwrap();
    }
    let changed = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await;
    assert!(changed.unwrap().rows_affected() > 0, "{statement}");
    for table in ["commission_ledger_2026_11", "commission_outcomes", "event_lines"] {
        let enable = format!("alter table {table} enable always trigger append_only");
        sqlx::query(sqlx::AssertSqlSafe(enable)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}
