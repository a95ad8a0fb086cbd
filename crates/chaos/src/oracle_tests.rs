//! The oracle on a small world that the real binaries have settled: it finds nothing there, and finds
//! every damage that is done to it, by the promise that the damage breaks.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::promise::*;
use super::*;
use crate::small_world::{Settled, Small, settled};

/// What is done, by an owner whom no guard stops, and which promise that breaks.
const DAMAGES: &[(&str, &str, &str)] = &[
    (
        "a line is lost",
        "delete from commission_ledger where ctid = (select max(ctid) from commission_ledger)",
        CLAIM,
    ),
    (
        "a line is doubled",
        "insert into commission_ledger select * from commission_ledger order by event_id limit 1",
        CLAIM,
    ),
    (
        "all lines of an event are doubled, with numbers of their own",
        "insert into commission_ledger (event_id, member_id, earned_period, posted_period, rule_id, \
           entry_type, line, level, depth, currency, amount, career_points) \
         select event_id, member_id, earned_period, posted_period, rule_id, entry_type, \
                (line + o.lines)::smallint, level, depth, currency, amount, career_points \
           from commission_ledger join commission_outcomes o using (event_id) \
          where event_id = (select max(event_id::text)::uuid from commission_ledger)",
        LEDGER,
    ),
    (
        "a line pays a ten-thousandth more",
        "update commission_ledger set amount = amount + 0.0001 \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line gives a ten-thousandth of a point",
        "update commission_ledger set career_points = career_points + 0.0001 \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line pays somebody else",
        "update commission_ledger set member_id = (select id from members m \
            where m.id <> commission_ledger.member_id order by id limit 1) \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line has another level",
        "update commission_ledger set level = level + 1 \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line has another depth",
        "update commission_ledger set depth = depth + 1 \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line has another rule",
        "update commission_ledger l set rule_id = (select id from commission_rules r \
            where r.id <> l.rule_id order by id limit 1) \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line has another currency",
        "update commission_ledger set currency = 'USD' \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line was earned in another period",
        "update commission_ledger set earned_period = earned_period - interval '1 month' \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "a line is a bonus",
        "update commission_ledger set entry_type = 'BONUS' \
          where ctid = (select max(ctid) from commission_ledger)",
        LEDGER,
    ),
    (
        "an outcome loses its lines",
        "delete from commission_ledger where event_id = (select max(event_id::text)::uuid \
                                                           from commission_ledger)",
        CLAIM,
    ),
    (
        "lines lose their outcome",
        "delete from commission_outcomes where event_id = (select max(event_id::text)::uuid \
                                                             from commission_ledger)",
        CLAIM,
    ),
    (
        "an event is not settled",
        "with outcome as (delete from commission_outcomes where event_id = \
            (select max(event_id::text)::uuid from commission_ledger)) \
         delete from commission_ledger where event_id = (select max(event_id::text)::uuid \
                                                           from commission_ledger)",
        DECIDED,
    ),
    (
        "breakage is a ten-thousandth too much",
        "update commission_outcomes set breakage = breakage + 0.0001 \
          where event_id = (select max(event_id::text)::uuid from commission_outcomes)",
        BREAKAGE,
    ),
    (
        "a failure stands beside an outcome",
        "insert into event_failures (event_id, state, cause, attempts, last_error) \
         select event_id, 'dead', 'unknown_member', 1, 'made up' from commission_outcomes limit 1",
        DECIDED,
    ),
    ("a waiting event is forgotten", "delete from event_failures", DECIDED),
    (
        "an event waits for a member who is there",
        "update events set member_id = (select max(id::text)::uuid from members) \
          where id in (select event_id from event_failures)",
        WAITING,
    ),
    ("an event waits for another reason", "update event_failures set cause = 'no_plan'", WAITING),
    (
        "an acknowledged event is lost, with all that came of it",
        "with lost as (select max(event_id::text)::uuid as id from commission_outcomes), \
           a as (delete from commission_outcomes where event_id = (select id from lost)), \
           b as (delete from commission_ledger where event_id = (select id from lost)) \
         delete from events where id = (select id from lost)",
        RECORDED,
    ),
    (
        "only the event is lost",
        "delete from events where id = (select max(event_id::text)::uuid from commission_outcomes)",
        CLAIM,
    ),
    (
        "an event's amount is another",
        "update events set amount = amount + 0.01 \
          where id = (select max(event_id::text)::uuid from commission_outcomes)",
        RECORDED,
    ),
    (
        "an event happened a microsecond later",
        "update events set occurred_at = occurred_at + interval '1 microsecond' \
          where id = (select max(event_id::text)::uuid from commission_outcomes)",
        RECORDED,
    ),
    (
        "an event is of another seller",
        "update events set member_id = (select id from members where id <> member_id limit 1) \
          where id = (select max(event_id::text)::uuid from commission_outcomes)",
        RECORDED,
    ),
    (
        "an event is recorded that nobody posted",
        "insert into events (id, member_id, occurred_at, recorded_at, earned_period, event_type, \
                             source_type, currency, source, external_id, amount, volume) \
         select gen_random_uuid(), member_id, occurred_at, recorded_at, earned_period, event_type, \
                source_type, currency, source, 'made up', amount, volume from events limit 1",
        NOTHING_ELSE,
    ),
    (
        "a sale is recorded twice",
        "insert into events (id, member_id, occurred_at, recorded_at, earned_period, event_type, \
                             source_type, currency, source, external_id, amount, volume) \
         select gen_random_uuid(), member_id, occurred_at, recorded_at, earned_period, event_type, \
                source_type, currency, source, external_id, amount, volume from events limit 1",
        RECORDED,
    ),
    (
        "a closure row is missing",
        "delete from member_tree_paths where depth = 2 and descendant_id = \
           (select max(descendant_id::text)::uuid from member_tree_paths where depth = 2)",
        CLOSURE,
    ),
    (
        "a closure row is too many",
        "insert into member_tree_paths select ancestor_id, descendant_id, 60 \
           from member_tree_paths where depth = 1 limit 1",
        CLOSURE,
    ),
    (
        "the closure has somebody who is no member",
        "insert into member_tree_paths values (gen_random_uuid(), gen_random_uuid(), 1)",
        CLOSURE,
    ),
    (
        "two ancestors change places",
        "update member_tree_paths p set depth = case depth when 1 then 102 else 101 end \
          where depth in (1, 2) and descendant_id = (select max(descendant_id::text)::uuid \
                                                       from member_tree_paths where depth = 2)",
        CLOSURE,
    ),
    ("a member has another rank", "update members set rank = (rank + 1) % 3", PRESENT),
    (
        "a member has another status",
        "update members set status = 'TERMINATED' \
          where id = (select max(id::text)::uuid from members)",
        PRESENT,
    ),
    (
        "a member has another sponsor",
        "update members set sponsor_id = (select sponsor_id from members s where s.id <> members.id \
            and s.sponsor_id is not null and s.sponsor_id not in (members.id, members.sponsor_id) \
            order by s.id limit 1) \
          where id = (select max(id::text)::uuid from members)",
        PRESENT,
    ),
    (
        "an acknowledged member is lost",
        "delete from members where id = (select max(id::text)::uuid from members)",
        ENROLLED,
    ),
    (
        "a member's first sponsor is another",
        "update member_sponsors set sponsor_id = null where effective_at = '-infinity' \
            and member_id = (select max(id::text)::uuid from members)",
        ENROLLED,
    ),
    (
        "nobody says who enrolled a member",
        "update member_states set actor = '' where effective_at = '-infinity' \
            and member_id = (select max(id::text)::uuid from members)",
        ENROLLED,
    ),
    (
        "a past status is rewritten",
        "update member_states set status = 'INACTIVE' where effective_at = '-infinity'",
        LEDGER,
    ),
    (
        "a move is not in history",
        "delete from member_sponsors where effective_at > '-infinity'",
        CHANGED,
    ),
    (
        "a change is not on record",
        "delete from member_changes where kind = 'STATE' and refusal is null",
        CHANGED,
    ),
    (
        "a change is on record twice",
        "insert into member_changes (kind, member_id, effective_at, old_status, new_status, \
                                     old_rank, new_rank, actor, reason) \
         select kind, member_id, effective_at, old_status, new_status, old_rank, new_rank, actor, \
                reason from member_changes where kind = 'STATE' and refusal is null",
        CHANGED,
    ),
    (
        "nobody says who moved a member",
        "update member_changes set actor = 'somebody' where kind = 'MOVE'",
        CHANGED,
    ),
    (
        "history has a row that nobody asked for",
        "insert into member_states (member_id, effective_at, status, rank, actor, reason) \
         select id, now() - interval '1 second', status, rank, 'key:1', 'made up' \
           from members where state_since = '-infinity' limit 1",
        PRESENT,
    ),
];

/// Tables whose guard is taken off for a damage, and put on again.
const GUARDED: [&str; 6] = [
    "events",
    "commission_outcomes",
    "commission_ledger",
    "member_sponsors",
    "member_states",
    "member_changes",
];

async fn run(conn: &mut PgConnection, statement: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(conn).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Damages the world in a transaction that is rolled back, and returns what the oracle finds there.
async fn found_after(settled: &Settled, statements: &[&str]) -> Vec<Finding> {
    let mut conn = PgConnection::connect(&settled.database_url()).await.unwrap();
    run(&mut conn, "begin").await;
    for statement in statements {
        run(&mut conn, statement).await;
    }
    let mut findings = Findings::default();
    books(&mut conn, &settled.evidence, &mut findings).await.unwrap();
    run(&mut conn, "rollback").await;
    findings.into_list()
}

/// What the oracle says about a world that nothing was done to.
async fn found_in(settled: &Settled) -> Vec<Finding> {
    let (database_url, redis_url) = (settled.database_url(), settled.redis_url());
    check(&database_url, &redis_url, settled.world.name(), &settled.evidence).await.unwrap()
}

async fn rules_that_paid(settled: &Settled) -> Vec<String> {
    let mut conn = PgConnection::connect(&settled.database_url()).await.unwrap();
    let query = "select distinct rule from commission_ledger l \
                   join commission_rules r on r.id = l.rule_id order by 1";
    sqlx::query_scalar(query).fetch_all(&mut conn).await.unwrap()
}

#[tokio::test]
async fn the_oracle_finds_every_damage_and_nothing_else() {
    let settled = settled(51).await;
    let clean = found_in(&settled).await;
    assert_eq!(clean, [], "nothing is wrong with what the binaries did");
    assert_eq!(rules_that_paid(&settled).await, ["base", "team-eur", "team-large"]);

    let guards = |verb: &str| -> Vec<String> {
        GUARDED.map(|table| format!("alter table {table} {verb} trigger append_only")).into()
    };
    let (off, on) = (guards("disable").join(";"), guards("enable always").join(";"));
    let mut missed = Vec::new();
    for (what, damage, promise) in DAMAGES {
        let found = found_after(&settled, &[&off, damage, &on]).await;
        if found.iter().all(|finding| finding.promise != *promise) {
            missed.push(format!("{what}: {promise}, but found {found:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn a_guard_that_is_off_is_found_wherever_it_is() {
    let settled = settled(52).await;
    let partition = "do $$ begin execute format('alter table %s disable trigger append_only', \
        (select inhrelid::regclass from pg_inherits \
          where inhparent = 'commission_ledger'::regclass limit 1)); end $$";
    for statement in [
        "alter table events disable trigger append_only",
        "alter table member_changes enable trigger append_only",
        "drop trigger append_only on commission_outcomes",
        "drop function refuse_change cascade",
        "create or replace function refuse_change() returns trigger language plpgsql \
           as 'begin return null; end'",
        partition,
    ] {
        let found = found_after(&settled, &[statement]).await;
        assert!(!found.is_empty(), "{statement}");
        assert!(found.iter().all(|finding| finding.promise == GUARDS), "{statement}: {found:?}");
    }
}

/// Also: two outcomes of one event, which a primary key forbids, so that it has to go first.
#[tokio::test]
async fn what_a_key_forbids_is_looked_for_all_the_same() {
    let settled = settled(53).await;
    let twice = [
        "alter table commission_outcomes drop constraint commission_outcomes_pkey",
        "insert into commission_outcomes select * from commission_outcomes limit 1",
    ];
    let found = found_after(&settled, &twice).await;
    assert!(found.iter().any(|finding| finding.promise == DECIDED), "{found:?}");
}

#[tokio::test]
async fn what_is_left_in_the_stream_is_found() {
    let settled = settled(54).await;
    settled.world.ringer().add_noise("id", b"no event").await.unwrap();
    let found = found_in(&settled).await;
    let promises: Vec<&str> = found.iter().map(|finding| finding.promise).collect();
    assert_eq!(promises, [DRAINED]);
}

#[tokio::test]
async fn a_forgotten_transaction_is_found() {
    let settled = settled(55).await;
    let mut forgotten = PgConnection::connect(&settled.database_url()).await.unwrap();
    run(&mut forgotten, "begin").await;
    let found = found_in(&settled).await;
    let promises: Vec<&str> = found.iter().map(|finding| finding.promise).collect();
    assert_eq!(promises, [SESSIONS]);
}

/// Workers without the claim pay twice what two of them have read.
#[tokio::test]
async fn l1_paying_without_a_claim_is_found() {
    let mut small = Small::new(67).await;
    let ingest = small.world.ingest(&[]);
    small.enrol(&ingest, 8).await;
    let sabotage = [("LINEAGE_SABOTAGE", "skip_claim")];
    let _worker = small.world.failing_worker(&sabotage, &["--connections", "2"]);
    // Rung twice, sales are read by both loops at about the same time, sooner or later.
    let paid_twice = "select exists (select from commission_ledger \
                      group by event_id, rule_id, line having count(*) > 1)";
    for round in 0..50 {
        let known = small.evidence.acknowledged.len();
        small.sell(&ingest, &format!("round-{round}"), 5).await;
        let again: Vec<Uuid> =
            small.evidence.acknowledged[known..].iter().map(|sale| sale.event_id).collect();
        small.world.ringer().publish(&again).await.unwrap();
        small.wait_until_decided().await;
        let happened: bool =
            sqlx::query_scalar(paid_twice).fetch_one(&small.world.owner).await.unwrap();
        if happened {
            break;
        }
    }
    // The oracle itself waits until the stream is empty.
    let found = found_in(&small.at_rest()).await;
    assert!(found.iter().any(|finding| finding.promise == CLAIM), "{found:?}");
}

/// A worker that pays the upline of now pays the wrong people for late sales.
#[tokio::test]
async fn l8_paying_the_upline_of_now_is_found() {
    let mut small = Small::new(69).await;
    let ingest = small.world.ingest(&[]);
    let sabotage = [("LINEAGE_SABOTAGE", "upline_of_now")];
    let _worker = small.world.failing_worker(&sabotage, &["--sweep-every", "1"]);
    small.enrol(&ingest, 24).await;
    small.change(&ingest).await;
    small.sell(&ingest, "late", 60).await;
    small.wait_until_decided().await;
    let found = found_in(&small.at_rest()).await;
    let broken: BTreeSet<&str> = found.iter().map(|finding| finding.promise).collect();
    assert!(broken.contains(LEDGER), "{found:?}");
}
